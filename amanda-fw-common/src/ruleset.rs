//! Rules as they are meant; [`RuleSpec::matches`] is what one means.

extern crate std;

use std::vec;
use std::vec::Vec;

use crate::addr::{Addr, Network};
use crate::connect::PortRange;
use crate::rules::{Action, Rule, State, Way};
use crate::wire::Packet;

/// A rule as it is meant: a packet fits it that fits each of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleSpec {
    /// Which way a packet must go.
    pub way: Way,
    /// Which interfaces it may cross; where it is forwarded, which it may come by.
    pub interfaces: Interfaces,
    /// Which interfaces a forwarded packet may leave by.
    pub outputs: Interfaces,
    /// Which protocols it may have.
    pub protocols: Protocols,
    /// What it may be to connection tracking; [`State::Unsolicited`] only where it is named.
    pub states: Vec<State>,
    /// Where it may come from.
    pub sources: Places,
    /// Where it may go.
    pub destinations: Places,
    /// Which source ports it may have.
    pub source_ports: Vec<PortRange>,
    /// Which destination ports it may have.
    pub destination_ports: Vec<PortRange>,
    /// What happens to it.
    pub rule: Rule,
}

/// Interfaces by their indexes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interfaces {
    /// Any.
    Any,
    /// One of these.
    Only(Vec<u32>),
    /// None of these.
    Except(Vec<u32>),
}

/// Protocols of packets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocols {
    /// Any.
    Any,
    /// One of these.
    Only(Vec<Protocol>),
}

/// A protocol, and what its ICMP type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// The number of the IP protocol.
    pub number: u8,
    /// The ICMP type, if it matters.
    pub icmp_type: Option<u8>,
}

/// Addresses: all in some networks, but for those in others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    /// The networks.
    pub within: Vec<Network>,
    /// The exceptions.
    pub except: Vec<Network>,
}

/// Every port.
pub const ANY_PORT: PortRange = PortRange { low: 0, high: u16::MAX };

impl Interfaces {
    /// Tells whether an interface is one of them.
    pub fn contains(&self, index: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Only(indexes) => indexes.contains(&index),
            Self::Except(indexes) => !indexes.contains(&index),
        }
    }

    /// Lists those that are named.
    pub fn named(&self) -> &[u32] {
        match self {
            Self::Any => &[],
            Self::Only(indexes) | Self::Except(indexes) => indexes,
        }
    }
}

impl Protocols {
    /// Tells whether a packet's protocol and ICMP type are among them.
    pub fn contains(&self, number: u8, icmp_type: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Only(protocols) => protocols.iter().any(|p| {
                p.number == number && p.icmp_type.is_none_or(|wanted| wanted == icmp_type)
            }),
        }
    }
}

impl Places {
    /// Every address.
    pub fn any() -> Self {
        Self { within: vec![Network::ANY], except: Vec::new() }
    }

    /// Tells whether these are all addresses.
    pub fn is_any(&self) -> bool {
        self.within.contains(&Network::ANY) && self.except.is_empty()
    }

    /// Tells whether an address is one of them.
    pub fn contains(&self, addr: Addr) -> bool {
        let holds = |networks: &[Network]| networks.iter().any(|n| n.contains(addr));
        holds(&self.within) && !holds(&self.except)
    }
}

impl RuleSpec {
    /// Makes a rule that every packet of a direction fits.
    pub fn all(way: Way, rule: Rule) -> Self {
        Self {
            way,
            interfaces: Interfaces::Any,
            outputs: Interfaces::Any,
            protocols: Protocols::Any,
            states: vec![State::New, State::Invalid],
            sources: Places::any(),
            destinations: Places::any(),
            source_ports: vec![ANY_PORT],
            destination_ports: vec![ANY_PORT],
            rule,
        }
    }

    /// Makes the policy of a direction: incoming packets that answer nothing do not meet it.
    pub fn policy(way: Way, action: Action) -> Self {
        let spec = Self::all(way, Rule { policy: 1, ..Rule::new(action, 0) });
        match way {
            Way::Out => Self { states: State::ALL.to_vec(), ..spec },
            Way::In | Way::Forward | Way::Prerouting | Way::Postrouting => spec,
        }
    }

    /// Tells whether a packet of no flow fits; `output` is 0 but where it is forwarded.
    pub fn matches(&self, packet: &Packet, way: Way, interface: u32, output: u32) -> bool {
        let has = |ranges: &[PortRange], port| ranges.iter().any(|range| range.contains(port));
        self.fits_kind(way, State::of(packet), packet.protocol, packet.icmp_type)
            && self.interfaces.contains(interface)
            && self.outputs.contains(output)
            && self.sources.contains(packet.source.addr)
            && self.destinations.contains(packet.destination.addr)
            && has(&self.source_ports, packet.source.port)
            && has(&self.destination_ports, packet.destination.port)
    }

    /// Tells whether a packet of a kind fits as far as that goes.
    pub fn fits_kind(&self, way: Way, state: State, number: u8, icmp_type: u8) -> bool {
        self.way == way
            && self.states.contains(&state)
            && self.protocols.contains(number, icmp_type)
    }
}
