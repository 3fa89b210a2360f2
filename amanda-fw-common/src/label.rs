//! What a request is about, in words: host, disk and level.

use bytemuck::{Pod, Zeroable};

/// The longest text that a label keeps, in bytes; more is cut.
pub const LABEL_TEXT: usize = 112;

/// What user space has read of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Label {
    /// The text in UTF-8, padded with zeros.
    text: [u8; LABEL_TEXT],
}

impl Label {
    /// Takes as much of a text as fits.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; LABEL_TEXT];
        let length = text.floor_char_boundary(LABEL_TEXT);
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(length)) {
            *to = from;
        }
        Self { text: bytes }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        let length = self.text.iter().position(|&byte| byte == 0).unwrap_or(LABEL_TEXT);
        self.text.get(..length).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default()
    }
}
