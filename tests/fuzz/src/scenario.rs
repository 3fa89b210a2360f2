//! The inputs of the packet path: a set-up, and frames with their way and time.
//!
//! Every field is read from the front of the bytes, so that [`captured`] can write what
//! [`Scenario::read`] reads, and one byte mostly decides one thing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use amanda_fw_common::rules::Way;
use amanda_fw_common::wire::Link;
use arbitrary::{Result, Unstructured};

use crate::frames::{self, Packet};

/// The backup server of the captures, and its address of the other family.
pub(crate) const SERVER: Host = (Ipv4Addr::new(10, 101, 1, 2), v6(1));
/// The client of the captures.
pub(crate) const CLIENT: Host = (Ipv4Addr::new(10, 101, 2, 2), v6(2));
/// A host that is neither.
pub(crate) const STRANGER: Host = (Ipv4Addr::new(10, 0, 0, 9), v6(9));

/// A host's addresses of both families.
pub(crate) type Host = (Ipv4Addr, Ipv6Addr);

const HOSTS: [Host; 3] = [SERVER, CLIENT, STRANGER];
/// Who asks whom; only the first two may.
const ASKS: [(Host, Host); 4] =
    [(SERVER, CLIENT), (CLIENT, SERVER), (STRANGER, CLIENT), (SERVER, STRANGER)];
const PORTS: [u16; 16] = [
    50000, 50001, 50002, 50003, 50101, 11001, 1024, 1023, 850, 851, 10080, 10081, 22, 20, 514,
    40000,
];
/// SYN, its answer, and so on; the last three no connection ever has.
const FLAGS: [u8; 10] = [0x02, 0x12, 0x10, 0x11, 0x04, 0x14, 0x18, 0x01, 0x03, 0x00];
const SERVICES: [&str; 8] =
    ["sendbackup", "amindexd", "amidxtaped", "restore", "amdumpd", "ambackupd", "noop", "rm"];
const LINES: [&str; 12] = [
    "CONNECT DATA 50000 MESG 50001 INDEX 50002\n",
    "CONNECT DATA 50000 MESG 50001 INDEX 50002 STATE 50003\nOPTIONS ;\n",
    "CONNECT DATA 50001 MESG 50002 INDEX -1 STATE 50003 CMD 50000\n",
    "CONNECT DATA 50003 MESG 499999 INDEX 499998 STATE 499997\n",
    "CONNECT MESG 50000\n\n",
    "CONNECT MESG 50001\n\n",
    "CONNECT CTL 50001 DATA 50002\n",
    "CONNECT CTL 50001 DATA 50002 STATE 50003\n",
    "CONNECT CTL 50000\n",
    "CONNECT CTL 50000 DATA 50001 MESG 50002 STATE 50003\n",
    "OPTIONS features=ffff;\nCONNECT MESG 50000\n",
    "ERROR CONNECT DATA 50000\n",
];
const NAMES: [&str; 8] = ["DATA", "MESG", "INDEX", "STATE", "CMD", "CTL", "METADATA", ""];
const NUMBERS: [&str; 16] = [
    "50000", "50001", "50002", "50003", "-1", "499999", "22", "0", "10080", "1024", "65535",
    "65536", "050000", "500000", "400000", "",
];
/// The milliseconds that may pass: around every timeout.
const PAUSES: [u64; 16] = [
    0,
    1,
    999,
    1_000,
    10_001,
    29_999,
    30_001,
    59_999,
    60_001,
    120_001,
    180_001,
    7_200_000,
    21_599_999,
    21_600_001,
    432_000_001,
    100,
];
const MAX_STEPS: usize = 48;

/// What the firewall is configured to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Whether outgoing packets are dropped unless something lets them out.
    pub drops_outgoing: bool,
    /// Whether incoming packets are accepted unless something keeps them out.
    pub accepts_incoming: bool,
    /// Whether there are rules.
    pub has_rules: bool,
    /// Whether streams have the ports of a Debian host alone.
    pub is_narrow: bool,
    /// Whether the tables are as small as they can be.
    pub is_small: bool,
    /// Whether the machine has just been started.
    pub is_early: bool,
}

/// A frame, how it meets the firewall, and how long after the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The time since the frame before it.
    pub pause: Duration,
    /// Which way it goes.
    pub way: Way,
    /// What it begins with.
    pub link: Link,
    /// The bytes.
    pub frame: Vec<u8>,
}

/// A firewall and what it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The configuration.
    pub setup: Setup,
    /// The frames in their order.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Reads a scenario; any bytes are one.
    pub fn read(input: &[u8]) -> Result<Self> {
        let mut u = Unstructured::new(input);
        let setup = Setup::read(&mut u)?;
        let mut steps = Vec::new();
        while !u.is_empty() && steps.len() < MAX_STEPS {
            steps.push(Step::read(&mut u, &steps)?);
        }
        Ok(Self { setup, steps })
    }
}

/// Writes a scenario of captured frames: how long after the one before it, which way, and what.
#[must_use]
pub fn captured<'a>(frames: impl IntoIterator<Item = (Duration, Way, &'a [u8])>) -> Vec<u8> {
    let mut bytes = vec![0];
    for (pause, way, frame) in frames {
        let length = u16::try_from(frame.len()).expect("a frame of less than 64 KiB");
        bytes.push(if way == Way::Out { Head::OUT } else { 0 });
        bytes.push(pause_before(pause));
        bytes.extend(length.to_le_bytes());
        bytes.extend(frame);
    }
    bytes
}

/// Finds the longest pause that is no longer than a time.
fn pause_before(time: Duration) -> u8 {
    let fits = |&(_, &pause): &(usize, &u64)| u128::from(pause) <= time.as_millis();
    let longest = PAUSES.iter().enumerate().filter(fits).max_by_key(|&(_, &pause)| pause);
    longest.and_then(|(index, _)| u8::try_from(index).ok()).unwrap_or(0)
}

impl Setup {
    fn read(u: &mut Unstructured) -> Result<Self> {
        let bits: u8 = u.arbitrary()?;
        Ok(Self {
            drops_outgoing: bits & 1 != 0,
            accepts_incoming: bits & 2 != 0,
            has_rules: bits & 4 != 0,
            is_narrow: bits & 8 != 0,
            is_small: bits & 16 != 0,
            is_early: bits & 32 != 0,
        })
    }
}

/// The first byte of a step.
#[derive(Clone, Copy)]
struct Head(u8);

impl Head {
    const OUT: u8 = 1;
    const RAW: u8 = 2;
    const KIND: u8 = 28;
    const V6: u8 = 32;
    const FRAGMENT: u8 = 64;
    const DRESSED: u8 = 128;

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

impl Step {
    fn read(u: &mut Unstructured, before: &[Self]) -> Result<Self> {
        let head = Head(u.arbitrary()?);
        let pause = Duration::from_millis(*pick(u, &PAUSES)?);
        let way = if head.has(Head::OUT) { Way::Out } else { Way::In };
        let link = if head.has(Head::RAW) { Link::Raw } else { Link::Ethernet };
        let is_v6 = head.has(Head::V6);
        let packet = match (head.0 & Head::KIND) >> 2 {
            0 => return Ok(Self { pause, way, link, frame: raw(u)? }),
            1 => return Ok(Self { pause, way, ..changed(u, before)? }),
            2 | 3 => amanda(u, is_v6)?,
            4 => segment(u, is_v6)?,
            5 => datagram(u, is_v6)?,
            6 => error(u, is_v6)?,
            _ => echo(u, is_v6)?,
        };
        let packet = if head.has(Head::FRAGMENT) { fragment(u, packet)? } else { packet };
        Ok(Self { pause, way, link, frame: on_wire(head, packet) })
    }
}

fn on_wire(head: Head, packet: Packet) -> Vec<u8> {
    const EXTENSIONS: [u8; 3] = [frames::HOP_BY_HOP, frames::ROUTING, frames::DESTINATION];
    let is_dressed = head.has(Head::DRESSED);
    let extensions: &[u8] = if is_dressed && head.has(Head::V6) { &EXTENSIONS } else { &[] };
    let packet = packet.extended(extensions);
    match head.has(Head::RAW) {
        true => packet.bytes(),
        false if is_dressed => packet.tagged(&[frames::VLAN]),
        false => packet.ethernet(),
    }
}

/// Reads a frame as it is.
fn raw(u: &mut Unstructured) -> Result<Vec<u8>> {
    let length = usize::from(u.arbitrary::<u16>()?).min(u.len());
    Ok(u.bytes(length)?.to_vec())
}

/// Repeats a frame with up to three bytes changed.
fn changed(u: &mut Unstructured, before: &[Step]) -> Result<Step> {
    let back = usize::from(u.arbitrary::<u8>()?);
    let Some(index) = before.len().checked_sub(1 + back % before.len().max(1)) else {
        return Ok(Step { pause: Duration::ZERO, way: Way::In, link: Link::Raw, frame: vec![] });
    };
    let mut step = before[index].clone();
    for _ in 0..u.arbitrary::<u8>()? % 4 {
        let (at, byte): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
        if let Some(place) = step.frame.get_mut(usize::from(at)) {
            *place = byte;
        }
    }
    Ok(step)
}

/// Reads a datagram of Amanda, from either end of a control flow.
fn amanda(u: &mut Unstructured, is_v6: bool) -> Result<Packet> {
    const TYPES: [(&str, bool); 6] = [
        ("REQ", true),
        ("ACK", false),
        ("REP", false),
        ("PREP", false),
        ("NAK", false),
        ("ACK", true),
    ];
    let exchange: u8 = u.arbitrary()?;
    let message: u8 = u.arbitrary()?;
    let (asks, answers) = ASKS[usize::from(exchange & 3)];
    let source_port = [850, 851, 1023, 40000][usize::from((exchange >> 2) & 3)];
    let (handle, sequence) = ((exchange >> 4) & 1, (exchange >> 5) & 1);
    let port = if exchange & 0xc0 == 0xc0 { 10081 } else { 10080 };
    let (name, is_asked) = TYPES[usize::from(message & 0x7f) % TYPES.len()];
    let body = match name {
        "REQ" => format!("SECURITY USER backup\nSERVICE {}\nOPTIONS ;\n", pick(u, &SERVICES)?),
        "REP" => reply(u)?,
        "NAK" => "ERROR no\n".to_owned(),
        _ => String::new(),
    };
    let text = format!("Amanda 3.5 {name} HANDLE 000-0000000{handle} SEQ {sequence}\n{body}");
    let initiator = SocketAddr::new(address(asks, is_v6), source_port);
    let responder = SocketAddr::new(address(answers, is_v6), port);
    // The highest bit sends it from the wrong end.
    let (from, to) = if is_asked == (message & 0x80 == 0) {
        (initiator, responder)
    } else {
        (responder, initiator)
    };
    Ok(frames::udp(from, to, text.as_bytes()))
}

/// Reads a whole line by its place, or a line stream by stream.
fn reply(u: &mut Unstructured) -> Result<String> {
    const WHOLE: u8 = 0xc0;
    let choice: u8 = u.arbitrary()?;
    if choice < WHOLE {
        return Ok(LINES[usize::from(choice) % LINES.len()].to_owned());
    }
    let mut line = "CONNECT".to_owned();
    for _ in 0..choice & 7 {
        line += &format!(" {} {}", pick(u, &NAMES)?, pick(u, &NUMBERS)?);
    }
    Ok(line + "\n")
}

fn segment(u: &mut Unstructured, is_v6: bool) -> Result<Packet> {
    let (from, to) = ends(u, is_v6)?;
    Ok(frames::tcp(from, to, *pick(u, &FLAGS)?))
}

fn datagram(u: &mut Unstructured, is_v6: bool) -> Result<Packet> {
    let (from, to) = ends(u, is_v6)?;
    Ok(frames::udp(from, to, &[b'x'; 40]))
}

/// Reads an ICMP error, and the segment or datagram that it quotes.
fn error(u: &mut Unstructured, is_v6: bool) -> Result<Packet> {
    let (from, to) = hosts(u)?;
    let is_datagram: bool = u.arbitrary()?;
    let quoted = if is_datagram { datagram(u, is_v6)? } else { segment(u, is_v6)? };
    Ok(frames::unreachable(address(from, is_v6), address(to, is_v6), &quoted))
}

fn echo(u: &mut Unstructured, is_v6: bool) -> Result<Packet> {
    let (from, to) = hosts(u)?;
    let choice: u8 = u.arbitrary()?;
    let (from, to, id) = (address(from, is_v6), address(to, is_v6), u16::from(choice >> 7));
    Ok(match choice & 3 {
        0 | 1 => frames::echo(from, to, id),
        2 => frames::echo_reply(from, to, id),
        // RFC 4861, 4.3: neighbour solicitation; no message of ICMP.
        _ => frames::icmp(from, to, [135, 0], &[0; 20]),
    })
}

/// Cuts a fragment out of a packet.
fn fragment(u: &mut Unstructured, packet: Packet) -> Result<Packet> {
    const UNIT: usize = 8;
    let cut: u8 = u.arbitrary()?;
    let (from, length): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
    let start = (usize::from(from & 31) * UNIT).min(packet.payload.len() / UNIT * UNIT);
    let end = (start + usize::from(length)).min(packet.payload.len());
    let offset = u16::try_from(start).expect("a small packet");
    let payload = packet.payload[start..end].to_vec();
    Ok(Packet { payload, ..packet }.as_fragment(u32::from(cut & 3), offset, cut & 4 == 0))
}

fn ends(u: &mut Unstructured, is_v6: bool) -> Result<(SocketAddr, SocketAddr)> {
    let (from, to) = hosts(u)?;
    let from = SocketAddr::new(address(from, is_v6), *pick(u, &PORTS)?);
    Ok((from, SocketAddr::new(address(to, is_v6), *pick(u, &PORTS)?)))
}

fn hosts(u: &mut Unstructured) -> Result<(Host, Host)> {
    let choice = usize::from(u.arbitrary::<u8>()?);
    Ok((HOSTS[choice % HOSTS.len()], HOSTS[choice / HOSTS.len() % HOSTS.len()]))
}

fn pick<'t, T>(u: &mut Unstructured, table: &'t [T]) -> Result<&'t T> {
    Ok(&table[usize::from(u.arbitrary::<u8>()?) % table.len()])
}

fn address((v4, v6): Host, is_v6: bool) -> IpAddr {
    if is_v6 { v6.into() } else { v4.into() }
}

const fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_frames_are_read_as_they_were_written() {
        let written: [(Duration, Way, &[u8]); 2] =
            [(Duration::ZERO, Way::Out, b"first"), (Duration::from_secs(1), Way::In, b"second")];
        let read = Scenario::read(&captured(written)).expect("a scenario");
        let frames = read.steps.iter().map(|s| (s.pause, s.way, s.frame.as_slice()));
        assert!(frames.eq(written));
        assert!(read.steps.iter().all(|s| s.link == Link::Ethernet));
    }
}
