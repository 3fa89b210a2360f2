//! A rule as the draft has it.

use super::chains::Family;
use super::field::Field;
use super::matching::Match;
use super::nat::Translation;
use super::rule::Log;
use crate::import::report::Place;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
    /// Through the host.
    Forward,
    /// Before its destination is translated.
    Prerouting,
    /// Before its source is translated.
    Postrouting,
}

/// What a rule of the draft does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Accept,
    Drop,
    /// With this answer.
    Reject(&'static str),
    Log,
    /// An address of it becomes another one.
    Translate(Translation),
}

/// What a packet of no flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It may begin a flow, or not.
    Any,
    New,
    Invalid,
}

/// A rule as the draft has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flat {
    /// The rule, and before it the jumps that lead to it.
    pub(super) places: Vec<Place>,
    pub(super) families: Vec<Family>,
    pub(super) way: Way,
    pub(super) matching: Match,
    pub(super) state: State,
    pub(super) action: Action,
    pub(super) name: Option<String>,
    pub(super) log: Option<Log>,
    pub(super) remarks: Vec<String>,
}

/// Makes two rules of one that asks for ports of either end.
pub(super) fn split(flat: Flat) -> Vec<Flat> {
    let either = flat.matching.either_ports.clone();
    if either.is_any() {
        return vec![flat];
    }
    let is_not = either.wanted.is_empty();
    let with = |has_ports: bool, has_source_ports: bool| {
        let mut flat = flat.clone();
        flat.matching.either_ports = Field::default();
        let asked = &mut flat.matching;
        let ports = if has_ports { asked.ports.and(&either) } else { Some(asked.ports.clone()) };
        let sources = match has_source_ports {
            true => asked.source_ports.and(&either),
            false => Some(asked.source_ports.clone()),
        };
        (asked.ports, asked.source_ports) = (ports?, sources?);
        Some(flat)
    };
    match is_not {
        true => with(true, true).into_iter().collect(),
        false => [with(true, false), with(false, true)].into_iter().flatten().collect(),
    }
}
