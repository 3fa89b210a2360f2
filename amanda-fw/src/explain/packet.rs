//! The packet that is asked about, in the words of the command line.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_common::addr::Endpoint;
use amanda_fw_common::rules::Way;
use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, TcpFlags};
use anyhow::{Context, Result, bail};

use crate::config;

/// The flags that `--flags` knows (RFC 9293, 3.1).
const FLAGS: [(&str, u8); 6] =
    [("FIN", 0x01), ("SYN", 0x02), ("RST", 0x04), ("PSH", 0x08), ("ACK", 0x10), ("URG", 0x20)];

/// What the command line says of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketWords<'a> {
    /// The protocol's name or number.
    pub(crate) protocol: &'a str,
    /// The source, with its port where there is one.
    pub(crate) source: &'a str,
    /// The destination.
    pub(crate) destination: &'a str,
    /// TCP flags, between commas.
    pub(crate) flags: &'a str,
    /// The name or number of an ICMP type.
    pub(crate) icmp_type: Option<&'a str>,
}

/// A packet, where it is met, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The number of the protocol.
    pub(crate) protocol: u8,
    /// Where it comes from.
    pub(crate) source: Endpoint,
    /// Where it goes.
    pub(crate) destination: Endpoint,
    /// TCP flags, 0 for other protocols.
    pub(crate) flags: TcpFlags,
    /// The ICMP type, 0 for other protocols.
    pub(crate) icmp_type: u8,
    /// Which way it goes.
    pub(crate) way: Way,
    /// The index of the interface, 0 for one that no rule names.
    pub(crate) interface: u32,
    /// The index of the interface that it leaves by where it goes through the host, else 0.
    pub(crate) output: u32,
}

impl Packet {
    /// Reads a packet that crosses an interface, or goes through the host and leaves by another.
    pub(crate) fn read(
        words: &PacketWords<'_>,
        way: Way,
        [interface, output]: [u32; 2],
    ) -> Result<Self> {
        let protocol = config::protocol_number(words.protocol).with_context(|| {
            format!("\"{}\" is no protocol such as tcp, udp, icmp or 47", words.protocol)
        })?;
        let has_ports = config::has_ports(protocol);
        let end = |text| if has_ports { with_port(text) } else { without_port(text) };
        let (source, destination) = (end(words.source)?, end(words.destination)?);
        if source.addr.is_v4() != destination.addr.is_v4() {
            bail!("{} and {} are of two families", source.addr, destination.addr);
        }
        let flags = if protocol == PROTOCOL_TCP { flags(words.flags)? } else { 0 };
        Ok(Self {
            protocol,
            source,
            destination,
            flags: TcpFlags(flags),
            icmp_type: icmp_type(protocol, words.icmp_type)?,
            way,
            interface,
            output,
        })
    }
}

fn with_port(text: &str) -> Result<Endpoint> {
    let address: SocketAddr = text.parse().with_context(|| {
        format!("\"{text}\" is no address with a port such as 10.0.0.1:22 or [fd00::1]:22")
    })?;
    Ok(Endpoint { addr: address.ip().into(), port: address.port() })
}

fn without_port(text: &str) -> Result<Endpoint> {
    let address: IpAddr =
        text.parse().with_context(|| format!("\"{text}\" is no address such as 10.0.0.1"))?;
    Ok(Endpoint { addr: address.into(), port: 0 })
}

fn flags(text: &str) -> Result<u8> {
    let flag = |name: &str| {
        let known = FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let names = FLAGS.map(|(name, _)| name).join(", ");
        known.map(|&(_, bit)| bit).with_context(|| format!("\"{name}\" is none of {names}"))
    };
    text.split(',').try_fold(0, |bits, name| Ok(bits | flag(name.trim())?))
}

/// Reads an ICMP type; without one, it is an echo request.
fn icmp_type(protocol: u8, text: Option<&str>) -> Result<u8> {
    let echo_request = match protocol {
        PROTOCOL_ICMP => 8,
        PROTOCOL_ICMPV6 => 128,
        _ => return Ok(0),
    };
    let Some(text) = text else { return Ok(echo_request) };
    config::icmp_type_number(protocol, text)
        .with_context(|| format!("\"{text}\" is no ICMP type such as echo-request or 8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(protocol: &str, source: &str, destination: &str) -> Result<Packet> {
        let words =
            PacketWords { protocol, source, destination, flags: "syn,ACK", icmp_type: None };
        Packet::read(&words, Way::In, [7, 0])
    }

    fn check(protocol: &str, source: &str, destination: &str, expected: (u8, u16, u8, u8)) {
        let packet = read(protocol, source, destination).expect("a packet");
        let Packet { protocol, destination, flags, icmp_type, .. } = packet;
        assert_eq!((protocol, destination.port, flags.0, icmp_type), expected);
    }

    #[test]
    fn packets_are_read_by_their_protocol() {
        check("tcp", "10.0.0.1:1", "10.0.0.2:22", (6, 22, 0x12, 0));
        check("udp", "[fd00::1]:1", "[fd00::2]:53", (17, 53, 0, 0));
        check("icmp", "10.0.0.1", "10.0.0.2", (1, 0, 0, 8));
        check("icmpv6", "fd00::1", "fd00::2", (58, 0, 0, 128));
        check("47", "10.0.0.1", "10.0.0.2", (47, 0, 0, 0));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for (protocol, source, destination, complaint) in [
            ("tpc", "10.0.0.1:1", "10.0.0.2:2", "\"tpc\" is no protocol"),
            ("tcp", "10.0.0.1", "10.0.0.2:2", "\"10.0.0.1\" is no address with a port"),
            ("icmp", "10.0.0.1:1", "10.0.0.2", "\"10.0.0.1:1\" is no address such"),
            ("tcp", "10.0.0.1:1", "[fd00::1]:2", "10.0.0.1 and fd00::1 are of two families"),
        ] {
            let error = read(protocol, source, destination).expect_err("a mistake").to_string();
            assert!(error.starts_with(complaint), "{error}");
        }
    }
}
