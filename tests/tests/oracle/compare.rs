//! The comparison of the two, and the table of their differences.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{Case, Effects};
use crate::conversations::conversations;
use crate::differences::{DIVERGENCES, Divergence, Finding, REFUSALS, Refusal, announced};
use crate::firewall;
use crate::helper::Helper;
use crate::mutations::mutations;
use crate::real::{captured, dialogues, vectors};

#[test]
#[ignore = "needs root: network namespaces and nft"]
fn every_difference_from_the_helper_is_intended() {
    let helper = Helper::new().expect("hosts and a router with the helper can be set up");
    let mut tally = Tally::default();
    for case in cases() {
        let helper = helper.play(&case).unwrap_or_else(|error| panic!("{}: {error:#}", case.name));
        tally.compare(&case, &helper, &firewall::play(&case));
    }
    tally.close();
    tally.print();
    assert!(tally.complaints.is_empty(), "{}", tally.complaints.join("\n"));
}

/// Without the helper itself: with what it is known to do.
#[test]
fn every_difference_from_what_the_helper_is_known_to_do_is_intended() {
    let mut tally = Tally::default();
    for case in cases() {
        tally.compare(&case, &case.known, &firewall::play(&case));
    }
    tally.close();
    assert!(tally.complaints.is_empty(), "{}", tally.complaints.join("\n"));
}

#[test]
fn the_manual_lists_every_difference() {
    const MANUAL: &str = include_str!("../../../docs/kernel-helper.md");
    let table = table();
    assert!(
        MANUAL.contains(&format!("\n{table}\n")),
        "docs/kernel-helper.md has another table than\n{table}"
    );
}

fn cases() -> Vec<Case> {
    [vectors(), captured(), dialogues(), conversations(), mutations()].concat()
}

/// What has been found so far.
#[derive(Default)]
struct Tally {
    cases: usize,
    equal: usize,
    /// In how many cases a difference explains something, by its name.
    counts: BTreeMap<&'static str, usize>,
    complaints: Vec<String>,
}

impl Tally {
    /// Compares what the two have made of a case.
    fn compare(&mut self, case: &Case, helper: &Effects, firewall: &Effects) {
        let Case { name, known, wanted, .. } = case;
        if helper != known {
            self.complaints.push(format!("{name}: the helper made {helper:?}, not {known:?}"));
        }
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != firewall) {
            self.complaints.push(format!("{name}: amanda-fw made {firewall:?}, not {wanted:?}"));
        }
        if let Some(answer) = case.single_answer() {
            let refused = REFUSALS.iter().any(|refusal| (refusal.holds)(&answer));
            let ports = if refused { Vec::new() } else { announced(&answer) };
            if firewall.open != BTreeSet::from_iter(ports) {
                let text = String::from_utf8_lossy(answer.text);
                self.complaints.push(format!("{name}: amanda-fw made {firewall:?} of {text:?}"));
            }
        }
        let findings = findings(helper, firewall);
        self.cases += 1;
        self.equal += usize::from(findings.is_empty());
        let mut names = BTreeSet::new();
        for finding in findings {
            match explanation(case, finding) {
                Some(name) => drop(names.insert(name)),
                None => self.complaints.push(format!("{name}: {finding:?} is not intended")),
            }
        }
        for name in names {
            *self.counts.entry(name).or_default() += 1;
        }
    }

    /// Looks for differences that are listed and do not occur.
    fn close(&mut self) {
        for Difference { name, .. } in differences() {
            if self.count(name) == 0 {
                self.complaints.push(format!("the difference {name} has not occurred"));
            }
        }
    }

    #[expect(clippy::print_stdout, reason = "the counts are for the reader of the test's output")]
    fn print(&self) {
        for Difference { name, .. } in differences() {
            println!("{name:<18} {:>4} cases", self.count(name));
        }
        println!("\n{} cases, {} of them without a difference", self.cases, self.equal);
    }

    fn count(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

/// Lists what one of the two does alone.
fn findings(helper: &Effects, firewall: &Effects) -> Vec<Finding> {
    let opens = (&helper.open - &firewall.open).into_iter().map(Finding::HelperOpens);
    let keeps = (&firewall.open - &helper.open).into_iter().map(Finding::FirewallOpens);
    let loses = (&helper.lost - &firewall.lost).into_iter().map(Finding::HelperLoses);
    let drops = (&firewall.lost - &helper.lost).into_iter().map(Finding::FirewallLoses);
    opens.chain(keeps).chain(loses).chain(drops).collect()
}

/// Names the first listed difference that explains a finding.
fn explanation(case: &Case, finding: Finding) -> Option<&'static str> {
    let divergence = DIVERGENCES.iter().find(|divergence| (divergence.explains)(case, finding));
    divergence.map(|divergence| divergence.name).or_else(|| refusal(case, finding))
}

/// Names the first reason to refuse the answer that announces a port to the helper alone.
fn refusal(case: &Case, finding: Finding) -> Option<&'static str> {
    let Finding::HelperOpens(port) = finding else {
        return None;
    };
    let answer = case.answers().filter(|answer| answer.announces(port)).last()?;
    REFUSALS.iter().find(|refusal| (refusal.holds)(&answer)).map(|refusal| refusal.name)
}

/// A difference, as the manual tells of it.
struct Difference {
    name: &'static str,
    helper: &'static str,
    firewall: &'static str,
}

fn differences() -> impl Iterator<Item = Difference> {
    let divergences = DIVERGENCES.iter().map(|divergence| {
        let Divergence { name, helper, firewall, explains: _ } = *divergence;
        Difference { name, helper, firewall }
    });
    let refusals = REFUSALS.iter().map(|refusal| {
        let Refusal { name, helper, firewall, holds: _ } = *refusal;
        Difference { name, helper, firewall }
    });
    divergences.chain(refusals)
}

/// Writes the table of the manual.
fn table() -> String {
    let row =
        |Difference { name, helper, firewall }| format!("| {name} | {helper} | {firewall} |\n");
    let rows: String = differences().map(row).collect();
    format!("| difference | kernel helper | amanda-fw |\n|---|---|---|\n{rows}")
}
