//! The CONNECT line, the first line of a reply that announces streams.
//!
//! `CONNECT DATA 50002 MESG 50003 INDEX -1 STATE 50005\n` (amandad-src/amandad.c, service output;
//! client-src/sendbackup.c, server-src/amindexd.c, perl/Amanda/Service). The line counts as a
//! whole or not at all.

use bytemuck::{Pod, Zeroable};

use crate::header::token_before;
use crate::numbered::numbered;
use crate::text::{Text, Token};

numbered! {
    /// A TCP connection that a reply announces.
    pub enum Stream: u8 {
        /// The backup itself.
        Data = 1 "DATA",
        /// Messages.
        Mesg = 2 "MESG",
        /// The list of files.
        Index = 3 "INDEX",
        /// State of the backup for the next one, since 3.4.
        State = 4 "STATE",
        /// Commands to a running backup, since 4.0.
        Cmd = 5 "CMD",
        /// Commands of a recovery.
        Ctl = 6 "CTL",
    }
}

numbered! {
    /// A service of amandad; those without streams are `Other`.
    pub enum Service: u8 {
        /// Any service that announces nothing: noop, selfcheck, sendsize, senddiscover.
        Other = 0 "other",
        /// A backup.
        Sendbackup = 1 "sendbackup",
        /// The index of a recovery.
        Amindexd = 2 "amindexd",
        /// The data of a recovery.
        Amidxtaped = 3 "amidxtaped",
        /// A restore that the server drives.
        Restore = 4 "restore",
        /// A backup that the client asks for.
        Amdumpd = 5 "amdumpd",
        /// A backup that the client sends.
        Ambackupd = 6 "ambackupd",
        /// The test of a connection.
        Noop = 7 "noop",
        /// The client's check of itself.
        Selfcheck = 8 "selfcheck",
        /// An estimate.
        Sendsize = 9 "sendsize",
        /// The discovery of what to back up.
        Senddiscover = 10 "senddiscover",
    }
}

impl Service {
    /// Returns the service of a name.
    #[inline(always)]
    pub fn from_token(token: Token) -> Self {
        let mut found = Self::Other;
        for &service in Self::ALL {
            if token == Token::of(service.name()) {
                found = service;
            }
        }
        found
    }

    /// Tells whether the service announces streams in any version.
    #[inline(always)]
    pub const fn has_streams(self) -> bool {
        matches!(self.number(), 1..=6)
    }

    /// Tells whether a line of these streams is one that some version of the service sends.
    ///
    /// Amanda 2.4 to 4.0: sendbackup.c:438 (3.3), :477 (3.5), :488-511 (4.0); amindexd.c:1325;
    /// Amidxtaped.pm:298, 2.5's amidxtaped.c:401; Restore.pm:152; amdumpd.pl:81; ambackupd.pl:301.
    #[inline(always)]
    pub fn sends(self, layout: u32) -> bool {
        match self {
            Self::Sendbackup => matches!(layout, 0x123 | 0x1234 | 0x1_2345 | 0x1235),
            Self::Amindexd => layout == 0x2,
            Self::Amidxtaped => matches!(layout, 0x61 | 0x614),
            Self::Restore => matches!(layout, 0x612 | 0x6124),
            Self::Amdumpd => layout == 0x6,
            Self::Ambackupd => matches!(layout, 0x123 | 0x1234),
            Self::Other | Self::Noop | Self::Selfcheck | Self::Sendsize | Self::Senddiscover => {
                false
            }
        }
    }
}

/// The most streams that a reply announces: DATA_FD_COUNT of Amanda 4.0 (amanda.h:1127).
pub const MAX_STREAMS: usize = 5;

/// The longest line that is believed, in bytes from `CONNECT` to the newline.
pub const MAX_LINE: usize = 160;

/// A stream and its TCP port on the responder; port 0 where the stream needs no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Announced {
    /// The TCP port, or 0.
    pub port: u16,
    /// The stream's number, 0 where there is none.
    pub stream: u8,
    /// Offset of the port's digits in the text, in bytes.
    pub at: u8,
}

/// The streams of one line, in its order.
pub type Line = [Announced; MAX_STREAMS];

numbered! {
    /// Why an answer opens nothing.
    pub enum Refusal: u8 {
        /// The service of the transaction has no streams.
        Service = 1 "service-without-streams",
        /// The line is not blank-separated names and numbers that end in a newline.
        Syntax = 2 "connect-syntax",
        /// The streams are none that the service announces together.
        Layout = 3 "connect-layout",
        /// A number is neither a port in the configured range nor an id of a multiplexed stream, or
        /// two streams have one port, or the first stream has none.
        Port = 4 "connect-port",
        /// The UDP checksum is wrong, so that the host drops the datagram.
        Checksum = 5 "udp-checksum",
        /// The two hosts have too many transactions open.
        Crowd = 6 "too-many-open",
    }
}

/// The ports that a line may announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub low: u16,
    /// The highest port.
    pub high: u16,
}

impl PortRange {
    /// Tells whether a port lies in the range.
    #[inline(always)]
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }

    /// Returns the ports of as many digits as one has.
    #[inline(always)]
    pub const fn of_digits(port: u16) -> Self {
        match port {
            10_000.. => Self { low: 10_000, high: u16::MAX },
            1_000.. => Self { low: 1_000, high: 9_999 },
            100.. => Self { low: 100, high: 999 },
            10.. => Self { low: 10, high: 99 },
            _ => Self { low: 0, high: 9 },
        }
    }
}

/// Amanda's own TCP ports, which no stream ever has (10080 amanda to 10083 amidxtape).
pub(crate) const OWN_PORTS: PortRange = PortRange { low: 10080, high: 10083 };

/// Ids of streams that share the first stream's connection (bsdudp-security.c counts down from
/// 500000).
const MULTIPLEX: core::ops::RangeInclusive<u32> = 400_000..=499_999;

const CONNECT: u64 = u64::from_le_bytes(*b"CONNECT ");

/// Tells whether the body of a reply begins with the word CONNECT.
#[inline(always)]
pub fn is_connect(text: &Text, body: usize) -> bool {
    text.word(body) == CONNECT
}

/// Reads the CONNECT line that the body of a reply begins with, and returns its layout: the
/// streams in the order of the line, four bits each.
#[inline(always)]
pub fn parse(text: &Text, body: usize, range: PortRange, line: &mut Line) -> Result<u32, Refusal> {
    let mut at = body.wrapping_add(8);
    let mut layout = 0_u32;
    let mut open = true;
    for (index, announced) in line.iter_mut().enumerate() {
        if !open {
            break;
        }
        let (name, next) = token_before(text, at, b' ').ok_or(Refusal::Syntax)?;
        let stream = stream_number(name);
        layout = (layout << 4) | u32::from(stream);
        let (number, length) = text.token(next).ok_or(Refusal::Syntax)?;
        let end = next.wrapping_add(length);
        open = match text.byte(end) {
            b' ' => true,
            b'\n' => false,
            _ => return Err(Refusal::Syntax),
        };
        *announced = Announced { port: port(number, index == 0, range)?, stream, at: next as u8 };
        at = end.wrapping_add(1);
    }
    if open || at.wrapping_sub(body) > MAX_LINE {
        return Err(Refusal::Syntax);
    }
    if fits_together(line) { Ok(layout) } else { Err(Refusal::Port) }
}

/// Tells whether the first stream has a port, without which nothing does, and no port stands twice.
#[inline(always)]
fn fits_together(line: &Line) -> bool {
    let [a, b, c, d, e] = line.map(|announced| u32::from(announced.port));
    // The highest bit stands for yes, so that one branch decides for all pairs.
    let none = a.wrapping_sub(1);
    let same = |x: u32, y: u32| (x ^ y).wrapping_sub(1) & x.wrapping_neg();
    let with_a = same(a, b) | same(a, c) | same(a, d) | same(a, e);
    let others = same(b, c) | same(b, d) | same(b, e) | same(c, d) | same(c, e) | same(d, e);
    (none | with_a | others) >> 31 == 0
}

/// Returns the TCP port of a number, 0 where the number says that there is no connection.
#[inline(always)]
pub(crate) fn port(number: Token, first: bool, range: PortRange) -> Result<u16, Refusal> {
    if number == Token::of("-1") {
        return Ok(0);
    }
    let [low, _] = number.words();
    let value = number.decimal().ok_or(Refusal::Port)?;
    if low as u8 == b'0' {
        return Err(Refusal::Port);
    }
    if MULTIPLEX.contains(&value) && !first {
        return Ok(0);
    }
    match u16::try_from(value) {
        Ok(port) if range.contains(port) && !OWN_PORTS.contains(port) => Ok(port),
        _ => Err(Refusal::Port),
    }
}

/// Stands in a layout for a name that no stream has, lest it vanish from the front of the line.
const UNKNOWN_STREAM: u8 = 15;

/// Finds a stream's number by its first and third letter, which tell all the names apart; a table
/// keeps the verifier from following six names through every place in the line.
#[inline(always)]
fn stream_number(name: Token) -> u8 {
    const fn slot(word: u64) -> usize {
        (word.wrapping_add(word >> 16) & 15) as usize
    }
    const TABLE: [(u64, u64); 16] = {
        let mut table = [(0_u64, 0_u64); 16];
        let mut rest = Stream::ALL;
        while let Some((&stream, tail)) = rest.split_first() {
            let [word, _] = Token::of(stream.name()).words();
            if let Some(entry) = table.split_at_mut(slot(word)).1.first_mut() {
                *entry = (word, stream.number() as u64);
            }
            rest = tail;
        }
        table
    };
    static NAMES: [(u64, u64); 16] = TABLE;
    let [word, high] = name.words();
    match NAMES.get(slot(word)) {
        Some(&(known, number)) if known == word && high == 0 => number as u8,
        _ => UNKNOWN_STREAM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange { low: 1024, high: 65535 };

    fn streams(service: Service, line: &str) -> Result<Vec<(u8, u16)>, Refusal> {
        let mut text = Text::EMPTY;
        text.fill(line.as_bytes());
        assert!(is_connect(&text, 0), "{line}");
        if !service.has_streams() {
            return Err(Refusal::Service);
        }
        let mut line = Line::default();
        let layout = parse(&text, 0, RANGE, &mut line)?;
        if !service.sends(layout) {
            return Err(Refusal::Layout);
        }
        Ok(line.iter().filter(|a| a.stream > 0).map(|a| (a.stream, a.port)).collect())
    }

    fn accepts(service: Service, line: &str, ports: &[u16]) {
        let found = streams(service, line).map(|s| s.iter().map(|&(_, p)| p).collect::<Vec<_>>());
        assert_eq!(found, Ok(ports.to_vec()), "{line:?}");
    }

    fn refuses(service: Service, line: &str, why: Refusal) {
        assert_eq!(streams(service, line), Err(why), "{line:?}");
    }

    #[test]
    fn every_stream_has_its_number() {
        for stream in Stream::ALL {
            assert_eq!(stream_number(Token::of(stream.name())), stream.number(), "{stream}");
        }
        for other in ["DATAFD", "data", "DAT", "X", "METADATA", "STATE2"] {
            assert_eq!(stream_number(Token::of(other)), UNKNOWN_STREAM, "{other}");
        }
    }

    #[test]
    fn the_lines_of_every_version_are_accepted() {
        use Service::{Ambackupd, Amdumpd, Amidxtaped, Amindexd, Restore, Sendbackup};
        accepts(Sendbackup, "CONNECT DATA 2001 MESG 2002 INDEX 2003\n", &[2001, 2002, 2003]);
        accepts(Sendbackup, "CONNECT DATA 2001 MESG 2002 INDEX -1\n", &[2001, 2002, 0]);
        accepts(
            Sendbackup,
            "CONNECT DATA 50093 MESG 50094 INDEX 50095 STATE 50096\nOPTIONS x;\n",
            &[50093, 50094, 50095, 50096],
        );
        accepts(
            Sendbackup,
            "CONNECT DATA 2001 MESG 2002 INDEX -1 STATE 2004 CMD 2005\n",
            &[2001, 2002, 0, 2004, 2005],
        );
        accepts(
            Sendbackup,
            "CONNECT DATA 2001 MESG 2002 INDEX 2003 CMD 2005\n",
            &[2001, 2002, 2003, 2005],
        );
        accepts(Amindexd, "CONNECT MESG 50056\n\n", &[50056]);
        accepts(Amidxtaped, "CONNECT CTL 50008 DATA 50009 STATE 50010\n\n", &[50008, 50009, 50010]);
        accepts(Amidxtaped, "CONNECT CTL 50008 DATA 50009\n\n", &[50008, 50009]);
        accepts(Restore, "CONNECT CTL 1024 DATA 1025 MESG 1026\n", &[1024, 1025, 1026]);
        accepts(Amdumpd, "CONNECT CTL 65535\n\n", &[65535]);
        accepts(Ambackupd, "CONNECT DATA 2001 MESG 2002 INDEX 2003\n", &[2001, 2002, 2003]);
    }

    #[test]
    fn ids_of_multiplexed_streams_are_no_ports() {
        accepts(
            Service::Sendbackup,
            "CONNECT DATA 50081 MESG 499999 INDEX 499998 STATE 499997\n",
            &[50081, 0, 0, 0],
        );
        refuses(
            Service::Sendbackup,
            "CONNECT DATA 499999 MESG 499998 INDEX 499997\n",
            Refusal::Port,
        );
    }

    #[test]
    fn a_number_that_is_no_port_refuses_the_line() {
        for number in [
            "0",
            "1",
            "22",
            "1023",
            "65536",
            "65558",
            "99999",
            "500000",
            "399999",
            "02001",
            "2001x",
            "+2001",
            "-2",
            "0x7d1",
            "10080",
            "10083",
            "123456789",
        ] {
            let line = format!("CONNECT DATA 2001 MESG {number} INDEX 2003\n");
            refuses(Service::Sendbackup, &line, Refusal::Port);
        }
    }

    #[test]
    fn a_line_without_its_first_stream_is_refused() {
        use Service::{Amindexd, Sendbackup};
        refuses(Sendbackup, "CONNECT DATA -1 MESG 2002 INDEX 2003\n", Refusal::Port);
        refuses(Amindexd, "CONNECT MESG -1\n", Refusal::Port);
    }

    #[test]
    fn a_line_with_one_port_for_two_streams_is_refused() {
        for numbers in [[1, 1, 3, 4, 5], [1, 2, 1, 4, 5], [1, 2, 3, 4, 1], [1, 2, 3, 4, 4]] {
            let [data, mesg, index, state, cmd] = numbers.map(|n| 2000 + n);
            let line = format!("DATA {data} MESG {mesg} INDEX {index} STATE {state} CMD {cmd}");
            refuses(Service::Sendbackup, &format!("CONNECT {line}\n"), Refusal::Port);
        }
        accepts(
            Service::Sendbackup,
            "CONNECT DATA 2001 MESG 2002 INDEX -1 STATE -1 CMD 2005\n",
            &[2001, 2002, 0, 0, 2005],
        );
    }

    #[test]
    fn a_layout_of_another_service_refuses_the_line() {
        use Service::{Amidxtaped, Amindexd, Sendbackup};
        refuses(Amindexd, "CONNECT DATA 2001 MESG 2002 INDEX 2003\n", Refusal::Layout);
        refuses(Sendbackup, "CONNECT MESG 2002\n", Refusal::Layout);
        refuses(Sendbackup, "CONNECT MESG 2001 DATA 2002 INDEX 2003\n", Refusal::Layout);
        refuses(Sendbackup, "CONNECT DATA 2001 DATA 2002 INDEX 2003\n", Refusal::Layout);
        refuses(Sendbackup, "CONNECT METADATA 2001 MESG 2002 INDEX 2003\n", Refusal::Layout);
        refuses(Amidxtaped, "CONNECT CTL 2001\n", Refusal::Layout);
        refuses(Amindexd, "CONNECT X 2001 MESG 2002\n", Refusal::Layout);
        refuses(Amindexd, "CONNECT X 2001\n", Refusal::Layout);
        refuses(Service::Noop, "CONNECT DATA 2001 MESG 2002 INDEX 2003\n", Refusal::Service);
    }

    #[test]
    fn a_line_that_is_not_well_formed_is_refused() {
        for line in [
            "CONNECT DATA 2001 MESG 2002 INDEX 2003",
            "CONNECT DATA 2001 MESG 2002 INDEX 2003 \n",
            "CONNECT DATA 2001  MESG 2002 INDEX 2003\n",
            "CONNECT DATA  2001 MESG 2002 INDEX 2003\n",
            "CONNECT DATA 2001 MESG 2002 INDEX 2003\r\n",
            "CONNECT DATA\t2001 MESG 2002 INDEX 2003\n",
            "CONNECT DATA\n",
            "CONNECT \n",
            "CONNECT  DATA 2001 MESG 2002 INDEX 2003\n",
            "CONNECT DATA 2001 MESG 2002 INDEX 2003 STATE 2004 CMD 2005 CTL 2006\n",
        ] {
            refuses(Service::Sendbackup, line, Refusal::Syntax);
        }
    }
}
