//! One datagram of a control flow, read as far as the firewall believes it.

use bytemuck::{Pod, Zeroable};

use crate::connect::{self, Line, MAX_STREAMS, PortRange, Service};
use crate::header::{self, PacketType, token_before};
use crate::text::{Text, Token};

/// A header, and of the body what its type has: a request's service, a reply's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Message {
    /// The handle, a name of the transaction.
    pub handle: Token,
    /// The sequence number's digits.
    pub sequence: Token,
    /// Offset of the body in bytes.
    body: u32,
    /// The streams in the order of the line, four bits each; 0 without a CONNECT line.
    pub layout: u32,
    /// The streams of a reply.
    pub line: Line,
    /// Number of the [`PacketType`].
    pub packet_type: u8,
    /// Number of the [`Service`] of a request.
    pub service: u8,
    /// Number of the [`connect::Refusal`] of a CONNECT line, else 0.
    pub refusal: u8,
    pad: u8,
}

impl Message {
    /// Reads the header; tells whether the datagram is Amanda's.
    #[inline(always)]
    pub fn read_header(&mut self, text: &Text) -> bool {
        *self = Self::default();
        let Some(header) = header::parse(text) else {
            return false;
        };
        self.handle = header.handle;
        self.sequence = header.sequence;
        self.body = header.body as u32;
        self.packet_type = header.packet_type.number();
        true
    }

    /// Reads what the body begins with.
    #[inline(always)]
    pub fn read_body(&mut self, text: &Text, range: PortRange) {
        let body = self.body as usize;
        if self.is(PacketType::Req) {
            self.service = service(text, body).number();
        } else if self.is(PacketType::Rep) && connect::is_connect(text, body) {
            match connect::parse(text, body, range, &mut self.line) {
                Ok(layout) => self.layout = layout,
                Err(refusal) => self.refusal = refusal.number(),
            }
        }
    }

    /// Has a reply with a wrong checksum open nothing.
    #[inline(always)]
    pub fn distrust(&mut self) {
        self.refusal = connect::Refusal::Checksum.number();
    }

    /// Tells whether the checksum of a reply was found to be wrong.
    #[inline(always)]
    pub fn is_distrusted(&self) -> bool {
        self.refusal == connect::Refusal::Checksum.number()
    }

    /// Tells whether the datagram is of a type.
    #[inline(always)]
    pub fn is(&self, packet_type: PacketType) -> bool {
        self.packet_type == packet_type.number()
    }

    /// Writes the ports into the text that the initiator knows the streams by, each in as many digits
    /// as it had, and tells whether any is another.
    #[inline(always)]
    pub fn announce(&self, text: &mut Text, outside: &[u16; MAX_STREAMS]) -> bool {
        let mut changed = false;
        for (said, &port) in self.line.iter().zip(outside) {
            let is_other = port != 0
                && port != said.port
                && PortRange::of_digits(port) == PortRange::of_digits(said.port);
            if is_other {
                changed = true;
                write_port(text, usize::from(said.at), port);
            }
        }
        changed
    }

    /// Tells whether the body of a reply begins with a CONNECT line.
    #[inline(always)]
    pub fn has_connect(&self) -> bool {
        self.layout != 0 || self.refusal != 0
    }
}

/// Writes a port of four or five digits.
#[inline(always)]
fn write_port(text: &mut Text, at: usize, port: u16) {
    let digit = |number: u16| b'0'.wrapping_add((number % 10) as u8);
    let at = if port >= 10_000 {
        text.set(at, digit(port / 10_000));
        at.wrapping_add(1)
    } else {
        at
    };
    text.set(at, digit(port / 1_000));
    text.set(at.wrapping_add(1), digit(port / 100));
    text.set(at.wrapping_add(2), digit(port / 10));
    text.set(at.wrapping_add(3), digit(port));
}

/// Lines before `SERVICE` are searched word by word, up to a login name of 64 characters.
const LOGIN_WORDS: usize = 9;

/// Reads `SECURITY USER login\nSERVICE name\n` (common-src/security-util.c).
#[inline(always)]
fn service(text: &Text, body: usize) -> Service {
    const SECURITY: u64 = u64::from_le_bytes(*b"SECURITY");
    const SERVICE: u64 = u64::from_le_bytes(*b"SERVICE ");
    if text.word(body) != SECURITY {
        return Service::Other;
    }
    let Some(line) = text.after_newline(body.wrapping_add(8), LOGIN_WORDS) else {
        return Service::Other;
    };
    if text.word(line) != SERVICE {
        return Service::Other;
    }
    match token_before(text, line.wrapping_add(8), b'\n') {
        Some((name, _)) => Service::from_token(name),
        None => Service::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service_of(body: &str) -> Service {
        let mut text = Text::EMPTY;
        text.fill(body.as_bytes());
        service(&text, 0)
    }

    #[test]
    fn the_service_of_a_request_is_known() {
        for &service in Service::ALL {
            let body = format!("SECURITY USER backup\nSERVICE {}\nOPTIONS x;\n", service.name());
            assert_eq!(service_of(&body), service);
        }
    }

    #[test]
    fn a_login_may_have_any_length_up_to_64() {
        for length in 1..=64 {
            let body = format!("SECURITY USER {}\nSERVICE sendbackup\n", "u".repeat(length));
            assert_eq!(service_of(&body), Service::Sendbackup, "{length}");
        }
    }

    #[test]
    fn what_is_no_request_has_no_service() {
        for body in [
            "SERVICE sendbackup\n",
            "SECURITY USER backup\nOPTIONS x;\nSERVICE sendbackup\n",
            "SECURITY USER backup\nSERVICE sendbackup",
            "SECURITY USER backup\nSERVICE sendbackups\n",
            "SECURITY USER backup\nSERVICE  sendbackup\n",
        ] {
            assert_eq!(service_of(body), Service::Other, "{body:?}");
        }
    }
}
