//! What `check` says of a configuration without mistakes.

mod json;
mod nat;
mod rule;

use amanda_fw_common::rules::role;
use amanda_fw_common::settings::Settings;

pub(crate) use json::{Report, Service};
use nat::NatLine;
use rule::RuleLine;

use super::table::{Column, table};
use super::units;
use super::{list, opening};
use crate::config::{Host, RuleEntry, Ruleset, display_network};

/// Writes what a configuration comes to on a machine.
pub(crate) fn text(name: &str, ruleset: &Ruleset, host: &Host) -> String {
    let Ruleset { settings, rules, roles, translations: _, sizes: _ } = ruleset;
    let lines = rule_lines(rules, host);
    let nats: Vec<NatLine> = rules.iter().filter_map(|rule| NatLine::new(rule, host)).collect();
    let nats = match nats.as_slice() {
        [] => String::new(),
        nats => format!("\nAddresses, in order\n{}", nat::text(nats)),
    };
    let openings = list::text(&opening::rows(&settings.openings));
    let (settings, roles) = (settings_text(settings), roles_text(roles));
    format!(
        "ok: {name}\n\n\
         Rules, in order\n{}{nats}\n\
         Amanda opens\n{openings}\n\
         Amanda\n{settings}\n\
         Amanda's hosts\n{roles}",
        rule::text(&lines)
    )
}

/// Writes which packets a rule is about, in words, and what a translation makes of them.
pub(crate) fn matches(entry: &RuleEntry, host: &Host) -> String {
    NatLine::new(entry, host)
        .map_or_else(|| RuleLine::new(entry, host).matches(), |nat| nat.matches())
}

/// Describes the rules that decide packets.
fn rule_lines(rules: &[RuleEntry], host: &Host) -> Vec<RuleLine> {
    let deciding = rules.iter().filter(|rule| rule.translation.is_none());
    deciding.map(|rule| RuleLine::new(rule, host)).collect()
}

/// Writes services with what belongs to them.
pub(crate) fn services_text(services: &[(&str, &str)]) -> String {
    let rows: Vec<Vec<String>> =
        services.iter().map(|(name, ports)| vec![(*name).into(), (*ports).into()]).collect();
    table(0, &[Column::Left("SERVICE"), Column::Left("PORTS, PROTOCOLS, DESTINATIONS")], &rows)
}

fn settings_text(settings: &Settings) -> String {
    let ports = |low, high| format!("{low}:{high}");
    let row = |key: &str, value: String| vec![key.to_owned(), value];
    let rows = [
        row("streams", ports(settings.stream_low, settings.stream_high)),
        row("a reply may take", units::nanoseconds(settings.transaction_timeout)),
        row("a port stays open", units::nanoseconds(settings.expectation_timeout)),
    ];
    table(0, &[Column::Left(""), Column::Left("")], &rows)
}

/// Says what a network is to Amanda.
fn role_text(bits: u8) -> &'static str {
    match (bits & role::SERVER != 0, bits & role::CLIENT != 0) {
        (true, true) => "server and client",
        (true, false) => "server",
        (false, true) => "client",
        (false, false) => "none",
    }
}

fn roles_text(roles: &[(amanda_fw_common::addr::Network, u8)]) -> String {
    if roles.is_empty() {
        return "none\n".to_owned();
    }
    let row =
        |(network, bits): &(_, u8)| vec![display_network(network), role_text(*bits).to_owned()];
    let rows: Vec<_> = roles.iter().map(row).collect();
    table(0, &[Column::Left(""), Column::Left("")], &rows)
}

#[cfg(test)]
mod tests;
