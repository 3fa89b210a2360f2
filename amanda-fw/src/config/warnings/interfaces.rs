//! Interfaces that rules name and the machine lacks.

use std::collections::BTreeSet;

use crate::config::mistake::Mistake;
use crate::config::section::did_you_mean;
use crate::config::zones::Interface;
use crate::config::{Config, Host};

/// Gives every interface that a rule or a translation names an index, as if it were there.
pub(super) fn complete(config: &Config, host: &Host) -> Host {
    let mut host = host.clone();
    // The kernel counts interfaces from 1, and never comes so far.
    let mut free = (0..=u32::MAX).rev();
    for name in named(config).map(|interface| interface.name.clone()).collect::<BTreeSet<_>>() {
        let index = free.next().unwrap_or(0);
        host.interfaces.entry(name).or_insert(index);
    }
    host
}

/// Warns of interfaces that are not there.
pub(super) fn warnings(config: &Config, host: &Host) -> Vec<Mistake> {
    let is_absent = |interface: &&Interface| !host.interfaces.contains_key(&interface.name);
    // An interface of a zone is named once, wherever the zone is.
    let mut places = BTreeSet::new();
    let absent_ones = named(config).filter(is_absent).filter(|i| places.insert(i.span.start));
    absent_ones.map(|interface| absent(interface, host)).collect()
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

fn named(config: &Config) -> impl Iterator<Item = &Interface> {
    let of_rules = config.rules.iter().flat_map(|rule| [&rule.interfaces, &rule.outputs]);
    let of_nats = config.nats.iter().map(|nat| &nat.interfaces);
    of_rules.chain(of_nats).flat_map(|interfaces| interfaces.named())
}
