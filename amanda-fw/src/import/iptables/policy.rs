//! What becomes of packets that no rule decides, of both families in one word.

use std::collections::BTreeMap;

use super::chains::{Chains, Family};
use super::flat::{Action, Flat, State, Way};
use super::matching::Match;
use crate::import::report::Report;

/// The policies of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policies {
    said: BTreeMap<Family, Action>,
}

impl Way {
    /// Names the built-in chain.
    pub(super) fn chain(self) -> &'static str {
        match self {
            Self::In => "INPUT",
            Self::Out => "OUTPUT",
            Self::Forward => "FORWARD",
            Self::Prerouting => "PREROUTING",
            Self::Postrouting => "POSTROUTING",
        }
    }

    /// Names the table that it is in.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::In | Self::Out | Self::Forward => "filter",
            Self::Prerouting | Self::Postrouting => "nat",
        }
    }
}

impl Policies {
    /// Reads the policies of a direction.
    pub(super) fn read(chains: &Chains, way: Way, report: &mut Report) -> Self {
        let mut policies = Self::default();
        let key = ("filter".to_owned(), way.chain().to_owned());
        for (&family, tables) in &chains.families {
            let Some((name, place)) = tables.get(&key).and_then(|chain| chain.policy.as_ref())
            else {
                continue;
            };
            let action = if name == "ACCEPT" { Action::Accept } else { Action::Drop };
            policies.said.insert(family, action);
            report.carry(place);
        }
        policies
    }

    /// Tells whether no input says what the policy is.
    pub(super) fn is_unsaid(&self) -> bool {
        self.said.is_empty()
    }

    /// Returns what happens to packets of one family, if it is said.
    pub(super) fn of(&self, family: Family) -> Option<Action> {
        self.said.get(&family).copied()
    }

    /// Tells whether everything is let in that no rule keeps out.
    pub(super) fn accepts(&self, otherwise: bool) -> bool {
        if self.is_unsaid() {
            return otherwise;
        }
        self.said.values().all(|action| *action == Action::Accept)
    }

    /// Returns the last rules, for the family whose policy is not the draft's.
    pub(super) fn rest(&self, way: Way) -> Vec<Flat> {
        let accepts = self.said.iter().filter(|(_, action)| **action == Action::Accept);
        let is_needed = !self.accepts(true);
        accepts.filter(|_| is_needed).map(|(&family, _)| last(family, way)).collect()
    }
}

fn last(family: Family, way: Way) -> Flat {
    let (name, other) = match family {
        Family::V4 => ("IPv4", "IPv6"),
        Family::V6 => ("IPv6", "IPv4"),
    };
    let remark = format!("the policy {} ACCEPT was for {name} alone, not for {other}", way.chain());
    Flat {
        places: Vec::new(),
        families: vec![family],
        way,
        matching: Match::default(),
        state: State::Any,
        action: Action::Accept,
        name: None,
        log: None,
        remarks: vec![remark],
    }
}
