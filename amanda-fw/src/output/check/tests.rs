//! What `check` says, for people and for programs.

use super::*;
use crate::config::{self, Mistakes, Warnings};
use crate::output::json;

fn host() -> Host {
    let interfaces = [("lo", 1), ("eth0", 2)].map(|(name, index)| (name.to_owned(), index));
    Host { interfaces: interfaces.into(), ..Host::default() }
}

fn compiled(text: &str) -> Result<(Ruleset, Warnings), Mistakes> {
    let config = config::parsed(text)?;
    Ok((config::compile(&config, &host())?, config::warnings(&config, &host())))
}

/// Compares the table of the rules, without those that are implicit.
fn check(rules: &str, expected: &str) {
    let (ruleset, _) = compiled(rules).expect("a ruleset");
    let lines: Vec<RuleLine> = ruleset
        .rules
        .iter()
        .filter(|rule| rule.line != 0)
        .map(|rule| RuleLine::new(rule, &host()))
        .collect();
    let text = rule::text(&lines);
    assert_eq!(text, expected, "{text}");
}

#[test]
fn what_every_rule_leaves_open_has_no_column() {
    check(
        "[[rule]]\nservice = \"ssh\"\naction = \"accept\"",
        "LINE  NAME    DIR  PROTO  PORT  ACTION\n   1  rule 1  in   tcp    22    accept\n",
    );
}

#[test]
fn every_field_of_a_rule_is_shown_as_it_was_written() {
    check(
        r#"
[[rule]]
name = "a"
interface = "!lo"
protocol = "tcp"
from = ["::/0", "!fd00::1"]
to = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]
ports = [22, "80:90"]
source_ports = "1024:65535"
action = "accept"
limit = "10/s"
limit_per_source = { rate = "3/min", burst = 2 }
log = "a: "
[[rule]]
direction = "out"
protocol = "!tcp"
from = "!10.0.0.0/8"
state = "invalid"
action = "reject"
reject_with = "admin-prohibited"
[[rule]]
interface = "ppp0"
protocol = ["icmp", 200]
state = "new"
action = "log"
"#,
        "\
LINE  NAME    DIR  INTERFACE  PROTO              FROM           TO                                              SPORT       PORT      STATE                ACTION
   2  a       in   !lo        tcp                ::/0 !fd00::1  10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 and 1 more  1024:65535  22 80:90  any                  accept limit 10/s burst 5 limit 3/min burst 2 per source log \"a: \"
  14  rule 2  out  any        !tcp               !10.0.0.0/8    any                                             any         any       invalid unsolicited  reject with admin-prohibited
  21  rule 3  in   none       icmp protocol 200  any            any                                             any         any       new                  log
",
    );
}

#[test]
fn programs_read_rules_warnings_and_hosts() {
    let text = "amanda = { servers = \"10.0.0.1\", clients = \"10.0.0.1\" }
        rule = [{ name = \"a\", interface = \"eth1\", action = \"drop\", log = \"x\" }]";
    let (ruleset, warnings) = compiled(text).expect("a ruleset");
    let report = Report::new(&ruleset, &host(), &warnings);
    assert_eq!(report.warnings[1].line, 2);
    let read: serde_json::Value =
        serde_json::from_str(&json(&report).expect("JSON")).expect("JSON");
    assert_eq!(read["mistakes"], serde_json::json!([]));
    assert_eq!(read["warnings"][1]["column"], 43);
    assert_eq!(read["warnings"][1]["length"], 6);
    assert_eq!(read["warnings"][1]["help"], "did you mean `eth0`?");
    assert_eq!(read["rules"][0]["interface"], "none");
    assert_eq!(read["rules"][0]["log_rate"], "10/s burst 5");
    assert_eq!(read["rules"][3]["name"], "policy outgoing");
    assert_eq!(read["hosts"][0]["role"], "server and client");
}

#[test]
fn programs_read_mistakes() {
    let mistakes = compiled("[policy]\nincomming = 1").expect_err("a mistake");
    let read = serde_json::to_value(Report::of_mistakes(&mistakes)).expect("JSON");
    assert_eq!(
        read["mistakes"],
        serde_json::json!([{
            "file": "x.toml", "line": 2, "column": 1, "length": 9,
            "message": "unknown key `incomming` in [policy]",
            "help": "did you mean `incoming`?",
        }])
    );
}

#[test]
fn services_are_listed_with_their_ports() {
    let text = services_text(config::services());
    assert!(text.starts_with("SERVICE"));
    assert!(text.lines().any(|line| line.split_whitespace().eq(["ntp", "123/udp"])));
}
