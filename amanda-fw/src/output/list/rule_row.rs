//! The rules in force, a row each.

use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::rules::{Action, Way};
use amanda_fw_common::verdict::Count;
use serde::Serialize;

use super::Row;
use crate::output::table::Column;
use crate::output::units;

/// A rule, or a policy, which comes after all rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RuleRow {
    /// The place in the order in which rules are asked, from 1.
    pub(crate) number: usize,
    /// What people call the rule.
    pub(crate) name: String,
    /// The line in the configuration, if there is one.
    pub(crate) line: Option<u32>,
    /// Which way a packet must go.
    pub(crate) direction: &'static str,
    /// Which packets fit.
    pub(crate) matches: String,
    /// What happens to a packet that fits.
    pub(crate) action: &'static str,
    /// What its log lines begin with, if it logs.
    pub(crate) log: Option<String>,
    /// Packets that it decided: the first ones of their flows.
    pub(crate) packets: u64,
    /// Bytes of those packets.
    pub(crate) bytes: u64,
}

impl RuleRow {
    /// Describes a rule by its first part, and what fits by all of them.
    pub(crate) fn new(number: usize, info: &RuleInfo, parts: &[RuleInfo], count: &Count) -> Self {
        let RuleInfo { identity: _, line, slot: _, action, way, name, prefix, matches: _ } = info;
        let matches: Vec<&str> = parts.iter().map(|part| part.matches.text()).collect();
        let (matches, prefix) = (matches.join(", or "), prefix.text());
        Self {
            number,
            name: name.text().to_owned(),
            line: (*line != 0).then_some(*line),
            direction: Way::from_number(*way).map_or("unknown", Way::name),
            matches,
            action: Action::from_number(*action).map_or("unknown", Action::name),
            log: (!prefix.is_empty()).then(|| prefix.to_owned()),
            packets: count.packets,
            bytes: count.bytes,
        }
    }
}

impl Row for RuleRow {
    const COLUMNS: &'static [Column] = &[
        Column::Right("#"),
        Column::Right("PACKETS"),
        Column::Right("BYTES"),
        Column::Left("NAME"),
        Column::Left("DIR"),
        Column::Left("ACTION"),
        Column::Left("MATCHES"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            self.packets.to_string(),
            units::bytes(self.bytes),
            self.name.escape_debug().to_string(),
            self.direction.to_owned(),
            self.action.to_owned(),
            self.matches.clone(),
        ]
    }
}
