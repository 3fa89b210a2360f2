//! What is left of a packet to read.

/// Bytes from somewhere in a packet on: as many as were captured, and how many there are.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    /// Those that were captured.
    pub(super) bytes: &'a [u8],
    /// How many the packet has.
    pub(super) length: usize,
}

impl Rest<'_> {
    /// Skips bytes.
    pub(super) fn after(self, count: usize) -> Option<Self> {
        let length = self.length.checked_sub(count)?;
        Some(Self { bytes: self.bytes.get(count..)?, length })
    }

    /// Returns so many bytes at an offset.
    pub(super) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// Returns the byte at an offset.
    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Returns the number at an offset.
    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// Returns the long number at an offset.
    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
}
