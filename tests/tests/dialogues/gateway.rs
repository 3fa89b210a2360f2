//! A gateway of a test: one firewall on three interfaces, which forwards and translates.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use amanda_fw_common::addr::{Endpoint, Network};
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::datapath::Arrival;
use amanda_fw_common::nat::{Translation, TranslationKind};
use amanda_fw_common::rules::{Action, Rule, State, Way};
use amanda_fw_common::ruleset::{Interfaces, Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::gateway;
use amanda_fw_common::tables::Router;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{self, Link};
use amanda_fw_tests::frames::Packet;
use amanda_fw_tests::rewriting::{announced, rewritten};

use crate::host::{Host, Outcome, ip};

/// The interface to the hosts inside.
pub(crate) const INSIDE: u32 = 1;
/// The interface to everybody else.
pub(crate) const OUTSIDE: u32 = 2;
/// The interface to other hosts inside.
pub(crate) const DMZ: u32 = 3;
/// The interface that stands for this host.
const LOCAL: u32 = 0;

/// The gateway's address outside.
pub(crate) const GATEWAY: &str = "203.0.113.1";
/// The gateway's address inside.
pub(crate) const GATEWAY_INSIDE: &str = "192.168.2.1";
/// A host inside.
pub(crate) const INSIDER: &str = "192.168.2.2";
/// Another one.
pub(crate) const NEIGHBOUR: &str = "192.168.2.3";
/// A host behind the third interface.
pub(crate) const DMZ_HOST: &str = "10.0.3.3";
/// A host outside.
pub(crate) const REMOTE: &str = "198.51.100.7";
/// Another one.
pub(crate) const OTHER: &str = "198.51.100.8";
/// A host inside, of the other family.
pub(crate) const INSIDER_V6: &str = "2001:db8:2::2";
/// A host outside.
pub(crate) const REMOTE_V6: &str = "2001:db8:ffff::7";

/// The networks, their prefixes, and where they are.
const ROUTES: [(&str, u8, u32); 9] = [
    ("0.0.0.0", 0, OUTSIDE),
    ("192.168.2.0", 24, INSIDE),
    ("10.0.3.0", 24, DMZ),
    (GATEWAY, 32, LOCAL),
    (GATEWAY_INSIDE, 32, LOCAL),
    // Addresses that are translated are local, as those are that an interface has.
    ("203.0.113.16", 28, LOCAL),
    ("::", 0, OUTSIDE),
    ("2001:db8:2::", 64, INSIDE),
    ("2001:db8:2::1", 128, LOCAL),
];

/// One firewall on all interfaces of a gateway.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) host: Host,
}

/// What the hooks on its way made of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// What each made of it.
    pub(crate) hops: Vec<Outcome>,
    /// The packet as it arrived or left, if it did.
    pub(crate) packet: Option<Packet>,
    /// Index of the interface that it left by, 0 where it was for the gateway.
    pub(crate) output: u32,
}

impl Passage {
    /// Returns why the packet was dropped, or else why it was let in.
    pub(crate) fn reason(&self) -> Reason {
        let last = self.hops.iter().find(|hop| !hop.is_accepted());
        last.unwrap_or(&self.hops[0]).reason()
    }
}

impl Gateway {
    /// Makes a gateway that forwards what hosts inside begin, and no more.
    pub(crate) fn new() -> Self {
        let mut gateway = Self::closed();
        gateway.accept(RuleSpec {
            interfaces: Interfaces::Only(vec![INSIDE, DMZ]),
            ..RuleSpec::all(Way::Forward, Rule::default())
        });
        gateway
    }

    /// Makes a gateway that forwards nothing.
    pub(crate) fn closed() -> Self {
        let mut host = Host::new();
        host.settings.gateway = gateway::FORWARDS | gateway::TRANSLATES;
        host.add_policy(RuleSpec::policy(Way::Forward, Action::Drop));
        host.tables.addresses.insert(OUTSIDE, number(GATEWAY));
        let route = |(address, prefix, output): (&str, u8, u32)| {
            let address = ip(address);
            let mapped = if address.is_ipv4() { 96 } else { 0 };
            (Network::new(address.into(), prefix + mapped), output)
        };
        host.tables.routes = ROUTES.map(route).to_vec();
        Self { host }
    }

    /// Makes a gateway that lends hosts inside the address of its interface outside, and forwards
    /// what they begin.
    pub(crate) fn masquerading() -> Self {
        let mut gateway = Self::new();
        gateway.translate_source(masquerade());
        gateway
    }

    /// Lets so much time go by.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.host.wait(time);
    }

    /// Accepts packets of a kind.
    pub(crate) fn accept(&mut self, spec: RuleSpec) {
        self.host.add_rule(RuleSpec { rule: Rule::new(Action::Accept, 0), ..spec });
    }

    /// Accepts forwarded packets of a protocol to a host, whoever begins.
    pub(crate) fn accept_to(&mut self, address: &str, protocol: u8) {
        self.accept(RuleSpec {
            destinations: only(address),
            protocols: of_protocol(protocol),
            ..RuleSpec::all(Way::Forward, Rule::default())
        });
    }

    /// Translates packets of a kind.
    pub(crate) fn translate(&mut self, spec: RuleSpec, translation: Translation) {
        let translations = &mut self.host.tables.translations;
        let index = u16::try_from(translations.len()).expect("a few translations");
        translations.push(translation);
        let rule = Rule { translation: index, ..Rule::new(Action::Translate, 0) };
        self.host.add_rule(RuleSpec { rule, states: vec![State::New], ..spec });
    }

    /// Translates sources of what leaves outside.
    pub(crate) fn translate_source(&mut self, translation: Translation) {
        let spec = RuleSpec {
            interfaces: Interfaces::Only(vec![OUTSIDE]),
            ..RuleSpec::all(Way::Postrouting, Rule::default())
        };
        self.translate(spec, translation);
    }

    /// Translates destinations of what is sent to ports of the gateway's address outside: to an
    /// address, and where a port is named, to ports from there on.
    pub(crate) fn translate_destination(
        &mut self,
        protocol: u8,
        ports: PortRange,
        address: &str,
        port: u16,
    ) {
        let spec = RuleSpec {
            destinations: only(GATEWAY),
            protocols: of_protocol(protocol),
            destination_ports: vec![ports],
            ..RuleSpec::all(Way::Prerouting, Rule::default())
        };
        self.translate(spec, to_address(address, port, ports));
    }

    /// Carries a packet that comes by an interface.
    #[track_caller]
    pub(crate) fn carries(&mut self, packet: &Packet, interface: u32) -> Passage {
        let mut passage = Passage { hops: Vec::new(), packet: None, output: LOCAL };
        if let Some(packet) = self.hook(Way::In, packet, (interface, 0), &mut passage) {
            self.goes_on(&packet, interface, &mut passage);
        }
        passage
    }

    /// Sends a packet of the gateway's own, or one that came by an interface without firewall.
    #[track_caller]
    pub(crate) fn sends(&mut self, packet: &Packet, from: u32) -> Passage {
        let mut passage = Passage { hops: Vec::new(), packet: None, output: LOCAL };
        self.goes_on(packet, from, &mut passage);
        passage
    }

    /// Carries a packet that must arrive at the gateway, or leave by an interface.
    #[track_caller]
    pub(crate) fn passes(&mut self, packet: &Packet, from: u32, output: u32) -> Packet {
        let passage = self.carries(packet, from);
        let passed = passage.packet.clone().unwrap_or_else(|| panic!("{passage:?} {packet:?}"));
        assert_eq!(passage.output, output, "where it leaves, {packet:?}");
        passed
    }

    /// Carries a packet that must go from inside to outside.
    #[track_caller]
    pub(crate) fn leaves(&mut self, packet: &Packet) -> Packet {
        self.passes(packet, INSIDE, OUTSIDE)
    }

    /// Carries a packet that must go from outside to inside.
    #[track_caller]
    pub(crate) fn enters(&mut self, packet: &Packet) -> Packet {
        self.passes(packet, OUTSIDE, INSIDE)
    }

    /// Carries a packet that must not pass, and checks why.
    #[track_caller]
    pub(crate) fn drops(&mut self, packet: &Packet, from: u32, expected: Reason) {
        let passage = self.carries(packet, from);
        assert_eq!(passage.packet, None, "{packet:?}");
        assert_eq!(passage.reason(), expected, "{packet:?}");
    }

    /// Carries a packet that must pass, and checks why it is let in.
    #[track_caller]
    pub(crate) fn check(&mut self, packet: &Packet, from: u32, expected: Reason) -> Passage {
        let passage = self.carries(packet, from);
        assert_eq!(passage.reason(), expected, "{packet:?}");
        passage
    }

    /// Routes a packet, and has it leave if it is for somebody else.
    #[track_caller]
    fn goes_on(&mut self, packet: &Packet, from: u32, passage: &mut Passage) {
        let destination = Endpoint { addr: packet.destination.into(), port: 0 };
        let routed = wire::Packet { destination, ..wire::Packet::default() };
        passage.output = self.host.tables.route(&routed, from);
        passage.packet = match passage.output {
            LOCAL => Some(packet.clone()),
            output => self.hook(Way::Out, packet, (output, from), passage),
        };
    }

    /// Shows the firewall a packet, and returns it as it goes on.
    #[track_caller]
    fn hook(
        &mut self,
        way: Way,
        packet: &Packet,
        (interface, from): (u32, u32),
        passage: &mut Passage,
    ) -> Option<Packet> {
        let arrival = Arrival { way, link: Link::Ethernet, interface, from, now: self.host.now() };
        let outcome = self.host.meets_by(&arrival, &packet.ethernet());
        passage.hops.push(outcome);
        if !outcome.is_accepted() {
            return None;
        }
        let streams = self.host.settings.streams();
        let packet = match outcome.inspection {
            Some(found) => announced(packet, &found, streams),
            None => packet.clone(),
        };
        Some(rewritten(&packet, &outcome.crossing.rewrite))
    }
}

/// Translates to an address, and where a port is named, from ports to those from there on.
pub(crate) fn to_address(address: &str, port: u16, matched: PortRange) -> Translation {
    let size = if port == 0 { 0 } else { matched.high - matched.low };
    Translation {
        first: number(address),
        last: number(address),
        first_port: port,
        last_port: port + size,
        matched_port: if port == 0 { 0 } else { matched.low },
        kind: TranslationKind::Destination.number(),
        filtering: 0,
    }
}

/// Translates to the address of the interface.
pub(crate) fn masquerade() -> Translation {
    Translation { kind: TranslationKind::Masquerade.number(), ..Translation::default() }
}

/// Returns the ports from one to another.
pub(crate) const fn ports(low: u16, high: u16) -> PortRange {
    PortRange { low, high }
}

/// Returns the places of one address.
pub(crate) fn only(address: &str) -> Places {
    Places { within: vec![Network::new(ip(address).into(), 128)], except: Vec::new() }
}

/// Returns the protocols that are one.
pub(crate) fn of_protocol(number: u8) -> Protocols {
    Protocols::Only(vec![Protocol { number, icmp_type: None }])
}

/// Returns an IPv4 address as a number.
pub(crate) fn number(address: &str) -> u32 {
    match ip(address) {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => panic!("{v6} is not IPv4"),
    }
}

/// Returns the source of a datagram or segment.
pub(crate) fn source_of(packet: &Packet) -> SocketAddr {
    let port = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
    SocketAddr::new(packet.source, port)
}
