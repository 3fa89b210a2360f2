//! Bytes in hex, as the data files and the crashers have them.

/// Reads two digits a byte; blanks and newlines between bytes count for nothing, and `#` begins a
/// comment up to the end of its line.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: String = lines.flat_map(str::split_whitespace).collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("a byte in hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}
