//! Every decision's reason, held against the tables before it.

use amanda_fw_common::rules::{Action, Way};
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{self, Fragment, Icmp, PROTOCOL_ICMPV6, Packet};

use crate::history::History;
use crate::witness::{Witness, find, flow_key};

/// Checks that a packet was decided for a reason that holds.
pub(crate) fn check(witness: &Witness, history: &History, packet: &Packet) {
    let reason = witness.decision.reason();
    assert!(holds(witness, packet, reason), "{reason} {:?} {packet:?}", witness.way);
    assert_eq!(witness.is_accepted(), reason.number() < 16);
    assert!(witness.is_accepted() || witness.inspection.is_none());
    if reason == Reason::Expected {
        check_expected(witness, history, packet);
    }
}

fn holds(witness: &Witness, packet: &Packet, reason: Reason) -> bool {
    let has_policy = is_undecided(witness, packet);
    match reason {
        Reason::Established => is_of_flow(packet) && witness.is_tracked(packet),
        Reason::Related => is_about_flow(witness, packet),
        Reason::Expected => begins_flow(witness, packet) && witness.expectation(packet).is_some(),
        Reason::Control => begins_flow(witness, packet) && witness.may_ask(packet),
        Reason::Rule => {
            begins_flow(witness, packet) && witness.rule(packet) == Some(Action::Accept)
        }
        Reason::RuleDrop => {
            begins_flow(witness, packet) && witness.rule(packet) == Some(Action::Drop)
        }
        Reason::RuleReject => {
            begins_flow(witness, packet) && witness.rule(packet) == Some(Action::Reject)
        }
        Reason::PolicyAccept => has_policy && witness.accepts_by_policy(),
        Reason::PolicyDrop => has_policy && !witness.accepts_by_policy(),
        Reason::Fragment => is_later(packet) && witness.has_first(packet),
        Reason::FragmentWithoutFirst => {
            is_later(packet) && witness.way == Way::In && !witness.has_first(packet)
        }
        Reason::Neighbour => is_neighbour(packet),
        Reason::Unsolicited => witness.way == Way::In && is_unsolicited(witness, packet),
        // The table of those who have proven nothing always makes room.
        Reason::FlowTableFull => false,
        // No policy rejects here, no rule has a limit, and nothing is to be confirmed.
        Reason::PolicyReject | Reason::RateLimited | Reason::Unconfirmed => false,
        // No address is translated.
        Reason::Mapped
        | Reason::NatExhausted
        | Reason::Untranslatable
        | Reason::FragmentHeld => false,
        Reason::NotIp
        | Reason::MalformedIp
        | Reason::MalformedTransport
        | Reason::TinyFragment
        | Reason::Ipv6Extensions
        | Reason::TcpFlags => false,
    }
}

/// Tells whether nothing but the policy decides a packet.
fn is_undecided(witness: &Witness, packet: &Packet) -> bool {
    let is_new = || {
        begins_flow(witness, packet)
            && witness.expectation(packet).is_none()
            && !witness.may_ask(packet)
            && witness.rule(packet).is_none()
    };
    let is_out = witness.way == Way::Out;
    match packet.icmp {
        _ if is_later(packet) => is_out && !witness.has_first(packet),
        Icmp::Error | Icmp::Reply => is_out && is_unsolicited(witness, packet),
        Icmp::Neighbour => false,
        Icmp::None | Icmp::Request | Icmp::Other => is_new(),
    }
}

/// Tells whether a packet answers, or complains about, what is not there.
fn is_unsolicited(witness: &Witness, packet: &Packet) -> bool {
    match packet.icmp {
        _ if is_later(packet) => false,
        Icmp::Error => !is_about_flow(witness, packet),
        Icmp::Reply => !witness.is_tracked(packet),
        Icmp::None | Icmp::Request | Icmp::Neighbour | Icmp::Other => false,
    }
}

/// Tells whether a packet is of a kind that has flows.
fn is_of_flow(packet: &Packet) -> bool {
    !is_later(packet) && !matches!(packet.icmp, Icmp::Error | Icmp::Neighbour)
}

fn begins_flow(witness: &Witness, packet: &Packet) -> bool {
    is_of_flow(packet) && packet.icmp != Icmp::Reply && !witness.is_tracked(packet)
}

/// Tells whether an ICMP error goes to the sender of a packet of a live flow.
fn is_about_flow(witness: &Witness, packet: &Packet) -> bool {
    let quoted = wire::quoted(witness.frame, packet);
    let is_live = |quoted: Packet| {
        quoted.source.addr == packet.destination.addr
            && witness.live_flow(&flow_key(&quoted)).is_some()
    };
    !is_later(packet) && packet.icmp == Icmp::Error && quoted.is_some_and(is_live)
}

fn is_neighbour(packet: &Packet) -> bool {
    !is_later(packet)
        && packet.protocol == PROTOCOL_ICMPV6
        && matches!(packet.icmp_type, 130..=137 | 141..=143 | 148 | 149 | 151..=153)
}

fn is_later(packet: &Packet) -> bool {
    packet.fragment == Fragment::Later
}

/// Checks that a connection takes its expectation, which a reply announced that was asked for.
fn check_expected(witness: &Witness, history: &History, packet: &Packet) {
    let (source, destination) = (packet.source, packet.destination);
    let left = witness.after.expectations.len() + 1;
    assert_eq!(left, witness.before.expectations.len(), "an expectation is used once");
    let life = witness.settings.expectation_timeout;
    let announced = history.announced(source.addr, destination.addr, destination.port);
    assert!(announced.is_some_and(|at| at + life > witness.now), "nobody announced {destination}");
    assert!(witness.knows(source, destination));
    let flow = find(&witness.after.flows, &flow_key(packet))
        .or_else(|| find(&witness.after.embryos, &flow_key(packet)));
    let of = witness.expectation(packet).map(|expectation| expectation.transaction);
    assert_eq!(flow.map(|flow| flow.transaction), of, "whose stream it is");
}
