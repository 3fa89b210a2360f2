//! What became of each line: carried over, built in, or lost and why.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A line of an input, which may go over several lines of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many inputs stand before this one.
    pub(crate) order: usize,
    /// The line, from 1.
    pub(crate) line: usize,
    /// What people call the input.
    pub(crate) file: Rc<str>,
    /// What the line says.
    pub(crate) text: Rc<str>,
}

impl Place {
    /// Names the line: `FILE:LINE`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Names the line and says what it says.
    pub(crate) fn quote(&self) -> String {
        format!("{}: {}", self.name(), self.text)
    }

    fn key(&self) -> (usize, usize, &str) {
        (self.order, self.line, &self.text)
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What became of the lines of all inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    carried: BTreeSet<Place>,
    covered: BTreeMap<Place, String>,
    lost: BTreeMap<Place, BTreeSet<String>>,
}

impl Report {
    /// Notes that the draft says what a line said.
    pub(crate) fn carry(&mut self, place: &Place) {
        self.carried.insert(place.clone());
    }

    /// Notes that the firewall does what a line said without being told.
    pub(crate) fn cover(&mut self, place: &Place, why: impl Into<String>) {
        self.covered.insert(place.clone(), why.into());
    }

    /// Notes that the draft does not say what a line said, or not all of it.
    pub(crate) fn lose(&mut self, place: &Place, why: impl Into<String>) {
        self.lost.entry(place.clone()).or_default().insert(why.into());
    }

    /// Tells whether anything has become of a line.
    pub(crate) fn knows(&self, place: &Place) -> bool {
        self.carried.contains(place)
            || self.covered.contains_key(place)
            || self.lost.contains_key(place)
    }

    /// Returns the lines that need nothing in the draft, and why.
    pub(crate) fn covered(&self) -> impl Iterator<Item = (&Place, &str)> {
        let kept =
            |place: &&Place| !self.lost.contains_key(*place) && !self.carried.contains(*place);
        self.covered.iter().map(|(p, why)| (p, why.as_str())).filter(move |(p, _)| kept(p))
    }

    /// Returns the lines that are lost, and why.
    pub(crate) fn lost(&self) -> impl Iterator<Item = (&Place, String)> {
        self.lost.iter().map(|(place, why)| {
            let why: Vec<&str> = why.iter().map(String::as_str).collect();
            (place, why.join("; "))
        })
    }

    /// Writes each lost line, and the sum of all.
    pub(crate) fn text(&self) -> String {
        let lost = self.lost().map(|(place, why)| format!("{}: {why}\n", place.quote()));
        let good: BTreeSet<&Place> = self.carried.iter().chain(self.covered.keys()).collect();
        let carried = good.iter().filter(|place| !self.lost.contains_key(**place)).count();
        let lines = if carried == 1 { "line" } else { "lines" };
        let sum = format!("{carried} {lines} carried over, {} not\n", self.lost.len());
        lost.chain([sum]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: usize) -> Place {
        Place { order: 0, line, file: "f".into(), text: format!("-A {line}").into() }
    }

    fn check(report: &Report, expected: &str) {
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn lost_lines_are_listed_in_their_order_and_counted() {
        let mut report = Report::default();
        report.lose(&place(10), "b");
        report.lose(&place(9), "a");
        report.carry(&place(1));
        report.cover(&place(2), "built in");
        check(&report, "f:9: -A 9: a\nf:10: -A 10: b\n2 lines carried over, 2 not\n");
    }

    #[test]
    fn a_line_needs_no_rule_only_if_that_is_so_by_every_way_that_leads_to_it() {
        let mut report = Report::default();
        (1..=3).for_each(|line| report.cover(&place(line), "built in"));
        report.carry(&place(2));
        report.lose(&place(3), "a");
        let covered: Vec<usize> = report.covered().map(|(place, _)| place.line).collect();
        assert_eq!(covered, [1]);
    }

    #[test]
    fn a_line_that_is_lost_in_part_is_lost_once_with_every_reason() {
        let mut report = Report::default();
        report.carry(&place(1));
        report.lose(&place(1), "a");
        report.lose(&place(1), "a");
        report.lose(&place(1), "b");
        check(&report, "f:1: -A 1: a; b\n0 lines carried over, 1 not\n");
    }
}
