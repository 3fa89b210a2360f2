//! Cases from data: the vectors that were measured against the helper, and captures of Amanda.

use serde::Deserialize;

use crate::case::{Case, Effects, FLOWS, Step};
use crate::reading;

const VECTORS: &str = include_str!("../data/vectors.json");
const CAPTURES: [(&str, &str); 2] = [
    ("bsd", include_str!("../data/captures/bsd.txt")),
    ("bsdudp", include_str!("../data/captures/bsdudp.txt")),
];

/// Lists the vectors, with the ports that the helper opens for each.
pub(crate) fn vectors() -> Vec<Case> {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).expect("vectors in JSON");
    vectors.into_iter().map(Vector::into_case).collect()
}

/// Lists the replies of the captures, each with its request.
pub(crate) fn captured() -> Vec<Case> {
    CAPTURES.into_iter().flat_map(|(name, capture)| replies(name, &datagrams(capture))).collect()
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    /// `orig` for a datagram of the initiator, `reply` for one of the responder.
    dir: String,
    ipv6: bool,
    req_hex: String,
    payload_hex: String,
    kernel_ports: Vec<u16>,
}

impl Vector {
    fn into_case(self) -> Case {
        let Self { name, dir, ipv6, req_hex, payload_hex, kernel_ports } = self;
        let say = if dir == "reply" { Step::Answers } else { Step::Asks };
        Case {
            name: format!("vector {name}"),
            ipv6,
            steps: vec![Step::Asks(FLOWS[0], bytes(&req_hex)), say(FLOWS[0], bytes(&payload_hex))],
            known: Effects::open(kernel_ports),
        }
    }
}

/// A datagram of IPv4, put together again.
struct Datagram {
    id: [u8; 2],
    /// The addresses and ports of sender and receiver.
    ends: [(Vec<u8>, Vec<u8>); 2],
    text: Vec<u8>,
}

fn replies(capture: &str, datagrams: &[Datagram]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, reply) in datagrams.iter().enumerate() {
        let Some(header) = reading::header(&reply.text).filter(|header| header.kind == "REP")
        else {
            continue;
        };
        let [from, to] = &reply.ends;
        let is_asked = |request: &&Datagram| {
            let found = reading::header(&request.text);
            let found = found.map(|found| (found.kind, found.handle, found.sequence));
            found == Some(("REQ", header.handle, header.sequence))
                && request.ends == [to.clone(), from.clone()]
        };
        let request = datagrams[..index].iter().rfind(is_asked).expect("the request of a reply");
        let name = format!("capture {capture}, reply in datagram {index}");
        cases.push(Case::answered(name, request.text.clone(), reply.text.clone()));
    }
    cases
}

/// Reads the UDP datagrams out of lines `microseconds hex # note`.
fn datagrams(capture: &str) -> Vec<Datagram> {
    let mut datagrams: Vec<Datagram> = Vec::new();
    for line in capture.lines().filter(|line| !line.starts_with('#')) {
        let frame = bytes(line.split(' ').nth(1).expect("a frame in hex"));
        let (ip, payload) = frame[14..].split_at(20);
        let place = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff;
        let id = [ip[4], ip[5]];
        match (ip[9], place) {
            (17, 0) => {
                let end =
                    |address, port| (ip[address..][..4].to_vec(), payload[port..][..2].to_vec());
                let ends = [end(12, 0), end(16, 2)];
                datagrams.push(Datagram { id, ends, text: payload[8..].to_vec() });
            }
            (17, _) => {
                let first = datagrams.iter_mut().rfind(|first| first.id == id);
                first.expect("a first fragment").text.extend(payload);
            }
            _ => {}
        }
    }
    datagrams
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a byte in hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}
