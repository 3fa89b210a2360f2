//! What user space knows in words of what is in force: requests and rules.

use bytemuck::{Pod, Zeroable};

/// The longest text that a label keeps, in bytes; more is cut.
pub const LABEL_TEXT: usize = 112;

/// A text; by default what user space has read of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Label<const N: usize = LABEL_TEXT> {
    /// The text in UTF-8, padded with zeros.
    text: [u8; N],
}

/// The path of a configuration file.
pub type Origin = Label<1024>;

/// What people call the rule at a place, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RuleInfo {
    /// A hash of all that the rule is; one of the same hash keeps its slot.
    pub identity: u64,
    /// The line in the configuration, 0 for what is in no line.
    pub line: u32,
    /// The slot among the rules' counters.
    pub slot: u16,
    /// Number of the [`crate::rules::Action`].
    pub action: u8,
    /// Number of the [`crate::rules::Way`].
    pub way: u8,
    /// The name.
    pub name: Label<64>,
    /// What its log lines begin with.
    pub prefix: Label<64>,
    /// Which packets fit.
    pub matches: Label<112>,
}

impl<const N: usize> Label<N> {
    /// Takes as much of a text as fits.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; N];
        let length = text.floor_char_boundary(N);
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(length)) {
            *to = from;
        }
        Self { text: bytes }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        let length = self.text.iter().position(|&byte| byte == 0).unwrap_or(N);
        self.text.get(..length).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default()
    }
}
