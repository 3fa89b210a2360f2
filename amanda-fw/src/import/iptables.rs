//! Drafts a configuration from rules of iptables.

mod address;
mod amanda;
mod arrange;
mod chains;
mod document;
mod emit;
mod families;
mod field;
mod flat;
mod follow;
mod line;
mod matching;
mod names;
mod nat;
mod option;
mod policy;
mod rule;
mod value;
mod words;
mod write;

use anyhow::{Result, bail};

use super::report::Report;
use super::{Draft, Foreign, Input};
use amanda::Amanda;
use chains::{Chains, Family, Tables};
use flat::{Action, Flat, Way};
use follow::Flattening;
use policy::Policies;
use rule::{Log, Target};

/// A draft, and what became of the lines that it was made of.
pub(crate) fn draft(inputs: &[Input]) -> Result<(String, Report)> {
    let mut report = Report::default();
    let chains = Chains::read(inputs, &mut report);
    if chains.is_empty() {
        bail!(Foreign::new(foreign(inputs)));
    }
    let site = Site::read(&chains, &mut report);
    unvisited(&chains, &mut report);
    let mut draft = Draft::default();
    document::write(&mut draft, inputs, &chains, &site, &report);
    Ok((draft.finish(), report))
}

fn foreign(inputs: &[Input]) -> String {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    format!(
        "{} holds no rules of iptables: give the output of iptables-save and ip6tables-save, \
         or a script of iptables commands",
        names.join(", ")
    )
}

/// What the inputs come to.
struct Site {
    incoming: Policies,
    outgoing: Policies,
    forward: Policies,
    /// The log of what the policy keeps out.
    log: Option<Log>,
    amanda: Amanda,
    rules: Vec<Flat>,
    /// What becomes of addresses.
    nats: Vec<Flat>,
}

impl Site {
    fn read(chains: &Chains, report: &mut Report) -> Self {
        let incoming = Policies::read(chains, Way::In, report);
        let outgoing = Policies::read(chains, Way::Out, report);
        let forward = Policies::read(chains, Way::Forward, report);
        let mut ins = direction(chains, Way::In, &incoming, report);
        let log = policy_log(&mut ins, &incoming, &outgoing);
        let mut rules = ins;
        rules.extend(direction(chains, Way::Out, &outgoing, report));
        rules.extend(direction(chains, Way::Forward, &forward, report));
        let nats = [Way::Prerouting, Way::Postrouting]
            .into_iter()
            .flat_map(|way| translations(chains, way, report))
            .collect();
        let amanda = Amanda::take(&mut rules, report);
        Self { incoming, outgoing, forward, log, amanda, rules, nats }
    }

    /// Tells whether the input is about packets through the host.
    fn is_gateway(&self) -> bool {
        let is_forward = |rule: &Flat| rule.way == Way::Forward;
        self.rules.iter().any(is_forward) || !self.nats.is_empty() || !self.forward.accepts(true)
    }
}

/// Returns what becomes of addresses of IPv4 at one end of their way.
fn translations(chains: &Chains, way: Way, report: &mut Report) -> Vec<Flat> {
    let Some(tables) = chains.families.get(&Family::V4) else { return Vec::new() };
    let policy = Action::Translate(nat::Translation::EXEMPT);
    let flattening = Flattening::new(tables, Family::V4, way, policy, report);
    let mut rules = flattening.follow(&[way.chain()]);
    // At the end nothing is translated, whether it is exempted or not.
    let is_exempt = |rule: &mut Flat| rule.action == policy;
    while rules.pop_if(is_exempt).is_some() {}
    rules
}

/// Returns the rules of one direction and both families.
fn direction(chains: &Chains, way: Way, policies: &Policies, report: &mut Report) -> Vec<Flat> {
    let mut of = |family| match chains.families.get(&family) {
        Some(tables) => {
            let policy = policies.of(family).unwrap_or(match way {
                Way::Out => Action::Accept,
                Way::In | Way::Forward | Way::Prerouting | Way::Postrouting => Action::Drop,
            });
            let names = starts(chains, tables, way);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let flattening = Flattening::new(tables, family, way, policy, report);
            let rules = flattening.follow(&names);
            arrange::arrange(rules, report)
        }
        None => Vec::new(),
    };
    let (v4, v6) = (of(Family::V4), of(Family::V6));
    let mut rules = families::merge(v4, v6);
    rules.extend(policies.rest(way));
    rules
}

/// Returns the chains to follow: the built-in one, and in a piece of a script those that the rest
/// of the script must jump to.
fn starts(chains: &Chains, tables: &Tables, way: Way) -> Vec<String> {
    let mut names = vec![way.chain().to_owned()];
    if !chains.is_saved {
        names.extend(orphans(tables, way));
    }
    names
}

/// Returns chains of a script that no rule jumps to, by the direction that their names tell.
fn orphans(tables: &Tables, way: Way) -> impl Iterator<Item = String> {
    let is_target = |name: &str| {
        tables.values().flat_map(|chain| &chain.rules).any(|(_, rule)| match &rule.target {
            Target::Jump(to) | Target::Goto(to) => to == name,
            Target::Accept
            | Target::Drop
            | Target::Reject(_)
            | Target::Log(_)
            | Target::Return
            | Target::Helper(_)
            | Target::Translate(_)
            | Target::Nothing => false,
        })
    };
    let is_orphan = move |name: &&String| {
        !["INPUT", "OUTPUT", "FORWARD"].contains(&name.as_str()) && !is_target(name)
    };
    let own =
        tables.iter().filter(|((table, _), chain)| table == "filter" && !chain.rules.is_empty());
    let names = own.map(|((_, name), _)| name).filter(is_orphan);
    names.filter(move |name| way_of(name) == way).cloned().collect::<Vec<_>>().into_iter()
}

fn way_of(name: &str) -> Way {
    let name = name.to_lowercase();
    match (name.contains("out"), name.contains("fwd") || name.contains("forward")) {
        (_, true) => Way::Forward,
        (true, false) => Way::Out,
        (false, false) => Way::In,
    }
}

/// Takes a last LOG of everything as the log of the policy.
fn policy_log(rules: &mut Vec<Flat>, incoming: &Policies, outgoing: &Policies) -> Option<Log> {
    let is_last = |rule: &mut Flat| rule.action == Action::Log && rule.matching.is_any();
    let is_policy =
        !incoming.accepts(false) && outgoing.accepts(true) && incoming.rest(Way::In).is_empty();
    if !is_policy {
        return None;
    }
    rules.pop_if(is_last)?.log
}

/// Reports the rules that no chain of this host leads to.
fn unvisited(chains: &Chains, report: &mut Report) {
    for (family, tables) in &chains.families {
        for ((table, name), chain) in tables {
            for (place, rule) in &chain.rules {
                let is_helper =
                    table == "raw" && rule.target == Target::Helper("amanda".to_owned());
                if is_helper {
                    report.cover(place, "[amanda] takes the place of the kernel's helper");
                } else if !report.knows(place) {
                    report.lose(place, why_unvisited(*family, table, name));
                }
            }
        }
    }
}

fn why_unvisited(family: Family, table: &str, chain: &str) -> String {
    match (family, table, chain) {
        (Family::V6, "nat", _) => "addresses of IPv6 are not translated".to_owned(),
        (_, "nat", "OUTPUT" | "INPUT") => {
            "what this host itself sends keeps its destination, and what it gets its source"
                .to_owned()
        }
        (_, "nat", _) => {
            "no line that was carried over leads here from PREROUTING or POSTROUTING".to_owned()
        }
        (_, "filter", _) => {
            "no line that was carried over leads here from INPUT, OUTPUT or FORWARD".to_owned()
        }
        _ => format!("there is nothing like the table {table}: packets are not changed"),
    }
}
