//! Real datagrams: the vectors that were measured against the kernel's helper, and captures.

use std::net::SocketAddr;

use amanda_fw_tests::frames;
use serde::Deserialize;

use crate::pair::{CLIENT, Pair, SERVER, devices, ip};
use crate::talk::AMANDAD;

const VECTORS: &str = include_str!("../data/vectors.json");
const CAPTURES: [&str; 3] = [
    include_str!("../data/captures/bsd.txt"),
    include_str!("../data/captures/bsdudp.txt"),
    include_str!("../data/captures/bsdtcp.txt"),
];

#[derive(Deserialize)]
struct Vector {
    /// `orig` for a datagram of the initiator, `reply` for one of the responder.
    dir: String,
    ipv6: bool,
    req_hex: String,
    payload_hex: String,
}

#[test]
#[ignore = "needs root: BPF"]
fn vectors() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).expect("vectors in JSON");
    let mut pair = Pair::new();
    for device in devices() {
        for Vector { dir, ipv6, req_hex, payload_hex } in &vectors {
            let family = usize::from(*ipv6);
            let initiator = SocketAddr::new(ip(SERVER[family]), 601);
            let responder = SocketAddr::new(ip(CLIENT[family]), AMANDAD);
            pair.clear();
            pair.meets(device[0], &frames::udp(initiator, responder, &bytes(req_hex)));
            let reply = dir == "reply";
            let (from, to) = if reply { (responder, initiator) } else { (initiator, responder) };
            let datagram = frames::udp(from, to, &bytes(payload_hex));
            for packet in datagram.fragments(7, 1480) {
                pair.meets(device[usize::from(reply)], &packet);
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn captures() {
    let mut pair = Pair::new();
    for capture in CAPTURES {
        for device in devices() {
            pair.clear();
            for frame in frames_of(capture) {
                // The captures' client, 10.101.2.2, stands for the one that the roles name.
                let outgoing = frame[26..30] == [10, 101, 2, 2];
                pair.meets_frame(device[usize::from(outgoing)], &frame);
            }
        }
    }
    assert_eq!(pair.refused, 0);
}

/// Reads the lines `microseconds hex # note`.
pub(crate) fn frames_of(capture: &str) -> impl Iterator<Item = Vec<u8>> {
    let lines = capture.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| bytes(line.split(' ').nth(1).expect("a frame in hex")))
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a byte in hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}
