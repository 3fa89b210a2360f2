//! A packet as the kernel's LOG target writes it (net/netfilter/nf_log_syslog.c), so that what reads
//! those lines reads these.

mod rest;
mod transport;

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use amanda_fw_common::event::Event;
use amanda_fw_common::rules::Way;

use rest::Rest;
use transport::transport;

/// The length of an Ethernet header.
const ETHERNET: usize = 14;

/// Writes the fields of a packet that crosses an interface, or comes by it and leaves by `output`; those
/// behind what was captured are left out.
pub(crate) fn log_line(event: &Event, interface: &str, output: &str, packet: &[u8]) -> String {
    let (incoming, outgoing) =
        if event.way == Way::Out.number() { ("", interface) } else { (interface, output) };
    let mut line = format!("IN={incoming} OUT={outgoing} ");
    let network = usize::from(event.network);
    // An outgoing packet has no Ethernet header yet where netfilter meets it.
    if event.way != Way::Out.number() {
        let link = packet.get(..ETHERNET.min(network)).unwrap_or_default();
        let bytes: Vec<String> = link.iter().map(|byte| format!("{byte:02x}")).collect();
        // Writing to a string cannot fail, here and below.
        let _ = write!(line, "MAC={} ", bytes.join(":"));
    }
    let frame = Rest { bytes: packet, length: event.length as usize };
    let _ = frame.after(network).and_then(|ip| internet(&mut line, ip, false));
    line.trim_end().to_owned()
}

/// Writes an IP packet, or one that another quotes.
fn internet(line: &mut String, ip: Rest<'_>, is_quoted: bool) -> Option<()> {
    let (protocol, rest) = match ip.u8(0)? >> 4 {
        4 => ipv4(line, ip)?,
        6 => ipv6(line, ip)?,
        _ => return None,
    };
    transport(line, protocol, rest, is_quoted)
}

/// What follows an IP header: a protocol, and whether its header is there.
type Next<'a> = (Protocol, Option<Rest<'a>>);

/// A protocol, as the family writes it.
#[derive(Clone, Copy)]
struct Protocol {
    number: u8,
    is_v6: bool,
}

/// Writes an IPv4 header.
fn ipv4<'a>(line: &mut String, ip: Rest<'a>) -> Option<Next<'a>> {
    const FLAGS: [(u16, &str); 3] = [(0x8000, "CE "), (0x4000, "DF "), (0x2000, "MF ")];
    const OFFSET: u16 = 0x1fff;
    const TOS: u8 = 0x1e;
    const PRECEDENCE: u8 = 0xe0;
    let address = |at| ip.array::<4>(at).map(Ipv4Addr::from);
    let (source, destination) = (address(12)?, address(16)?);
    let (tos, fragment) = (ip.u8(1)?, ip.u16(6)?);
    let _ = write!(
        line,
        "SRC={source} DST={destination} LEN={} TOS=0x{:02X} PREC=0x{:02X} TTL={} ID={} ",
        ip.u16(2)?,
        tos & TOS,
        tos & PRECEDENCE,
        ip.u8(8)?,
        ip.u16(4)?,
    );
    for (bit, name) in FLAGS {
        line.push_str(if fragment & bit != 0 { name } else { "" });
    }
    let offset = fragment & OFFSET;
    if offset != 0 {
        let _ = write!(line, "FRAG:{offset} ");
    }
    let header = usize::from(ip.u8(0)? & 0x0f) * 4;
    let protocol = Protocol { number: ip.u8(9)?, is_v6: false };
    Some((protocol, (offset == 0).then(|| ip.after(header)).flatten()))
}

/// Writes an IPv6 header, and passes those of its extensions.
fn ipv6<'a>(line: &mut String, ip: Rest<'a>) -> Option<Next<'a>> {
    const HEADER: usize = 40;
    let address = |at| ip.array::<16>(at).map(Ipv6Addr::from);
    let (source, destination) = (address(8)?, address(24)?);
    let first = u32::from_be_bytes(ip.array(0)?);
    let _ = write!(
        line,
        "SRC={} DST={} LEN={} TC={} HOPLIMIT={} FLOWLBL={} ",
        whole(source),
        whole(destination),
        usize::from(ip.u16(4)?) + HEADER,
        (first >> 20) & 0xff,
        ip.u8(7)?,
        first & 0x000f_ffff,
    );
    let mut next = (Protocol { number: ip.u8(6)?, is_v6: true }, ip.after(HEADER));
    while let (Protocol { number, .. }, Some(rest)) = next {
        match extension(line, number, rest) {
            Some(further) => next = further,
            None => break,
        }
    }
    Some(next)
}

/// Writes an extension header, of which only fragments have something to show, and returns what
/// follows it.
fn extension<'a>(line: &mut String, number: u8, rest: Rest<'a>) -> Option<Next<'a>> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let protocol = Protocol { number: rest.u8(0)?, is_v6: true };
    let length = usize::from(rest.u8(1)?);
    let length = match number {
        HOP_BY_HOP | ROUTING | DESTINATION => (length + 1) * 8,
        AUTHENTICATION => (length + 2) * 4,
        FRAGMENT => 8,
        _ => return None,
    };
    let is_first = number != FRAGMENT || fragment(line, rest)?;
    Some((protocol, is_first.then(|| rest.after(length)).flatten()))
}

/// Writes a fragment header, and tells whether the fragment is the first one.
fn fragment(line: &mut String, rest: Rest<'_>) -> Option<bool> {
    const OFFSET: u16 = 0xfff8;
    const MORE: u16 = 1;
    let place = rest.u16(2)?;
    let more = if place & MORE != 0 { "INCOMPLETE " } else { "" };
    let id = u32::from_be_bytes(rest.array(4)?);
    let _ = write!(line, "FRAG:{} {more}ID:{id:08x} ", place & OFFSET);
    Some(place & OFFSET == 0)
}

/// Writes an IPv6 address without leaving zeros out, as the kernel does.
fn whole(addr: Ipv6Addr) -> String {
    let groups: Vec<String> = addr.segments().iter().map(|group| format!("{group:04x}")).collect();
    groups.join(":")
}

#[cfg(test)]
mod tests;
