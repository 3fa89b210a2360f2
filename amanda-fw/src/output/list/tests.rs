//! Rows, as they must read.

use amanda_fw_common::addr::{Addr, Network};
use amanda_fw_common::rules::{ANY_TYPE, Rule, Way};

use super::*;

const SECOND: u64 = 1_000_000_000;
const SERVER: Addr = Addr::v4([10, 84, 0, 1]);
const CLIENT: Addr = Addr::v4([10, 84, 0, 2]);

fn check<R: Row>(rows: &[R], expected: &str) {
    assert_eq!(text(rows), expected);
}

fn names() -> Vec<String> {
    vec!["ping".to_owned(), "ssh".to_owned()]
}

fn flow(protocol: u8, source: u16, destination: u16, reason: Reason) -> (FlowKey, Flow) {
    let source = Endpoint { addr: SERVER, port: source };
    let destination = Endpoint { addr: CLIENT, port: destination };
    let (key, forward) = FlowKey::new(protocol, source, destination);
    let mut flow = Flow::begin(forward, false, 10 * SECOND);
    flow.reason = reason.number();
    (key, flow)
}

#[test]
fn a_flow_shows_its_originator_first_and_what_let_it_in() {
    let mut ssh = flow(6, 40022, 22, Reason::Rule);
    ssh.1.rule = 2;
    let mut data = flow(6, 50000, 50093, Reason::Expected);
    data.1.pick_up();
    (data.1.transaction, data.1.stream) = (7, Stream::Data.number());
    let gre = flow(47, 0, 0, Reason::PolicyAccept);
    let rows = [ssh, data, gre].map(|(key, flow)| FlowRow::new(&key, &flow, &names(), 85 * SECOND));
    check(
        &rows,
        "\
PROTO        FROM             TO               STATE        SILENT  LET IN BY
tcp          10.84.0.1:40022  10.84.0.2:22     NEW          1m 15s  rule \"ssh\"
tcp          10.84.0.1:50000  10.84.0.2:50093  ESTABLISHED  1m 15s  expected DATA
protocol 47  10.84.0.1        10.84.0.2        NEW          1m 15s  policy-accept
",
    );
}

#[test]
fn an_expectation_shows_when_it_ends() {
    let row = |port, stream, expires| {
        let key = ExpectationKey::new(SERVER, CLIENT, port);
        ExpectationRow::new(&key, &Expectation::new(7, expires, stream, 0), 10 * SECOND)
    };
    check(
        &[row(50093, 1, 70 * SECOND), row(50094, 2, 5 * SECOND)],
        "\
FROM       TO          PORT  STREAM  EXPIRES IN
10.84.0.1  10.84.0.2  50093  DATA            1m
10.84.0.1  10.84.0.2  50094  MESG            0s
",
    );
}

#[test]
fn a_rule_shows_every_condition() {
    let ssh = Rule {
        from: Network::new(SERVER, 120),
        number: 2,
        port_low: 22,
        port_high: 22,
        source_port_low: 1024,
        source_port_high: 65535,
        protocol: 6,
        way: Way::In as u8,
        icmp_type: ANY_TYPE,
        accept: 1,
        pad: 0,
    };
    let ping = Rule {
        from: Network::ANY,
        number: 1,
        port_low: 0,
        port_high: 65535,
        source_port_low: 0,
        source_port_high: 65535,
        protocol: 1,
        way: Way::Out as u8,
        icmp_type: 8,
        accept: 0,
        pad: 0,
    };
    check(
        &[ping, ssh].map(|entry| RuleRow::new(&entry, &names())),
        "\
#  NAME  DIR  PROTO  FROM          SPORT       PORT OR TYPE  ACTION
1  ping  out  icmp   any           any         echo-request  drop
2  ssh   in   tcp    10.84.0.0/24  1024:65535  22            accept
",
    );
}

#[test]
fn an_empty_table_says_so() {
    check::<FlowRow>(&[], "none\n");
    assert_eq!(sessions_text(&[]), "none\n");
}

#[test]
fn identifiers_are_whole_in_json() {
    let mut data = flow(6, 50000, 50093, Reason::Expected);
    data.1.transaction = u64::MAX;
    let json = crate::output::json(&[FlowRow::new(&data.0, &data.1, &[], 0)]).expect("JSON");
    assert!(json.contains("\"transaction\": \"ffffffffffffffff\""), "{json}");
}
