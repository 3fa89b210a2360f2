//! Snapshots, as they must read.

use amanda_fw_common::auth::{Auth, PRIVILEGED, openings};
use amanda_fw_common::verdict::COUNTERS;

use super::*;
use crate::output::opening;
use crate::output::session::tests::backup;

const SECOND: u64 = 1_000_000_000;

fn check(snapshot: &Snapshot, expected: &str) {
    assert_eq!(snapshot.text(), expected);
}

fn counts(some: &[(u8, u64, u64)]) -> Vec<Count> {
    let mut counts = vec![Count::default(); COUNTERS as usize];
    for &(number, packets, bytes) in some {
        counts[usize::from(number)] = Count { packets, bytes };
    }
    counts
}

/// The rules of a file, 100 seconds after the machine was started.
fn ruleset(confirm_by: u64) -> Ruleset {
    let mut settings = Settings::default();
    settings.confirm_by = confirm_by;
    let config = Some(PathBuf::from("/etc/amanda-fw/amanda-fw.toml"));
    Ruleset::new(3, config, &settings, 100 * SECOND)
}

fn policy(way: Way, action: Action) -> RuleInfo {
    let mut info: RuleInfo = bytemuck::Zeroable::zeroed();
    (info.way, info.action) = (way as u8, action.number());
    info
}

fn snapshot(counts: &[Count]) -> Snapshot {
    Snapshot {
        interfaces: Vec::new(),
        ruleset: ruleset(0),
        policy: Policy::of(&[policy(Way::In, Action::Drop), policy(Way::Out, Action::Accept)]),
        openings: Vec::new(),
        tables: Vec::new(),
        reasons: reasons(counts),
        occurrences: occurrences(counts),
        sessions: Vec::new(),
    }
}

#[test]
fn a_snapshot_has_a_section_for_each_topic() {
    let counts =
        counts(&[(1, 90_210, 130_023_424), (3, 4, 240), (16, 17, 1020), (26, 2, 120), (32, 3, 0)]);
    let interface = |name: &str, index| Interface {
        name: name.to_owned(),
        index,
        mode: "xdp-generic".to_owned(),
    };
    let fill = |name: &str, entries| Fill { name: name.to_owned(), entries, capacity: 65_536 };
    let snapshot = Snapshot {
        interfaces: vec![interface("eth0", Some(2)), interface("ppp0", None)],
        openings: opening::rows(&openings(Auth::Ssh.bit(), 10080, PRIVILEGED)),
        tables: vec![fill("flows", 12_345), fill("expectations", 4)],
        sessions: vec![backup()],
        ..snapshot(&counts)
    };
    check(
        &snapshot,
        "\
Interfaces
  eth0  index 2  xdp-generic
  ppp0  gone     xdp-generic

Ruleset
  number 3  /etc/amanda-fw/amanda-fw.toml

Policy
  incoming drop, outgoing accept

Amanda opens
  AUTH  WHO                  PROTO  SPORT  PORT  AND THEN
  ssh   servers and clients  tcp    any    22

Tables
  flows         12345  of 65536  18%
  expectations      4  of 65536   0%

Accepted
  established  90210 packets  124.0 MiB
  expected         4 packets      240 B

Dropped
  policy-drop  17 packets  1020 B

Rejected
  rule-reject  2 packets  120 B

Amanda and events
  requests  3

Sessions
  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s  245.8 KiB/s
    DATA   50093  open      1.2 MiB  245.8 KiB/s  idle 5s
    MESG   50094  closed
    INDEX  50095  expected
    STATE  -
",
    );
}

#[test]
fn an_idle_firewall_says_that_there_is_nothing() {
    check(
        &snapshot(&counts(&[])),
        "\
Interfaces
  attached to none

Ruleset
  number 3  /etc/amanda-fw/amanda-fw.toml

Policy
  incoming drop, outgoing accept

Amanda opens
  nothing

Tables
  none

Accepted
  nothing yet

Dropped
  nothing yet

Rejected
  nothing yet

Amanda and events
  nothing yet

Sessions
  none
",
    );
}

#[test]
fn a_ruleset_says_whether_it_has_to_be_confirmed() {
    let head = "  number 3  /etc/amanda-fw/amanda-fw.toml\n";
    let text = |confirm_by| ruleset(confirm_by).text();
    let pending = "  everything passes in 1m 15s unless `amanda-fw confirm` comes\n";
    let missed = "  not confirmed in time: EVERYTHING PASSES; `amanda-fw attach` attaches anew\n";
    assert_eq!(text(0), head);
    assert_eq!(text(175 * SECOND), format!("{head}{pending}"));
    assert_eq!(text(99 * SECOND), format!("{head}{missed}"));
    let json = crate::output::json(&ruleset(175 * SECOND)).expect("JSON");
    assert!(json.contains("\"confirmation\": \"pending\""), "{json}");
    assert!(json.contains("\"confirm_seconds\": 75"), "{json}");
}

#[test]
fn a_ruleset_without_a_file_is_the_built_in_one() {
    let built_in = Ruleset { config: None, ..ruleset(0) };
    assert_eq!(built_in.text(), "  number 3  built-in defaults\n");
}

#[test]
fn a_policy_is_the_last_rule_of_its_direction() {
    let rules = [
        policy(Way::Out, Action::Drop),
        policy(Way::In, Action::Accept),
        policy(Way::In, Action::Reject),
        policy(Way::Out, Action::Accept),
    ];
    let text = |rules: &[RuleInfo]| Policy::of(rules).text();
    assert_eq!(text(&rules), "  incoming reject, outgoing accept\n");
    let gateway = [rules.as_slice(), &[policy(Way::Forward, Action::Drop)]].concat();
    assert_eq!(text(&gateway), "  incoming reject, outgoing accept, forward drop\n");
}

#[test]
fn json_has_every_reason_and_every_occurrence() {
    let json = crate::output::json(&snapshot(&[])).expect("JSON");
    let names = Reason::ALL.iter().map(|r| r.name()).chain(Counter::ALL.iter().map(|c| c.name()));
    for name in names {
        assert!(json.contains(&format!("\"name\": \"{name}\"")), "{name}");
    }
}
