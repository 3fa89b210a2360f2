//! Why a rule fits no packet at all.

use amanda_fw_common::addr::Network;
use amanda_fw_common::rules::{State, Way};
use amanda_fw_common::ruleset::{Interfaces, Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};

use crate::config::network::{all_v4, holds};

/// Why a rule fits no packet: the key that is to blame, the reason, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Never {
    pub(super) key: &'static str,
    pub(super) why: String,
    pub(super) way_out: &'static str,
}

fn never(key: &'static str, why: impl Into<String>, way_out: &'static str) -> Option<Never> {
    Some(Never { key, why: why.into(), way_out })
}

/// Finds out why no packet fits a rule, if none does.
pub(super) fn why(spec: &RuleSpec, icmp_passes: bool) -> Option<Never> {
    nothing_left(spec).or_else(|| two_families(spec)).or_else(|| no_kind(spec, icmp_passes))
}

/// Finds a field of which nothing is left.
fn nothing_left(spec: &RuleSpec) -> Option<Never> {
    let is_nowhere = |places: &Places| families(places) == (false, false);
    let excluded = "name something that is not excluded";
    let placed = "name an address that this machine has, or remove the key";
    if spec.interfaces == Interfaces::Only(Vec::new()) {
        never(key_of_interfaces(spec.way), "it leaves no interface", excluded)
    } else if spec.outputs == Interfaces::Only(Vec::new()) {
        never("out", "it leaves no interface", excluded)
    } else if spec.protocols == Protocols::Only(Vec::new()) {
        never("protocol", "it leaves no protocol", excluded)
    } else if spec.source_ports.is_empty() {
        never("source_ports", "they leave no port", excluded)
    } else if spec.destination_ports.is_empty() {
        never("ports", "they leave no port", excluded)
    } else if is_nowhere(&spec.sources) {
        never("from", "it leaves no address", placed)
    } else if is_nowhere(&spec.destinations) {
        never("to", "it leaves no address", placed)
    } else {
        None
    }
}

/// Returns the key that names the interfaces of a rule, or the first of two.
fn key_of_interfaces(way: Way) -> &'static str {
    match way {
        Way::In | Way::Out => "interface",
        Way::Forward | Way::Prerouting => "in",
        Way::Postrouting => "out",
    }
}

/// Tells whether places hold IPv4, and whether they hold IPv6.
fn families(places: &Places) -> (bool, bool) {
    let is_gone = |network: &Network| places.except.iter().any(|gone| holds(gone, network));
    let v4 = all_v4();
    let mut found = (false, false);
    for network in places.within.iter().filter(|network| !is_gone(network)) {
        let in_v4 = holds(&v4, network);
        found.0 |= in_v4 || holds(network, &v4) && !is_gone(&v4);
        found.1 |= !in_v4;
    }
    found
}

/// Finds packets of IPv4 that would be IPv6 as well.
fn two_families(spec: &RuleSpec) -> Option<Never> {
    let (from, to) = (families(&spec.sources), families(&spec.destinations));
    let protocols = protocol_families(&spec.protocols);
    if !(from.0 && to.0 || from.1 && to.1) {
        return never("to", "one end is IPv4 and the other IPv6", "name ends of one family");
    }
    let both = (from.0 && to.0, from.1 && to.1);
    if !(both.0 && protocols.0 || both.1 && protocols.1) {
        let why = "\"icmp\" is of IPv4 and \"icmpv6\" of IPv6, and its addresses are not";
        return never("protocol", why, "write protocol = [\"icmp\", \"icmpv6\"]");
    }
    None
}

fn protocol_families(protocols: &Protocols) -> (bool, bool) {
    let Protocols::Only(only) = protocols else { return (true, true) };
    let any_but = |other: u8| only.iter().any(|protocol| protocol.number != other);
    (any_but(PROTOCOL_ICMPV6), any_but(PROTOCOL_ICMP))
}

/// Finds protocols and types that are never in the states that the rule asks for.
fn no_kind(spec: &RuleSpec, icmp_passes: bool) -> Option<Never> {
    let Protocols::Only(only) = &spec.protocols else { return None };
    let meets = |protocol: &Protocol| {
        types(protocol).any(|icmp_type| {
            let is_asked = !(icmp_passes && is_neighbour(protocol.number, icmp_type));
            is_asked && states(protocol.number, icmp_type).iter().any(|s| spec.states.contains(s))
        })
    };
    if only.iter().any(meets) {
        return None;
    }
    let is_early = |p: &Protocol| p.icmp_type.is_some_and(|t| is_neighbour(p.number, t));
    let is_answer = |p: &Protocol| types(p).all(|t| states(p.number, t) == [State::Unsolicited]);
    if icmp_passes && only.iter().any(is_early) {
        let why = "neighbour discovery passes before any rule is asked";
        return never("icmp_type", why, "write icmp = false in [policy] to have the rules decide");
    }
    if only.iter().any(is_answer) {
        let why = "answers and errors of a flow pass before any rule is asked, and others are \
                   invalid";
        return never("icmp_type", why, "remove the rule, or write state = \"invalid\"");
    }
    never("state", "no packet of its protocols is in that state", "remove `state`")
}

fn types(protocol: &Protocol) -> impl Iterator<Item = u8> + use<> {
    let (low, high) = match protocol.icmp_type {
        Some(icmp_type) => (icmp_type, icmp_type),
        None => (0, u8::MAX),
    };
    low..=high
}

/// The states that packets of a protocol and type have: [`State::of`] of them.
fn states(number: u8, icmp_type: u8) -> &'static [State] {
    match (number, icmp_type) {
        (PROTOCOL_TCP, _) => &[State::New, State::Invalid],
        (PROTOCOL_ICMP, 0 | 3 | 4 | 11 | 12) | (PROTOCOL_ICMPV6, 1..=4 | 129) => {
            &[State::Unsolicited]
        }
        _ => &[State::New],
    }
}

/// The messages of neighbour and listener discovery.
fn is_neighbour(number: u8, icmp_type: u8) -> bool {
    let is_one = matches!(icmp_type, 130..=137 | 141..=143 | 148 | 149 | 151..=153);
    number == PROTOCOL_ICMPV6 && is_one
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::wire::{Icmp, Link, Packet, parse};

    use super::*;

    /// Compares what is known of a message with what the packet path makes of it.
    fn check(number: u8, icmp_type: u8) {
        let mut frame = match number {
            PROTOCOL_ICMP => vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, number, 0, 0],
            _ => vec![0x60, 0, 0, 0, 0, 8, number, 64],
        };
        frame.resize(if number == PROTOCOL_ICMP { 20 } else { 40 }, 1);
        frame.extend([icmp_type, 0, 0, 0, 0, 7, 0, 0]);
        let mut packet = Packet::default();
        parse(frame.as_slice(), Link::Raw, &mut packet).expect("a packet");
        assert_eq!(packet.icmp_type, icmp_type);
        assert_eq!(states(number, icmp_type), [State::of(&packet)], "{packet:?}");
        assert_eq!(is_neighbour(number, icmp_type), packet.icmp == Icmp::Neighbour, "{packet:?}");
    }

    #[test]
    fn every_message_is_in_the_state_that_the_packet_path_gives_it() {
        for icmp_type in 0..=u8::MAX {
            check(PROTOCOL_ICMP, icmp_type);
            check(PROTOCOL_ICMPV6, icmp_type);
        }
    }
}
