//! Where the bytes of a packet come from: a kernel context, or a slice.

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

    /// Copies `length` bytes at an offset, which the headers have bounded; the words stay as they
    /// are where that fails.
    ///
    /// There is one word more than fits a power of two of bytes, which is the most that is copied.
    fn copy<const WORDS: usize>(&self, at: usize, length: usize, words: &mut [u64; WORDS]);
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

    fn copy<const WORDS: usize>(&self, at: usize, length: usize, words: &mut [u64; WORDS]) {
        let most = WORDS.saturating_sub(1).saturating_mul(8);
        let end = at.saturating_add(length.min(most)).min(self.len());
        let bytes = self.get(at..end).unwrap_or_default();
        for (to, from) in bytemuck::cast_slice_mut(words.as_mut_slice()).iter_mut().zip(bytes) {
            *to = *from;
        }
    }
}
