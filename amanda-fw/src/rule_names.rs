//! What people call the rules in force, by the slots that decisions name.

use std::collections::HashMap;

use amanda_fw_common::label::RuleInfo;

/// The rules of a ruleset.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleNames {
    by_slot: HashMap<u16, RuleInfo>,
}

impl RuleNames {
    /// Takes the rules of a ruleset.
    pub(crate) fn new(infos: &[RuleInfo]) -> Self {
        Self { by_slot: infos.iter().map(|info| (info.slot, *info)).collect() }
    }

    /// Takes the rules of another ruleset too: late decisions are still those of the one before.
    pub(crate) fn learn(&mut self, infos: &[RuleInfo]) {
        self.by_slot.extend(infos.iter().map(|info| (info.slot, *info)));
    }

    /// Tells whether a slot has a name, or stands for no rule.
    pub(crate) fn knows(&self, slot: u16) -> bool {
        slot == 0 || self.by_slot.contains_key(&slot)
    }

    /// Writes what decided: a rule by its name, or by its slot where that is no longer known.
    pub(crate) fn describe(&self, slot: u16) -> Option<String> {
        let known = self.by_slot.get(&slot);
        // A policy has a reason of its own, which says it.
        let is_policy = known.is_some_and(|info| info.line == 0);
        (slot != 0 && !is_policy).then(|| match known {
            Some(info) => format!("rule {:?}", info.name.text()),
            None => format!("rule of slot {slot}, which is gone"),
        })
    }

    /// Returns what the log lines of a rule begin with.
    pub(crate) fn prefix(&self, slot: u16) -> &str {
        self.by_slot.get(&slot).map_or("", |info| info.prefix.text())
    }
}
