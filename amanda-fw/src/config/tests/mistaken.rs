//! Mistakes, as they must read.

use super::*;

fn check(text: &str, expected: &str) {
    match compiled(text) {
        Ok(_) => panic!("no mistake found in {text}"),
        Err(mistakes) => assert_eq!(mistakes.to_string(), expected.trim_matches('\n')),
    }
}

/// Compares the only mistake, and what to do about it.
fn check_short(text: &str, message: &str, way_out: &str) {
    let Err(mistakes) = compiled(text) else { panic!("no mistake found in {text}") };
    let found = mistakes.findings();
    let [finding] = found.as_slice() else { panic!("{mistakes}") };
    assert_eq!(
        (&*finding.message, finding.help.as_deref().unwrap_or_default()),
        (message, way_out)
    );
}

/// Compares the only mistake of a rule.
fn check_rule(keys: &str, message: &str, way_out: &str) {
    check_short(&format!("rule = [{{ {keys} }}]"), message, way_out);
}

#[test]
fn an_unknown_key_names_the_one_that_was_meant() {
    check(
        "[policy]\nincomming = \"drop\"\n",
        "
error: unknown key `incomming` in [policy]
 --> x.toml:2:1
  |
2 | incomming = \"drop\"
  | ^^^^^^^^^
  |
  = help: did you mean `incoming`?
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
fn an_unknown_auth_names_the_one_that_was_meant() {
    check(
        "[amanda]\nauth = [\"bsd\", \"bsdtpc\"]\n",
        "
error: \"bsdtpc\" is none of bsd, bsdudp, bsdtcp, ssl, krb5, ssh, local, classic
 --> x.toml:2:16
  |
2 | auth = [\"bsd\", \"bsdtpc\"]
  |                ^^^^^^^^
  |
  = help: did you mean `bsdtcp`?
",
    );
    check_short("amanda.auth = 1", "expected a string, found an integer", "");
}

#[test]
fn an_empty_list_of_auths_says_what_to_write() {
    check(
        "[amanda]\nauth = []\n",
        "
error: without an auth Amanda's hosts cannot talk
 --> x.toml:2:8
  |
2 | auth = []
  |        ^^
  |
  = help: name what amanda.conf says, or remove the key
",
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
error: "refuse" is none of accept, drop, reject
 --> x.toml:3:12
  |
3 | incoming = "refuse"
  |            ^^^^^^^^

error: unknown host "lhsot"
 --> x.toml:6:20
  |
6 | servers = ["self", "lhsot"]
  |                    ^^^^^^^
  |
  = help: did you mean `lhost`?

error: ports "50100:50000" end before they begin: write "50000:50100"
 --> x.toml:7:16
  |
7 | stream_ports = "50100:50000"
  |                ^^^^^^^^^^^^^

error: expected a time such as "30s" or "6h", found an integer
 --> x.toml:8:23
  |
8 | expectation_timeout = 60
  |                       ^^

error: `ports` needs protocols that all have ports
  --> x.toml:12:9
   |
12 | ports = 22
   |         ^^
   |
   = help: add protocol = "tcp", or "udp", "sctp", "dccp", "udplite"

error: "acept" is none of accept, drop, reject, log
  --> x.toml:13:10
   |
13 | action = "acept"
   |          ^^^^^^^
   |
   = help: did you mean `accept`?

error: rule 2 has no `action`
  --> x.toml:15:1
   |
15 | [[rule]]
   | ^^^^^^^^
   |
   = help: add it

error: unknown protocol "tpc"
  --> x.toml:16:12
   |
16 | protocol = "tpc"
   |            ^^^^^
   |
   = help: did you mean `tcp`?

error: "192.168.2" is no address
  --> x.toml:19:9
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
error: extra `=`, expected nothing
 --> x.toml:1:5
  |
1 | a = = 1
  |     ^

error: unexpected key or value, expected newline, `#`
 --> x.toml:1:7
  |
1 | a = = 1
  |       ^

error: unclosed table, expected `]`
 --> x.toml:2:3
  |
2 | [x
  |   ^
",
    );
}

#[test]
fn what_this_version_does_not_have_is_no_unknown_key() {
    check_short(
        "interfaces.ppp0.log = true",
        "`log` in [interfaces.ppp0] is not available in this version",
        "remove it",
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    check_short("policy.icmp = 1", "expected true or false, found an integer", "");
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
    for name in ["self", "\"10.0.0.1\"", "\"!a\""] {
        let message = format!("`{}` has a meaning of its own", name.trim_matches('"'));
        check_short(&format!("hosts.{name} = []"), &message, "choose another name");
    }
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
    check_rule("action = \"drop\", to = \"!slf\"", "unknown host \"slf\"", "did you mean `self`?");
    check_short(
        "amanda.servers = \"!self\"",
        "nothing can be excluded here",
        "name those that are meant",
    );
}

#[test]
fn ports_belong_to_protocols_that_have_them() {
    let way_out = "add protocol = \"tcp\", or \"udp\", \"sctp\", \"dccp\", \"udplite\"";
    for protocol in
        ["", "protocol = \"icmp\",", "protocol = [\"tcp\", 47],", "protocol = \"!tcp\","]
    {
        let keys = format!("action = \"drop\", {protocol} ports = 22");
        check_rule(&keys, "`ports` needs protocols that all have ports", way_out);
    }
    check_rule(
        "action = \"drop\", source_ports = 22",
        "`source_ports` needs protocols that all have ports",
        way_out,
    );
}

#[test]
fn ports_are_a_number_a_range_or_a_list() {
    let ports = |ports: &str| format!("action = \"drop\", protocol = \"tcp\", ports = {ports}");
    check_rule(&ports("\"22,80\""), "several ports are a list: write [\"22\", \"80\"]", "");
    check_rule(&ports("\"ssh\""), "\"ssh\" is a service: write service = \"ssh\" and no ports", "");
    check_rule(&ports("\"90:80\""), "ports \"90:80\" end before they begin: write \"80:90\"", "");
    for port in ["0", "70000", "x"] {
        let message =
            format!("\"{port}\" is no port from 1 to 65535 and no range such as \"50000:50100\"");
        check_rule(&ports(&format!("[\"!{port}\"]")), &message, "");
    }
    check_rule(&ports("[]"), "an empty list fits no packet", "remove the key where anything fits");
    check_rule(
        &ports("true"),
        "expected a port or a string such as \"50000:50100\", found a boolean",
        "",
    );
}

#[test]
fn types_belong_to_icmp() {
    let types = |keys: &str, message: &str, way_out: &str| {
        check_rule(&format!("action = \"drop\", {keys}"), message, way_out);
    };
    let message = "`icmp_type` needs the protocols \"icmp\" or \"icmpv6\" alone";
    let way_out = "add protocol = [\"icmp\", \"icmpv6\"]";
    types("icmp_type = 8", message, way_out);
    types("icmp_type = 8, protocol = [\"icmp\", \"tcp\"]", message, way_out);
    types(
        "icmp_type = 8, protocol = [\"icmp\", \"icmpv6\"]",
        "type 8 is not the same in \"icmp\" and \"icmpv6\"",
        "make a rule for each protocol",
    );
    types(
        "icmp_type = \"packet-too-big\", protocol = \"icmp\"",
        "\"icmp\" has no type \"packet-too-big\"",
        "make a rule for each protocol",
    );
    types(
        "icmp_type = \"echo\", protocol = \"icmp\"",
        "unknown ICMP type \"echo\"",
        "write its number",
    );
}

#[test]
fn a_protocol_is_a_name_of_iana_or_a_number() {
    let protocol = |protocol: &str, message: &str, way_out: &str| {
        check_rule(&format!("action = \"drop\", protocol = {protocol}"), message, way_out);
    };
    protocol("256", "256 is not from 0 to 255", "");
    protocol("\"icmpv5\"", "unknown protocol \"icmpv5\"", "did you mean `icmpv6`?");
    protocol(
        "\"!zzz\"",
        "unknown protocol \"zzz\"",
        "write IANA's name of it, such as \"tcp\", or its number",
    );
    protocol("true", "expected a protocol's name or number, found a boolean", "");
}

#[test]
fn a_service_is_known_and_stands_for_protocol_and_ports() {
    let keys = |keys: &str| format!("action = \"drop\", {keys}");
    check_rule(
        &keys("service = \"amanda-cleint\""),
        "unknown service \"amanda-cleint\"",
        "did you mean `amanda-client`?",
    );
    check_rule(
        &keys("service = \"zzzzzz\""),
        "unknown service \"zzzzzz\"",
        "`amanda-fw check --services` lists them; else write protocol and ports",
    );
    for key in ["protocol = \"tcp\"", "ports = 22", "source_ports = 22", "icmp_type = 8"] {
        let name = key.split(' ').next().unwrap_or_default();
        check_rule(
            &keys(&format!("service = \"ssh\", {key}")),
            &format!("`{name}` beside `service`, which says it already"),
            "remove one of them, or make two rules",
        );
    }
}

#[test]
fn an_action_has_the_keys_that_have_a_meaning() {
    let no_meaning = |key: &str, action: &str| {
        format!("`{key}` has no meaning where the action is \"{action}\"")
    };
    for action in ["drop", "reject"] {
        for key in ["limit", "limit_per_source"] {
            check_rule(
                &format!("action = \"{action}\", {key} = \"1/s\""),
                &no_meaning(key, action),
                "limit a rule that accepts: what is over the limit is dropped",
            );
        }
    }
    check_rule(
        "action = \"log\", limit = \"1/s\"",
        &no_meaning("limit", "log"),
        "write log = { rate = \"10/s\" }",
    );
    check_rule(
        "action = \"drop\", reject_with = \"port-unreachable\"",
        &no_meaning("reject_with", "drop"),
        "write action = \"reject\", or remove it",
    );
    check_rule(
        "action = \"rejct\"",
        "\"rejct\" is none of accept, drop, reject, log",
        "did you mean `reject`?",
    );
}

#[test]
fn only_tcp_is_reset() {
    for traffic in ["", "protocol = [\"tcp\", \"udp\"],", "service = [\"ssh\", \"dns\"],"] {
        check_rule(
            &format!("action = \"reject\", {traffic} reject_with = \"tcp-reset\""),
            "only TCP can be reset, and the rule fits other packets",
            "add protocol = \"tcp\", or remove the key: TCP is reset",
        );
    }
    only_reset("service = \"ssh\"");
    only_reset("protocol = \"tcp\"");
}

fn only_reset(traffic: &str) {
    let text =
        format!("rule = [{{ action = \"reject\", reject_with = \"tcp-reset\", {traffic} }}]");
    assert!(compiled(&text).is_ok(), "{text}");
}

#[test]
fn a_rate_has_a_unit() {
    let limit = |limit: &str, message: &str, way_out: &str| {
        check_rule(&format!("action = \"accept\", limit = {limit}"), message, way_out);
    };
    let no_rate = |text: &str| format!("\"{text}\" is no rate from 1 to 100000000 in a time");
    limit("\"10/minute\"", &no_rate("10/minute"), "write \"10/min\"");
    let all = "write \"10/s\", \"10/min\", \"10/h\" or \"10/day\"";
    limit("\"0/s\"", &no_rate("0/s"), all);
    limit("\"10\"", &no_rate("10"), all);
    limit("{ rate = \"1/s\", burst = 0 }", "0 is not from 1 to 65535", "");
    limit("{ burst = 1 }", "the limit has no `rate`", "add it");
    limit(
        "{ rate = \"1/s\", brust = 1 }",
        "unknown key `brust` in the limit",
        "did you mean `burst`?",
    );
    limit(
        "7",
        "expected a rate such as \"10/s\", or a table with `rate` and `burst`, found an integer",
        "",
    );
}

#[test]
fn a_log_has_a_prefix_of_one_line() {
    let log = |log: &str, message: &str, way_out: &str| {
        check_short(&format!("policy.log = {log}"), message, way_out);
    };
    log("\"a\\nb\"", "a prefix may not have control characters", "");
    let long = "x".repeat(65);
    log(&format!("\"{long}\""), "a prefix of 65 characters is longer than 64", "");
    log("{ prefx = \"a\" }", "unknown key `prefx` in the log", "did you mean `prefix`?");
    log("true", "expected a prefix, or a table with `prefix` and `rate`, found a boolean", "");
}

#[test]
fn a_state_and_an_interface_are_words() {
    check_rule(
        "action = \"drop\", state = \"established\"",
        "\"established\" is none of new, invalid",
        "",
    );
    for name in ["", "eth0,eth1", "a-name-of-16-char"] {
        check_rule(
            &format!("action = \"drop\", interface = \"{name}\""),
            &format!("\"{name}\" is no interface's name of 1 to 15 letters"),
            "several are a list: [\"eth0\", \"eth1\"]",
        );
    }
    check_rule(
        "action = \"drop\", name = \"\"",
        "a name is at least one letter, and no control character",
        "",
    );
}

#[test]
fn more_hosts_than_fit_are_refused() {
    let hosts: Vec<String> =
        (0..1025).map(|n| format!("\"10.0.{}.{}\"", n / 256, n % 256)).collect();
    let text = format!("amanda = {{ servers = [{}], clients = [] }}", hosts.join(","));
    check_short(&text, "[amanda] names 1025 networks, and 1024 fit", "name wider networks");
}
