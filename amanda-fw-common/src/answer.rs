//! What the sender of a rejected packet is told: a TCP reset, or that something is unreachable.

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;
use crate::checksum::Sum;
use crate::frame::Frame;
use crate::numbered::numbered;
use crate::rules::{Rate, Rejection};
use crate::wire::{
    Fragment, Icmp, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Packet,
};

/// How often one CPU answers (Linux: icmp_msgs_per_sec 1000, icmp_msgs_burst 50).
pub const ANSWER_RATE: Rate = Rate::new(1000, 1_000_000_000, 50);

const IPV4_LENGTH: usize = 20;
const IPV6_LENGTH: usize = 40;
const TCP_LENGTH: u16 = 20;
const ICMP_LENGTH: u16 = 8;
const TTL: u8 = 64;

/// Bytes of a packet that an ICMP error quotes: 576 in all (RFC 1812, 4.3.2.3).
const MOST_QUOTED_V4: usize = 548;
/// Less than RFC 4443, 3.1 allows: what can be read of a frame ends there.
const MOST_QUOTED_V6: usize = 960;
const WORD: usize = 4;

numbered! {
    /// What an answer consists of.
    pub enum AnswerKind: u8 {
        /// IPv4 and a TCP reset.
        Reset4 = 1 "reset-4",
        /// IPv6 and a TCP reset.
        Reset6 = 2 "reset-6",
        /// IPv4, ICMP, and a quotation.
        Icmp4 = 3 "icmp-4",
        /// IPv6, ICMPv6, and a quotation.
        Icmp6 = 4 "icmp-6",
    }
}

/// Words of eight bytes of a packet that is answered, and one more.
const COPIED: usize = 129;

/// The first bytes of a packet that is answered, from its IP header on; zeros follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Copied {
    words: [u64; COPIED],
    /// How many bytes there are, a multiple of four.
    length: u64,
    /// The sums of as many words as ICMP and as ICMPv6 quote at the most.
    sums: [Sum; 2],
}

impl Copied {
    /// Nothing of a packet.
    pub const EMPTY: Self = Self { words: [0; COPIED], length: 0, sums: [Sum::ZERO; 2] };

    /// Copies from the frame, which may hold less than the packet: XDP reads the first piece alone.
    #[inline(always)]
    pub fn read<F: Frame + ?Sized>(&mut self, frame: &F, packet: &Packet) {
        let end = packet.end.min(frame.length());
        let length = end.wrapping_sub(packet.network).min((COPIED - 1) * 8) & !(WORD - 1);
        self.words = [0; COPIED];
        frame.copy(packet.network, length, &mut self.words);
        self.length = length as u64;
        // Here, where there is one path, and over zeros as well: a verifier follows this once.
        let v4 = self.sum(Sum::ZERO, 0..MOST_QUOTED_V4 / WORD);
        let v6 = self.sum(v4, MOST_QUOTED_V4 / WORD..MOST_QUOTED_V6 / WORD);
        self.sums = [v4, v6];
    }

    /// Adds the words of a range.
    #[inline(always)]
    fn sum(&self, sum: Sum, range: core::ops::Range<usize>) -> Sum {
        let mut sum = sum;
        for index in range {
            sum = sum.word(self.word(index));
        }
        sum
    }

    /// Returns four bytes, by the number of the word that they are; numbers go round.
    #[inline(always)]
    fn word(&self, index: usize) -> [u8; WORD] {
        let words: &[[u8; WORD]; 2 * COPIED] = bytemuck::cast_ref(&self.words);
        words.get(index & 255).copied().unwrap_or_default()
    }
}

/// An answer's headers; those that its kind has no use for stay as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Answer {
    /// The IPv4 header.
    pub ipv4: [u8; IPV4_LENGTH],
    /// The IPv6 header.
    pub ipv6: [u8; IPV6_LENGTH],
    /// The TCP header.
    pub tcp: [u8; TCP_LENGTH as usize],
    /// The ICMP header.
    pub icmp: [u8; ICMP_LENGTH as usize],
    /// Bytes of the packet that follow the ICMP header.
    pub quoted: u32,
    /// Number of the [`AnswerKind`].
    kind: u8,
    pad: [u8; 3],
}

impl Answer {
    /// No answer.
    pub const NONE: Self = Self {
        ipv4: [0; IPV4_LENGTH],
        ipv6: [0; IPV6_LENGTH],
        tcp: [0; TCP_LENGTH as usize],
        icmp: [0; ICMP_LENGTH as usize],
        quoted: 0,
        kind: 0,
        pad: [0; 3],
    };

    /// Returns what the answer consists of, once one is written.
    #[inline(always)]
    pub fn kind(&self) -> Option<AnswerKind> {
        AnswerKind::from_number(self.kind)
    }

    /// Writes the answer to a packet that [`is_due`] one, and tells whether it gets it.
    ///
    /// Where `may_be_partial`, a transport checksum may be left to the device: it is then the sum
    /// of the pseudo-header alone, and is completed when the answer goes out.
    #[inline(always)]
    pub fn write(
        &mut self,
        copied: &Copied,
        packet: &Packet,
        rejection: Rejection,
        may_be_partial: bool,
    ) -> bool {
        self.kind = 0;
        let [version, ..] = copied.word(0);
        // Options and extension headers are too rare to be worth it.
        match (version >> 4, packet.transport.wrapping_sub(packet.network)) {
            (4, IPV4_LENGTH) => {
                self.write_family::<IPV4_LENGTH>(copied, packet, rejection, may_be_partial)
            }
            (6, IPV6_LENGTH) => {
                self.write_family::<IPV6_LENGTH>(copied, packet, rejection, may_be_partial)
            }
            _ => false,
        }
    }

    /// Writes the answer to a packet whose IP header has so many bytes.
    #[inline(always)]
    fn write_family<const IP: usize>(
        &mut self,
        copied: &Copied,
        packet: &Packet,
        rejection: Rejection,
        may_be_partial: bool,
    ) -> bool {
        let is_reset = packet.protocol == PROTOCOL_TCP
            && matches!(rejection, Rejection::Default | Rejection::TcpReset);
        let is_partial = may_be_partial && is_partial::<IP>(copied, packet);
        let length = if is_reset {
            self.write_reset::<IP>(copied, packet, is_partial)
        } else {
            self.write_icmp::<IP>(copied, packet, rejection, is_partial)
        };
        let kind = match (is_reset, IP == IPV4_LENGTH) {
            (true, true) => AnswerKind::Reset4,
            (true, false) => AnswerKind::Reset6,
            (false, true) => AnswerKind::Icmp4,
            (false, false) => AnswerKind::Icmp6,
        };
        self.write_ip(packet, kind, length);
        self.kind = kind.number();
        true
    }

    /// Writes a reset (RFC 9293, 3.10.7.1), and returns the length of the segment.
    #[inline(always)]
    fn write_reset<const IP: usize>(
        &mut self,
        copied: &Copied,
        packet: &Packet,
        is_partial: bool,
    ) -> u16 {
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        const OFFSET: u8 = 5 << 4;
        let first = IP / WORD;
        let [s0, s1, d0, d1] = copied.word(first);
        let sequence = u32::from_be_bytes(copied.word(first.wrapping_add(1)));
        let acknowledged = copied.word(first.wrapping_add(2));
        let [offset, flags, _, _] = copied.word(first.wrapping_add(3));
        let (sequence, acknowledgement, flags) = if flags & ACK != 0 {
            (acknowledged, [0; 4], RST)
        } else {
            let header = u64::from(offset >> 4).wrapping_mul(4);
            let carried = packet.length().wrapping_sub(header) as u32;
            let control = u32::from(packet.tcp.syn()).wrapping_add(u32::from(packet.tcp.fin()));
            let next = sequence.wrapping_add(carried).wrapping_add(control);
            ([0; 4], next.to_be_bytes(), RST | ACK)
        };
        let (source, destination) = (packet.destination.addr, packet.source.addr);
        let pseudo = Sum::default().pseudo_header(source, destination, PROTOCOL_TCP, TCP_LENGTH);
        let sum = pseudo
            .word([d0, d1, s0, s1])
            .word(sequence)
            .word(acknowledgement)
            .word([OFFSET, flags, 0, 0]);
        let checksum = if is_partial { pseudo.folded() } else { sum.checksum() };
        let ([q0, q1, q2, q3], [a0, a1, a2, a3]) = (sequence, acknowledgement);
        let [c0, c1] = checksum.to_be_bytes();
        self.tcp =
            [d0, d1, s0, s1, q0, q1, q2, q3, a0, a1, a2, a3, OFFSET, flags, 0, 0, c0, c1, 0, 0];
        self.quoted = 0;
        TCP_LENGTH
    }

    /// Writes an ICMP error, and returns its length with the quotation.
    #[inline(always)]
    fn write_icmp<const IP: usize>(
        &mut self,
        copied: &Copied,
        packet: &Packet,
        rejection: Rejection,
        is_partial: bool,
    ) -> u16 {
        let is_v4 = IP == IPV4_LENGTH;
        let [kind, code] = if is_v4 { icmp_code(rejection) } else { icmpv6_code(rejection) };
        let most = if is_v4 { MOST_QUOTED_V4 } else { MOST_QUOTED_V6 };
        let quoted = (copied.length as usize).min(most) & !(WORD - 1);
        let length = (quoted as u16).wrapping_add(ICMP_LENGTH);
        let mut sum = Sum::default().word([kind, code, 0, 0]);
        if !is_v4 {
            let (a, b) = (packet.destination.addr, packet.source.addr);
            sum = sum.pseudo_header(a, b, PROTOCOL_ICMPV6, length);
        }
        let [quoted_v4, quoted_v6] = copied.sums;
        let quotation = match (is_partial, is_v4) {
            // What the device completes is then the inverse of its seed, whatever it holds now.
            (true, _) => {
                copied.sum(Sum::ZERO, 0..IP / WORD).number(!packet.pseudo_header().folded())
            }
            (false, true) => quoted_v4,
            (false, false) => quoted_v6,
        };
        sum = sum.with(quotation);
        let [c0, c1] = sum.checksum().to_be_bytes();
        self.icmp = [kind, code, c0, c1, 0, 0, 0, 0];
        self.quoted = quoted as u32;
        length
    }

    #[inline(always)]
    fn write_ip(&mut self, packet: &Packet, kind: AnswerKind, length: u16) {
        let (source, destination) = (packet.destination.addr, packet.source.addr);
        match kind {
            AnswerKind::Reset4 => self.write_ipv4(source, destination, PROTOCOL_TCP, length),
            AnswerKind::Icmp4 => self.write_ipv4(source, destination, PROTOCOL_ICMP, length),
            AnswerKind::Reset6 => self.write_ipv6(source, destination, PROTOCOL_TCP, length),
            AnswerKind::Icmp6 => self.write_ipv6(source, destination, PROTOCOL_ICMPV6, length),
        }
    }

    #[inline(always)]
    fn write_ipv4(&mut self, source: Addr, destination: Addr, protocol: u8, length: u16) {
        const VERSION_AND_LENGTH: u8 = 0x45;
        const DONT_FRAGMENT: u8 = 0x40;
        let [t0, t1] = length.wrapping_add(IPV4_LENGTH as u16).to_be_bytes();
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (v4(source), v4(destination));
        let sum = Sum::default()
            .word([VERSION_AND_LENGTH, 0, t0, t1])
            .word([0, 0, DONT_FRAGMENT, 0])
            .word([TTL, protocol, 0, 0])
            .word([s0, s1, s2, s3])
            .word([d0, d1, d2, d3]);
        let [c0, c1] = sum.checksum().to_be_bytes();
        self.ipv4 = [
            VERSION_AND_LENGTH,
            0,
            t0,
            t1,
            0,
            0,
            DONT_FRAGMENT,
            0,
            TTL,
            protocol,
            c0,
            c1,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ];
    }

    #[inline(always)]
    fn write_ipv6(&mut self, source: Addr, destination: Addr, protocol: u8, length: u16) {
        const VERSION: u8 = 0x60;
        let [l0, l1] = length.to_be_bytes();
        let ([s, t], [d, e]) = (source.words(), destination.words());
        let start = u64::from_ne_bytes([VERSION, 0, 0, 0, l0, l1, protocol, TTL]);
        self.ipv6 = bytemuck::cast([start, s, t, d, e]);
    }
}

/// Tells whether a packet gets an answer now, and takes it from the bucket of answers if so.
#[inline(always)]
pub fn is_due(packet: &Packet, rejection: Rejection, bucket: &mut u64, now: u64) -> bool {
    is_answered(packet, rejection) && ANSWER_RATE.take(bucket, now)
}

/// Tells whether a packet may be answered (RFC 1122, 3.2.2; RFC 4443, 2.4).
#[inline(always)]
fn is_answered(packet: &Packet, rejection: Rejection) -> bool {
    let is_tcp = packet.protocol == PROTOCOL_TCP;
    packet.fragment == Fragment::Whole
        && matches!(packet.icmp, Icmp::None | Icmp::Request)
        && !(is_tcp && packet.tcp.rst())
        && (is_tcp || rejection != Rejection::TcpReset)
        && packet.source.addr.is_host()
        && packet.destination.addr.is_host()
}

/// Returns the ICMP type and code of a rejection.
#[inline(always)]
fn icmp_code(rejection: Rejection) -> [u8; 2] {
    const UNREACHABLE: u8 = 3;
    let code = match rejection {
        Rejection::Default | Rejection::TcpReset | Rejection::Port => 3,
        Rejection::Net => 0,
        Rejection::Host => 1,
        Rejection::Protocol => 2,
        Rejection::NetProhibited => 9,
        Rejection::HostProhibited => 10,
        Rejection::Admin => 13,
    };
    [UNREACHABLE, code]
}

/// Returns the ICMPv6 type and code of a rejection.
#[inline(always)]
fn icmpv6_code(rejection: Rejection) -> [u8; 2] {
    const UNREACHABLE: u8 = 1;
    const PARAMETER_PROBLEM: u8 = 4;
    match rejection {
        Rejection::Default | Rejection::TcpReset | Rejection::Port => [UNREACHABLE, 4],
        Rejection::Net => [UNREACHABLE, 0],
        Rejection::Host => [UNREACHABLE, 3],
        Rejection::Protocol => [PARAMETER_PROBLEM, 1],
        Rejection::NetProhibited | Rejection::HostProhibited | Rejection::Admin => [UNREACHABLE, 1],
    }
}

/// Tells whether a transport checksum is left to the device, by what it holds.
#[inline(always)]
fn is_partial<const IP: usize>(copied: &Copied, packet: &Packet) -> bool {
    let first = IP / WORD;
    let [high, low] = match packet.protocol {
        PROTOCOL_TCP => {
            let [c0, c1, ..] = copied.word(first.wrapping_add(4));
            [c0, c1]
        }
        PROTOCOL_UDP => {
            let [.., c0, c1] = copied.word(first.wrapping_add(1));
            [c0, c1]
        }
        _ => return false,
    };
    u16::from_be_bytes([high, low]) == packet.pseudo_header().folded()
}

#[inline(always)]
fn v4(addr: Addr) -> [u8; 4] {
    let [_, low] = addr.words();
    let [_, _, _, _, a, b, c, d] = low.to_ne_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Link, TcpFlags};

    /// A SYN from [fd00:94::2]:4000 to port 2000 of fd00:94::1.
    const SYN: [u8; 60] = [
        0x60, 0x0b, 0x95, 0xfe, 0x00, 0x14, 0x06, 0x40, 0xfd, 0x00, 0x00, 0x94, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 2, 0xfd, 0x00, 0x00, 0x94, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x0f, 0xa0,
        0x07, 0xd0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0, 0,
    ];

    fn packet() -> Packet {
        let mut packet = Packet::default();
        assert_eq!(wire::parse(&SYN[..], Link::Raw, &mut packet), Ok(()));
        packet
    }

    /// Checks what is written for the SYN, of which a frame holds so many bytes.
    fn check(held: usize, rejection: Rejection, kind: AnswerKind, quoted: u32) -> Answer {
        let (mut answer, mut copied) = (Answer::NONE, Copied::EMPTY);
        copied.read(&SYN[..held], &packet());
        assert!(answer.write(&copied, &packet(), rejection, false));
        assert_eq!((answer.kind(), answer.quoted), (Some(kind), quoted));
        answer
    }

    #[test]
    fn a_reset_is_that_of_linux() {
        // What netfilter on Linux 6.18 answers to this SYN.
        let answer = check(SYN.len(), Rejection::Default, AnswerKind::Reset6, 0);
        let expected =
            [7, 0xd0, 0xf, 0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0x50, 0x14, 0, 0, 0x9d, 0x32, 0, 0];
        assert_eq!(answer.tcp, expected);
    }

    #[test]
    fn no_more_is_quoted_than_was_read() {
        check(SYN.len(), Rejection::Port, AnswerKind::Icmp6, 60);
        check(51, Rejection::Port, AnswerKind::Icmp6, 48);
    }

    #[test]
    fn answers_have_a_rate_and_what_gets_none_takes_nothing() {
        let mut bucket = 0;
        let reset = Packet { tcp: TcpFlags(4), ..packet() };
        let mut due = |packet: &Packet| is_due(packet, Rejection::Default, &mut bucket, 1);
        assert!((0..100).all(|_| !due(&reset)));
        assert_eq!((0..100).filter(|_| due(&packet())).count(), 50);
    }
}
