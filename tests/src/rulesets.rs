//! Random rules, and packets that meet their edges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::{Action, Rejection, Rule, State, Way};
use amanda_fw_common::ruleset::{ANY_PORT, Interfaces, Places, Protocol, Protocols, RuleSpec};

use crate::frames::{self, ACK, ICMP, ICMPV6, Packet, SYN, TCP, UDP};
use crate::random::splitmix64;

/// The interfaces that rules name, and one that none does.
pub const INTERFACES: [u32; 4] = [1, 2, 3, 9];

/// The ways of rules: the host's own packets meet most of them.
const WAYS: [Way; 8] = [
    Way::In,
    Way::Out,
    Way::In,
    Way::Out,
    Way::In,
    Way::Forward,
    Way::Prerouting,
    Way::Postrouting,
];
const PORTS: [u16; 10] = [1, 21, 22, 23, 79, 80, 1023, 1024, 40_000, u16::MAX];
const ICMP_TYPES: [u8; 6] = [8, 13, 17, 128, 138, 200];
/// SCTP and an unknown one beside those with ports and types.
const PROTOCOLS: [u8; 6] = [TCP, UDP, ICMP, ICMPV6, 132, 253];
/// Nested networks with their prefixes in 128 bits; hosts are taken from their ends.
const NETWORKS: [(IpAddr, u8); 12] = [
    (v4(0, 0, 0, 0), 96),
    (v4(10, 0, 0, 0), 104),
    (v4(10, 1, 0, 0), 112),
    (v4(10, 1, 2, 0), 120),
    (v4(10, 1, 2, 4), 126),
    (v4(10, 1, 2, 4), 128),
    (v4(192, 168, 0, 0), 112),
    (v6(0, 0), 8),
    (v6(1, 0), 32),
    (v6(1, 0), 64),
    (v6(1, 4), 126),
    (v6(1, 4), 128),
];

/// A source of numbers that are the same for the same seed.
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a small number");
        usize::try_from(splitmix64(&mut self.0) % limit).expect("a small number")
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    fn some<T: Copy>(&mut self, among: &[T], most: usize) -> Vec<T> {
        (0..=self.below(most)).map(|_| self.pick(among)).collect()
    }

    /// Makes up to so many rules, and the policies behind them; slots are counted from 1.
    pub fn rules(&mut self, most: usize) -> Vec<RuleSpec> {
        let count = self.below(most + 1);
        let rules: Vec<RuleSpec> = (0..count).map(|_| self.rule()).collect();
        let actions = [Action::Accept, Action::Drop, Action::Reject];
        let policies = [Way::In, Way::Out].map(|way| RuleSpec::policy(way, self.pick(&actions)));
        let slotted = |(slot, spec): (u16, RuleSpec)| {
            let rule = Rule { slot, ..spec.rule };
            RuleSpec { rule, ..spec }
        };
        (1..).zip(rules.into_iter().chain(policies)).map(slotted).collect()
    }

    fn rule(&mut self) -> RuleSpec {
        let action = self.pick(Action::ALL);
        let logs = u8::from(action == Action::Log || self.one_in(4));
        let rejection = self.pick(Rejection::ALL).number();
        let rule = Rule { logs, rejection, ..Rule::new(action, 0) };
        let way = self.pick(&WAYS);
        let outputs = if way == Way::Forward { self.interfaces() } else { Interfaces::Any };
        RuleSpec {
            interfaces: self.interfaces(),
            outputs,
            protocols: self.protocols(),
            states: self.states(),
            sources: self.places(),
            destinations: self.places(),
            source_ports: self.port_ranges(4),
            destination_ports: self.port_ranges(2),
            ..RuleSpec::all(way, rule)
        }
    }

    fn interfaces(&mut self) -> Interfaces {
        let named = self.some(&INTERFACES[..3], 2);
        match self.below(4) {
            0 => Interfaces::Only(named),
            1 => Interfaces::Except(named),
            _ => Interfaces::Any,
        }
    }

    fn protocols(&mut self) -> Protocols {
        if self.one_in(4) {
            return Protocols::Any;
        }
        let numbers = self.some(&PROTOCOLS, 3);
        let protocol = |number| {
            let typed = matches!(number, ICMP | ICMPV6) && !self.one_in(3);
            Protocol { number, icmp_type: typed.then(|| self.pick(&ICMP_TYPES)) }
        };
        Protocols::Only(numbers.into_iter().map(protocol).collect())
    }

    fn states(&mut self) -> Vec<State> {
        if self.one_in(3) { self.some(State::ALL, 2) } else { vec![State::New, State::Invalid] }
    }

    fn places(&mut self) -> Places {
        let networks: Vec<Network> = NETWORKS.map(|(a, p)| Network::new(a.into(), p)).to_vec();
        match self.below(4) {
            0 => Places::any(),
            1 => Places { within: vec![Network::ANY], except: self.some(&networks, 3) },
            2 => Places { within: self.some(&networks, 3), except: Vec::new() },
            _ => Places { within: self.some(&networks, 3), except: self.some(&networks, 3) },
        }
    }

    /// Makes ranges of ports, or once in a while none but that of all.
    fn port_ranges(&mut self, rarity: usize) -> Vec<PortRange> {
        if !self.one_in(rarity) {
            return vec![ANY_PORT];
        }
        let ends: Vec<(u16, u16)> =
            (0..=self.below(3)).map(|_| (self.pick(&PORTS), self.pick(&PORTS))).collect();
        ends.into_iter().map(|(a, b)| PortRange { low: a.min(b), high: a.max(b) }).collect()
    }

    /// Makes a packet whose fields lie at the edges of what rules name.
    pub fn packet(&mut self) -> Packet {
        let is_v4 = self.one_in(2);
        let (source, destination) = (self.host(is_v4), self.host(is_v4));
        let (from, to) =
            (SocketAddr::new(source, self.port()), SocketAddr::new(destination, self.port()));
        let data = vec![b'x'; self.below(1400)];
        match self.below(5) {
            0 => frames::tcp_with(from, to, SYN, b""),
            1 => frames::tcp_with(from, to, ACK, &data),
            2 => frames::udp(from, to, &data),
            3 => frames::icmp(source, destination, [self.pick(&ICMP_TYPES), 0], &[0; 8]),
            _ => Packet::new(source, destination, self.pick(&PROTOCOLS[4..]), vec![7; 24]),
        }
    }

    fn host(&mut self, is_v4: bool) -> IpAddr {
        let family: Vec<(IpAddr, u8)> =
            NETWORKS.into_iter().filter(|(address, _)| address.is_ipv4() == is_v4).collect();
        let (address, prefix) = self.pick(&family);
        // The first and the last of a network, and those beside them.
        let first = u128::from_be_bytes(Network::new(address.into(), prefix).addr().octets());
        let last = first | u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let choices =
            [first, first.wrapping_add(1), first.wrapping_sub(1), last, last.wrapping_add(1)];
        let chosen = Ipv6Addr::from(self.pick(&choices)).to_canonical();
        if chosen.is_ipv4() == is_v4 { chosen } else { address }
    }

    fn port(&mut self) -> u16 {
        let port = self.pick(&PORTS);
        [port, port.wrapping_add(1), port.wrapping_sub(1)][self.below(3)]
    }
}

/// Finds the place of the first rule that a packet fits, of those that decide or those that log.
#[must_use]
pub fn first(
    rules: &[RuleSpec],
    packet: &amanda_fw_common::wire::Packet,
    (way, interface, output): (Way, u32, u32),
    is_log: bool,
) -> Option<usize> {
    let fits = |spec: &RuleSpec| {
        (spec.rule.action == Action::Log.number()) == is_log
            && spec.matches(packet, way, interface, output)
    };
    rules.iter().position(fits)
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(network: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, 0, host))
}
