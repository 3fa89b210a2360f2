//! Captures of real Amanda: frames in hex, one a line, each with its time.

use std::time::Duration;

use crate::hex;

/// A dump and a recovery with auth bsd.
pub(crate) const BSD: &str = include_str!("../data/captures/bsd.txt");
/// The same with auth bsdudp.
pub(crate) const BSDUDP: &str = include_str!("../data/captures/bsdudp.txt");
/// The same with auth bsdtcp.
pub(crate) const BSDTCP: &str = include_str!("../data/captures/bsdtcp.txt");

/// The backup server of the captures.
pub(crate) const SERVER: &str = "10.101.1.2";
/// The client of the captures.
pub(crate) const CLIENT: &str = "10.101.2.2";

/// A captured frame.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    /// When it was met, counted from the first one.
    pub(crate) time: Duration,
    pub(crate) frame: Vec<u8>,
    /// What it is, for whoever reads that a test has failed.
    pub(crate) note: String,
}

/// Reads the frames of a capture: `microseconds hex # note`.
pub(crate) fn read(text: &str) -> Vec<Captured> {
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

fn line(line: &str) -> Captured {
    let mut parts = line.splitn(3, ' ');
    let mut part = || parts.next().expect("a time, a frame and a note");
    let microseconds = part().parse().expect("a time in microseconds");
    let frame = hex::decode(part());
    Captured { time: Duration::from_micros(microseconds), frame, note: part().to_owned() }
}
