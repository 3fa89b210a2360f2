//! Rules in the grammar of the configuration.

use std::net::{IpAddr, Ipv4Addr};

use super::chains::Family;
use super::field::{Field, Net, Part, Ports, Word};
use super::flat::{Action, Flat, State, Way};
use super::matching::Limit;
use super::rule::Log;
use crate::import::draft::{Draft, Value};

/// All of IPv4; the grammar has no word for all of IPv6 but the rest.
const IPV4: &str = "0.0.0.0/0";

/// Where people mean 192.168.0.0/16 and have mistyped it, as a well-known page on Amanda does.
const MISTYPED: Net = Net(IpAddr::V4(Ipv4Addr::new(129, 168, 0, 0)), 16);

/// Writes a rule with its remarks and where it comes from.
pub(super) fn rule(draft: &mut Draft, rule: &Flat) {
    origin(draft, rule);
    entries(draft, rule);
}

/// Writes where a rule comes from, and its remarks.
pub(super) fn origin(draft: &mut Draft, rule: &Flat) {
    draft.gap();
    for place in &rule.places {
        draft.comment(&place.quote());
    }
    for remark in rule.remarks.iter().map(String::as_str).chain(mistyped(rule)) {
        draft.comment(&format!("Note: {remark}"));
    }
}

/// Writes a rule alone.
pub(super) fn entries(draft: &mut Draft, rule: &Flat) {
    let Flat { way, matching, state, action, name, log, .. } = rule;
    draft.table("[[rule]]");
    let text = |draft: &mut Draft, key, text: &str| draft.entry(key, &Value::text(text));
    if let Some(name) = name {
        text(draft, "name", name);
    }
    let interface = |Word(name): &Word| Value::text(name);
    match way {
        Way::Out => text(draft, "direction", "out"),
        Way::Forward => text(draft, "direction", "forward"),
        Way::In | Way::Prerouting | Way::Postrouting => {}
    }
    if *way == Way::Forward {
        field(draft, "in", &matching.interface, interface);
        field(draft, "out", &matching.output, interface);
    } else {
        field(draft, "interface", &matching.interface, interface);
    }
    field(draft, "protocol", &matching.protocol, word);
    places(draft, rule);
    field(draft, "ports", &matching.ports, ports);
    field(draft, "source_ports", &matching.source_ports, ports);
    field(draft, "icmp_type", &matching.icmp_type, word);
    match state {
        State::Any => {}
        State::New => text(draft, "state", "new"),
        State::Invalid => text(draft, "state", "invalid"),
    }
    action_entries(draft, *action);
    if let Some(log) = log {
        draft.entry("log", &log_value(log));
    }
    if let Some(rate) = &matching.limit {
        draft.entry("limit", &limit(rate));
    }
    if let Some(per_source) = &matching.per_source {
        draft.entry("limit_per_source", &limit(&per_source.limit));
    }
}

fn action_entries(draft: &mut Draft, action: Action) {
    let name = match action {
        // What translates is not written as a rule.
        Action::Accept | Action::Translate(_) => "accept",
        Action::Drop => "drop",
        Action::Reject(_) => "reject",
        Action::Log => "log",
    };
    draft.entry("action", &Value::text(name));
    if let Action::Reject(with) = action {
        draft.entry("reject_with", &Value::text(with));
    }
}

/// Writes what a field wants, and what it does not, each after a `!`.
pub(super) fn field<T>(draft: &mut Draft, key: &str, field: &Field<T>, name: impl Fn(&T) -> Value) {
    let wanted = field.wanted.iter().map(&name);
    let unwanted = field.unwanted.iter().map(|part| excluded(&name(part)));
    let values: Vec<Value> = wanted.chain(unwanted).collect();
    if !values.is_empty() {
        draft.entry(key, &Value::one_or_more(values));
    }
}

fn excluded(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::text(format!("!{text}")),
        Value::Number(number) => Value::text(format!("!{number}")),
        Value::Bool(_) | Value::List(_) | Value::Table(_) => value.clone(),
    }
}

/// Writes a name, and a number where a name is one.
pub(super) fn word(Word(name): &Word) -> Value {
    name.parse().map_or_else(|_| Value::text(name), Value::Number)
}

/// Writes a port or a range.
pub(super) fn ports(&Ports(low, high): &Ports) -> Value {
    if low == high { Value::Number(low.into()) } else { Value::text(format!("{low}:{high}")) }
}

/// Writes a network or an address.
pub(super) fn net(&Net(address, prefix): &Net) -> Value {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if prefix == bits {
        Value::text(address.to_string())
    } else {
        Value::text(format!("{address}/{prefix}"))
    }
}

/// Writes where packets come from and go to; a rule of one family says so.
fn places(draft: &mut Draft, rule: &Flat) {
    let mut from: Vec<Value> = values(&rule.matching.from);
    if !tells_family(rule) {
        match rule.families.as_slice() {
            [Family::V4] => from.insert(0, Value::text(IPV4)),
            [Family::V6] => from.insert(0, Value::text(format!("!{IPV4}"))),
            _ => {}
        }
    }
    for (key, values) in [("from", from), ("to", values(&rule.matching.to))] {
        if !values.is_empty() {
            draft.entry(key, &Value::one_or_more(values));
        }
    }
}

fn values(field: &Field<Net>) -> Vec<Value> {
    let unwanted = field.unwanted.iter().map(|part| excluded(&net(part)));
    field.wanted.iter().map(net).chain(unwanted).collect()
}

/// Tells whether a rule already meets packets of one family alone.
fn tells_family(rule: &Flat) -> bool {
    let icmp = match rule.families.as_slice() {
        [Family::V6] => "icmpv6",
        _ => "icmp",
    };
    !rule.matching.from.wanted.is_empty()
        || !rule.matching.to.wanted.is_empty()
        || rule.matching.protocol.wanted == [Word(icmp.to_owned())]
}

/// Writes what goes to the log.
pub(super) fn log_value(Log { prefix, rate }: &Log) -> Value {
    match rate {
        None => Value::text(prefix),
        Some(rate) => {
            Value::Table(vec![("prefix", Value::text(prefix)), ("rate", Value::text(rate))])
        }
    }
}

fn limit(Limit { rate, burst }: &Limit) -> Value {
    Value::Table(vec![("rate", Value::text(rate)), ("burst", Value::Number(*burst))])
}

fn mistyped(rule: &Flat) -> Option<&'static str> {
    let Flat { matching, .. } = rule;
    let mut nets = matching.from.wanted.iter().chain(&matching.to.wanted);
    nets.any(|net| MISTYPED.covers(net)).then_some(
        "129.168.0.0/16 is a public network, of other people's hosts: is 192.168.0.0/16 meant?",
    )
}
