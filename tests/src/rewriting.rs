//! Packets written anew as translation asks for it, with their checksums (RFC 1624): what the
//! programs do to a packet.

use std::net::{IpAddr, Ipv4Addr};

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::message::Message;
use amanda_fw_common::nat::{Mapped, Rewrite, Rewritten};
use amanda_fw_common::text::{TEXT_LENGTH, Text};
use amanda_fw_common::transaction::Inspection;

use crate::frames::{ICMP, Packet, TCP, UDP, checksum};

/// Offset of what follows the IPv4 header in an Ethernet frame.
const PAYLOAD: usize = 14 + 20;
/// Offset of the quoted packet in an ICMP error.
const QUOTED: usize = 8;
/// Offsets in an IPv4 header.
const HEADER_CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

/// Where the fields of a transport header are that change with an endpoint.
struct Fields {
    checksum: usize,
    source: usize,
    destination: usize,
    has_pseudo_header: bool,
}

impl Fields {
    #[track_caller]
    fn of(protocol: u8) -> Self {
        let ports =
            |checksum| Self { checksum, source: 0, destination: 2, has_pseudo_header: true };
        match protocol {
            TCP => ports(16),
            UDP => ports(6),
            ICMP => Self { checksum: 2, source: 4, destination: 4, has_pseudo_header: false },
            other => panic!("protocol {other} has no port that is written anew"),
        }
    }
}

/// Returns a packet of an Ethernet frame without options as a rewrite leaves it.
///
/// # Panics
///
/// Where the packet is not what the rewrite says it is.
#[must_use]
#[track_caller]
pub fn rewritten(packet: &Packet, rewrite: &Rewrite) -> Packet {
    let mut packet = packet.clone();
    match (rewrite.side(), rewrite.is_error) {
        (Rewritten::None, _) => {}
        (_, 1) => rewrite_error(&mut packet, rewrite),
        _ => rewrite_packet(&mut packet, rewrite),
    }
    packet
}

/// Returns a reply with the ports in its line that its initiator knows the streams by.
#[must_use]
pub fn announced(packet: &Packet, found: &Inspection, streams: PortRange) -> Packet {
    const UDP_HEADER: usize = 8;
    let (mut text, mut message) = (Text::EMPTY, Message::default());
    let said = &packet.payload[UDP_HEADER..];
    text.fill(said);
    if !message.read_header(&text) {
        return packet.clone();
    }
    message.read_body(&text, streams);
    if !message.announce(&mut text, &found.outside) {
        return packet.clone();
    }
    let length = said.len().min(TEXT_LENGTH);
    let mut packet = packet.clone();
    let (before, after) = (said[..length].to_vec(), &text.as_bytes()[..length]);
    packet.payload[UDP_HEADER..][..length].copy_from_slice(after);
    mend(&mut packet.payload, 6, &before, after, true);
    packet
}

#[track_caller]
fn rewrite_packet(packet: &mut Packet, rewrite: &Rewrite) {
    let Rewrite { before, after, transport, .. } = *rewrite;
    let is_source = rewrite.side() == Rewritten::Source;
    let place = if is_source { &mut packet.source } else { &mut packet.destination };
    replace(place, before, after);
    if rewrite.address_alone == 1 {
        return;
    }
    let at = usize::try_from(transport).expect("an offset") - PAYLOAD;
    let fields = Fields::of(rewrite.protocol);
    let port = at + if is_source { fields.source } else { fields.destination };
    rewrite_port(&mut packet.payload, at, &fields, port, (before, after));
}

#[track_caller]
fn rewrite_error(packet: &mut Packet, rewrite: &Rewrite) {
    let Rewrite { before, after, outer, transport, .. } = *rewrite;
    let is_source = rewrite.side() == Rewritten::Source;
    // The quoted packet goes the other way than the error.
    let (place, quoted) = if is_source {
        (&mut packet.source, DESTINATION)
    } else {
        (&mut packet.destination, SOURCE)
    };
    replace(place, Mapped::new(outer, 0), after);
    let (from, to) = (before.addr.to_be_bytes(), after.addr.to_be_bytes());
    assert_eq!(packet.payload[QUOTED + quoted..][..4], from, "the quoted address");
    packet.payload[QUOTED + quoted..][..4].copy_from_slice(&to);
    mend(&mut packet.payload, QUOTED + HEADER_CHECKSUM, &from, &to, false);
    if rewrite.address_alone == 0 {
        let at = usize::try_from(transport).expect("an offset") - PAYLOAD;
        let fields = Fields::of(rewrite.protocol);
        let port = at + if is_source { fields.destination } else { fields.source };
        rewrite_port(&mut packet.payload, at, &fields, port, (before, after));
    }
    *packet = packet.clone().with_checksum(2);
}

#[track_caller]
fn replace(place: &mut IpAddr, before: Mapped, after: Mapped) {
    let address = |mapped: Mapped| IpAddr::V4(Ipv4Addr::from_bits(mapped.addr));
    assert_eq!(*place, address(before), "what is written anew");
    *place = address(after);
}

/// Writes a port, and mends the checksum of its header where that was quoted, too.
#[track_caller]
fn rewrite_port(
    payload: &mut [u8],
    transport: usize,
    fields: &Fields,
    at: usize,
    (before, after): (Mapped, Mapped),
) {
    let bytes = |mapped: Mapped| (mapped.addr.to_be_bytes(), mapped.port.to_be_bytes());
    let ((from_addr, from_port), (to_addr, to_port)) = (bytes(before), bytes(after));
    assert_eq!(payload[at..][..2], from_port, "the port that is written anew");
    payload[at..][..2].copy_from_slice(&to_port);
    let sum = transport + fields.checksum;
    if payload.len() < sum + 2 {
        return;
    }
    let may_be_none = fields.checksum == Fields::of(UDP).checksum;
    if fields.has_pseudo_header {
        mend(payload, sum, &from_addr, &to_addr, may_be_none);
    }
    mend(payload, sum, &from_port, &to_port, may_be_none);
}

/// Mends a checksum that covers bytes which were replaced; a datagram's may be 0, for none.
fn mend(payload: &mut [u8], at: usize, before: &[u8], after: &[u8], may_be_none: bool) {
    let old = u16::from_be_bytes([payload[at], payload[at + 1]]);
    if may_be_none && old == 0 {
        return;
    }
    // RFC 1624, 3: HC' = ~(~HC + ~m + m'), where the checksum of m is ~m.
    let terms = [!old, checksum(before), !checksum(after)].map(u16::to_be_bytes);
    let new = checksum(&terms.concat());
    let new = if may_be_none && new == 0 { u16::MAX } else { new };
    payload[at..][..2].copy_from_slice(&new.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    #[test]
    fn a_mended_checksum_is_the_one_that_a_host_would_send() {
        let [a, b, c] = ["10.0.0.1:850", "10.0.0.2:10080", "203.0.113.1:40001"]
            .map(|text| text.parse().expect("an address and a port"));
        let mut packet = frames::udp(a, b, b"odd");
        mend(&mut packet.payload, 6, &[10, 0, 0, 1], &[203, 0, 113, 1], true);
        mend(&mut packet.payload, 6, &850_u16.to_be_bytes(), &40_001_u16.to_be_bytes(), true);
        assert_eq!(packet.payload[6..8], frames::udp(c, b, b"odd").payload[6..8]);
    }
}
