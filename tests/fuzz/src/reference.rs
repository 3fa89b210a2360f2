//! A second reading of Amanda's datagrams, for the parser to agree with.
//!
//! It is written from the protocol's rules with slices, `split` and `parse`, as slow and as plain
//! as they allow, and shares nothing with the parser: names are text, numbers are written out
//! again.

use std::ops::RangeInclusive;

/// The first line of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// `REQ`, `REP`, `PREP`, `ACK` or `NAK`.
    pub packet_type: &'a str,
    /// The handle.
    pub handle: &'a str,
    /// The sequence number.
    pub sequence: &'a str,
    /// Offset of the body in bytes.
    pub body: usize,
}

/// What is wrong with a CONNECT line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The service announces no streams.
    Service,
    /// The line is not names and numbers, single blanks between, up to a newline.
    Syntax,
    /// The service does not announce these streams together.
    Layout,
    /// A number is no port that a stream may have.
    Port,
}

/// A stream's name, and its port if it has one.
pub type Announced<'a> = (&'a str, Option<u16>);

const TYPES: [&str; 5] = ["REQ", "REP", "PREP", "ACK", "NAK"];

/// The services that announce streams, and the streams of every version in their order
/// (sendbackup.c, amindexd.c, Amidxtaped.pm, Restore.pm, amdumpd.pl, ambackupd.pl).
const LAYOUTS: [(&str, &[&[&str]]); 6] = [
    (
        "sendbackup",
        &[
            &["DATA", "MESG", "INDEX"],
            &["DATA", "MESG", "INDEX", "STATE"],
            &["DATA", "MESG", "INDEX", "STATE", "CMD"],
            &["DATA", "MESG", "INDEX", "CMD"],
        ],
    ),
    ("amindexd", &[&["MESG"]]),
    ("amidxtaped", &[&["CTL", "DATA"], &["CTL", "DATA", "STATE"]]),
    ("restore", &[&["CTL", "DATA", "MESG"], &["CTL", "DATA", "MESG", "STATE"]]),
    ("amdumpd", &[&["CTL"]]),
    ("ambackupd", &[&["DATA", "MESG", "INDEX"], &["DATA", "MESG", "INDEX", "STATE"]]),
];

/// The services that are known and announce nothing.
const SILENT: [&str; 4] = ["noop", "selfcheck", "sendsize", "senddiscover"];

/// The longest name or number.
const MAX_WORD: usize = 15;
/// The longest CONNECT line, with its newline.
const MAX_LINE: usize = 160;
/// The most streams of a line.
const MAX_STREAMS: usize = 5;
/// The longest line before `SERVICE`, with its newline.
const MAX_SECURITY_LINE: usize = 80;
/// The ports that Amanda itself listens on.
const OWN_PORTS: RangeInclusive<u64> = 10080..=10083;
/// The numbers of streams that share the first one's connection.
const SHARED: RangeInclusive<u64> = 400_000..=499_999;

/// Reads `Amanda MAJ.MIN TYPE HANDLE h SEQ n\n`.
#[must_use]
pub fn header(datagram: &[u8]) -> Option<Header<'_>> {
    let (line, _) = split_line(datagram)?;
    let text = str::from_utf8(line).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let ["Amanda", version, packet_type, "HANDLE", handle, "SEQ", sequence] = words[..] else {
        return None;
    };
    let sound = is_version(version)
        && TYPES.contains(&packet_type)
        && is_word(handle.as_bytes())
        && is_word(sequence.as_bytes())
        && is_digits(sequence.strip_prefix('-').unwrap_or(sequence));
    sound.then_some(Header { packet_type, handle, sequence, body: line.len() + 1 })
}

/// Reads the service that the body of a request asks for; `other` where it is not known.
///
/// What the first line says behind its first word is for amandad alone to judge.
#[must_use]
pub fn service(body: &[u8]) -> &'static str {
    let name = split_line(body)
        .filter(|(line, _)| line.starts_with(b"SECURITY") && line.len() < MAX_SECURITY_LINE)
        .and_then(|(_, rest)| split_line(rest))
        .and_then(|(line, _)| line.strip_prefix(b"SERVICE "));
    let known = LAYOUTS.iter().map(|&(service, _)| service).chain(SILENT);
    known.into_iter().find(|service| name == Some(service.as_bytes())).unwrap_or("other")
}

/// Tells whether the body of a reply begins with a CONNECT line.
#[must_use]
pub fn is_connect(body: &[u8]) -> bool {
    body.starts_with(b"CONNECT ")
}

/// Reads the CONNECT line that the reply of a service begins with, or lists all that is wrong with
/// it.
pub fn connect<'a>(
    body: &'a [u8],
    service: &str,
    ports: RangeInclusive<u16>,
) -> Result<Vec<Announced<'a>>, Vec<Fault>> {
    let Some((_, layouts)) = LAYOUTS.iter().find(|(name, _)| *name == service) else {
        return Err(vec![Fault::Service]);
    };
    let (line, is_whole) = split_line(body).map_or((body, false), |(line, _)| (line, true));
    let words: Vec<&[u8]> = line.split(|&b| b == b' ').skip(1).collect();
    let (pairs, rest) = words.as_chunks::<2>();
    let names: Vec<&str> = pairs.iter().map(|[name, _]| text(name)).collect();
    let numbers: Vec<Number> =
        pairs.iter().enumerate().map(|(i, [_, number])| self::number(number, i, &ports)).collect();
    let mut faults = Vec::new();
    let is_sound = is_whole
        && line.len() < MAX_LINE
        && pairs.len() <= MAX_STREAMS
        && rest.is_empty()
        && words.iter().all(|word| is_word(word));
    if !is_sound {
        faults.push(Fault::Syntax);
    }
    if !layouts.contains(&names.as_slice()) {
        faults.push(Fault::Layout);
    }
    if !are_ports(&numbers) {
        faults.push(Fault::Port);
    }
    let announced = names.into_iter().zip(numbers.into_iter().map(Number::port)).collect();
    if faults.is_empty() { Ok(announced) } else { Err(faults) }
}

/// What a number behind a stream's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Port(u16),
    NoConnection,
    Wrong,
}

impl Number {
    fn port(self) -> Option<u16> {
        match self {
            Self::Port(port) => Some(port),
            Self::NoConnection | Self::Wrong => None,
        }
    }
}

fn number(word: &[u8], index: usize, ports: &RangeInclusive<u16>) -> Number {
    let digits = text(word);
    if digits == "-1" {
        return Number::NoConnection;
    }
    let is_canonical = is_digits(digits) && !digits.starts_with('0');
    match digits.parse::<u64>() {
        Ok(value) if is_canonical && index > 0 && SHARED.contains(&value) => Number::NoConnection,
        Ok(value) if is_canonical && !OWN_PORTS.contains(&value) => {
            let port = u16::try_from(value).ok().filter(|port| ports.contains(port));
            port.map_or(Number::Wrong, Number::Port)
        }
        _ => Number::Wrong,
    }
}

/// Tells whether the first stream has a port, and every port is one stream's.
fn are_ports(numbers: &[Number]) -> bool {
    let mut seen: Vec<u16> = numbers.iter().filter_map(|number| number.port()).collect();
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    seen.len() == count
        && !numbers.contains(&Number::Wrong)
        && matches!(numbers.first(), Some(Number::Port(_)))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn is_version(version: &str) -> bool {
    let is_short = |part: &str| is_digits(part) && part.len() <= 2;
    version.split_once('.').is_some_and(|(major, minor)| is_short(major) && is_short(minor))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_word(word: &[u8]) -> bool {
    (1..=MAX_WORD).contains(&word.len()) && word.iter().all(u8::is_ascii_graphic)
}

/// Returns a word as text, empty where it is none.
fn text(word: &[u8]) -> &str {
    str::from_utf8(word).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(service: &str, line: &str, expected: Result<&[Option<u16>], &[Fault]>) {
        let found = connect(line.as_bytes(), service, 1024..=65535);
        let found = found.map(|streams| streams.iter().map(|&(_, port)| port).collect());
        assert_eq!(found, expected.map(<[_]>::to_vec).map_err(<[_]>::to_vec), "{line:?}");
    }

    #[test]
    fn a_real_line_is_read() {
        let line = "CONNECT DATA 50093 MESG 50094 INDEX -1 STATE 499997\nOPTIONS x;\n";
        check("sendbackup", line, Ok(&[Some(50093), Some(50094), None, None]));
    }

    #[test]
    fn a_wrong_line_has_its_faults() {
        check("noop", "CONNECT MESG 2000\n", Err(&[Fault::Service]));
        check("amindexd", "CONNECT MESG 2000", Err(&[Fault::Syntax]));
        check("amindexd", "CONNECT MESG  2000\n", Err(&[Fault::Syntax, Fault::Port]));
        check("amindexd", "CONNECT CTL 2000\n", Err(&[Fault::Layout]));
        check("amindexd", "CONNECT MESG 22\n", Err(&[Fault::Port]));
    }

    #[test]
    fn a_request_names_its_service() {
        assert_eq!(service(b"SECURITY USER backup\nSERVICE noop\nOPTIONS ;\n"), "noop");
        assert_eq!(service(b"SECURITY USER backup\nSERVICE rm\n"), "other");
    }

    #[test]
    fn a_real_header_is_read() {
        let datagram = b"Amanda 3.5 ACK HANDLE 000-00000000 SEQ 1795180617\n";
        let (handle, sequence) = ("000-00000000", "1795180617");
        let expected = Header { packet_type: "ACK", handle, sequence, body: datagram.len() };
        assert_eq!(header(datagram), Some(expected));
    }
}
