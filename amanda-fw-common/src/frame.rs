//! Where the bytes of a packet come from: a kernel context, or a slice.

use crate::text::Text;

/// Gives access to the bytes of one frame.
pub trait Frame {
    /// Returns the length of the whole frame, paged parts included, in bytes.
    fn length(&self) -> usize;

    /// Returns `N` bytes at an offset, or nothing where the frame is shorter.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// Fills a text with up to `length` bytes at an offset; it stays empty where that fails.
    fn read_text(&self, at: usize, length: usize, text: &mut Text);
}

impl Frame for [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }

    fn read_text(&self, at: usize, length: usize, text: &mut Text) {
        let end = at.saturating_add(length).min(self.len());
        text.fill(self.get(at..end).unwrap_or_default());
    }
}
