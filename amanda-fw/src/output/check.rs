//! What `check` says of a configuration without mistakes.

use amanda_fw_common::rules::role;
use amanda_fw_common::settings::Settings;

use super::list::{self, RuleRow};
use super::status::Policy;
use super::table::{Column, table};
use super::units;
use crate::config::{Ruleset, display_network};

/// Writes what a configuration comes to on this machine.
pub(crate) fn text(name: &str, ruleset: &Ruleset, warnings: &[String]) -> String {
    let Ruleset { settings, rules, rule_names, roles, sizes: _ } = ruleset;
    let rows: Vec<RuleRow> = rules.iter().map(|rule| RuleRow::new(rule, rule_names)).collect();
    let warnings: String = warnings.iter().map(|w| format!("warning: {w}\n")).collect();
    let Policy { incoming, outgoing } = Policy::of(settings);
    let (settings, roles) = (settings_text(settings), roles_text(roles));
    format!(
        "{warnings}ok: {name}\n\n\
         Policy: incoming {incoming}, outgoing {outgoing}\n\n\
         Rules, in order\n{}\n\
         Amanda\n{settings}\n\
         Amanda's hosts\n{roles}",
        list::text(&rows)
    )
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

fn roles_text(roles: &[(amanda_fw_common::addr::Network, u8)]) -> String {
    let name = |bits| match (bits & role::SERVER != 0, bits & role::CLIENT != 0) {
        (true, true) => "server and client",
        (true, false) => "server",
        (false, true) => "client",
        (false, false) => "none",
    };
    if roles.is_empty() {
        return "none\n".to_owned();
    }
    let row = |(network, bits): &(_, u8)| vec![display_network(network), name(*bits).to_owned()];
    let rows: Vec<_> = roles.iter().map(row).collect();
    table(0, &[Column::Left(""), Column::Left("")], &rows)
}
