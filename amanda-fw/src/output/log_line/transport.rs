//! What stands behind the IP header: ports, flags, ICMP types, and packets that ICMP quotes.

use std::fmt::Write;
use std::net::Ipv4Addr;

use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};

use super::rest::Rest;
use super::{Protocol, internet};

const PROTOCOL_ESP: u8 = 50;
const PROTOCOL_AH: u8 = 51;
const PROTOCOL_UDPLITE: u8 = 136;

/// Writes a protocol, and its header unless that is in another fragment.
pub(super) fn transport(
    line: &mut String,
    protocol: Protocol,
    rest: Option<Rest<'_>>,
    is_quoted: bool,
) -> Option<()> {
    let Protocol { number, is_v6 } = protocol;
    // The kernel takes ESP for an extension header of IPv6, and stops there.
    if is_v6 && number == PROTOCOL_ESP {
        return None;
    }
    let _ = match name(number, is_v6) {
        Some(name) => write!(line, "PROTO={name} "),
        None => write!(line, "PROTO={number} "),
    };
    let rest = rest?;
    match number {
        PROTOCOL_TCP => tcp(line, rest),
        PROTOCOL_UDP | PROTOCOL_UDPLITE => udp(line, rest),
        PROTOCOL_ICMP if !is_v6 => icmp(line, rest, is_quoted),
        PROTOCOL_ICMPV6 if is_v6 => icmpv6(line, rest, is_quoted),
        PROTOCOL_ESP => spi(line, rest, 0, 8),
        PROTOCOL_AH => spi(line, rest, 4, 12),
        _ => Some(()),
    }
}

/// Names the protocols that the kernel has names for, in one family or in both.
fn name(number: u8, is_v6: bool) -> Option<&'static str> {
    match number {
        PROTOCOL_TCP => Some("TCP"),
        PROTOCOL_UDP => Some("UDP"),
        PROTOCOL_UDPLITE => Some("UDPLITE"),
        PROTOCOL_ICMP if !is_v6 => Some("ICMP"),
        PROTOCOL_ICMPV6 if is_v6 => Some("ICMPv6"),
        PROTOCOL_ESP if !is_v6 => Some("ESP"),
        PROTOCOL_AH if !is_v6 => Some("AH"),
        _ => None,
    }
}

/// Goes on with a header that the packet has whole, as quoted ones often are not.
fn complete<'a>(line: &mut String, rest: Rest<'a>, header: usize) -> Option<Rest<'a>> {
    if rest.length >= header {
        return Some(rest);
    }
    let _ = write!(line, "INCOMPLETE [{} bytes] ", rest.length);
    None
}

fn tcp(line: &mut String, rest: Rest<'_>) -> Option<()> {
    const HEADER: usize = 20;
    const FLAGS: [(u8, &str); 8] = [
        (0x80, "CWR "),
        (0x40, "ECE "),
        (0x20, "URG "),
        (0x10, "ACK "),
        (0x08, "PSH "),
        (0x04, "RST "),
        (0x02, "SYN "),
        (0x01, "FIN "),
    ];
    let rest = complete(line, rest, HEADER)?;
    let (source, destination, window) = (rest.u16(0)?, rest.u16(2)?, rest.u16(14)?);
    let reserved = (rest.u8(12)? & 0x0f) << 2;
    let _ = write!(line, "SPT={source} DPT={destination} WINDOW={window} RES=0x{reserved:02x} ");
    let flags = rest.u8(13)?;
    for (bit, name) in FLAGS {
        line.push_str(if flags & bit != 0 { name } else { "" });
    }
    let _ = write!(line, "URGP={} ", rest.u16(18)?);
    Some(())
}

fn udp(line: &mut String, rest: Rest<'_>) -> Option<()> {
    const HEADER: usize = 8;
    let rest = complete(line, rest, HEADER)?;
    let (source, destination, length) = (rest.u16(0)?, rest.u16(2)?, rest.u16(4)?);
    let _ = write!(line, "SPT={source} DPT={destination} LEN={length} ");
    Some(())
}

/// Writes the security parameters index of IPsec.
fn spi(line: &mut String, rest: Rest<'_>, at: usize, header: usize) -> Option<()> {
    let rest = complete(line, rest, header)?;
    let _ = write!(line, "SPI=0x{:x} ", rest.u32(at)?);
    Some(())
}

fn icmp(line: &mut String, rest: Rest<'_>, is_quoted: bool) -> Option<()> {
    const ECHO_REPLY: u8 = 0;
    const UNREACHABLE: u8 = 3;
    const SOURCE_QUENCH: u8 = 4;
    const REDIRECT: u8 = 5;
    const ECHO: u8 = 8;
    const TIME_EXCEEDED: u8 = 11;
    const PARAMETER_PROBLEM: u8 = 12;
    const FRAGMENTATION_NEEDED: u8 = 4;
    let (kind, code) = type_and_code(line, rest)?;
    match kind {
        ECHO_REPLY | ECHO => echo(line, rest)?,
        PARAMETER_PROBLEM => drop(write!(line, "PARAMETER={} ", rest.u8(4)?)),
        REDIRECT => drop(write!(line, "GATEWAY={} ", Ipv4Addr::from(rest.array::<4>(4)?))),
        _ => {}
    }
    if matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED) {
        quotation(line, rest, is_quoted);
    }
    if (kind, code) == (UNREACHABLE, FRAGMENTATION_NEEDED) {
        let _ = write!(line, "MTU={} ", rest.u16(6)?);
    }
    Some(())
}

fn icmpv6(line: &mut String, rest: Rest<'_>, is_quoted: bool) -> Option<()> {
    const TOO_BIG: u8 = 2;
    const PARAMETER_PROBLEM: u8 = 4;
    const LAST_ERROR: u8 = 4;
    const ECHO: u8 = 128;
    const ECHO_REPLY: u8 = 129;
    let (kind, _) = type_and_code(line, rest)?;
    match kind {
        ECHO | ECHO_REPLY => echo(line, rest)?,
        PARAMETER_PROBLEM => drop(write!(line, "POINTER={:08x} ", rest.u32(4)?)),
        _ => {}
    }
    if (1..=LAST_ERROR).contains(&kind) {
        quotation(line, rest, is_quoted);
    }
    if kind == TOO_BIG {
        let _ = write!(line, "MTU={} ", rest.u32(4)?);
    }
    Some(())
}

fn type_and_code(line: &mut String, rest: Rest<'_>) -> Option<(u8, u8)> {
    const HEADER: usize = 8;
    let rest = complete(line, rest, HEADER)?;
    let (kind, code) = (rest.u8(0)?, rest.u8(1)?);
    let _ = write!(line, "TYPE={kind} CODE={code} ");
    Some((kind, code))
}

fn echo(line: &mut String, rest: Rest<'_>) -> Option<()> {
    let _ = write!(line, "ID={} SEQ={} ", rest.u16(4)?, rest.u16(6)?);
    Some(())
}

/// Writes the packet that an error is about, unless the error itself is quoted.
fn quotation(line: &mut String, rest: Rest<'_>, is_quoted: bool) {
    const HEADER: usize = 8;
    if is_quoted {
        return;
    }
    line.push('[');
    let _ = rest.after(HEADER).and_then(|quoted| internet(line, quoted, true));
    line.push_str("] ");
}
