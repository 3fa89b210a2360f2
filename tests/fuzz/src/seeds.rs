//! The inputs that fuzzing begins with: real frames and measured vectors of the tests' data, and
//! the saved crashers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use amanda_fw_common::rules::Way;

use crate::{hex, scenario};

/// An input of a target.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Where it comes from.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

const CAPTURES: [(&str, &str); 3] = [
    ("bsd", include_str!("../../tests/data/captures/bsd.txt")),
    ("bsdudp", include_str!("../../tests/data/captures/bsdudp.txt")),
    ("bsdtcp", include_str!("../../tests/data/captures/bsdtcp.txt")),
];
const VECTORS: &str = include_str!("../../tests/data/vectors.json");

/// Offsets in a captured frame, which has an Ethernet header and an IPv4 header without options.
const PROTOCOL: usize = 14 + 9;
const SOURCE: usize = 14 + 12;
const TRANSPORT: usize = 14 + 20;
const TEXT: usize = TRANSPORT + 8;

/// Lists the datagrams of the captures and of the vectors.
#[must_use]
pub fn parser() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, capture) in CAPTURES {
        for (line, Captured { frame, .. }) in read(capture).enumerate() {
            let text = frame.get(TEXT..).filter(|text| text.starts_with(b"Amanda "));
            let seed = |text: &[u8]| Seed { name: format!("{name}-{line}"), bytes: text.to_vec() };
            seeds.extend(text.map(seed));
        }
    }
    for key in ["req_hex", "payload_hex"] {
        for (index, bytes) in vectors(key).enumerate() {
            seeds.push(Seed { name: format!("vector-{key}-{index}"), bytes });
        }
    }
    seeds
}

/// Reads the saved crashers of a target: text files with comments and hex.
#[must_use]
pub fn crashers(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashers").join(target);
    let entries = fs::read_dir(folder).expect("a folder of crashers");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let seed = |path: &Path| {
        let text = fs::read_to_string(path).expect("hex text");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Seed { name, bytes: hex::decode(&text) }
    };
    paths.map(|path| seed(&path)).collect()
}

/// The longest scenario, which is also what libFuzzer makes where nobody says otherwise.
const MAX_SCENARIO: usize = 4096;

/// Lists scenarios of the captures: one begins with each request, as the client meets it.
#[must_use]
pub fn packet_path() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, capture) in CAPTURES {
        let captured: Vec<Captured> = read(capture).collect();
        for start in (0..captured.len()).filter(|&at| captured[at].begins()) {
            let bytes = scenario(&captured[start..]);
            seeds.push(Seed { name: format!("{name}-{start}"), bytes });
        }
    }
    seeds
}

/// Writes as many frames as fit, with the time between them.
fn scenario(captured: &[Captured]) -> Vec<u8> {
    const HEAD: usize = 4;
    let mut room = MAX_SCENARIO;
    let mut last = captured.first().map_or(0, |first| first.time);
    scenario::captured(captured.iter().map_while(|Captured { time, frame }| {
        room = room.checked_sub(HEAD + frame.len())?;
        let pause = Duration::from_micros(time - std::mem::replace(&mut last, *time));
        Some((pause, way(frame), frame.as_slice()))
    }))
}

fn way(frame: &[u8]) -> Way {
    let (client, _) = scenario::CLIENT;
    if frame.get(SOURCE..SOURCE + 4) == Some(&client.octets()) { Way::Out } else { Way::In }
}

/// A captured frame.
#[derive(Clone, Debug)]
struct Captured {
    /// Microseconds since the first one.
    time: u64,
    frame: Vec<u8>,
}

impl Captured {
    /// Tells whether the frame is a request or asks for a connection.
    fn begins(&self) -> bool {
        const FLAGS: usize = TRANSPORT + 13;
        const SYN: u8 = 0x02;
        let is_tcp = self.frame.get(PROTOCOL) == Some(&6);
        let text = self.frame.get(TEXT..).unwrap_or_default();
        (is_tcp && self.frame.get(FLAGS) == Some(&SYN)) || text.starts_with(b"Amanda 3.5 REQ ")
    }
}

/// Reads the frames of a capture: `microseconds hex # note`.
fn read(capture: &str) -> impl Iterator<Item = Captured> {
    capture.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut parts = line.split(' ');
        let mut part = || parts.next().expect("a time and a frame");
        let time = part().parse().expect("a time in microseconds");
        Captured { time, frame: hex::decode(part()) }
    })
}

/// Reads all values of a key of the vectors, each of which stands in a line of its own.
fn vectors(key: &str) -> impl Iterator<Item = Vec<u8>> {
    let start = format!("\"{key}\": \"");
    VECTORS.lines().filter_map(move |line| {
        let digits = line.trim().strip_prefix(&start)?.split('"').next()?;
        Some(hex::decode(digits))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_vectors_are_read() {
        assert_eq!([vectors("req_hex").count(), vectors("payload_hex").count()], [74, 74]);
    }
}
