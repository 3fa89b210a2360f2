//! Gateways that let everything through, or nothing.

use amanda_fw_common::rules::{Action, Way};
use amanda_fw_common::settings::gateway;

use super::{Meant, at, never};
use crate::config::mistake::Mistake;
use crate::config::{Config, Host};

/// Finds what is hardly meant of packets through the host.
pub(super) fn warnings(config: &Config, rules: &[Meant<'_>], host: &Host) -> Vec<Mistake> {
    if config.gateway() & gateway::FORWARDS == 0 {
        return Vec::new();
    }
    let found = [open(config, rules), closed(config, rules), idle(host)];
    found.into_iter().flatten().collect()
}

/// Tells whether any rule does one of some things to packets through the host.
fn has(rules: &[Meant<'_>], config: &Config, actions: &[Action]) -> bool {
    let does = |action: u8| actions.iter().any(|known| known.number() == action);
    let mut specs = rules.iter().flat_map(|meant| &meant.specs);
    specs.any(|spec| {
        spec.way == Way::Forward
            && does(spec.rule.action)
            && never::why(spec, config.policy.icmp).is_none()
    })
}

fn open(config: &Config, rules: &[Meant<'_>]) -> Option<Mistake> {
    let policy = &config.policy;
    let is_open = policy.forward == Some(Action::Accept)
        && !has(rules, config, &[Action::Drop, Action::Reject]);
    let message = "whoever reaches this host reaches every network behind it: the policy for \
                   packets through it is \"accept\", and no rule keeps anything out";
    let way_out = "write \"drop\", and rules with direction = \"forward\" for what goes through";
    is_open.then(|| at(policy.spans.of("forward"), message).way_out(way_out))
}

/// Warns where nothing goes through; Amanda alone may be meant.
fn closed(config: &Config, rules: &[Meant<'_>]) -> Option<Mistake> {
    let policy = &config.policy;
    let is_closed = policy.forward != Some(Action::Accept)
        && config.amanda.spans.whole().is_none()
        && !has(rules, config, &[Action::Accept]);
    let first = config.nats.first().and_then(|nat| nat.spans.whole());
    let place = policy.forward.and_then(|_| policy.spans.of("forward")).or(first);
    let message = "nothing goes through this host: no rule lets anything through";
    let way_out = "add a rule with direction = \"forward\" and action = \"accept\"";
    is_closed.then(|| at(place, message).way_out(way_out))
}

/// Warns of a kernel that forwards nothing.
fn idle(host: &Host) -> Option<Mistake> {
    let message = "the kernel sends no IPv4 packet through this host: net.ipv4.ip_forward is 0";
    let way_out = "sysctl -w net.ipv4.ip_forward=1, and write it to a file in /etc/sysctl.d";
    (host.forwards == Some(false)).then(|| Mistake::whole(message).way_out(way_out))
}
