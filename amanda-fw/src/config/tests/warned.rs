//! What is hardly meant, as it must read.

use super::*;

/// Warnings of every configuration that lets nobody in by ssh and nothing else.
const SSH: &str = "rule = [{ name = \"ssh\", service = \"ssh\", action = \"accept\" }";

/// Compares the warnings on the usual host, as message and way out.
fn check(text: &str, expected: &[(&str, &str)]) {
    check_on(&host(), text, expected);
}

fn check_on(host: &Host, text: &str, expected: &[(&str, &str)]) {
    let config = parsed(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let found = warnings(&config, host).findings();
    let found: Vec<(&str, &str)> =
        found.iter().map(|f| (f.message.as_str(), f.help.as_deref().unwrap_or_default())).collect();
    assert_eq!(found, expected, "{text}");
}

/// Compares the warnings of rules that come after one for ssh.
fn check_rules(rules: &str, expected: &[(&str, &str)]) {
    check(&format!("{SSH}, {rules}]"), expected);
}

/// Compares the only warning of one rule named `a`.
fn check_never(keys: &str, why: &str, way_out: &str) {
    let message = format!("rule \"a\" fits no packet: {why}");
    check_rules(&format!("{{ name = \"a\", action = \"drop\", {keys} }}"), &[(&message, way_out)]);
}

#[test]
fn a_warning_shows_its_line_and_the_rule_that_it_is_about() {
    let text = r#"
[[rule]]
name = "web"
service = ["http", "ssh"]
action = "accept"

[[rule]]
name = "no web"
service = "http"
from = "10.0.0.0/8"
action = "drop"
"#;
    let config = parsed(text).expect("a configuration");
    let expected = r#"warning: rule "no web" is never asked: rule "web" decides before it
 --> x.toml:7:1
  |
2 | [[rule]]
  | -------- every packet of it fits this one first
...
7 | [[rule]]
  | ^^^^^^^^
  |
  = help: remove it, or move it before rule "web"

"#;
    assert_eq!(warnings(&config, &host()).render(false), expected);
}

#[test]
fn a_rule_of_which_nothing_is_left_fits_no_packet() {
    let excluded = "name something that is not excluded";
    let placed = "name an address that this machine has, or remove the key";
    check_never("from = [\"10.0.0.0/8\", \"!10.0.0.0/8\"]", "it leaves no address", placed);
    check_never("to = \"!any\"", "it leaves no address", placed);
    check_never("protocol = [\"gre\", \"!gre\"]", "it leaves no protocol", excluded);
    check_never("interface = [\"eth0\", \"!eth0\"]", "it leaves no interface", excluded);
    check_never("protocol = \"tcp\", ports = [23, \"!23\"]", "they leave no port", excluded);
    check_never("protocol = \"tcp\", source_ports = [23, \"!23\"]", "they leave no port", excluded);
    check_never("service = \"dhcpv6-client\", to = \"10.0.0.1\"", "it leaves no address", placed);
}

#[test]
fn self_is_nowhere_on_a_machine_without_addresses() {
    let alone = Host { own: Vec::new(), ..host() };
    let text = format!("{SSH}, {{ name = \"a\", to = \"self\", action = \"drop\" }}]");
    let way_out = "name an address that this machine has, or remove the key";
    check_on(&alone, &text, &[("rule \"a\" fits no packet: it leaves no address", way_out)]);
}

#[test]
fn a_packet_is_of_one_family() {
    check_never(
        "from = \"10.0.0.0/8\", to = [\"2001:db8::1\"]",
        "one end is IPv4 and the other IPv6",
        "name ends of one family",
    );
    check_never(
        "from = \"::/0\", to = \"0.0.0.0/0\"",
        "one end is IPv4 and the other IPv6",
        "name ends of one family",
    );
    check_never(
        "from = \"fd00::/8\", protocol = \"icmp\"",
        "\"icmp\" is of IPv4 and \"icmpv6\" of IPv6, and its addresses are not",
        "write protocol = [\"icmp\", \"icmpv6\"]",
    );
    check_rules(
        "{ from = \"fd00::/8\", protocol = [\"icmp\", \"icmpv6\"], action = \"drop\" }",
        &[],
    );
}

#[test]
fn a_packet_that_no_rule_is_asked_about_fits_none() {
    check_never(
        "protocol = \"icmp\", icmp_type = \"echo-reply\"",
        "answers and errors of a flow pass before any rule is asked, and others are invalid",
        "remove the rule, or write state = \"invalid\"",
    );
    let discovery = "protocol = \"icmpv6\", icmp_type = \"router-advertisement\"";
    check_never(
        discovery,
        "neighbour discovery passes before any rule is asked",
        "write icmp = false in [policy] to have the rules decide",
    );
    check_never(
        "protocol = \"udp\", state = \"invalid\"",
        "no packet of its protocols is in that state",
        "remove `state`",
    );
    check(&format!("policy.icmp = false\n{SSH}, {{ action = \"drop\", {discovery} }}]"), &[]);
    check_rules("{ protocol = \"icmp\", state = \"invalid\", action = \"drop\" }", &[]);
}

#[test]
fn a_rule_behind_one_that_fits_all_its_packets_does_nothing() {
    let never = (
        "rule \"b\" is never asked: rule \"a\" decides before it",
        "remove it, or move it before rule \"a\"",
    );
    let again = ("rule \"b\" adds nothing: rule \"a\" does the same", "remove it");
    let pair = |a: &str, b: &str, expected: &[(&str, &str)]| {
        let rules = format!("{{ name = \"a\", {a} }}, {{ name = \"b\", {b} }}");
        check_rules(&rules, expected);
    };
    let drop = "action = \"drop\"";
    pair(
        "action = \"drop\", from = \"10.0.0.0/8\"",
        "action = \"accept\", from = \"10.1.0.0/16\"",
        &[never],
    );
    pair(
        "action = \"drop\", from = \"10.0.0.0/8\"",
        "action = \"drop\", from = \"10.1.0.0/16\"",
        &[again],
    );
    pair(
        "action = \"log\", from = \"10.0.0.0/8\"",
        "action = \"drop\", from = \"10.1.0.0/16\"",
        &[],
    );
    pair(
        "action = \"drop\", from = \"10.1.0.0/16\"",
        "action = \"drop\", from = \"10.0.0.0/8\"",
        &[],
    );
    pair(
        "action = \"drop\", from = [\"10.0.0.0/8\", \"!10.1.0.0/16\"]",
        "action = \"drop\", from = \"10.1.2.0/24\"",
        &[],
    );
    pair(
        "action = \"drop\", from = \"!10.1.0.0/16\"",
        "action = \"accept\", from = [\"10.0.0.0/8\", \"!10.0.0.0/15\"]",
        &[never],
    );
    pair(
        &format!("{drop}, interface = \"!lo\""),
        &format!("{drop}, interface = \"ppp7\""),
        &[
            again,
            (
                "there is no interface \"ppp7\": no packet crosses it until the rules are loaded again",
                "create it first, or load again when it is there",
            ),
        ],
    );
    pair(
        &format!("{drop}, protocol = \"tcp\", ports = \"20:30\""),
        &format!("{drop}, protocol = \"tcp\", ports = [21, 25]"),
        &[again],
    );
    pair(
        &format!("{drop}, protocol = \"tcp\", state = \"new\""),
        &format!("{drop}, protocol = \"tcp\""),
        &[],
    );
    pair(
        &format!("{drop}, service = [\"dns\", \"ntp\"]"),
        &format!("{drop}, protocol = \"udp\", ports = 53"),
        &[again],
    );
}

#[test]
fn an_interface_that_is_not_there_may_be_misspelt() {
    check_rules(
        "{ interface = [\"eht0\", \"lo\"], action = \"drop\" }",
        &[(
            "there is no interface \"eht0\": no packet crosses it until the rules are loaded again",
            "did you mean `eth0`?",
        )],
    );
}

#[test]
fn a_public_network_near_a_private_one_is_a_slip_of_the_finger() {
    let leave = "if it is right, leave it";
    for (written, meant) in [
        ("129.168.0.0/16", "192.168.0.0/16"),
        ("129.168.7.0/24", "192.168.7.0/24"),
        ("129.168.7.9", "192.168.7.9"),
        ("192.186.0.0/16", "192.168.0.0/16"),
        ("192.169.2.0/24", "192.168.2.0/24"),
        ("127.16.0.0/12", ""),
        ("172.61.0.0/16", "172.16.0.0/12"),
        ("11.0.0.0/8", "10.0.0.0/8"),
        ("171.16.0.0/12", "172.16.0.0/12"),
        ("2.3.4.5", ""),
        ("193.168.0.5", ""),
        ("8.8.8.0/24", ""),
        ("198.51.100.0/24", ""),
        ("100.64.0.0/10", ""),
        ("192.168.0.0/16", ""),
        ("10.0.0.0/8", ""),
    ] {
        let rule = format!("{{ from = \"{written}\", action = \"drop\" }}");
        let message = format!("{written} is a public network: is {meant} meant?");
        let expected = [(message.as_str(), leave)];
        check_rules(&rule, if meant.is_empty() { &[] } else { &expected });
    }
}

#[test]
fn a_public_network_near_the_machine_s_own_is_a_slip_as_well() {
    let host = Host { own: vec![("85.14.3.7".parse().expect("an address"), 24)], ..host() };
    let text = format!("hosts.lan = \"58.14.3.0/24\"\n{SSH}]");
    let message = "58.14.3.0/24 is a public network: is 85.14.3.0/24 meant?";
    check_on(&host, &text, &[(message, "if it is right, leave it")]);
}

#[test]
fn ports_of_streams_keep_away_from_those_of_services() {
    let amanda = |keys: &str, expected: &[(&str, &str)]| {
        check(&format!("amanda = {{ {keys} }}\n{SSH}]"), expected);
    };
    let apart = "choose ports on one side of them, in amanda.conf too";
    amanda(
        "stream_ports = \"1000:20000\"",
        &[
            (
                "stream_ports begin at 1000: ports below 1024 belong to other services",
                "write \"1024:20000\"",
            ),
            (
                "stream_ports 1000:20000 hold Amanda's own ports 10080 to 10083, which are never \
                 opened for a stream",
                apart,
            ),
        ],
    );
    amanda(
        "control_source_ports = \"700:10080\"",
        &[(
            "control_source_ports 700:10080 hold Amanda's own ports 10080 to 10083, which are \
             never opened for a stream",
            apart,
        )],
    );
    amanda("stream_ports = \"1024:65535\"", &[]);
    amanda("stream_ports = \"10084:65535\"", &[]);
}

#[test]
fn nobody_talks_to_amandad_without_servers_and_clients() {
    let lonely = |keys: &str, missing: &str| {
        let message =
            format!("[amanda] names no {missing} on this machine: nobody may talk to amandad");
        let way_out = "name both, \"self\" for this machine";
        check(&format!("amanda = {{ {keys} }}\n{SSH}]"), &[(&message, way_out)]);
    };
    lonely("servers = [], clients = []", "servers and clients");
    lonely("servers = []", "servers");
    lonely("clients = []", "clients");
    check(&format!("{SSH}]"), &[]);
}

#[test]
fn a_firewall_that_lets_nobody_in_locks_its_owner_out() {
    let locked = (
        "no rule lets ssh in: nobody can open a new ssh connection to this machine",
        "add a rule with service = \"ssh\" and action = \"accept\"",
    );
    let rule = |keys: &str, expected: &[(&str, &str)]| {
        check(&format!("policy.incoming = \"reject\"\nrule = [{{ {keys} }}]"), expected);
    };
    check("", &[locked]);
    rule("service = \"http\", action = \"accept\"", &[locked]);
    rule("service = \"ssh\", action = \"accept\", direction = \"out\"", &[locked]);
    rule("service = \"ssh\", action = \"log\"", &[locked]);
    rule("service = \"ssh\", action = \"accept\", from = \"10.0.0.1\"", &[]);
    rule("protocol = \"tcp\", ports = \"20:30\", action = \"accept\"", &[]);
    let open = (
        "the policy for incoming packets is \"accept\": only rules keep anything out",
        "write \"drop\", and rules for what comes in",
    );
    check("policy.incoming = \"accept\"", &[open]);
    let text = "policy.incoming = \"accept\"\nrule = [{ service = \"ssh\", action = \"drop\" }]";
    check(text, &[open, locked]);
    let text = "rule = [{ service = \"ssh\", from = \"10.0.0.1\", action = \"drop\" },
        { service = \"ssh\", action = \"accept\" }]";
    check(text, &[]);
}

#[test]
fn a_rule_that_lets_everything_in_leaves_nothing_to_the_others() {
    let way_out = "say what it is for: from, interface, service or protocol";
    check_rules(
        "{ name = \"a\", action = \"accept\" }",
        &[("rule \"a\" lets everything in", way_out)],
    );
    check_rules("{ action = \"accept\", interface = \"lo\" }", &[]);
    check_rules("{ action = \"accept\", direction = \"out\" }", &[]);
}

#[test]
fn a_rule_for_streams_opens_more_than_amanda_needs() {
    let text = |ports: &str| {
        let rule =
            format!("{{ name = \"a\", protocol = \"tcp\", ports = {ports}, action = \"accept\" }}");
        format!("amanda.stream_ports = \"50000:50100\"\n{SSH}, {rule}]")
    };
    let message = "rule \"a\" opens ports of stream_ports to everyone it names; [amanda] opens \
                   each for the connection that was announced";
    let found = [(message, "remove it: backups work without")];
    check(&text("\"50000:50100\""), &found);
    check(&text("[\"50000:50020\", 50050]"), &found);
    check(&text("50000"), &[]);
    check(&text("\"50000:50200\""), &[]);
    check(&text("\"50000:50100\"").replace("amanda.stream_ports", "hosts.a = []\n#"), &[]);
}

#[test]
fn keys_of_other_auths_have_no_meaning() {
    let amanda = |keys: &str| format!("{SSH}]\namanda = {{ {keys} }}");
    let way_out = "remove it, or name one of them in auth";
    check(
        &amanda(r#"auth = "ssh", control_port = 10081, stream_ports = "50000:50100""#),
        &[
            (
                "control_port has no meaning without auth \"bsd\" or \"bsdudp\" or \"bsdtcp\" or \
                 \"ssl\"",
                way_out,
            ),
            (
                "stream_ports has no meaning without auth \"bsd\" or \"bsdudp\" or \"classic\"",
                way_out,
            ),
        ],
    );
    check(&amanda(r#"auth = ["bsdtcp", "classic"], stream_ports = "50000:50100""#), &[]);
    check(&amanda(r#"control_source_ports = "700:710""#), &[]);
}
