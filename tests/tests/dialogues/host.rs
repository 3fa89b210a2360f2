//! Hosts of a test: each behind a firewall of its own, on one wire and under one clock.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use amanda_fw_common::addr::{Addr, Network};
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::datapath::{self, Arrival, Decision};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::nat::Crossing;
use amanda_fw_common::rules::{Action, Rule, Way, role};
use amanda_fw_common::ruleset::{ANY_PORT, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::Table;
use amanda_fw_common::transaction::Inspection;
use amanda_fw_common::verdict::{Counter, Reason, Verdict};
use amanda_fw_common::wire::{self, Link, Packet};
use amanda_fw_tests::frames;

/// The backup server's address.
pub(crate) const SERVER: &str = "10.0.0.1";
/// The client's.
pub(crate) const CLIENT: &str = "10.0.0.2";
/// That of a host that is neither.
pub(crate) const STRANGER: &str = "10.0.0.9";
/// The server's address of the other family.
pub(crate) const SERVER_V6: &str = "fd00::1";
/// The client's.
pub(crate) const CLIENT_V6: &str = "fd00::2";
/// The stranger's.
pub(crate) const STRANGER_V6: &str = "fd00::9";

/// Long after the machine was started.
const START: Duration = Duration::from_secs(1_000_000);

/// One firewall: its settings, its tables, and the time.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) settings: Settings,
    pub(crate) tables: MemoryTables,
    rules: Vec<RuleSpec>,
    /// The policies that the settings do not say.
    policies: Vec<RuleSpec>,
    now: Duration,
}

/// What a firewall made of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    /// What was read from a datagram of a control flow.
    pub(crate) inspection: Option<Inspection>,
    /// What becomes of the packet beside its verdict.
    pub(crate) crossing: Crossing,
}

impl Outcome {
    pub(crate) fn reason(&self) -> Reason {
        self.decision.reason()
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.decision.verdict() == Verdict::Accept
    }
}

impl Host {
    /// Makes a host that lets in what Amanda needs between [`SERVER`] and [`CLIENT`], and no more.
    pub(crate) fn new() -> Self {
        let (settings, tables) = (Settings::default(), MemoryTables::default());
        let (rules, policies) = (Vec::new(), Vec::new());
        let mut host = Self { settings, tables, rules, policies, now: START };
        host.set_policies();
        for (address, role) in [
            (SERVER, role::SERVER),
            (SERVER_V6, role::SERVER),
            (CLIENT, role::CLIENT),
            (CLIENT_V6, role::CLIENT),
        ] {
            host.knows(address, role);
        }
        host
    }

    /// Tells the firewall what a host is to Amanda, as bits of [`role`].
    pub(crate) fn knows(&mut self, address: &str, role: u8) {
        self.tables.roles.push((Network::new(ip(address).into(), 128), role));
    }

    /// Lets so much time go by.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Lets new flows of a protocol in (0 for any), to one port or to any.
    pub(crate) fn accept_in(&mut self, protocol: u8, port: Option<u16>) {
        let protocols = match protocol {
            0 => Protocols::Any,
            number => Protocols::Only(vec![Protocol { number, icmp_type: None }]),
        };
        let ports = port.map_or(ANY_PORT, |port| PortRange { low: port, high: port });
        self.add_rule(RuleSpec {
            protocols,
            destination_ports: vec![ports],
            ..RuleSpec::all(Way::In, Rule::new(Action::Accept, 0))
        });
    }

    /// Asks one rule more, after those before.
    pub(crate) fn add_rule(&mut self, rule: RuleSpec) {
        self.rules.push(rule);
        self.set_policies();
    }

    /// Takes all rules out of force but for the policies.
    pub(crate) fn clear_rules(&mut self) {
        self.rules.clear();
        self.set_policies();
    }

    /// Sets a policy that the settings do not say.
    pub(crate) fn add_policy(&mut self, policy: RuleSpec) {
        self.policies.push(policy);
        self.set_policies();
    }

    /// Puts the rules in force, and the policies.
    pub(crate) fn set_policies(&mut self) {
        let rules = [&self.rules[..], &self.policies].concat();
        self.tables.set_rules(&rules, &mut self.settings).expect("a few rules");
    }

    /// Shows the firewall a frame with an Ethernet header.
    pub(crate) fn meets(&mut self, way: Way, frame: &[u8]) -> Outcome {
        self.meets_on(Link::Ethernet, way, frame)
    }

    /// Shows the firewall a frame.
    pub(crate) fn meets_on(&mut self, link: Link, way: Way, frame: &[u8]) -> Outcome {
        let arrival = Arrival { way, link, interface: 2, from: 0, now: self.now() };
        self.meets_by(&arrival, frame)
    }

    /// Shows the firewall a frame where and when it comes.
    pub(crate) fn meets_by(&mut self, arrival: &Arrival, frame: &[u8]) -> Outcome {
        let mut packet = Packet::default();
        let Self { settings, tables, .. } = self;
        let mut crossing = Crossing::NONE;
        let decision =
            datapath::decide(frame, arrival, settings, tables, &mut packet, &mut crossing);
        let inspection = decision.is_inspected().then(|| {
            datapath::inspect(frame, &packet, &decision, &crossing, settings, tables, arrival)
        });
        Outcome { decision, inspection, crossing }
    }

    /// Returns the time, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        nanoseconds(self.now)
    }

    /// Checks what becomes of an incoming packet.
    #[track_caller]
    pub(crate) fn receives(&mut self, packet: &frames::Packet, expected: Reason) -> Outcome {
        self.check(Way::In, packet, expected)
    }

    /// Checks what becomes of an outgoing packet.
    #[track_caller]
    pub(crate) fn sends(&mut self, packet: &frames::Packet, expected: Reason) -> Outcome {
        self.check(Way::Out, packet, expected)
    }

    #[track_caller]
    fn check(&mut self, way: Way, packet: &frames::Packet, expected: Reason) -> Outcome {
        let outcome = self.meets(way, &packet.ethernet());
        assert_eq!(outcome.reason(), expected, "{way:?} {packet:?}");
        outcome
    }

    /// Lists the ports that are open to somebody now, in order.
    pub(crate) fn open_ports(&self) -> Vec<u16> {
        let now = self.now();
        let all = self.tables.expectations.iter().filter(|(_, e)| !e.is_expired(now));
        let mut ports: Vec<u16> = all.map(|(key, _)| key.port).collect();
        ports.sort_unstable();
        ports
    }

    /// Finds the flow of a packet.
    pub(crate) fn flow(&mut self, packet: &Packet) -> Option<Flow> {
        let (key, _) = FlowKey::new(packet.protocol, packet.source, packet.destination);
        let Self { tables, .. } = self;
        tables.flows.get(&key).or(tables.embryos.get(&key)).copied()
    }

    pub(crate) fn counted(&self, counter: Counter) -> u64 {
        self.tables.counted(counter.number())
    }
}

/// The server and the client, on one wire.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) server: Host,
    pub(crate) client: Host,
}

/// What the two firewalls on its way made of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    pub(crate) departure: Outcome,
    pub(crate) arrival: Option<Outcome>,
}

impl Passage {
    /// Returns why the packet was dropped where it was, or accepted where it arrived.
    pub(crate) fn reason(&self) -> Reason {
        self.arrival.unwrap_or(self.departure).reason()
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { server: Host::new(), client: Host::new() }
    }

    /// Lets so much time go by on both hosts.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.server.wait(time);
        self.client.wait(time);
    }

    /// Sends a frame from the host whose address it has to the other one.
    pub(crate) fn carry(&mut self, frame: &[u8], server: Addr) -> Passage {
        let mut packet = Packet::default();
        let parsed = wire::parse(frame, Link::Ethernet, &mut packet);
        assert_eq!(parsed, Ok(()), "a host sends a sound frame");
        let Self { server: left, client: right } = self;
        let (from, to) = if packet.source.addr == server { (left, right) } else { (right, left) };
        let departure = from.meets(Way::Out, frame);
        let arrival = departure.is_accepted().then(|| to.meets(Way::In, frame));
        Passage { departure, arrival }
    }

    /// Sends a packet from the server or the client to the other one.
    pub(crate) fn send(&mut self, packet: &frames::Packet) -> Passage {
        let server = [ip(SERVER), ip(SERVER_V6)].into_iter().find(|&a| is_of(packet, a));
        self.carry(&packet.ethernet(), server.expect("the server's address").into())
    }

    /// Sends a packet that must arrive.
    #[track_caller]
    pub(crate) fn passes(&mut self, packet: &frames::Packet) -> Passage {
        let passage = self.send(packet);
        assert!(passage.arrival.is_some_and(|a| a.is_accepted()), "{passage:?} {packet:?}");
        passage
    }

    /// Sends a packet, and checks why it arrives, or why and that it does not.
    #[track_caller]
    pub(crate) fn check(&mut self, packet: &frames::Packet, expected: Reason) {
        let passage = self.send(packet);
        assert_eq!(passage.reason(), expected, "{passage:?} {packet:?}");
    }

    /// Lists the ports that are open now, on which both hosts must agree.
    #[track_caller]
    pub(crate) fn open_ports(&self) -> Vec<u16> {
        let ports = self.client.open_ports();
        assert_eq!(self.server.open_ports(), ports, "the server's view, and the client's");
        ports
    }
}

fn is_of(packet: &frames::Packet, address: IpAddr) -> bool {
    packet.source == address || packet.destination == address
}

pub(crate) fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

pub(crate) fn endpoint(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a time of less than 500 years")
}
