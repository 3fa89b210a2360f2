//! Rules that do nothing, or more than they should.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::{Action, Rule, State, Way};
use amanda_fw_common::ruleset::{Protocols, RuleSpec};
use amanda_fw_common::wire::PROTOCOL_TCP;

use super::amanda::DEFAULT_STREAMS;
use super::{Meant, at, never};
use crate::config::amanda::Amanda;
use crate::config::mistake::Mistake;
use crate::config::policy::Policy;
use crate::config::shadow::{Index, covers};

/// As many open ports are more than a service has.
const MANY_PORTS: u32 = 10;

/// Finds what is hardly meant in the rules.
pub(super) fn warnings(rules: &[Meant<'_>], policy: &Policy, amanda: &Amanda) -> Vec<Mistake> {
    let (mut found, mut deciding) = (Vec::new(), Index::default());
    for (number, meant) in rules.iter().enumerate() {
        let useless = never(meant, policy).or_else(|| shadowed(meant, rules, &deciding));
        found.extend(useless.or_else(|| opens_all(meant)).or_else(|| superfluous(meant, amanda)));
        if meant.rule.effect.action != Action::Log {
            meant.specs.iter().for_each(|spec| deciding.insert(number, spec));
        }
    }
    found
}

fn never(meant: &Meant<'_>, policy: &Policy) -> Option<Mistake> {
    let Meant { rule, specs } = meant;
    let reasons: Option<Vec<_>> = specs.iter().map(|spec| never::why(spec, policy.icmp)).collect();
    let reason = reasons?.into_iter().next()?;
    let message = format!("rule \"{}\" fits no packet: {}", rule.name, reason.why);
    Some(at(rule.spans.of(reason.key), message).way_out(reason.way_out))
}

/// Finds one earlier rule that decides everything that a rule would.
fn shadowed(meant: &Meant<'_>, rules: &[Meant<'_>], deciding: &Index) -> Option<Mistake> {
    let candidates = deciding.candidates(meant.specs.first()?);
    let decides = |first: &&Meant<'_>| {
        let covered = |spec| first.specs.iter().any(|outer| covers(outer, spec));
        meant.specs.iter().all(covered)
    };
    let first = candidates.into_iter().filter_map(|number| rules.get(number)).find(decides)?;
    let (name, first_name) = (&meant.rule.name, &first.rule.name);
    let (message, way_out) = if first.rule.effect == meant.rule.effect {
        let message = format!("rule \"{name}\" adds nothing: rule \"{first_name}\" does the same");
        (message, "remove it".to_owned())
    } else {
        let message =
            format!("rule \"{name}\" is never asked: rule \"{first_name}\" decides before it");
        (message, format!("remove it, or move it before rule \"{first_name}\""))
    };
    let mistake = at(meant.rule.spans.whole(), message).way_out(way_out);
    Some(match first.rule.spans.whole() {
        Some(span) => mistake.beside(span, "every packet of it fits this one first"),
        None => mistake,
    })
}

/// Warns of a rule that leaves nothing to those after it.
fn opens_all(meant: &Meant<'_>) -> Option<Mistake> {
    let way = meant.rule.way;
    let everything = RuleSpec::all(way, Rule::default());
    let new = RuleSpec { states: vec![State::New], ..everything };
    let is_open = way != Way::Out
        && meant.rule.effect.action == Action::Accept
        && meant.specs.iter().any(|spec| covers(spec, &new));
    let (where_to, key) = if way == Way::In { ("in", "interface") } else { ("through", "in, out") };
    let message = format!("rule \"{}\" lets everything {where_to}", meant.rule.name);
    let way_out = format!("say what it is for: from, {key}, service or protocol");
    is_open.then(|| at(meant.rule.spans.whole(), message).way_out(way_out))
}

/// Warns of a rule that opens the ports of streams, which `[amanda]` opens one by one.
fn superfluous(meant: &Meant<'_>, amanda: &Amanda) -> Option<Mistake> {
    let streams = amanda.stream_ports;
    let is_told = !amanda.servers.is_empty() && streams != DEFAULT_STREAMS;
    let opens = |spec: &RuleSpec| {
        spec.way != Way::Out
            && is_tcp(&spec.protocols)
            && count(&spec.destination_ports) >= MANY_PORTS
            && spec.destination_ports.iter().all(|ports| is_inside(ports, &streams))
    };
    let is_superfluous =
        is_told && meant.rule.effect.action == Action::Accept && meant.specs.iter().any(opens);
    let message = format!(
        "rule \"{}\" opens ports of stream_ports to everyone it names; [amanda] opens each for \
         the connection that was announced",
        meant.rule.name
    );
    is_superfluous.then(|| {
        at(meant.rule.spans.of("ports"), message).way_out("remove it: backups work without")
    })
}

fn is_tcp(protocols: &Protocols) -> bool {
    let Protocols::Only(only) = protocols else { return false };
    only.iter().all(|protocol| protocol.number == PROTOCOL_TCP)
}

fn count(ranges: &[PortRange]) -> u32 {
    ranges.iter().map(|range| u32::from(range.high) - u32::from(range.low) + 1).sum()
}

fn is_inside(inner: &PortRange, outer: &PortRange) -> bool {
    outer.low <= inner.low && inner.high <= outer.high
}
