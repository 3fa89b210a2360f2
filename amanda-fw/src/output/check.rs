//! What `check` says of a configuration without mistakes.

mod json;
mod rule;

use amanda_fw_common::rules::role;
use amanda_fw_common::settings::Settings;

pub(crate) use json::{Report, Service};
pub(crate) use rule::RuleLine;

use super::table::{Column, table};
use super::units;
use crate::config::{Host, Ruleset, display_network};

/// Writes what a configuration comes to on a machine.
pub(crate) fn text(name: &str, ruleset: &Ruleset, host: &Host) -> String {
    let Ruleset { settings, rules, roles, sizes: _ } = ruleset;
    let lines: Vec<RuleLine> = rules.iter().map(|rule| RuleLine::new(rule, host)).collect();
    let (settings, roles) = (settings_text(settings), roles_text(roles));
    format!(
        "ok: {name}\n\n\
         Rules, in order\n{}\n\
         Amanda\n{settings}\n\
         Amanda's hosts\n{roles}",
        rule::text(&lines)
    )
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
        row("control port", settings.control_port.to_string()),
        row("requests from", ports(settings.control_source_low, settings.control_source_high)),
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
