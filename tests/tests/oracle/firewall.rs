//! amanda-fw's packet path on both hosts of a case, over tables in memory.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use amanda_fw_common::nat::Crossing;
use amanda_fw_common::{
    addr::Network,
    datapath::{self, Arrival},
    memory::MemoryTables,
    rules::{Way, role},
    settings::Settings,
    verdict::Verdict,
    wire::{Link, Packet},
};
use amanda_fw_tests::frames::{self, ACK, RST, SYN};

use crate::case::{Case, Effects, Step};
use crate::helper::{AMANDAD, INITIATOR, RESPONDER, STRANGER};

/// The payload of a frame's fragment, which IPv6 leaves room for, too.
const FRAGMENT: u16 = 1448;

/// Plays a case.
pub(crate) fn play(case: &Case) -> Effects {
    let mut site = Site { initiator: Host::new(), responder: Host::new(), ipv6: case.ipv6 };
    let steps = case.steps.iter().enumerate();
    let lost = steps.filter(|(_, step)| !site.carries(step)).map(|(index, _)| index).collect();
    let open = site.responder.open_ports();
    assert_eq!(site.initiator.open_ports(), open, "the two hosts of {}", case.name);
    Effects { open: open.into_iter().collect(), lost }
}

struct Site {
    initiator: Host,
    responder: Host,
    ipv6: bool,
}

impl Site {
    /// Plays a step, and tells whether its packet arrives.
    fn carries(&mut self, step: &Step) -> bool {
        let amandad = self.end(RESPONDER, AMANDAD);
        match step {
            Step::Asks(flow, text) => {
                let datagram = frames::udp(self.end(INITIATOR, *flow), amandad, text);
                pass(&mut self.initiator, &mut self.responder, &pieces(&datagram))
            }
            Step::Answers(flow, text) => {
                let datagram = frames::udp(amandad, self.end(INITIATOR, *flow), text);
                pass(&mut self.responder, &mut self.initiator, &pieces(&datagram))
            }
            Step::AnswersBackwards(flow, text) => {
                let datagram = frames::udp(amandad, self.end(INITIATOR, *flow), text);
                let mut pieces = pieces(&datagram);
                pieces.reverse();
                pass(&mut self.responder, &mut self.initiator, &pieces)
            }
            Step::Connects(from, to) => {
                let (from, to) = (self.end(INITIATOR, *from), self.end(RESPONDER, *to));
                let syn = frames::tcp(from, to, SYN);
                let arrives = pass(&mut self.initiator, &mut self.responder, &[syn]);
                // Nobody listens.
                let reset = frames::tcp(to, from, RST | ACK);
                arrives && pass(&mut self.responder, &mut self.initiator, &[reset])
            }
            Step::Intrudes(from, to) => {
                let syn = frames::tcp(self.end(STRANGER, *from), self.end(RESPONDER, *to), SYN);
                self.responder.accepts(Way::In, &syn)
            }
            Step::Silence(seconds) => {
                let silence = Duration::from_secs(*seconds);
                self.initiator.now += silence;
                self.responder.now += silence;
                true
            }
        }
    }

    fn end(&self, host: [&str; 2], port: u16) -> SocketAddr {
        let address = host[usize::from(self.ipv6)].parse().expect("an address");
        SocketAddr::new(address, port)
    }
}

/// Cuts what is too large for a frame into the packets that carry it.
pub(crate) fn pieces(packet: &frames::Packet) -> Vec<frames::Packet> {
    let is_large = packet.payload.len() > usize::from(FRAGMENT);
    if is_large { packet.fragments(7, FRAGMENT) } else { vec![packet.clone()] }
}

/// Sends each piece, and tells whether all arrive.
fn pass(from: &mut Host, to: &mut Host, pieces: &[frames::Packet]) -> bool {
    let mut arrives = |piece| from.accepts(Way::Out, piece) && to.accepts(Way::In, piece);
    let arrived: Vec<bool> = pieces.iter().map(&mut arrives).collect();
    arrived.into_iter().all(|arrived| arrived)
}

/// One firewall, with what it remembers.
struct Host {
    settings: Settings,
    tables: MemoryTables,
    now: Duration,
}

impl Host {
    fn new() -> Self {
        let mut tables = MemoryTables::default();
        for address in INITIATOR.into_iter().chain(RESPONDER) {
            let address: IpAddr = address.parse().expect("an address");
            tables.roles.push((Network::new(address.into(), 128), role::SERVER | role::CLIENT));
        }
        Self { settings: Settings::default(), tables, now: Duration::from_secs(1_000_000) }
    }

    fn accepts(&mut self, way: Way, packet: &frames::Packet) -> bool {
        let (frame, now) = (packet.ethernet(), self.nanoseconds());
        let arrival = Arrival { way, link: Link::Ethernet, interface: 2, from: 0, now };
        let mut packet = Packet::default();
        let Self { settings, tables, .. } = self;
        let frame = frame.as_slice();
        let mut crossing = Crossing::NONE;
        let decision =
            datapath::decide(frame, &arrival, settings, tables, &mut packet, &mut crossing);
        if decision.is_inspected() {
            datapath::inspect(frame, &packet, &decision, &crossing, settings, tables, &arrival);
        }
        decision.verdict() == Verdict::Accept
    }

    fn open_ports(&self) -> Vec<u16> {
        let now = self.nanoseconds();
        let all = self.tables.expectations.iter().filter(|(_, e)| !e.is_expired(now));
        let mut ports: Vec<u16> = all.map(|(key, _)| key.port).collect();
        ports.sort_unstable();
        ports
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.now.as_nanos()).expect("a time of less than 500 years")
    }
}
