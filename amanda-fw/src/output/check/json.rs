//! What `check` says, for programs to read.

use serde::Serialize;

use super::{NatLine, RuleLine, role_text, rule_lines};
use crate::config::{Finding, Host, Mistakes, Ruleset, Warnings, display_network};
use crate::output::opening::{self, OpeningRow};

/// Everything that `check` finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Why the configuration cannot be used; empty where it can.
    pub(crate) mistakes: Vec<Finding>,
    /// What is hardly meant.
    pub(crate) warnings: Vec<Finding>,
    /// The rules in force, in order.
    pub(crate) rules: Vec<RuleLine>,
    /// What is open between Amanda's hosts.
    pub(crate) openings: Vec<OpeningRow>,
    /// The translations in force, in order.
    pub(crate) nat: Vec<NatLine>,
    /// What networks are to Amanda.
    pub(crate) hosts: Vec<RoleLine>,
}

/// What a network is to Amanda.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RoleLine {
    /// The network.
    pub(crate) network: String,
    /// What it is.
    pub(crate) role: &'static str,
}

impl Report {
    /// Reports on a configuration that can be used.
    pub(crate) fn new(ruleset: &Ruleset, host: &Host, warnings: &Warnings) -> Self {
        let role = |(network, bits): &(_, u8)| RoleLine {
            network: display_network(network),
            role: role_text(*bits),
        };
        Self {
            mistakes: Vec::new(),
            warnings: warnings.findings(),
            rules: rule_lines(&ruleset.rules, host),
            openings: opening::rows(&ruleset.settings.openings),
            nat: ruleset.rules.iter().filter_map(|rule| NatLine::new(rule, host)).collect(),
            hosts: ruleset.roles.iter().map(role).collect(),
        }
    }

    /// Reports on a configuration that cannot be used.
    pub(crate) fn of_mistakes(mistakes: &Mistakes) -> Self {
        Self { mistakes: mistakes.findings(), ..Self::default() }
    }
}

/// A ready-made service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Service<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its ports, protocols and destinations.
    pub(crate) ports: &'a str,
}
