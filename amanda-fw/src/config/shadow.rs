//! Whether one rule fits every packet that another fits.

use std::collections::HashMap;

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::Way;
use amanda_fw_common::ruleset::{Interfaces, Places, Protocol, Protocols, RuleSpec};

use super::network::holds;

/// Tells whether every packet that fits `inner` fits `outer` as well; says no where it is only
/// several parts of `outer` together that hold a part of `inner`.
pub(super) fn covers(outer: &RuleSpec, inner: &RuleSpec) -> bool {
    outer.way == inner.way
        && inner.states.iter().all(|state| outer.states.contains(state))
        && covers_protocols(&outer.protocols, &inner.protocols)
        && covers_ports(&outer.destination_ports, &inner.destination_ports)
        && covers_ports(&outer.source_ports, &inner.source_ports)
        && covers_interfaces(&outer.interfaces, &inner.interfaces)
        && covers_interfaces(&outer.outputs, &inner.outputs)
        && covers_places(&outer.sources, &inner.sources)
        && covers_places(&outer.destinations, &inner.destinations)
}

/// Rules by what they ask of a packet first, so that of thousands only a few are compared.
#[derive(Debug, Default)]
pub(super) struct Index {
    rules: HashMap<Asked, Vec<usize>>,
}

/// A network that packets come from, and the port that they go to where a rule has only one.
type Asked = (Way, Network, Option<u16>);

impl Index {
    /// Adds a part of a rule.
    pub(super) fn insert(&mut self, number: usize, spec: &RuleSpec) {
        let port = match spec.destination_ports.as_slice() {
            [PortRange { low, high }] if low == high => Some(*low),
            _ => None,
        };
        for network in &spec.sources.within {
            self.rules.entry((spec.way, *network, port)).or_default().push(number);
        }
    }

    /// Lists the rules that may cover one that fits any packet, in order.
    pub(super) fn candidates(&self, inner: &RuleSpec) -> Vec<usize> {
        let sources = &inner.sources;
        let network = sources.within.iter().find(|network| !is_in(network, &sources.except));
        let (Some(network), Some(ports)) = (network, inner.destination_ports.first()) else {
            return Vec::new();
        };
        let around = (0..=network.prefix()).map(|bits| Network::new(network.addr(), bits as u8));
        let asked =
            around.flat_map(|around| [None, Some(ports.low)].map(|port| (inner.way, around, port)));
        let found = asked.filter_map(|asked| self.rules.get(&asked));
        let mut candidates: Vec<usize> = found.flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }
}

fn covers_interfaces(outer: &Interfaces, inner: &Interfaces) -> bool {
    let all_in = |a: &[u32], b: &[u32]| a.iter().all(|index| b.contains(index));
    match (outer, inner) {
        (Interfaces::Any, _) => true,
        (Interfaces::Only(outer), Interfaces::Only(inner)) => all_in(inner, outer),
        (Interfaces::Except(outer), Interfaces::Only(inner)) => {
            !inner.iter().any(|index| outer.contains(index))
        }
        (Interfaces::Except(outer), Interfaces::Except(inner)) => all_in(outer, inner),
        (Interfaces::Except(outer), Interfaces::Any) => outer.is_empty(),
        (Interfaces::Only(_), Interfaces::Any | Interfaces::Except(_)) => false,
    }
}

fn covers_protocols(outer: &Protocols, inner: &Protocols) -> bool {
    let holds = |wanted: Protocol| match outer {
        Protocols::Any => true,
        Protocols::Only(outer) => outer.iter().any(|protocol| {
            let same_type = protocol.icmp_type.is_none() || protocol.icmp_type == wanted.icmp_type;
            protocol.number == wanted.number && same_type
        }),
    };
    match inner {
        Protocols::Any => (0..=u8::MAX).all(|number| holds(Protocol { number, icmp_type: None })),
        Protocols::Only(inner) => inner.iter().all(|protocol| holds(*protocol)),
    }
}

/// Compares ranges that do not touch one another.
fn covers_ports(outer: &[PortRange], inner: &[PortRange]) -> bool {
    inner
        .iter()
        .all(|inner| outer.iter().any(|outer| outer.low <= inner.low && inner.high <= outer.high))
}

fn covers_places(outer: &Places, inner: &Places) -> bool {
    inner.within.iter().all(|network| {
        is_in(network, &inner.except)
            || is_in(network, &outer.within) && keeps(outer, network, &inner.except)
    })
}

/// Tells whether nothing of a network is excepted that its own rule does not except.
fn keeps(outer: &Places, network: &Network, except: &[Network]) -> bool {
    let touches = |gone: &&Network| holds(gone, network) || holds(network, gone);
    outer.except.iter().filter(touches).all(|gone| is_in(gone, except))
}

fn is_in(network: &Network, others: &[Network]) -> bool {
    others.iter().any(|other| holds(other, network))
}
