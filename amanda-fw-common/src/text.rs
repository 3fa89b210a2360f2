//! The head of an Amanda datagram, read a word at a time.
//!
//! A word is eight bytes in little-endian order, whatever the machine: the first byte of the text
//! is the lowest. Searching, measuring and converting are arithmetic on words, without a branch a
//! byte, which is fast, and which keeps the kernel's verifier from following each byte's fate.

use bytemuck::{Pod, Zeroable};

use crate::checksum::Sum;

/// How many bytes of a datagram are read: a header of 60, and a CONNECT line of 160 at most.
pub const TEXT_LENGTH: usize = 256;
const WORDS: usize = TEXT_LENGTH / 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Up to [`TEXT_LENGTH`] bytes, followed by zeros.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Text {
    /// One word more than there is text, so that a read across the last word finds zeros.
    words: [u64; WORDS + 1],
}

/// A run of 1 to 15 printable characters, padded with zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Token {
    words: [u64; 2],
}

impl Text {
    /// A text without a byte.
    pub const EMPTY: Self = Self { words: [0; WORDS + 1] };

    /// Takes as many bytes as fit, and zeros the rest.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.words = [0; WORDS + 1];
        let room = bytemuck::bytes_of_mut(&mut self.words);
        let length = bytes.len().min(TEXT_LENGTH);
        for (to, from) in room.iter_mut().zip(bytes.iter().take(length)) {
            *to = *from;
        }
    }

    /// Lends the words to be filled, and forgets what they held.
    #[inline(always)]
    pub fn cleared_words(&mut self) -> &mut [u64; WORDS + 1] {
        self.words = [0; WORDS + 1];
        &mut self.words
    }

    /// Returns the sum of the bytes.
    #[inline(always)]
    pub fn sum(&self) -> Sum {
        Sum::ZERO.words(&self.words)
    }

    /// Returns the eight bytes at an offset; offsets wrap at [`TEXT_LENGTH`].
    #[inline(always)]
    pub fn word(&self, at: usize) -> u64 {
        let index = (at >> 3) & (WORDS.wrapping_sub(1));
        let shift = (at & 7).wrapping_mul(8) as u32;
        let low = self.words.get(index).copied().map_or(0, u64::from_le);
        let high = self.words.get(index.wrapping_add(1)).copied().map_or(0, u64::from_le);
        // Shifting by 64 is not defined, hence in two steps.
        (low >> shift) | ((high << 1) << (63_u32.wrapping_sub(shift)))
    }

    /// Returns the bytes, with zeros behind them.
    #[inline(always)]
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::bytes_of(&self.words)
    }

    /// Writes the byte at an offset; offsets wrap at [`TEXT_LENGTH`].
    #[inline(always)]
    pub fn set(&mut self, at: usize, byte: u8) {
        let shift = (at & 7).wrapping_mul(8) as u32;
        if let Some(word) = self.words.get_mut((at >> 3) & (WORDS.wrapping_sub(1))) {
            let others = u64::from_le(*word) & !(0xff << shift);
            *word = (others | u64::from(byte) << shift).to_le();
        }
    }

    /// Returns the byte at an offset.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.word(at) as u8
    }

    /// Returns the offset after the next newline, searched for in so many words.
    #[inline(always)]
    pub fn after_newline(&self, at: usize, words: usize) -> Option<usize> {
        let mut at = at;
        for _ in 0..words {
            let marks = newline(self.word(at));
            if marks != 0 {
                return Some(at.wrapping_add(leading(marks)).wrapping_add(1));
            }
            at = at.wrapping_add(8);
        }
        None
    }

    /// Returns the token at an offset and its length, or nothing where there is none that ends
    /// within 15 characters in a byte outside of them (blank, newline, any control character).
    #[inline(always)]
    pub fn token(&self, at: usize) -> Option<(Token, usize)> {
        let (first, second) = (self.word(at), self.word(at.wrapping_add(8)));
        let (m, n) = (not_printable(first), not_printable(second));
        if m != 0 {
            let length = leading(m);
            return (length > 0).then(|| (Token { words: [keep(first, length), 0] }, length));
        }
        if n == 0 {
            return None;
        }
        let length = leading(n);
        Some((Token { words: [first, keep(second, length)] }, length.wrapping_add(8)))
    }
}

impl Token {
    /// Makes a token of a literal of up to 15 bytes; what is longer is cut.
    pub const fn of(text: &str) -> Self {
        let mut words = [0_u64; 2];
        let mut rest = text.as_bytes();
        let mut at = 0_usize;
        while let Some((byte, tail)) = rest.split_first() {
            if at >= 15 {
                break;
            }
            let [low, high] = words;
            let bits = (*byte as u64) << ((at & 7).wrapping_mul(8) as u32);
            words = if at < 8 { [low | bits, high] } else { [low, high | bits] };
            at = at.wrapping_add(1);
            rest = tail;
        }
        Self { words }
    }

    /// Returns the two words.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        self.words
    }

    /// Returns the characters, as bytes padded with zeros.
    pub fn bytes(self) -> [u8; 16] {
        let [low, high] = self.words;
        bytemuck::cast([low.to_le(), high.to_le()])
    }

    /// Returns the number that 1 to 8 decimal digits make, or nothing for any other token.
    #[inline(always)]
    pub fn decimal(self) -> Option<u32> {
        let [low, high] = self.words;
        let length = leading(not_digit(low));
        if high != 0 || length == 0 || keep(low, length) != low {
            return None;
        }
        Some(decimal(low, length))
    }

    /// Tells whether the token is digits alone, with one minus sign before them at most.
    #[inline(always)]
    pub fn is_integer(self) -> bool {
        let [low, high] = self.words;
        let signed = low as u8 == b'-';
        let (low, high) = if signed { ((low >> 8) | (high << 56), high >> 8) } else { (low, high) };
        let (m, n) = (not_digit(low), not_digit(high));
        let length = leading(m);
        let rest = leading(n);
        if m != 0 {
            return length > 0 && keep(low, length) == low && high == 0;
        }
        keep(high, rest) == high
    }
}

impl core::fmt::Display for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use core::fmt::Write;
        for byte in self.bytes().into_iter().take_while(|&b| b != 0) {
            f.write_char(if byte.is_ascii_graphic() { char::from(byte) } else { '?' })?;
        }
        Ok(())
    }
}

/// Marks the high bit of every byte that is not in `!`..=`~`.
#[inline(always)]
const fn not_printable(word: u64) -> u64 {
    let low7 = word & LOW7;
    let from_exclamation = low7.wrapping_add(ONES.wrapping_mul(0x80 - 0x21));
    let delete = low7.wrapping_add(ONES);
    (!from_exclamation | delete | word) & HIGH
}

/// Marks the high bit of newlines; bytes after the first one may be marked wrongly.
#[inline(always)]
const fn newline(word: u64) -> u64 {
    let zero = word ^ ONES.wrapping_mul(0x0a);
    zero.wrapping_sub(ONES) & !zero & HIGH
}

/// Marks the high bit of every byte that is not in `0`..=`9`.
#[inline(always)]
const fn not_digit(word: u64) -> u64 {
    let value = word ^ ONES.wrapping_mul(0x30);
    let over_nine = (value & LOW7).wrapping_add(ONES.wrapping_mul(0x80 - 10));
    (over_nine | value) & HIGH
}

/// Counts the bytes before the first marked one: 8 where none is.
#[inline(always)]
const fn leading(marks: u64) -> usize {
    if marks == 0 {
        return 8;
    }
    let first = (marks & marks.wrapping_neg()) >> 7;
    (first.wrapping_mul(0x0001_0203_0405_0607) >> 56) as usize
}

/// Keeps the first `length` bytes of a word, for 0 to 8 of them.
#[inline(always)]
const fn keep(word: u64, length: usize) -> u64 {
    if length == 0 {
        return 0;
    }
    let unused = 8_usize.wrapping_sub(length).wrapping_mul(8) as u32;
    word & (u64::MAX >> (unused & 63))
}

/// Converts `length` digits, 1 to 8 of them, by three multiplications.
#[inline(always)]
const fn decimal(word: u64, length: usize) -> u32 {
    let unused = 8_usize.wrapping_sub(length).wrapping_mul(8) as u32;
    let digits = (word ^ ONES.wrapping_mul(0x30)) << (unused & 63);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (even.wrapping_add(odd) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Text {
        let mut text = Text::EMPTY;
        text.fill(bytes);
        text
    }

    fn token(bytes: &[u8]) -> Option<(String, usize)> {
        text(bytes).token(0).map(|(t, n)| (t.to_string(), n))
    }

    fn decimal_of(digits: &str) -> Option<u32> {
        Token::of(digits).decimal()
    }

    #[test]
    fn a_word_can_begin_at_any_byte() {
        let text = text(b"Amanda 3.5 REP HANDLE");
        for at in 0..13 {
            let expected: [u8; 8] =
                b"Amanda 3.5 REP HANDLE"[at..at + 8].try_into().expect("eight bytes");
            assert_eq!(text.word(at), u64::from_le_bytes(expected), "at {at}");
        }
    }

    #[test]
    fn the_last_word_is_followed_by_zeros() {
        let text = text(&[b'x'; 300]);
        assert_eq!(text.word(255), u64::from(b'x'));
    }

    #[test]
    fn a_token_ends_at_a_blank() {
        assert_eq!(token(b"HANDLE 000"), Some(("HANDLE".into(), 6)));
    }

    #[test]
    fn a_token_of_eight_ends_in_the_second_word() {
        assert_eq!(token(b"SECURITY USER"), Some(("SECURITY".into(), 8)));
    }

    #[test]
    fn a_token_of_twelve_ends_at_a_newline() {
        assert_eq!(token(b"000-0000000a\nX"), Some(("000-0000000a".into(), 12)));
    }

    #[test]
    fn sixteen_characters_are_no_token() {
        assert_eq!(token(b"0123456789abcdef "), None);
        assert_eq!(token(b"0123456789abcde "), Some(("0123456789abcde".into(), 15)));
    }

    #[test]
    fn nothing_is_no_token() {
        assert_eq!(token(b" A"), None);
        assert_eq!(token(b""), None);
    }

    #[test]
    fn control_and_high_bytes_end_a_token() {
        for byte in (0_u8..=0x20).chain(0x7f..=0xff) {
            assert_eq!(token(&[b'A', b'B', byte, b'C']), Some(("AB".into(), 2)), "{byte:#x}");
        }
    }

    #[test]
    fn digits_make_their_number() {
        for number in [0_u32, 1, 9, 10, 99, 1024, 50_093, 65_535, 499_999, 99_999_999] {
            assert_eq!(decimal_of(&number.to_string()), Some(number));
        }
    }

    #[test]
    fn what_is_not_digits_makes_none() {
        for text in ["", "-1", "+1", "1x", "x", "123456789", "1:", "1/", "0x10"] {
            assert_eq!(decimal_of(text), None, "{text}");
        }
    }

    #[test]
    fn an_integer_may_be_negative_and_long() {
        for text in ["1795180617", "-1795180617", "0", "-1", "12345678", "123456789012345"] {
            assert!(Token::of(text).is_integer(), "{text}");
        }
        for text in ["", "-", "--1", "1-", "12345678x", "x", "1 2", "123456789a"] {
            assert!(!Token::of(text).is_integer(), "{text}");
        }
    }
}
