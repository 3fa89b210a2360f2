//! The packet path, shown a scenario: every decision needs a reason that held before it, and every
//! table gains only what the frame may add.

use std::net::IpAddr;

use amanda_fw_common::addr::{Addr, Network};
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::memory::{MemoryTable, MemoryTables};
use amanda_fw_common::nat::Crossing;
use amanda_fw_common::rules::{Action, Rejection, Rule, Way, role};
use amanda_fw_common::ruleset::{Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::wire::{
    self, Fragment, Link, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Packet,
};

use crate::answers::{self, Layer};
use crate::growth;
use crate::history::History;
use crate::reasons;
use crate::scenario::{CLIENT, Host, SERVER, STRANGER, Scenario, Setup, Step};
use crate::witness::Witness;

/// Reads a scenario and plays it, and panics where the firewall does what it must not.
pub fn run(input: &[u8]) {
    let Ok(Scenario { setup, steps }) = Scenario::read(input) else {
        return;
    };
    let mut firewall = Firewall::new(setup);
    for step in &steps {
        firewall.meets(step);
    }
}

/// How many entries each table holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) flows: usize,
    pub(crate) embryos: usize,
    pub(crate) fragments: usize,
    pub(crate) expectations: usize,
    pub(crate) requests: usize,
    pub(crate) transactions: usize,
}

impl Limits {
    const USUAL: Self =
        Self { flows: 8, embryos: 4, fragments: 3, expectations: 8, requests: 3, transactions: 4 };
    const SMALL: Self =
        Self { flows: 1, embryos: 1, fragments: 1, expectations: 2, requests: 1, transactions: 1 };
}

/// A firewall of the client's, with tables that a few frames fill.
struct Firewall {
    settings: Settings,
    limits: Limits,
    tables: MemoryTables,
    rules: Vec<RuleSpec>,
    history: History,
    /// Holds what the frame before left, as the kernel's scratch space does.
    packet: Packet,
    now: u64,
}

impl Firewall {
    fn new(setup: Setup) -> Self {
        let limits = if setup.is_small { Limits::SMALL } else { Limits::USUAL };
        const LATE: u64 = 1_000_000_000_000_000;
        let (mut settings, mut tables) = (settings(setup), tables(limits));
        let rules = if setup.has_rules { rules() } else { Vec::new() };
        tables.set_rules(&rules, &mut settings).expect("a few rules");
        Self {
            settings,
            limits,
            tables,
            rules,
            history: History::default(),
            packet: Packet::default(),
            now: if setup.is_early { 0 } else { LATE },
        }
    }

    fn meets(&mut self, step: &Step) {
        let Step { pause, way, link, frame } = step;
        let (way, link) = (*way, *link);
        self.now += u64::try_from(pause.as_nanos()).expect("a pause of days");
        let before = self.tables.clone();
        let Self { settings, tables, packet, now, .. } = self;
        let arrival = Arrival { way, link, interface: 2, from: 0, now: *now };
        let mut crossing = Crossing::NONE;
        let decision = datapath::decide(frame.as_slice(), &arrival, settings, tables, packet, &mut crossing);
        let inspection = decision.is_inspected().then(|| {
            datapath::inspect(frame.as_slice(), packet, &decision, &crossing, settings, tables, &arrival)
        });
        let mut fresh = Packet::default();
        let parsed = wire::parse(frame.as_slice(), link, &mut fresh).map(|()| fresh);
        if let Ok(fresh) = parsed {
            assert_eq!(told(packet), told(&fresh), "what the frame before left");
        }
        let witness = Witness {
            settings,
            limits: self.limits,
            rules: &self.rules,
            before: &before,
            after: tables,
            frame,
            way,
            now: *now,
            decision,
            inspection,
        };
        match parsed {
            Ok(packet) => {
                check_answers(frame, &packet);
                reasons::check(&witness, &self.history, &packet);
                growth::check(&witness, &self.history, &packet);
                self.history.add(&witness, &packet);
            }
            Err(reason) => assert_eq!(decision.reason(), reason),
        }
    }
}

/// Builds what a frame is answered with in every way to reject it, and checks it by the RFCs.
fn check_answers(frame: &[u8], packet: &Packet) {
    let is_whole = packet.fragment == Fragment::Whole;
    for rejection in Rejection::ALL {
        for layer in [Layer::Xdp, Layer::Tc] {
            let Some(answer) = answers::assemble(frame, packet, *rejection, layer) else {
                continue;
            };
            assert!(is_whole && may_be_answered(packet), "an answer to {packet:?}");
            let is_partial =
                layer == Layer::Tc && answers::is_seeded(&frame[packet.network..packet.end]);
            answers::check(frame, packet.network, &answer, is_partial);
            assert_silence(&answer, packet.network);
        }
    }
}

/// Tells whether a packet is no answer itself.
fn may_be_answered(packet: &Packet) -> bool {
    match packet.protocol {
        PROTOCOL_TCP => !packet.tcp.rst(),
        PROTOCOL_ICMP => packet.icmp_type == 8,
        PROTOCOL_ICMPV6 => packet.icmp_type == 128,
        _ => true,
    }
}

/// Checks that nobody answers an answer.
fn assert_silence(answer: &[u8], network: usize) {
    let link = if network == 0 { Link::Raw } else { Link::Ethernet };
    let mut packet = Packet::default();
    assert_eq!(wire::parse(answer, link, &mut packet), Ok(()), "an answer is sound");
    for rejection in Rejection::ALL {
        for layer in [Layer::Xdp, Layer::Tc] {
            let again = answers::assemble(answer, &packet, *rejection, layer);
            assert_eq!(again, None, "an answer to an answer");
        }
    }
}

/// Returns a packet without the fields that say nothing of it: a whole one has no identification.
fn told(packet: &Packet) -> Packet {
    match packet.fragment {
        Fragment::Whole => Packet { id: 0, fragment_protocol: 0, ..*packet },
        Fragment::First | Fragment::Later => *packet,
    }
}

fn settings(setup: Setup) -> Settings {
    let mut settings = Settings::default();
    settings.accept_incoming = u8::from(setup.accepts_incoming);
    settings.accept_outgoing = u8::from(!setup.drops_outgoing);
    if setup.is_narrow {
        (settings.stream_low, settings.stream_high) = (50000, 50100);
    }
    settings
}

fn tables(limits: Limits) -> MemoryTables {
    let Limits { flows, embryos, fragments, expectations, requests, transactions } = limits;
    let known = [(SERVER, role::SERVER), (CLIENT, role::CLIENT)];
    let roles = known.into_iter().flat_map(|(host, role)| networks(host).map(|n| (n, role)));
    MemoryTables {
        flows: MemoryTable::bounded(flows),
        embryos: MemoryTable::evicting(embryos),
        fragments: MemoryTable::evicting(fragments),
        expectations: MemoryTable::bounded(expectations),
        requests: MemoryTable::evicting(requests),
        transactions: MemoryTable::bounded(transactions),
        roles: roles.collect(),
        ..MemoryTables::default()
    }
}

fn networks((v4, v6): Host) -> [Network; 2] {
    [IpAddr::from(v4), IpAddr::from(v6)].map(|ip| Network::new(Addr::from(ip), 128))
}

/// Lets syslog, echo and the stranger's SSH in, rejects FTP, and keeps the stranger from everything
/// else.
fn rules() -> Vec<RuleSpec> {
    let stranger = || Places { within: networks(STRANGER).to_vec(), except: Vec::new() };
    let rule = |action| RuleSpec::all(Way::In, Rule::new(action, 0));
    let of = |number, icmp_type| Protocols::Only(vec![Protocol { number, icmp_type }]);
    let port = |port| vec![PortRange { low: port, high: port }];
    vec![
        RuleSpec {
            protocols: of(PROTOCOL_UDP, None),
            destination_ports: port(514),
            ..rule(Action::Accept)
        },
        RuleSpec {
            sources: stranger(),
            protocols: of(PROTOCOL_TCP, None),
            destination_ports: port(22),
            ..rule(Action::Accept)
        },
        RuleSpec { protocols: of(PROTOCOL_ICMP, Some(8)), ..rule(Action::Accept) },
        RuleSpec { destination_ports: port(20), ..rule(Action::Reject) },
        RuleSpec { sources: stranger(), ..rule(Action::Drop) },
    ]
}
