//! A ruleset in tables in memory, for packets that the host code decides.

use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::rules::Rule;
use amanda_fw_common::ruleset::RuleSpec;
use amanda_fw_common::settings::Settings;
use anyhow::{Result, anyhow};

use crate::config::{RuleEntry, Ruleset};

/// Compiles a ruleset to settings and tables; each rule has its place, from 1, for its slot.
pub(crate) fn compile(ruleset: &Ruleset) -> Result<(Settings, MemoryTables)> {
    let with_slot = |(slot, entry): (u16, &RuleEntry)| {
        let rule = Rule { slot, ..entry.spec.rule };
        RuleSpec { rule, ..entry.spec.clone() }
    };
    let specs: Vec<RuleSpec> = (1..).zip(&ruleset.rules).map(with_slot).collect();
    let rules = Classifier::compile(&specs).map_err(|error| anyhow!("{error}"))?;
    let mut settings = ruleset.settings;
    settings.rule_fields = rules.fields;
    let (roles, translations) = (ruleset.roles.clone(), ruleset.translations.clone());
    Ok((settings, MemoryTables { roles, rules, translations, ..MemoryTables::default() }))
}
