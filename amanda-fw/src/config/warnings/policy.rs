//! Policies that let everything in, or nobody.

use amanda_fw_common::rules::{Action, State, Way};
use amanda_fw_common::ruleset::{Interfaces, RuleSpec};
use amanda_fw_common::wire::PROTOCOL_TCP;

use super::{Meant, at, never};
use crate::config::mistake::Mistake;
use crate::config::policy::Policy;

const SSH: u16 = 22;

/// Finds what is hardly meant in the section.
pub(super) fn warnings(policy: &Policy, rules: &[Meant<'_>]) -> Vec<Mistake> {
    [open(policy), locked(policy, rules)].into_iter().flatten().collect()
}

fn open(policy: &Policy) -> Option<Mistake> {
    let message = "the policy for incoming packets is \"accept\": only rules keep anything out";
    let way_out = "write \"drop\", and rules for what comes in";
    let mistake = || at(policy.spans.of("incoming"), message).way_out(way_out);
    (policy.incoming == Action::Accept).then(mistake)
}

/// Warns where no rule lets a new connection to port 22 in.
fn locked(policy: &Policy, rules: &[Meant<'_>]) -> Option<Mistake> {
    let deciding = rules.iter().flat_map(|meant| &meant.specs).filter(|spec| is_about_ssh(spec));
    for spec in deciding.filter(|spec| never::why(spec, policy.icmp).is_none()) {
        match Action::from_number(spec.rule.action) {
            Some(Action::Accept) => return None,
            Some(Action::Drop | Action::Reject) if is_for_all(spec) => return Some(lock(policy)),
            _ => {}
        }
    }
    (policy.incoming != Action::Accept).then(|| lock(policy))
}

fn lock(policy: &Policy) -> Mistake {
    let message = "no rule lets ssh in: nobody can open a new ssh connection to this machine";
    at(policy.spans.of("incoming"), message)
        .way_out("add a rule with service = \"ssh\" and action = \"accept\"")
}

fn is_about_ssh(spec: &RuleSpec) -> bool {
    let has_port = spec.destination_ports.iter().any(|range| range.contains(SSH));
    spec.fits_kind(Way::In, State::New, PROTOCOL_TCP, 0) && has_port
}

fn is_for_all(spec: &RuleSpec) -> bool {
    let RuleSpec { interfaces, sources, destinations, source_ports, .. } = spec;
    let any_port = source_ports.iter().any(|range| range.low <= 1 && range.high == u16::MAX);
    *interfaces == Interfaces::Any && sources.is_any() && destinations.is_any() && any_port
}
