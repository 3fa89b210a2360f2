//! Cases from data: the vectors that were measured against the helper, and captures of Amanda.

use amanda_fw_tests::frames::{ACK, SYN, TCP, UDP};
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
            wanted: None,
        }
    }
}

/// Lists the control flows of the captures, each with all that is said on it and the connections
/// that follow from it.
pub(crate) fn dialogues() -> Vec<Case> {
    CAPTURES.into_iter().flat_map(|(name, capture)| flows(name, &packets(capture))).collect()
}

/// A datagram of IPv4, put together again.
#[derive(Clone)]
struct Datagram {
    id: [u8; 2],
    /// The addresses and ports of sender and receiver.
    ends: [End; 2],
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

/// An end of a datagram or connection: address and port.
type End = (Vec<u8>, Vec<u8>);

/// What a capture has, in its order.
enum Captured {
    Datagram(Datagram),
    /// A request for a connection, by sender and receiver.
    Connection([End; 2]),
}

/// Plays each control flow of a capture by itself.
fn flows(capture: &str, packets: &[Captured]) -> Vec<Case> {
    let mut flows: Vec<Flow> = Vec::new();
    for packet in packets {
        match packet {
            Captured::Datagram(datagram) => Flow::of(&mut flows, datagram).say(datagram),
            Captured::Connection(ends) => {
                let announced = flows.iter_mut().rev().find(|flow| flow.has_announced(ends));
                announced.expect("the reply that announced a port").connect(ends);
            }
        }
    }
    let case = |(index, flow): (usize, Flow)| {
        let name = format!("capture {capture}, control flow {index}");
        // Whoever announced a port was connected to, and every packet arrived.
        let wanted = Some(Effects::default());
        Case { name, ipv6: false, known: flow.known, wanted, steps: flow.steps }
    };
    flows.into_iter().enumerate().map(case).collect()
}

/// A control flow, and what the helper is known to make of it.
struct Flow {
    /// Who asks, and who answers.
    ends: [End; 2],
    steps: Vec<Step>,
    /// The ports of the last line that announced any.
    announced: Vec<u16>,
    /// The ports that the helper waits for, from the oldest on.
    waiting: Vec<u16>,
    known: Effects,
}

impl Flow {
    /// Finds the flow of a datagram, of which the first one is a request.
    fn of<'a>(flows: &'a mut Vec<Self>, datagram: &Datagram) -> &'a mut Self {
        let [from, to] = &datagram.ends;
        let is_of =
            |flow: &Self| flow.ends == datagram.ends || flow.ends == [to.clone(), from.clone()];
        let place = flows.iter().position(is_of).unwrap_or_else(|| {
            flows.push(Self {
                ends: datagram.ends.clone(),
                steps: Vec::new(),
                announced: Vec::new(),
                waiting: Vec::new(),
                known: Effects::default(),
            });
            flows.len() - 1
        });
        &mut flows[place]
    }

    fn say(&mut self, datagram: &Datagram) {
        if datagram.ends == self.ends {
            self.steps.push(Step::Asks(FLOWS[0], datagram.text.clone()));
            return;
        }
        self.steps.push(Step::Answers(FLOWS[0], datagram.text.clone()));
        for port in reading::of_helper(&datagram.text) {
            self.waiting.retain(|&waiting| waiting != port);
            self.waiting.push(port);
        }
        let surplus = self.waiting.len().saturating_sub(reading::HELPER_ORDER.len());
        self.waiting.drain(..surplus);
        self.known.open = self.waiting.iter().copied().collect();
        let header = reading::header(&datagram.text);
        if let Some(streams) = header.and_then(|header| reading::streams(header.body)) {
            self.announced = streams.iter().filter_map(|(_, number)| number.parse().ok()).collect();
        }
    }

    /// Tells whether a connection is one that the flow has announced.
    fn has_announced(&self, [(from, _), (to, port)]: &[End; 2]) -> bool {
        let [(initiator, _), (responder, _)] = &self.ends;
        initiator == from && responder == to && self.announced.contains(&number(port))
    }

    fn connect(&mut self, [(_, from), (_, to)]: &[End; 2]) {
        let (from, to) = (number(from), number(to));
        if !self.known.open.remove(&to) {
            self.known.lost.insert(self.steps.len());
        }
        self.waiting.retain(|&waiting| waiting != to);
        self.steps.push(Step::Connects(from, to));
    }
}

fn number(port: &[u8]) -> u16 {
    u16::from_be_bytes(port.try_into().expect("a port of two bytes"))
}

fn datagrams(capture: &str) -> Vec<Datagram> {
    let packets = packets(capture).into_iter();
    packets.filter_map(|packet| packet.datagram().cloned()).collect()
}

impl Captured {
    fn datagram(&self) -> Option<&Datagram> {
        if let Self::Datagram(datagram) = self { Some(datagram) } else { None }
    }

    fn datagram_mut(&mut self) -> Option<&mut Datagram> {
        if let Self::Datagram(datagram) = self { Some(datagram) } else { None }
    }
}

/// Reads UDP datagrams and requests for connections out of lines `microseconds hex # note`.
fn packets(capture: &str) -> Vec<Captured> {
    /// The flags of a segment, and those that tell a request for a connection from all others.
    const FLAGS: (usize, u8, u8) = (13, SYN | ACK, SYN);
    let mut packets: Vec<Captured> = Vec::new();
    for line in capture.lines().filter(|line| !line.starts_with('#')) {
        let frame = bytes(line.split(' ').nth(1).expect("a frame in hex"));
        let (ip, payload) = frame[14..].split_at(20);
        let place = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff;
        let id = [ip[4], ip[5]];
        let end = |address, port| (ip[address..][..4].to_vec(), payload[port..][..2].to_vec());
        let ends = || [end(12, 0), end(16, 2)];
        let (flags, mask, asks) = FLAGS;
        match (ip[9], place) {
            (UDP, 0) => {
                let text = payload[8..].to_vec();
                packets.push(Captured::Datagram(Datagram { id, ends: ends(), text }));
            }
            (UDP, _) => {
                let mut datagrams = packets.iter_mut().rev().filter_map(Captured::datagram_mut);
                let first = datagrams.find(|first| first.id == id);
                first.expect("a first fragment").text.extend(payload);
            }
            (TCP, 0) if payload[flags] & mask == asks => {
                packets.push(Captured::Connection(ends()));
            }
            _ => {}
        }
    }
    packets
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a byte in hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}
