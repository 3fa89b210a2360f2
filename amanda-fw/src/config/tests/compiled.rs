//! What configurations come to.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::MAX_RULES;
use amanda_fw_common::settings::Settings;

use super::*;
use crate::output;

const HOUR: u64 = 3_600_000_000_000;

/// Compares everything that `check` shows of a ruleset.
fn check(text: &str, expected: &str) {
    let ruleset = compiled(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(output::check::text("x.toml", &ruleset, &[]), expected);
}

#[test]
fn the_built_in_defaults_let_in_what_a_host_needs() {
    check(
        EMBEDDED,
        "\
ok: x.toml

Policy: incoming drop, outgoing accept

Rules, in order
#  NAME    DIR  PROTO   FROM       SPORT  PORT OR TYPE  ACTION
1  ping    in   icmp    any        any    echo-request  accept
1  ping    in   icmpv6  any        any    echo-request  accept
2  ssh     in   tcp     any        any    22            accept
3  dhcp    in   udp     any        67     68            accept
4  dhcpv6  in   udp     fe80::/10  547    546           accept

Amanda
control port       10080
requests from      512:1023
streams            1024:65535
a reply may take   6h
a port stays open  1m

Amanda's hosts
::1             server and client
127.0.0.1       server and client
192.168.2.0/24  server and client
192.168.2.2     server and client
2001:db8::/64   server and client
2001:db8::2     server and client
",
    );
}

#[test]
fn tshost_of_the_wiki_page_is_what_the_page_says() {
    check(
        TSHOST,
        "\
ok: x.toml

Policy: incoming drop, outgoing accept

Rules, in order
#  NAME               DIR  PROTO  FROM            SPORT  PORT OR TYPE  ACTION
1  amrecover-classic  in   tcp    192.168.0.0/16  any    10082:10083   accept

Amanda
control port       10080
requests from      700:710
streams            50000:50100
a reply may take   6h
a port stays open  1m

Amanda's hosts
::1          server
2.3.4.5      client
127.0.0.1    server
192.168.2.2  server
192.168.2.3  client
2001:db8::2  server
",
    );
}

#[test]
fn the_hosts_of_the_test_bench_have_their_roles() {
    for (server, client) in [("self", "10.84.0.2"), ("10.84.0.1", "self")] {
        let text = format!(
            r#"[policy]
incoming = "drop"
outgoing = "accept"

[amanda]
servers = ["{server}"]
clients = ["{client}"]
control_source_ports = "512:1023"
stream_ports = "50000:50100"
"#
        );
        let ruleset = compiled(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(ruleset.rules.is_empty());
        assert_eq!(ruleset.settings.control_sources(), PortRange { low: 512, high: 1023 });
        assert_eq!(ruleset.settings.streams(), PortRange { low: 50000, high: 50100 });
        assert_eq!(ruleset.roles.len(), 5);
    }
}

#[test]
fn an_empty_configuration_has_the_defaults_of_the_packet_path_and_no_host() {
    let ruleset = compiled("").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(ruleset.settings, Settings::default());
    assert!(ruleset.rules.is_empty() && ruleset.roles.is_empty());
    assert_eq!(ruleset.sizes, Sizes::default());
}

#[test]
fn every_setting_reaches_the_packet_path() {
    let text = r#"
        policy = { incoming = "accept", outgoing = "drop" }
        amanda = { control_port = 10090, transaction_timeout = "12h", expectation_timeout = "5m" }
        events.rate = "20/s"
        limits = { flows = 100, expectations = 200, transactions = 300, fragments = 400 }
        interfaces = { eth0.mode = "xdp-generic", ppp0 = {} }
    "#;
    let config = parsed(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let Ruleset { settings, sizes, .. } = compile(&config, &host()).expect("a ruleset");
    assert_eq!((settings.accept_incoming, settings.accept_outgoing), (1, 0));
    assert_eq!((settings.control_port, settings.event_rate), (10090, 20));
    assert_eq!(settings.transaction_timeout, 12 * HOUR);
    assert_eq!(settings.expectation_timeout, HOUR / 12);
    assert_eq!(settings.timeouts.control[1..4], [12 * HOUR; 3]);
    assert_eq!(sizes.by_map().map(|(_, entries)| entries), [100, 100, 200, 300, 300, 400]);
    let modes: Vec<String> =
        config.modes.iter().map(|(name, mode)| format!("{name} {mode:?}")).collect();
    assert_eq!(modes, ["eth0 XdpGeneric", "ppp0 Auto"]);
}

#[test]
fn a_rule_makes_an_entry_for_each_combination() {
    let text = r#"
        hosts.both = ["10.0.0.1", "fd00::1"]
        rule = [
            { name = "a", action = "drop" },
            { name = "b", from = ["both", "10.0.0.1"], protocol = ["tcp", "udp"],
              ports = [22, "80:90", 443], source_ports = ["1024:2048", 500], action = "accept" },
        ]
    "#;
    let ruleset = compiled(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let numbers: Vec<u16> = ruleset.rules.iter().map(|rule| rule.number).collect();
    assert_eq!(numbers, [vec![1], vec![2; 2 * 2 * 3 * 2]].concat());
    assert_eq!(ruleset.settings.rules, 25);
    assert_eq!(ruleset.rule_names, ["a", "b"]);
}

#[test]
fn a_network_of_ipv4_holds_no_ipv6_and_any_holds_both() {
    let text = r#"rule = [
        { from = "0.0.0.0/0", action = "accept" },
        { from = "any", action = "drop" },
    ]"#;
    let ruleset = compiled(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let fits = |address: &str| -> Vec<bool> {
        let ip: std::net::IpAddr = address.parse().expect("an address");
        ruleset.rules.iter().map(|rule| rule.from.contains(ip.into())).collect()
    };
    assert_eq!(fits("1.2.3.4"), [true, true]);
    assert_eq!(fits("2001:db8::1"), [false, true]);
}

#[test]
fn an_icmp_type_has_its_number_in_each_protocol() {
    let text = r#"rule = [{ protocol = ["icmp", "icmpv6"], icmp_type = ["echo-request",
        "time-exceeded"], action = "accept" }]"#;
    let ruleset = compiled(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let found: Vec<_> = ruleset.rules.iter().map(|r| (r.protocol, r.icmp_type)).collect();
    assert_eq!(found, [(1, 8), (1, 11), (58, 128), (58, 3)]);
}

#[test]
fn as_many_rules_as_fit_are_taken_and_no_more() {
    let rule = "[[rule]]\nprotocol = \"tcp\"\nports = [1, 2]\naction = \"drop\"\n";
    let fits = compiled(&rule.repeat(MAX_RULES / 2)).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(fits.rules.len(), MAX_RULES);
    let mistakes = compiled(&rule.repeat(MAX_RULES / 2 + 1)).expect_err("too many");
    assert_eq!(
        mistakes.to_string(),
        "\
x.toml:257:1: the rules make 130 entries, one for each network, port range and protocol, and 128 \
fit: rule \"rule 65\" has no room
    |
257 | [[rule]]
    | ^^^^^^^^ name wider networks or port ranges"
    );
}
