//! Where the bytes of a packet come from: a kernel context, or a slice.

use crate::text::Text;

/// The last offset at which anything is read, in bytes: past Ethernet with its tags, IPv6 and all the
/// extension headers that are passed, and a bound for the kernel's verifier.
pub const MAX_OFFSET: usize = 1023;

/// Gives access to the bytes of one frame.
pub trait Frame {
    /// Returns the length of the whole frame, paged parts included, in bytes.
    fn length(&self) -> usize;

    /// Returns `N` bytes at an offset, or nothing where the frame is shorter, or the offset is
    /// above [`MAX_OFFSET`].
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// Fills a text with up to `length` bytes at an offset; it stays empty where that fails.
    fn read_text(&self, at: usize, length: usize, text: &mut Text);
}

impl Frame for [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if at > MAX_OFFSET {
            return None;
        }
        self.get(at..)?.first_chunk().copied()
    }

    fn read_text(&self, at: usize, length: usize, text: &mut Text) {
        let end = at.saturating_add(length).min(self.len());
        text.fill(self.get(at..end).unwrap_or_default());
    }
}
