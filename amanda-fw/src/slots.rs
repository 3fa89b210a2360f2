//! Which slot among the counters a rule has: it keeps it for as long as it does not change.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use amanda_fw_common::label::{Label, RuleInfo};
use amanda_fw_common::rules::{MAX_PLACES, Rule};
use amanda_fw_common::ruleset::RuleSpec;

use crate::config::{Host, RuleEntry};
use crate::output::check;

/// Slots that there are but for the first, which stands for no rule.
const SLOTS: u16 = (2 * MAX_PLACES - 1) as u16;

/// The rules of a ruleset with their slots.
pub(crate) struct Slots {
    /// The rules, by place.
    pub(crate) specs: Vec<RuleSpec>,
    /// What people call them.
    pub(crate) infos: Vec<RuleInfo>,
    /// Slots that no rule had before.
    pub(crate) fresh: Vec<u16>,
}

/// Gives each rule the slot that it had before, or one that has been free for long.
pub(crate) fn assign(entries: &[RuleEntry], before: &[RuleInfo], host: &Host) -> Slots {
    let known: HashMap<u64, u16> = before.iter().map(|info| (info.identity, info.slot)).collect();
    let mut used: HashSet<u16> = known.values().copied().collect();
    let mut last = used.iter().copied().max().unwrap_or(0);
    let mut slots = Slots { specs: Vec::new(), infos: Vec::new(), fresh: Vec::new() };
    let mut seen = HashMap::new();
    // The parts of a rule that names services follow one another, and share what it counts.
    for parts in entries.chunk_by(|a, b| a.line != 0 && (a.line, &a.name) == (b.line, &b.name)) {
        let identity = identity(parts, &mut seen);
        let slot = known.get(&identity).copied().unwrap_or_else(|| {
            last = next_free(last, &used);
            used.insert(last);
            slots.fresh.push(last);
            last
        });
        for entry in parts {
            let rule = Rule { slot, ..entry.spec.rule };
            slots.specs.push(RuleSpec { rule, ..entry.spec.clone() });
            slots.infos.push(info(entry, identity, slot, host));
        }
    }
    slots
}

/// Describes rules whose slots are their places, from 1.
pub(crate) fn by_place(entries: &[RuleEntry], host: &Host) -> Vec<RuleInfo> {
    (1..).zip(entries).map(|(place, entry)| info(entry, 0, place, host)).collect()
}

/// Finds a slot behind the last one that was given, round and round.
fn next_free(last: u16, used: &HashSet<u16>) -> u16 {
    let behind = (1..=SLOTS).map(|step| last.wrapping_sub(1).wrapping_add(step) % SLOTS + 1);
    behind.into_iter().find(|slot| !used.contains(slot)).unwrap_or(SLOTS)
}

/// Hashes all that a rule is, and how many like it came before.
fn identity(parts: &[RuleEntry], seen: &mut HashMap<u64, u64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for RuleEntry { name, spec, translation, log_prefix, line: _ } in parts {
        // A translation is what it translates to, whatever its number.
        let rule = Rule { translation: 0, ..spec.rule };
        let spec = RuleSpec { rule, ..spec.clone() };
        (name, spec, translation, log_prefix).hash(&mut hasher);
    }
    let alike = seen.entry(hasher.finish()).or_insert(0);
    *alike += 1;
    alike.hash(&mut hasher);
    hasher.finish()
}

fn info(entry: &RuleEntry, identity: u64, slot: u16, host: &Host) -> RuleInfo {
    RuleInfo {
        identity,
        line: u32::try_from(entry.line).unwrap_or(0),
        slot,
        action: entry.spec.rule.action,
        way: entry.spec.way as u8,
        name: Label::new(&entry.name),
        prefix: Label::new(entry.log_prefix.as_deref().unwrap_or_default()),
        matches: Label::new(&check::matches(entry, host)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use amanda_fw_common::nat::Translation;
    use amanda_fw_common::rules::{Action, Way};

    use super::*;

    fn entry(name: &str, action: Action) -> RuleEntry {
        static LINES: AtomicUsize = AtomicUsize::new(1);
        let (spec, line) =
            (RuleSpec::all(Way::In, Rule::new(action, 0)), LINES.fetch_add(1, Ordering::Relaxed));
        RuleEntry { name: name.to_owned(), spec, translation: None, log_prefix: None, line }
    }

    fn check(entries: &[RuleEntry], before: &Slots, slots: &[u16], fresh: &[u16]) -> Slots {
        let found = assign(entries, &before.infos, &Host::default());
        let given: Vec<u16> = found.infos.iter().map(|info| info.slot).collect();
        assert_eq!(given, slots);
        assert!(found.specs.iter().map(|spec| spec.rule.slot).eq(given));
        assert_eq!(found.fresh, fresh);
        found
    }

    #[test]
    fn a_rule_keeps_its_slot_while_others_come_and_go() {
        let none = assign(&[], &[], &Host::default());
        let (ssh, web, dns) = (
            entry("ssh", Action::Accept),
            entry("web", Action::Accept),
            entry("dns", Action::Drop),
        );
        let first = check(&[ssh.clone(), web.clone()], &none, &[1, 2], &[1, 2]);
        let second = check(&[dns.clone(), web.clone()], &first, &[3, 2], &[3]);
        check(&[ssh, dns, web], &second, &[4, 3, 2], &[4]);
    }

    #[test]
    fn a_changed_rule_begins_anew_and_equal_ones_are_told_apart() {
        let before = assign(&[entry("ssh", Action::Accept)], &[], &Host::default());
        check(&[entry("ssh", Action::Drop)], &before, &[2], &[2]);
        let twice = [entry("ssh", Action::Accept), entry("ssh", Action::Accept)];
        check(&twice, &before, &[1, 2], &[2]);
    }

    #[test]
    fn a_translation_is_what_it_translates_to_whatever_its_number() {
        let nat = |number, to| {
            let rule = Rule { translation: number, ..Rule::new(Action::Translate, 0) };
            let spec = RuleSpec::all(Way::Postrouting, rule);
            let translation = Some(Translation { first: to, last: to, ..Translation::default() });
            RuleEntry { spec, translation, ..entry("nat", Action::Translate) }
        };
        let none = assign(&[], &[], &Host::default());
        let first = check(&[nat(0, 1), nat(1, 2)], &none, &[1, 2], &[1, 2]);
        check(&[nat(0, 3), nat(1, 1)], &first, &[3, 1], &[3]);
    }

    #[test]
    fn the_parts_of_a_rule_share_its_slot() {
        let none = assign(&[], &[], &Host::default());
        let part = entry("dns", Action::Accept);
        let other = RuleEntry { log_prefix: Some("x".to_owned()), ..part.clone() };
        check(&[part, other, entry("dns", Action::Accept)], &none, &[1, 1, 2], &[1, 2]);
    }

    #[test]
    fn slots_go_round_when_the_last_is_given() {
        let used = HashSet::from([SLOTS, 1]);
        assert_eq!(next_free(SLOTS, &used), 2);
        assert_eq!(next_free(0, &HashSet::new()), 1);
    }
}
