//! Bytes in hex, as the data files have them.

/// Reads two digits a byte.
pub(crate) fn decode(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a byte in hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}
