//! Rows, as they must read.

use amanda_fw_common::addr::Addr;
use amanda_fw_common::label::{Label, RuleInfo};
use amanda_fw_common::nat::Mapped;
use amanda_fw_common::rules::{Action, Way};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::verdict::Count;

use super::*;

const SECOND: u64 = 1_000_000_000;
const SERVER: Addr = Addr::v4([10, 84, 0, 1]);
const CLIENT: Addr = Addr::v4([10, 84, 0, 2]);

fn check<R: Row>(rows: &[R], expected: &str) {
    assert_eq!(text(rows), expected);
}

fn rule(slot: u16, name: &str, line: u32) -> RuleInfo {
    RuleInfo {
        identity: 0,
        line,
        slot,
        action: Action::Accept.number(),
        way: Way::In as u8,
        name: Label::new(name),
        prefix: Label::new(""),
        matches: Label::new("tcp to port 22"),
    }
}

fn names() -> RuleNames {
    RuleNames::new(&[rule(2, "ssh", 7), rule(5, "policy incoming", 0)])
}

fn flow(protocol: u8, source: u16, destination: u16, reason: Reason) -> (FlowKey, Flow) {
    let source = Endpoint { addr: SERVER, port: source };
    let destination = Endpoint { addr: CLIENT, port: destination };
    let (key, forward) = FlowKey::new(protocol, source, destination);
    let mut flow = Flow::begin(forward, Way::In, false, 10 * SECOND);
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
    let mut other = flow(200, 0, 0, Reason::PolicyAccept);
    other.1.rule = 5;
    let mut gone = flow(6, 40023, 23, Reason::Rule);
    gone.1.rule = 3;
    let control = flow(17, 700, 10080, Reason::Control);
    let openings = Settings::default().openings;
    let rows = [ssh, data, other, gone, control]
        .map(|(key, flow)| FlowRow::new(&key, &flow, &names(), &openings, 85 * SECOND));
    check(
        &rows,
        "\
PROTO         FROM             TO               STATE        SILENT  LET IN BY
tcp           10.84.0.1:40022  10.84.0.2:22     NEW          1m 15s  rule \"ssh\"
tcp           10.84.0.1:50000  10.84.0.2:50093  ESTABLISHED  1m 15s  expected DATA
protocol 200  10.84.0.1        10.84.0.2        NEW          1m 15s  policy-accept
tcp           10.84.0.1:40023  10.84.0.2:23     NEW          1m 15s  rule of slot 3, which is gone
udp           10.84.0.1:700    10.84.0.2:10080  NEW          1m 15s  amanda-control bsd bsdudp
",
    );
}

#[test]
fn what_the_ends_of_a_translated_flow_are_known_as_stands_under_them() {
    let mut both = flow(6, 40022, 22, Reason::PolicyAccept);
    both.1.destination = Mapped::new(0xc633_6401, 2222);
    let mut source = both;
    source.1.destination = Mapped::NONE;
    source.1.route(Mapped::new(0xc633_6401, 1024));
    both.1.route(source.1.source);
    let openings = Settings::default().openings;
    let rows = [both, source]
        .map(|(key, flow)| FlowRow::new(&key, &flow, &names(), &openings, 11 * SECOND));
    check(
        &rows,
        "\
PROTO  FROM               TO                 STATE  SILENT  LET IN BY
tcp    10.84.0.1:40022    10.84.0.2:22       NEW        1s  policy-accept
  as   198.51.100.1:1024  198.51.100.1:2222
tcp    10.84.0.1:40022    10.84.0.2:22       NEW        1s  policy-accept
  as   198.51.100.1:1024
",
    );
}

#[test]
fn an_expectation_shows_when_it_ends_and_who_listens() {
    let row = |port, stream, expires, to| {
        let key = ExpectationKey::new(SERVER, CLIENT, port);
        ExpectationRow::new(&key, &Expectation::new(7, expires, stream, 0, to), 10 * SECOND)
    };
    let behind = Mapped::new(0xc0a8_0002, 50094);
    check(
        &[row(50093, 1, 70 * SECOND, Mapped::NONE), row(50095, 2, 5 * SECOND, behind)],
        "\
FROM       TO                  PORT  STREAM  EXPIRES IN
10.84.0.1  10.84.0.2          50093  DATA            1m
10.84.0.1  10.84.0.2          50095  MESG            0s
  is       192.168.0.2:50094
",
    );
}

#[test]
fn a_rule_shows_what_it_has_counted() {
    let ssh = rule(2, "ssh", 7);
    let log = RuleInfo {
        action: Action::Log.number(),
        way: Way::Out as u8,
        prefix: Label::new("TELNET "),
        matches: Label::new("tcp to port 23"),
        ..rule(3, "te\nlnet", 12)
    };
    let policy = RuleInfo {
        action: Action::Reject.number(),
        matches: Label::new("any"),
        ..rule(5, "policy incoming", 0)
    };
    let count = |packets, bytes| Count { packets, bytes };
    let nat = RuleInfo {
        action: Action::Translate.number(),
        way: Way::Postrouting.number(),
        matches: Label::new("source interface's for out ppp0"),
        ..rule(4, "nat 1", 20)
    };
    let counts = [count(4, 240), count(0, 0), count(7, 420), count(12_345, 1 << 20)];
    let row =
        |(number, (info, count))| RuleRow::new(number, info, std::slice::from_ref(info), count);
    let rows: Vec<_> = (1..).zip([ssh, log, nat, policy].iter().zip(&counts)).map(row).collect();
    check(
        &rows,
        "\
#  PACKETS    BYTES  NAME             DIR          ACTION     MATCHES
1        4    240 B  ssh              in           accept     tcp to port 22
2        0      0 B  te\\nlnet         out          log        tcp to port 23
3        7    420 B  nat 1            postrouting  translate  source interface's for out ppp0
4    12345  1.0 MiB  policy incoming  in           reject     any
",
    );
    let json = crate::output::json(&rows).expect("JSON");
    for words in ["\"line\": 12", "\"line\": null", "\"log\": \"TELNET \"", "\"packets\": 12345"] {
        assert!(json.contains(words), "no {words} in {json}");
    }
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
    let json =
        crate::output::json(&[FlowRow::new(&data.0, &data.1, &names(), &Openings::default(), 0)])
            .expect("JSON");
    assert!(json.contains("\"transaction\": \"ffffffffffffffff\""), "{json}");
}
