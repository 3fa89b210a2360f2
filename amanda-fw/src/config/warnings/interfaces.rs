//! Interfaces that rules name and the machine lacks.

use std::collections::BTreeSet;

use crate::config::Host;
use crate::config::mistake::Mistake;
use crate::config::rule::{ConfigRule, Interface};
use crate::config::section::did_you_mean;

/// Gives every interface that a rule names an index, as if it were there.
pub(super) fn complete(rules: &[ConfigRule], host: &Host) -> Host {
    let mut host = host.clone();
    // The kernel counts interfaces from 1, and never comes so far.
    let mut free = (0..=u32::MAX).rev();
    for name in named(rules).map(|interface| interface.name.clone()).collect::<BTreeSet<_>>() {
        let index = free.next().unwrap_or(0);
        host.interfaces.entry(name).or_insert(index);
    }
    host
}

/// Warns of interfaces that are not there.
pub(super) fn warnings(rules: &[ConfigRule], host: &Host) -> Vec<Mistake> {
    let is_absent = |interface: &&Interface| !host.interfaces.contains_key(&interface.name);
    named(rules).filter(is_absent).map(|interface| absent(interface, host)).collect()
}

fn absent(interface: &Interface, host: &Host) -> Mistake {
    let Interface { name, span } = interface;
    let message = format!(
        "there is no interface \"{name}\": no packet crosses it until the rules are loaded again"
    );
    let similar = did_you_mean(name, host.interfaces.keys().map(String::as_str));
    let way_out =
        similar.unwrap_or_else(|| "create it first, or load again when it is there".to_owned());
    Mistake::new(span.clone(), message).way_out(way_out)
}

fn named(rules: &[ConfigRule]) -> impl Iterator<Item = &Interface> {
    rules.iter().flat_map(|rule| rule.interfaces.named())
}
