//! The first line of an Amanda datagram: version, type, handle and sequence (common-src/packet.c).

use crate::numbered::numbered;
use crate::text::{Text, Token};

numbered! {
    /// What a datagram is (common-src/packet.c).
    pub enum PacketType: u8 {
        /// A request, from the initiator.
        Req = 1 "REQ",
        /// The reply, from the responder.
        Rep = 2 "REP",
        /// A part of a reply that is still growing.
        Prep = 3 "PREP",
        /// The receipt of a request or a reply.
        Ack = 4 "ACK",
        /// A refusal.
        Nak = 5 "NAK",
    }
}

/// A header line, and where the body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the datagram is.
    pub packet_type: PacketType,
    /// The handle, a name of the transaction.
    pub handle: Token,
    /// The sequence number, in its digits.
    pub sequence: Token,
    /// Offset of the body in bytes.
    pub body: usize,
}

const AMANDA: u64 = u64::from_le_bytes(*b"Amanda \0");
const SEVEN_BYTES: u64 = 0x00ff_ffff_ffff_ffff;
const HANDLE: u64 = u64::from_le_bytes(*b"HANDLE \0");
const SEQ: u32 = u32::from_le_bytes(*b"SEQ ");

/// Reads `Amanda MAJ.MIN TYPE HANDLE h SEQ n\n`, single blanks between, and nothing else.
#[inline(always)]
pub fn parse(text: &Text) -> Option<Header> {
    if text.word(0) & SEVEN_BYTES != AMANDA {
        return None;
    }
    let at = version(text, 7)?;
    let (packet_type, at) = packet_type(text, at)?;
    if text.word(at) & SEVEN_BYTES != HANDLE {
        return None;
    }
    let (handle, at) = token_before(text, at.wrapping_add(7), b' ')?;
    if text.word(at) as u32 != SEQ {
        return None;
    }
    let (sequence, body) = token_before(text, at.wrapping_add(4), b'\n')?;
    sequence.is_integer().then_some(Header { packet_type, handle, sequence, body })
}

/// Passes the version: two numbers of one or two digits with a point between (`3.5`, `2.10`).
#[inline(always)]
fn version(text: &Text, at: usize) -> Option<usize> {
    let (token, at) = token_before(text, at, b' ')?;
    let [low, high] = token.words();
    let [a, b, c, d, e, rest @ ..] = low.to_le_bytes();
    let digit = |byte: u8| byte.is_ascii_digit();
    let digit_or_end = |byte: u8| byte == 0 || byte.is_ascii_digit();
    let plain = digit(a) && b == b'.' && digit(c) && digit_or_end(d) && e == 0;
    let wide = digit(a) && digit(b) && c == b'.' && digit(d) && digit_or_end(e);
    ((plain || wide) && rest == [0; 3] && high == 0).then_some(at)
}

/// Reads the type and the blank after it.
#[inline(always)]
fn packet_type(text: &Text, at: usize) -> Option<(PacketType, usize)> {
    const fn four(bytes: [u8; 4]) -> u32 {
        u32::from_le_bytes(bytes)
    }
    let word = text.word(at);
    let next = at.wrapping_add(4);
    let found = match word as u32 {
        w if w == four(*b"REQ ") => PacketType::Req,
        w if w == four(*b"REP ") => PacketType::Rep,
        w if w == four(*b"ACK ") => PacketType::Ack,
        w if w == four(*b"NAK ") => PacketType::Nak,
        w if w == four(*b"PREP") && (word >> 32) as u8 == b' ' => {
            return Some((PacketType::Prep, next.wrapping_add(1)));
        }
        _ => return None,
    };
    Some((found, next))
}

/// Reads a token and passes the one byte that must follow it.
#[inline(always)]
pub(crate) fn token_before(text: &Text, at: usize, end: u8) -> Option<(Token, usize)> {
    let (token, length) = text.token(at)?;
    let at = at.wrapping_add(length);
    (text.byte(at) == end).then_some((token, at.wrapping_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Option<(PacketType, String, String, usize)> {
        let mut text = Text::EMPTY;
        text.fill(bytes);
        parse(&text).map(|h| (h.packet_type, h.handle.to_string(), h.sequence.to_string(), h.body))
    }

    fn check(bytes: &[u8], packet_type: PacketType, handle: &str, sequence: &str) {
        let expected = (packet_type, handle.to_owned(), sequence.to_owned(), bytes.len());
        assert_eq!(parsed(bytes), Some(expected));
    }

    #[test]
    fn every_type_is_known() {
        let line = |t: &str| format!("Amanda 3.5 {t} HANDLE 000-00000000 SEQ 1795180617\n");
        for packet_type in PacketType::ALL {
            let line = line(packet_type.name());
            check(line.as_bytes(), *packet_type, "000-00000000", "1795180617");
        }
    }

    #[test]
    fn old_handles_are_known() {
        check(
            b"Amanda 2.4 REQ HANDLE 000-F0A00800 SEQ 997531\n",
            PacketType::Req,
            "000-F0A00800",
            "997531",
        );
    }

    #[test]
    fn versions_may_have_two_digits() {
        for version in ["2.10", "10.2", "10.12", "4.0"] {
            let line = format!("Amanda {version} ACK HANDLE 000-0 SEQ -5\n");
            check(line.as_bytes(), PacketType::Ack, "000-0", "-5");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "Amanda",
            "amanda 3.5 REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda  3.5 REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.5  REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.5\tREP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3 REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3. REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda .5 REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.5.1 REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.123 REP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.5 RAP HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.5 PREPX HANDLE 000-00000000 SEQ 1\n",
            "Amanda 3.5 REP HANDEL 000-00000000 SEQ 1\n",
            "Amanda 3.5 REP HANDLE  SEQ 1\n",
            "Amanda 3.5 REP HANDLE 000-000000000000 SEQ 1\n",
            "Amanda 3.5 REP HANDLE 000-00000000 SEQ \n",
            "Amanda 3.5 REP HANDLE 000-00000000 SEQ 1x\n",
            "Amanda 3.5 REP HANDLE 000-00000000 SEQ 1 \n",
            "Amanda 3.5 REP HANDLE 000-00000000 SEQ 1\r\n",
            "Amanda 3.5 REP HANDLE 000-00000000 SEQ 1",
            "Amanda 3.5 REP HANDLE 000-00000000 SEK 1\n",
        ] {
            assert_eq!(parsed(line.as_bytes()), None, "{line:?}");
        }
    }
}
