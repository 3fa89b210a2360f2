//! The Internet checksum (RFC 1071).

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// A sum of 16-bit words on its way to a checksum.
///
/// Words of 32 bits are added as they are: they stand for the sum of their halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// Adds another sum.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, Self(other): Self) -> Self {
        Self(self.0.wrapping_add(other))
    }

    /// Adds four bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, bytes: [u8; 4]) -> Self {
        Self(self.0.wrapping_add(u32::from_be_bytes(bytes) as u64))
    }

    /// Adds a number of 16 bits.
    #[inline(always)]
    #[must_use]
    pub const fn number(self, number: u16) -> Self {
        Self(self.0.wrapping_add(number as u64))
    }

    /// Adds words of eight bytes as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub fn words(self, words: &[u64]) -> Self {
        let halves =
            |sum: u64, word: &u64| sum.wrapping_add(word >> 32).wrapping_add(word & 0xffff_ffff);
        // A sum of numbers in the machine's order has its bytes in that order (RFC 1071, 2 B).
        self.number(u16::from_be(Self(words.iter().fold(0, halves)).folded()))
    }

    /// Adds a pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).
    #[inline(always)]
    #[must_use]
    pub fn pseudo_header(self, a: Addr, b: Addr, protocol: u8, length: u16) -> Self {
        // What an IPv4 address is mapped with adds 0xffff, which is nothing.
        self.address(a).address(b).number(u16::from(protocol)).number(length)
    }

    #[inline(always)]
    fn address(self, addr: Addr) -> Self {
        let [a, b] = addr.words().map(u64::from_be);
        let half =
            |sum: u64, word: u64| sum.wrapping_add(word >> 32).wrapping_add(word & 0xffff_ffff);
        Self(half(half(self.0, a), b))
    }

    /// Returns by how much it is more than another, in 16 bits.
    #[inline(always)]
    #[must_use]
    pub const fn minus(self, other: Self) -> u16 {
        Self(self.folded() as u64).number(other.checksum()).folded()
    }

    /// Returns the sum in 16 bits.
    #[inline(always)]
    #[must_use]
    pub const fn folded(self) -> u16 {
        let Self(sum) = self;
        let sum = (sum >> 32).wrapping_add(sum & 0xffff_ffff);
        let sum = (sum >> 16).wrapping_add(sum & 0xffff);
        let sum = (sum >> 16).wrapping_add(sum & 0xffff);
        let sum = (sum >> 16).wrapping_add(sum & 0xffff);
        sum as u16
    }

    /// Returns the checksum.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.folded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[[u8; 4]], expected: u16) {
        let sum = words.iter().fold(Sum::default(), |sum, &word| sum.word(word));
        assert_eq!(sum.folded(), expected);
        assert_eq!(sum.checksum(), !expected);
    }

    #[test]
    fn the_example_of_the_rfc_adds_up() {
        // RFC 1071, 3: 00 01 f2 03 f4 f5 f6 f7 makes ddf2.
        check(&[[0x00, 0x01, 0xf2, 0x03], [0xf4, 0xf5, 0xf6, 0xf7]], 0xddf2);
        check(&[], 0);
        check(&[[0xff; 4]; 9], 0xffff);
    }

    #[test]
    fn words_of_eight_bytes_add_up_to_what_their_halves_do() {
        let bytes = *b"CONNECT DATA 50002 MESG ";
        let (halves, _) = bytes.as_chunks::<4>();
        let sum = halves.iter().fold(Sum::ZERO, |sum, &half| sum.word(half));
        let words: [u64; 3] = bytemuck::cast(bytes);
        assert_eq!(Sum::ZERO.words(&words).folded(), sum.folded());
        assert_eq!(Sum::ZERO.words(&[]), Sum::ZERO);
    }

    #[test]
    fn a_pseudo_header_is_the_same_both_ways() {
        let (a, b) = (Addr::v4([192, 168, 2, 3]), Addr::v4([10, 0, 0, 1]));
        let sum = Sum::default().pseudo_header(a, b, 6, 20);
        assert_eq!(sum, Sum::default().pseudo_header(b, a, 6, 20));
        let plain = Sum::default().word([192, 168, 2, 3]).word([10, 0, 0, 1]).number(6).number(20);
        assert_eq!(sum.folded(), plain.folded());
    }
}
