//! The chains of all inputs, as their commands leave them.

use std::collections::BTreeMap;

use super::Input;
use super::line::{self, Command, Line, Verb};
use super::rule::{self, Rule};
use super::words::{self, Joined, Variables};
use crate::import::report::{Place, Report};

/// One of the two families of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// A chain of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// What becomes of packets at its end, if it is a built-in one, and where that is said.
    pub(super) policy: Option<(String, Place)>,
    /// The rules, in order.
    pub(super) rules: Vec<(Place, Rule)>,
}

/// All tables of one family: by table and chain.
pub(super) type Tables = BTreeMap<(String, String), Chain>;

/// What all inputs come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chains {
    /// The tables of each family that an input is about.
    pub(super) families: BTreeMap<Family, Tables>,
    /// Whether there is output of iptables-save, which leaves nothing unsaid.
    pub(super) is_saved: bool,
    /// Whether the kernel's helper for Amanda is loaded or used.
    pub(super) helper: Option<Place>,
}

impl Chains {
    /// Reads all inputs.
    pub(super) fn read(inputs: &[Input], report: &mut Report) -> Self {
        let mut chains = Self::default();
        for (order, input) in inputs.iter().enumerate() {
            Reading::new(order, input).read(&mut chains, report);
        }
        chains
    }

    /// Tells whether no input had anything to say.
    pub(super) fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
}

/// One input as it is read.
struct Reading<'a> {
    order: usize,
    input: &'a Input,
    family: Family,
    table: String,
    variables: Variables,
}

impl<'a> Reading<'a> {
    fn new(order: usize, input: &'a Input) -> Self {
        let table = "filter".to_owned();
        Self { order, input, family: family_of(input), table, variables: Variables::new() }
    }

    fn read(&mut self, chains: &mut Chains, report: &mut Report) {
        let lines = words::joined(&self.input.text);
        let commands = lines.iter().flat_map(|Joined { number, text }| {
            words::commands(text).into_iter().map(move |command| (*number, command))
        });
        for (number, command) in commands {
            let place = self.place(number, command);
            match line::read(command, &self.variables) {
                Line::Table(table) => {
                    self.table = table;
                    chains.is_saved = true;
                    chains.families.entry(self.family).or_default();
                }
                Line::Generated { is_v6 } => {
                    self.family = if is_v6 { Family::V6 } else { Family::V4 };
                }
                Line::Command(command) => self.command(command, place, chains, report),
                Line::Variable(name, value) => self.set(name, value),
                Line::Helper => {
                    report.cover(&place, "[amanda] takes the place of the kernel's helper");
                    chains.helper.get_or_insert(place);
                }
                Line::Lost(why) => report.lose(&place, why),
                Line::Nothing => {}
            }
        }
    }

    fn set(&mut self, name: String, value: Option<String>) {
        match value {
            Some(value) => self.variables.insert(name, value),
            None => self.variables.remove(&name),
        };
    }

    fn place(&self, line: usize, text: &str) -> Place {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Place { order: self.order, line, file: self.input.name.as_str().into(), text: text.into() }
    }

    fn command(&self, command: Command, place: Place, chains: &mut Chains, report: &mut Report) {
        let family = match command.is_v6 {
            Some(true) => Family::V6,
            Some(false) | None => self.family,
        };
        let table = command.table.unwrap_or_else(|| self.table.clone());
        let tables = chains.families.entry(family).or_default();
        let key = (table, command.chain);
        match command.verb {
            Verb::Flush => flush(tables, &key, report),
            Verb::New => drop(tables.entry(key).or_default()),
            Verb::Policy(policy) => {
                tables.entry(key).or_default().policy = Some((policy, place));
            }
            Verb::Append => {
                let rule = rule::read(&command.rule);
                tables.entry(key).or_default().rules.push((place, rule));
            }
            Verb::Insert(number) => {
                let rules = &mut tables.entry(key).or_default().rules;
                let at = number.saturating_sub(1).min(rules.len());
                rules.insert(at, (place, rule::read(&command.rule)));
            }
            Verb::Other(verb) => report.lose(
                &place,
                format!("the importer does not follow {verb}: iptables-save shows what it leaves"),
            ),
        }
    }
}

/// Empties a chain, or all chains of its table.
fn flush(tables: &mut Tables, (table, chain): &(String, String), report: &mut Report) {
    for (_, found) in
        tables.iter_mut().filter(|((t, c), _)| t == table && (chain.is_empty() || c == chain))
    {
        for (place, _) in found.rules.drain(..) {
            report.cover(&place, "a later line takes it away again (-F)");
        }
    }
}

/// Guesses an input's family where it does not say itself.
fn family_of(input: &Input) -> Family {
    let name = input.name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let is_v6_by_name = ["v6", "ip6", "user6", "6.rules"].iter().any(|part| name.contains(part));
    let is_v6_by_text = ["icmp6-", "icmpv6", "ipv6-icmp", "::"].iter().any(|word| {
        input.text.lines().any(|line| line.trim_start().starts_with("-A") && line.contains(word))
    });
    if is_v6_by_name || is_v6_by_text { Family::V6 } else { Family::V4 }
}
