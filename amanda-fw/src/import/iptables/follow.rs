//! One list of rules from a chain and all the chains that it jumps to.

use super::chains::{Chain, Family, Tables};
use super::flat::{Action, Flat, Way};
use super::matching::{Apart, Match};
use super::nat::Translation;
use super::rule::{Rule, Target};
use crate::import::report::{Place, Report};

/// The most lines that are followed, each counted once for every way that leads to it: a few
/// chains that jump to each other often enough have no end worth waiting for.
const MOST: usize = 8192;

/// How a chain was come to.
#[derive(Clone, Debug, Default)]
struct Jump {
    places: Vec<Place>,
    /// The chains that the places are in.
    names: Vec<String>,
    matching: Match,
}

impl Jump {
    /// Adds a chain to those that were come through.
    fn further(&self, name: &str, places: Vec<Place>, matching: Match) -> Self {
        let names = self.names.iter().map(String::as_str).chain([name]);
        Self { names: names.map(str::to_owned).collect(), places, matching }
    }

    /// Tells whether the last chain was come through before.
    fn is_circle(&self) -> bool {
        self.names.split_last().is_some_and(|(last, before)| before.contains(last))
    }
}

/// Follows a built-in chain.
pub(super) struct Flattening<'a> {
    tables: &'a Tables,
    pub(super) family: Family,
    pub(super) way: Way,
    /// What becomes of packets at the end.
    policy: Action,
    pub(super) report: &'a mut Report,
    pub(super) rules: Vec<Flat>,
    /// How many lines were followed.
    followed: usize,
}

impl<'a> Flattening<'a> {
    /// Starts with no rules.
    pub(super) fn new(
        tables: &'a Tables,
        family: Family,
        way: Way,
        policy: Action,
        report: &'a mut Report,
    ) -> Self {
        Self { tables, family, way, policy, report, rules: Vec::new(), followed: 0 }
    }
}

impl Flattening<'_> {
    /// Follows chains from their beginning, one after the other.
    pub(super) fn follow(mut self, names: &[&str]) -> Vec<Flat> {
        names.iter().for_each(|name| self.chain(name, &Jump::default()));
        self.rules
    }

    fn chain(&mut self, name: &str, jump: &Jump) {
        let tables = self.tables;
        let empty = Chain::default();
        let key = (self.way.table().to_owned(), name.to_owned());
        let chain = tables.get(&key).unwrap_or(&empty);
        let mut returned: Vec<Match> = Vec::new();
        let mut end = End::Open;
        for (place, rule) in &chain.rules {
            match &end {
                End::Open => {}
                End::Empty => {
                    self.report.cover(place, "no packet comes here");
                    continue;
                }
                End::Unknown(why) => {
                    self.report.lose(place, why.clone());
                    continue;
                }
            }
            match self.rule(place, rule, jump, &returned) {
                Left::Nothing => {}
                Left::Some(matching) if matching.is_any() => end = End::Empty,
                Left::Some(matching) => returned.push(*matching),
                Left::Unknown => end = End::behind(place),
            }
        }
    }

    fn rule(&mut self, place: &Place, rule: &Rule, jump: &Jump, returned: &[Match]) -> Left {
        let leaves = matches!(rule.target, Target::Return | Target::Goto(_));
        let lost = if leaves { Left::Unknown } else { Left::Nothing };
        self.followed += 1;
        if self.followed > MOST {
            self.lose(place, rule, "the importer follows no more lines");
            return lost;
        }
        if !rule.lost.is_empty() {
            self.lose(place, rule, &rule.lost.join("; "));
            return lost;
        }
        let start = jump.matching.and(&rule.matching);
        let matching =
            returned.iter().fold(start, |left, gone| left.and_then(|left| left.without(gone)));
        match matching {
            Ok(matching) => self.reach(place, rule, jump, matching),
            Err(Apart::Never) => {
                self.report.cover(place, "no packet meets it");
                Left::Nothing
            }
            Err(Apart::Unsayable) => {
                self.lose(place, rule, "one rule cannot say which packets come to it");
                lost
            }
        }
    }

    /// Does what a rule does with the packets that come to it.
    fn reach(&mut self, place: &Place, rule: &Rule, jump: &Jump, matching: Match) -> Left {
        let mut places = jump.places.clone();
        places.push(place.clone());
        let is_top = jump.places.is_empty();
        let left = Left::Some(Box::new(rule.matching.clone()));
        let is_nat = self.way.table() == "nat";
        match &rule.target {
            Target::Translate(translation) if is_nat => {
                self.translate(rule, places, matching, *translation);
            }
            Target::Accept if is_nat => {
                self.translate(rule, places, matching, Translation::EXEMPT);
            }
            Target::Drop | Target::Reject(_) | Target::Log(_) if is_nat => {
                self.lose(place, rule, "what translates keeps nothing out, and logs nothing");
            }
            Target::Return if is_nat && is_top => {
                self.translate(rule, places, matching, Translation::EXEMPT);
            }
            Target::Translate(_) => self.lose(place, rule, "only the table nat translates"),
            Target::Accept => self.emit(rule, places, matching, Action::Accept, None),
            Target::Drop => self.emit(rule, places, matching, Action::Drop, None),
            Target::Reject(with) => {
                self.emit(rule, places, matching, Action::Reject(with), None);
            }
            Target::Log(log) => {
                self.emit(rule, places, matching, Action::Log, Some(log.clone()));
            }
            Target::Nothing => self.report.cover(place, "it only counts, as each rule does"),
            Target::Helper(_) => self.lose(place, rule, "CT belongs to the table raw"),
            Target::Return if is_top => {
                self.emit(rule, places, matching, self.policy, None);
            }
            Target::Return if rule.matching.is_limited() => {
                self.lose(place, rule, "a limit cannot make packets return");
                return Left::Unknown;
            }
            Target::Return => {
                self.report.carry(place);
                return left;
            }
            Target::Jump(name) => {
                self.jump(name, place, rule, jump.further(name, places, matching));
            }
            Target::Goto(name) => {
                let further = jump.further(name, places.clone(), matching.clone());
                self.jump(name, place, rule, further);
                if is_top && is_nat {
                    self.translate(rule, places, matching, Translation::EXEMPT);
                } else if is_top {
                    self.emit(rule, places, matching, self.policy, None);
                }
                return left;
            }
        }
        Left::Nothing
    }

    fn jump(&mut self, name: &str, place: &Place, rule: &Rule, jump: Jump) {
        let is_circle = jump.is_circle();
        if !self.tables.contains_key(&(self.way.table().to_owned(), name.to_owned())) {
            self.lose(place, rule, &format!("the input has no chain {name}"));
        } else if is_circle {
            self.lose(place, rule, "the chains go round in a circle");
        } else {
            self.report.carry(place);
            self.chain(name, &jump);
        }
    }

    /// Notes a rule as lost, with what that means for those behind it.
    pub(super) fn lose(&mut self, place: &Place, rule: &Rule, why: &str) {
        let danger = match rule.target {
            Target::Drop | Target::Reject(_) => "; rules after it may now let in what it kept out",
            Target::Jump(_) | Target::Goto(_) => "; nor are the rules of that chain, by this way",
            Target::Accept
            | Target::Log(_)
            | Target::Return
            | Target::Helper(_)
            | Target::Translate(_)
            | Target::Nothing => "",
        };
        self.report.lose(place, format!("{why}{danger}"));
    }
}

/// What is left of a chain behind a rule.
enum End {
    Open,
    /// No packet comes there.
    Empty,
    /// It cannot be said which packets come there.
    Unknown(String),
}

impl End {
    fn behind(place: &Place) -> Self {
        let line = place.line;
        let why = "which lets packets leave the chain and was not carried over";
        Self::Unknown(format!("it stands after line {line}, {why}"))
    }
}

/// What left a chain by a rule.
enum Left {
    Nothing,
    Some(Box<Match>),
    /// It cannot be said what.
    Unknown,
}

#[cfg(test)]
mod tests;
