//! The packet path, shown a scenario: every decision needs a reason that held before it, and every
//! table gains only what the frame may add.

use std::net::IpAddr;

use amanda_fw_common::addr::{Addr, Network};
use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::memory::{MemoryTable, MemoryTables};
use amanda_fw_common::rules::{ANY_TYPE, Rule, Way, role};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::wire::{self, Fragment, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, Packet};

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
    history: History,
    /// Holds what the frame before left, as the kernel's scratch space does.
    packet: Packet,
    now: u64,
}

impl Firewall {
    fn new(setup: Setup) -> Self {
        let limits = if setup.is_small { Limits::SMALL } else { Limits::USUAL };
        const LATE: u64 = 1_000_000_000_000_000;
        Self {
            settings: settings(setup),
            limits,
            tables: tables(setup, limits),
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
        let arrival = Arrival { way, link, interface: 2, now: *now };
        let decision = datapath::decide(frame.as_slice(), &arrival, settings, tables, packet);
        let inspection = decision.is_control().then(|| {
            datapath::inspect(frame.as_slice(), packet, &decision, settings, tables, *now)
        });
        let mut fresh = Packet::default();
        let parsed = wire::parse(frame.as_slice(), link, &mut fresh).map(|()| fresh);
        if let Ok(fresh) = parsed {
            assert_eq!(told(packet), told(&fresh), "what the frame before left");
        }
        let witness = Witness {
            settings,
            limits: self.limits,
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
                reasons::check(&witness, &self.history, &packet);
                growth::check(&witness, &self.history, &packet);
                self.history.add(&witness, &packet);
            }
            Err(reason) => assert_eq!(decision.reason(), reason),
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

fn tables(setup: Setup, limits: Limits) -> MemoryTables {
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
        rules: if setup.has_rules { rules() } else { Vec::new() },
        ..MemoryTables::default()
    }
}

fn networks((v4, v6): Host) -> [Network; 2] {
    [IpAddr::from(v4), IpAddr::from(v6)].map(|ip| Network::new(Addr::from(ip), 128))
}

/// Lets syslog, echo and the stranger's SSH in, and keeps the stranger from everything else.
fn rules() -> Vec<Rule> {
    let [stranger, _] = networks(STRANGER);
    vec![
        Rule { port_low: 514, port_high: 514, ..rule(1, PROTOCOL_UDP) },
        Rule { from: stranger, port_low: 22, port_high: 22, ..rule(2, PROTOCOL_TCP) },
        Rule { icmp_type: 8, ..rule(3, PROTOCOL_ICMP) },
        Rule { from: stranger, accept: 0, ..rule(4, 0) },
    ]
}

fn rule(number: u16, protocol: u8) -> Rule {
    Rule {
        from: Network::ANY,
        number,
        port_low: 0,
        port_high: u16::MAX,
        source_port_low: 0,
        source_port_high: u16::MAX,
        protocol,
        way: Way::In as u8,
        icmp_type: ANY_TYPE,
        accept: 1,
        pad: 0,
    }
}
