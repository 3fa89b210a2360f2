//! Pairs of rules that are one rule in the draft: a LOG before its verdict, a drop of the excess
//! before the accept of the rest.

use super::flat::{Action, Flat};
use super::matching::PerSource;
use crate::import::report::Report;

/// Joins such pairs, and reports limits that stand alone.
pub(super) fn arrange(rules: Vec<Flat>, report: &mut Report) -> Vec<Flat> {
    let rules = pairs(rules, joined_log);
    let rules = pairs(rules, joined_limit);
    rules.into_iter().filter(|rule| is_sayable(rule, report)).collect()
}

/// Replaces neighbours by what they join to.
fn pairs(rules: Vec<Flat>, join: impl Fn(&Flat, &Flat) -> Option<Flat>) -> Vec<Flat> {
    let mut out: Vec<Flat> = Vec::with_capacity(rules.len());
    for rule in rules {
        match out.last().and_then(|last| join(last, &rule)) {
            Some(joined) => {
                out.pop();
                out.push(joined);
            }
            None => out.push(rule),
        }
    }
    out
}

fn joined_log(first: &Flat, second: &Flat) -> Option<Flat> {
    let is_pair = first.action == Action::Log
        && second.action != Action::Log
        && first.matching == second.matching
        && first.state == second.state;
    is_pair.then(|| Flat {
        log: first.log.clone(),
        places: [first.places.clone(), second.places.clone()].concat(),
        ..second.clone()
    })
}

/// `--hashlimit-above ... -j DROP` before the accept of the same packets is `limit_per_source`.
fn joined_limit(first: &Flat, second: &Flat) -> Option<Flat> {
    let above = first.matching.per_source.as_ref().filter(|of| of.is_above)?;
    let is_pair = matches!(first.action, Action::Drop | Action::Reject(_))
        && second.action == Action::Accept
        && first.matching.unlimited() == second.matching
        && first.state == second.state
        && first.log.is_none();
    if !is_pair {
        return None;
    }
    let mut joined = second.clone();
    joined.places = [first.places.clone(), second.places.clone()].concat();
    joined.matching.per_source = Some(PerSource { is_above: false, ..above.clone() });
    if let Action::Reject(_) = first.action {
        joined.remarks.push("what exceeds the limit was rejected; here it is dropped".to_owned());
    }
    Some(joined)
}

fn is_sayable(rule: &Flat, report: &mut Report) -> bool {
    let Some(per_source) = &rule.matching.per_source else { return true };
    let is_sayable = rule.action == Action::Accept && !per_source.is_above;
    if let (false, Some(place)) = (is_sayable, rule.places.last()) {
        let why = "limit_per_source is for what is let in: write it into the rule that lets in";
        report.lose(place, why);
    }
    is_sayable
}
