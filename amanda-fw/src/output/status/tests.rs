//! Snapshots, as they must read.

use amanda_fw_common::verdict::COUNTERS;

use super::*;
use crate::output::session::tests::backup;

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

fn snapshot(counts: &[Count]) -> Snapshot {
    Snapshot {
        interfaces: Vec::new(),
        policy: Policy::of(&Settings::default()),
        tables: Vec::new(),
        reasons: reasons(counts),
        occurrences: occurrences(counts),
        sessions: Vec::new(),
    }
}

#[test]
fn a_snapshot_has_a_section_for_each_topic() {
    let counts = counts(&[(1, 90_210, 130_023_424), (3, 4, 240), (16, 17, 1020), (32, 3, 0)]);
    let interface = |name: &str, index| Interface {
        name: name.to_owned(),
        index,
        mode: "xdp-generic".to_owned(),
    };
    let fill = |name: &str, entries| Fill { name: name.to_owned(), entries, capacity: 65_536 };
    let snapshot = Snapshot {
        interfaces: vec![interface("eth0", Some(2)), interface("ppp0", None)],
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

Policy
  incoming drop, outgoing accept

Tables
  flows         12345  of 65536  18%
  expectations      4  of 65536   0%

Accepted
  established  90210 packets  124.0 MiB
  expected         4 packets      240 B

Dropped
  policy-drop  17 packets  1020 B

Amanda and events
  requests  3

Sessions
  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s
    DATA 50093 open 1.2 MiB, MESG 50094 closed, INDEX 50095 expected, STATE -
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

Policy
  incoming drop, outgoing accept

Tables
  none

Accepted
  nothing yet

Dropped
  nothing yet

Amanda and events
  nothing yet

Sessions
  none
",
    );
}

#[test]
fn json_has_every_reason_and_every_occurrence() {
    let json = crate::output::json(&snapshot(&[])).expect("JSON");
    let names = Reason::ALL.iter().map(|r| r.name()).chain(Counter::ALL.iter().map(|c| c.name()));
    for name in names {
        assert!(json.contains(&format!("\"name\": \"{name}\"")), "{name}");
    }
}
