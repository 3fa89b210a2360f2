//! The bytes of a packet that is asked about: headers alone.

use std::net::IpAddr;

use amanda_fw_common::wire::{
    Link, PROTOCOL_DCCP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
    PROTOCOL_UDPLITE,
};

use super::Packet;

/// The length that any transport header has at the most here.
const TRANSPORT: usize = 20;

/// Writes the frame, with checksums of 0: nobody looks at them.
pub(super) fn frame(packet: &Packet, link: Link) -> Vec<u8> {
    let transport = transport(packet);
    let (ethertype, ip) = match (packet.source.addr.ip(), packet.destination.addr.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = (20 + transport.len()) as u16;
            let [t0, t1] = total.to_be_bytes();
            let start = [0x45, 0, t0, t1, 0, 0, 0x40, 0, 64, packet.protocol, 0, 0];
            (0x0800_u16, [&start[..], &source.octets(), &destination.octets()].concat())
        }
        (source, destination) => {
            let [l0, l1] = (transport.len() as u16).to_be_bytes();
            let start = [0x60, 0, 0, 0, l0, l1, packet.protocol, 64];
            let (source, destination) = (v6(source), v6(destination));
            (0x86dd, [&start[..], &source, &destination].concat())
        }
    };
    let ethernet = match link {
        Link::Ethernet => [&[0; 12][..], &ethertype.to_be_bytes()].concat(),
        Link::Raw => Vec::new(),
    };
    [ethernet, ip, transport].concat()
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn transport(packet: &Packet) -> Vec<u8> {
    let ports = [packet.source.port.to_be_bytes(), packet.destination.port.to_be_bytes()].concat();
    let mut header = match packet.protocol {
        PROTOCOL_TCP => [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, packet.flags.0]].concat(),
        PROTOCOL_UDP | PROTOCOL_UDPLITE => [&ports[..], &[0, 8, 0, 0]].concat(),
        PROTOCOL_SCTP | PROTOCOL_DCCP => ports,
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => vec![packet.icmp_type, 0],
        _ => Vec::new(),
    };
    let length =
        if matches!(packet.protocol, PROTOCOL_UDP | PROTOCOL_UDPLITE) { 8 } else { TRANSPORT };
    header.resize(length, 0);
    header
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::addr::Endpoint;
    use amanda_fw_common::rules::Way;
    use amanda_fw_common::wire::{self, TcpFlags};

    use super::*;

    fn check(protocol: u8, source: &str, destination: &str, link: Link) {
        let has_ports = ![PROTOCOL_ICMP, PROTOCOL_ICMPV6, 47].contains(&protocol);
        let end = |ip: &str, port| Endpoint {
            addr: ip.parse::<IpAddr>().expect("an address").into(),
            port: if has_ports { port } else { 0 },
        };
        let packet = Packet {
            protocol,
            source: end(source, 40_000),
            destination: end(destination, 22),
            flags: TcpFlags(if protocol == PROTOCOL_TCP { 2 } else { 0 }),
            icmp_type: if has_ports || protocol == 47 { 0 } else { 13 },
            way: Way::In,
            interface: 1,
            output: 0,
        };
        let mut read = wire::Packet::default();
        wire::parse(frame(&packet, link).as_slice(), link, &mut read).expect("a packet");
        assert_eq!(
            (read.protocol, read.source, read.destination),
            (protocol, packet.source, packet.destination)
        );
        assert_eq!((read.tcp, read.icmp_type), (packet.flags, packet.icmp_type));
    }

    #[test]
    fn a_frame_reads_as_the_packet_that_it_was_made_of() {
        for link in [Link::Ethernet, Link::Raw] {
            for protocol in [PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP, PROTOCOL_ICMP, 47] {
                check(protocol, "10.0.0.1", "10.0.0.2", link);
            }
            for protocol in [PROTOCOL_TCP, PROTOCOL_UDPLITE, PROTOCOL_DCCP, PROTOCOL_ICMPV6] {
                check(protocol, "fd00::1", "fd00::2", link);
            }
        }
    }
}
