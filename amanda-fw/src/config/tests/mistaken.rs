//! Mistakes, as they must read.

use super::*;

fn check(text: &str, expected: &str) {
    match compiled(text) {
        Ok(_) => panic!("no mistake found in {text}"),
        Err(mistakes) => assert_eq!(mistakes.to_string(), expected.trim_matches('\n')),
    }
}

/// Compares the first line of the only mistake, and what to do about it.
fn check_short(text: &str, message: &str, way_out: &str) {
    let Err(mistakes) = compiled(text) else { panic!("no mistake found in {text}") };
    let written = mistakes.to_string();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 4, "{written}");
    let found = lines[0].splitn(4, ':').nth(3).unwrap_or_default().trim();
    let found_way_out = lines[3].trim_start_matches(['|', '^', ' ']);
    assert_eq!((found, found_way_out), (message, way_out));
}

#[test]
fn an_unknown_key_names_the_one_that_was_meant() {
    check(
        "[policy]\nincomming = \"drop\"\n",
        "
x.toml:2:1: unknown key `incomming` in [policy]
  |
2 | incomming = \"drop\"
  | ^^^^^^^^^ did you mean `incoming`?
",
    );
    check_short("polcy = {}", "unknown key `polcy` in the configuration", "did you mean `policy`?");
    check_short("[events]\nzzz = 1", "unknown key `zzz` in [events]", "known are rate");
    check_short(
        "[[rule]]\nname = \"ssh\"\nport = 22\naction = \"accept\"",
        "unknown key `port` in rule \"ssh\"",
        "did you mean `ports`?",
    );
}

#[test]
fn every_mistake_is_told_in_the_order_of_the_text() {
    check(
        r#"
[policy]
incoming = "refuse"

[amanda]
servers = ["self", "lhsot"]
stream_ports = "50100:50000"
expectation_timeout = 60

[[rule]]
name = "ssh"
ports = 22
action = "acept"

[[rule]]
protocol = "tpc"

[hosts]
lhost = "192.168.2"
"#,
        r#"
x.toml:3:12: "refuse" is none of accept, drop
  |
3 | incoming = "refuse"
  |            ^^^^^^^^
error: x.toml:6:20: unknown host "lhsot"
  |
6 | servers = ["self", "lhsot"]
  |                    ^^^^^^^ did you mean `lhost`?
error: x.toml:7:16: ports "50100:50000" end before they begin: write "50000:50100"
  |
7 | stream_ports = "50100:50000"
  |                ^^^^^^^^^^^^^
error: x.toml:8:23: expected a time such as "30s" or "6h", found an integer
  |
8 | expectation_timeout = 60
  |                       ^^
error: x.toml:12:9: ports need the protocol "tcp" or "udp", and no other beside
   |
12 | ports = 22
   |         ^^
error: x.toml:13:10: "acept" is none of accept, drop
   |
13 | action = "acept"
   |          ^^^^^^^ did you mean `accept`?
error: x.toml:15:1: rule 2 has no `action`
   |
15 | [[rule]]
   | ^^^^^^^^ add it
error: x.toml:16:12: unknown protocol "tpc"
   |
16 | protocol = "tpc"
   |            ^^^^^ known are tcp, udp, icmp, icmpv6, and any number
error: x.toml:19:9: "192.168.2" is no address
   |
19 | lhost = "192.168.2"
   |         ^^^^^^^^^^^
"#,
    );
}

#[test]
fn every_fault_of_the_syntax_is_told() {
    check(
        "a = = 1\n[x\n",
        "
x.toml:1:5: extra `=`, expected nothing
  |
1 | a = = 1
  |     ^
error: x.toml:1:7: unexpected key or value, expected newline, `#`
  |
1 | a = = 1
  |       ^
error: x.toml:2:3: unclosed table, expected `]`
  |
2 | [x
  |   ^
",
    );
}

#[test]
fn what_this_version_does_not_have_is_no_unknown_key() {
    let absent =
        |key: &str, place: &str| format!("`{key}` in {place} is not available in this version");
    let way_out = "remove it";
    check_short("[[nat]]\nkind = \"masquerade\"", &absent("nat", "the configuration"), way_out);
    check_short("policy.log = { rate = \"10/s\" }", &absent("log", "[policy]"), way_out);
    check_short(
        "rule = [{ name = \"a\", action = \"drop\", log = \"high\" }]",
        &absent("log", "rule \"a\""),
        way_out,
    );
    check_short(
        "interfaces.ppp0.masquerade = true",
        &absent("masquerade", "[interfaces.ppp0]"),
        way_out,
    );
    for text in ["policy.incoming = \"reject\"", "rule = [{ action = \"reject\" }]"] {
        check_short(text, "\"reject\" is not available in this version", "write \"drop\"");
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    check_short("policy = 1", "expected a table, found an integer", "");
    check_short("rule = {}", "rules are a list of tables", "write [[rule]]");
    check_short("rule = [1]", "expected a table, found an integer", "");
    check_short("amanda.servers = [1]", "expected a string, found an integer", "");
    check_short("amanda.control_port = \"10080\"", "expected a number, found a string", "");
    check_short("amanda.control_port = 70000", "70000 is not from 1 to 65535", "");
    check_short("limits.flows = 0", "0 is not from 1 to 16777216", "");
    check_short("events.rate = \"1000\"", "\"1000\" is no rate such as \"1000/s\"", "");
}

#[test]
fn a_host_is_an_address_and_no_word_with_a_meaning() {
    check_short(
        "hosts.self = \"10.0.0.1\"",
        "`self` has a meaning of its own",
        "choose another name",
    );
    check_short("hosts.a = \"b\"", "\"b\" is no address", "");
    check_short(
        "amanda.servers = \"10.0.0.0/33\"",
        "the prefix of \"10.0.0.0/33\" is not from 0 to 32",
        "",
    );
    check_short(
        "amanda.servers = \"tape\"",
        "unknown host \"tape\"",
        "add it to [hosts], or write its address",
    );
}

#[test]
fn a_rule_that_contradicts_itself_is_refused() {
    let rule = |keys: &str| format!("rule = [{{ action = \"drop\", {keys} }}]");
    let types = "types need the protocol \"icmp\" or \"icmpv6\", and no other beside";
    check_short(&rule("icmp_type = 8"), types, "");
    check_short(&rule("icmp_type = 8, protocol = [\"icmp\", \"tcp\"]"), types, "");
    check_short(
        &rule("icmp_type = 8, protocol = [\"icmp\", \"icmpv6\"]"),
        "type 8 is not the same in \"icmp\" and \"icmpv6\": make a rule for each",
        "",
    );
    check_short(
        &rule("icmp_type = \"packet-too-big\", protocol = \"icmp\""),
        "\"icmp\" has no type \"packet-too-big\"",
        "",
    );
    check_short(
        &rule("icmp_type = \"echo\", protocol = \"icmp\""),
        "unknown ICMP type \"echo\"",
        "write its number",
    );
    check_short(
        &rule("ports = 1, protocol = [\"tcp\", 47]"),
        "ports need the protocol \"tcp\" or \"udp\", and no other beside",
        "",
    );
    check_short(
        &rule("from = []"),
        "an empty list fits no packet",
        "remove the key where anything fits",
    );
}

#[test]
fn more_hosts_than_fit_are_refused() {
    let hosts: Vec<String> =
        (0..1025).map(|n| format!("\"10.0.{}.{}\"", n / 256, n % 256)).collect();
    let text = format!("amanda = {{ servers = [{}], clients = [] }}", hosts.join(","));
    check_short_prefix(&text, "[amanda] names 1025 networks, and 1024 fit");
}

fn check_short_prefix(text: &str, message: &str) {
    let Err(mistakes) = compiled(text) else { panic!("no mistake found") };
    assert!(mistakes.to_string().starts_with(&format!("x.toml:1:1: {message}\n")));
}
