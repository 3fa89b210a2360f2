//! What configurations come to.

use std::net::IpAddr;

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::{Action, MAX_PLACES, Rate, Rule, State, Way};
use amanda_fw_common::ruleset::{ANY_PORT, Interfaces, Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::Settings;

use super::*;
use crate::output;

const HOUR: u64 = 3_600_000_000_000;

const SECOND: u64 = 1_000_000_000;

/// Compares everything that `check` shows of a ruleset.
fn check(text: &str, expected: &str) {
    let shown = output::check::text("x.toml", &sound(text), &host());
    assert_eq!(shown, expected, "{shown}");
}

#[test]
fn the_built_in_defaults_let_in_what_a_host_needs() {
    check(
        EMBEDDED,
        "\
ok: x.toml

Rules, in order
LINE  NAME             DIR  PROTO                                  FROM       TO         SPORT  PORT  ACTION
  16  ssh              in   tcp                                    any        any        any    22    accept
  21  dhcp             in   udp                                    any        any        67     68    accept
  28  dhcpv6           in   udp                                    fe80::/10  fe80::/64  any    546   accept
   -  icmp             in   icmp echo-request icmpv6 echo-request  any        any        any    any   accept
   -  policy incoming  in   any                                    any        any        any    any   drop
   -  policy outgoing  out  any                                    any        any        any    any   accept

Amanda opens
AUTH        WHO                  PROTO  SPORT     PORT   AND THEN
bsd bsdudp  servers and clients  udp    512:1023  10080  the ports that a reply announces
bsdtcp ssl  servers and clients  tcp    any       10080

Amanda
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

Rules, in order
LINE  NAME               DIR  PROTO                                  FROM            PORT         ACTION
  20  amrecover-classic  in   tcp                                    192.168.0.0/16  10082:10083  accept
   -  icmp               in   icmp echo-request icmpv6 echo-request  any             any          accept
   -  policy incoming    in   any                                    any             any          drop
   -  policy outgoing    out  any                                    any             any          accept

Amanda opens
AUTH        WHO                  PROTO  SPORT    PORT   AND THEN
bsd bsdudp  servers and clients  udp    700:710  10080  the ports that a reply announces
bsdtcp ssl  servers and clients  tcp    any      10080

Amanda
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
        let ruleset = sound(&text);
        assert_eq!(names(&ruleset), ["icmp", "policy incoming", "policy outgoing"]);
        assert_eq!(ruleset.settings.control_sources(), PortRange { low: 512, high: 1023 });
        assert_eq!(ruleset.settings.streams(), PortRange { low: 50000, high: 50100 });
        assert_eq!(ruleset.roles.len(), 5);
    }
}

#[test]
fn an_empty_configuration_has_the_defaults_of_the_packet_path_and_no_host() {
    let ruleset = sound("");
    let mut settings = Settings::default();
    settings.open(0);
    assert_eq!(ruleset.settings, settings);
    assert_eq!(names(&ruleset), ["icmp", "policy incoming", "policy outgoing"]);
    assert!(ruleset.roles.is_empty());
    assert_eq!(ruleset.sizes, Sizes::default());
}

/// Compares what is open between hosts by some auths, a line each without its title.
fn check_open(keys: &str, expected: &[&str]) {
    let text = output::check::text("x.toml", &sound(&format!("[amanda]\n{keys}")), &host());
    let opens = text.lines().skip_while(|line| *line != "Amanda opens").skip(1);
    let lines = opens.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("AUTH"));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(lines.map(words).collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn each_auth_says_what_it_opens() {
    check_open(
        r#"auth = "bsd""#,
        &["bsd servers and clients udp 1:1023 10080 the ports that a reply announces"],
    );
    check_open(r#"auth = ["bsdtcp"]"#, &["bsdtcp servers and clients tcp 1:1023 10080"]);
    check_open(r#"auth = "ssl""#, &["ssl servers and clients tcp any 10080"]);
    check_open(r#"auth = "krb5""#, &["krb5 servers and clients tcp any 10082"]);
    check_open(r#"auth = ["local", "ssh"]"#, &["ssh servers and clients tcp any 22"]);
    check_open(r#"auth = "local""#, &["none"]);
    check_open(
        r#"auth = "classic""#,
        &[
            "classic clients to servers tcp 1:1023 10082",
            "classic clients to servers tcp 1:1023 10083 the port that the server announces",
        ],
    );
    check_open("auth = \"bsd\"\nclients = []\nservers = []", &["none"]);
}

#[test]
fn every_setting_reaches_the_packet_path() {
    let text = r#"
        policy = { incoming = "accept", outgoing = "drop", icmp = false }
        amanda = { control_port = 10090, transaction_timeout = "12h", expectation_timeout = "5m" }
        events.rate = "20/s"
        limits = { flows = 100, expectations = 200, transactions = 300, fragments = 400,
            nat = 500 }
        interfaces = { eth0.mode = "xdp-generic", ppp0 = {} }
    "#;
    let config = parsed(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let Ruleset { settings, sizes, .. } = compile(&config, &host()).expect("a ruleset");
    assert_eq!((settings.accept_incoming, settings.accept_outgoing), (1, 0));
    assert_eq!(settings.neighbours, 0);
    assert_eq!((settings.control_port, settings.event_rate), (10090, 20));
    assert_eq!(settings.transaction_timeout, 12 * HOUR);
    assert_eq!(settings.expectation_timeout, HOUR / 12);
    assert_eq!(settings.timeouts.control[1..4], [12 * HOUR; 3]);
    assert_eq!(
        sizes.by_map().map(|(_, entries)| entries),
        [100, 100, 200, 300, 300, 300, 400, 500, 1000]
    );
    let modes: Vec<String> =
        config.modes.iter().map(|(name, mode)| format!("{name} {mode:?}")).collect();
    assert_eq!(modes, ["eth0 XdpGeneric", "ppp0 Auto"]);
}

/// Returns the only rule that is written in a text.
fn only(rule: &str) -> RuleEntry {
    let ruleset = sound(&format!("rule = [{{ {rule} }}]"));
    let mut written: Vec<RuleEntry> =
        ruleset.rules.into_iter().filter(|entry| entry.line != 0).collect();
    assert_eq!(written.len(), 1, "{written:?}");
    written.remove(0)
}

fn names(ruleset: &Ruleset) -> Vec<&str> {
    ruleset.rules.iter().map(|entry| entry.name.as_str()).collect()
}

fn places(within: &[&str], except: &[&str]) -> Places {
    let networks = |texts: &[&str]| {
        let parse = |text: &&str| match *text {
            "any" => amanda_fw_common::addr::Network::ANY,
            text => network::parse(text).expect("a network"),
        };
        texts.iter().map(parse).collect()
    };
    Places { within: networks(within), except: networks(except) }
}

fn protocol(number: u8) -> Protocol {
    Protocol { number, icmp_type: None }
}

#[test]
fn the_policies_are_the_last_rules() {
    let text = r#"policy = { incoming = "reject", outgoing = "drop",
        log = { prefix = "kept: ", rate = "3/min" } }"#;
    let ruleset = sound(text);
    let [icmp, incoming, outgoing] = ruleset.rules.as_slice() else { panic!("{ruleset:?}") };
    assert_eq!(icmp.spec.rule, Rule::new(Action::Accept, 0));
    let log_rate = Rate::new(3, 60 * SECOND, 5);
    let rule = |action| Rule { policy: 1, logs: 1, log_rate, ..Rule::new(action, 0) };
    assert_eq!(incoming.spec, RuleSpec::all(Way::In, rule(Action::Reject)));
    let all = RuleSpec::all(Way::Out, rule(Action::Drop));
    assert_eq!(outgoing.spec, RuleSpec { states: State::ALL.to_vec(), ..all });
    for entry in [incoming, outgoing] {
        assert_eq!((entry.log_prefix.as_deref(), entry.line), (Some("kept: "), 0));
    }
    assert_eq!((ruleset.settings.accept_incoming, ruleset.settings.accept_outgoing), (0, 0));
}

#[test]
fn a_policy_that_accepts_logs_nothing() {
    let ruleset = sound("policy = { log = \"x\", icmp = false }");
    assert_eq!(names(&ruleset), ["policy incoming", "policy outgoing"]);
    let logs: Vec<u8> = ruleset.rules.iter().map(|entry| entry.spec.rule.logs).collect();
    assert_eq!(logs, [1, 0]);
    assert_eq!(ruleset.rules[0].spec.rule.log_rate, Rate::new(10, SECOND, 5));
}

#[test]
fn an_empty_rule_fits_every_packet_that_comes_in() {
    let entry = only(r#"action = "drop""#);
    assert_eq!(entry.spec, RuleSpec::all(Way::In, Rule::new(Action::Drop, 0)));
    assert_eq!((entry.name.as_str(), entry.line, entry.log_prefix), ("rule 1", 1, None));
}

#[test]
fn every_key_of_a_rule_reaches_the_packet_path() {
    let text = r#"
hosts.both = ["10.0.0.1", "fd00::1"]

[[rule]]
name = "b"
direction = "out"
interface = ["lo", "eth0", "!lo"]
protocol = ["tcp", "sctp"]
from = ["both", "10.0.0.1", "on-link", "!192.168.2.9"]
to = "self"
ports = [443, 22, "80:90", "!85"]
source_ports = "!1024:65535"
state = "new"
action = "accept"
limit = "10/s"
limit_per_source = { rate = "3/min", burst = 2 }
log = { prefix = "b: ", rate = "1/h" }
"#;
    let ruleset = sound(text);
    let entry = &ruleset.rules[0];
    let range = |low, high| PortRange { low, high };
    let expected = RuleSpec {
        way: Way::Out,
        interfaces: Interfaces::Only(vec![2]),
        outputs: Interfaces::Any,
        protocols: Protocols::Only(vec![protocol(6), protocol(132)]),
        states: vec![State::New],
        sources: places(
            &["10.0.0.1", "192.168.2.0/24", "2001:db8::/64", "fd00::1"],
            &["192.168.2.9"],
        ),
        destinations: places(&["::1", "127.0.0.1", "192.168.2.2", "2001:db8::2"], &[]),
        source_ports: vec![range(0, 1023)],
        destination_ports: vec![range(22, 22), range(80, 84), range(86, 90), range(443, 443)],
        rule: Rule {
            limit: Rate::new(10, SECOND, 5),
            limit_per_source: Rate::new(3, 60 * SECOND, 2),
            log_rate: Rate::new(1, 3600 * SECOND, 5),
            logs: 1,
            ..Rule::new(Action::Accept, 0)
        },
    };
    let mut spec = entry.spec.clone();
    spec.sources.within.sort_by_key(network::display);
    assert_eq!(spec, expected);
    assert_eq!(entry.name, "b");
    assert_eq!((entry.log_prefix.as_deref(), entry.line), (Some("b: "), 4));
}

#[test]
fn what_is_excluded_alone_leaves_all_else() {
    let entry = only(
        r#"action = "drop", from = "!10.0.0.0/8", to = ["!self"], interface = "!lo",
        protocol = "!tcp""#,
    );
    assert_eq!(entry.spec.sources, places(&["any"], &["10.0.0.0/8"]));
    assert_eq!(entry.spec.destinations.within, places(&["any"], &[]).within);
    assert_eq!(entry.spec.destinations.except.len(), 4);
    assert_eq!(entry.spec.interfaces, Interfaces::Except(vec![1]));
    let Protocols::Only(protocols) = entry.spec.protocols else { panic!("any protocol") };
    assert_eq!(protocols.len(), 255);
    assert!(!protocols.contains(&protocol(6)));
}

#[test]
fn an_interface_that_is_not_there_has_no_packets() {
    let interfaces = |names: &str| only(&format!("action = \"drop\", interface = {names}")).spec;
    assert_eq!(interfaces(r#""ppp0""#).interfaces, Interfaces::Only(vec![]));
    assert_eq!(interfaces(r#"["eth0", "ppp0"]"#).interfaces, Interfaces::Only(vec![2]));
    assert_eq!(interfaces(r#""!ppp0""#).interfaces, Interfaces::Except(vec![]));
}

#[test]
fn a_rule_about_invalid_packets_is_asked_about_answers_to_nothing_as_well() {
    let states = |states: &str| only(&format!("action = \"drop\"{states}")).spec.states;
    assert_eq!(states(""), [State::New, State::Invalid]);
    assert_eq!(states(", state = \"new\""), [State::New]);
    assert_eq!(states(", state = \"invalid\""), [State::Invalid, State::Unsolicited]);
    assert_eq!(states(", state = [\"invalid\", \"new\"]"), State::ALL);
}

#[test]
fn a_rule_that_only_logs_does_so_ten_times_a_second() {
    let rule = only(r#"action = "log""#).spec.rule;
    let log_rate = Rate::new(10, SECOND, 5);
    assert_eq!(rule, Rule { logs: 1, log_rate, ..Rule::new(Action::Log, 0) });
}

#[test]
fn every_rejection_has_its_number() {
    for rejection in amanda_fw_common::rules::Rejection::ALL.iter().skip(1) {
        let text =
            format!("action = \"reject\", protocol = \"tcp\", reject_with = \"{rejection}\"");
        let rule = only(&text).spec.rule;
        assert_eq!((rule.action, rule.rejection), (3, rejection.number()));
    }
    assert_eq!(only(r#"action = "reject""#).spec.rule.rejection, 0);
}

#[test]
fn services_with_the_same_ports_are_one_entry() {
    let text = r#"rule = [{ name = "s", action = "accept",
        service = ["ssh", "https", "dns", "mdns", "ipsec"] }]"#;
    let ruleset = sound(text);
    let entries: Vec<&RuleEntry> = ruleset.rules.iter().filter(|e| e.name == "s").collect();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| {
            let Protocols::Only(protocols) = &entry.spec.protocols else { panic!("any") };
            let numbers: Vec<u8> = protocols.iter().map(|p| p.number).collect();
            let ports = &entry.spec.destination_ports;
            let ports: Vec<_> = ports.iter().map(|range| (range.low, range.high)).collect();
            (numbers, ports, entry.spec.destinations.within.len())
        })
        .collect();
    let all = vec![(0, 65535)];
    assert_eq!(
        found,
        [
            (vec![6], vec![(22, 22), (53, 53), (443, 443), (4500, 4500)], 1),
            (vec![17], vec![(53, 53), (500, 500), (4500, 4500)], 1),
            (vec![50, 51], all, 1),
            (vec![17], vec![(5353, 5353)], 2),
        ]
    );
    let amanda = only(r#"service = "amanda-client", action = "accept""#).spec;
    assert_eq!(amanda.protocols, Protocols::Only(vec![protocol(6), protocol(17)]));
    assert_eq!(amanda.source_ports, [ANY_PORT]);
}

#[test]
fn the_destinations_of_a_service_are_those_that_the_rule_names_as_well() {
    let to = |to: &str| {
        let text = format!("service = \"dhcpv6-client\", action = \"accept\", to = {to}");
        only(&text).spec.destinations
    };
    assert_eq!(to("\"any\""), places(&["fe80::/64"], &[]));
    assert_eq!(to("[\"fe80::1\", \"10.0.0.1\"]"), places(&["fe80::1"], &[]));
    assert_eq!(to("\"!fe80::1\""), places(&["fe80::/64"], &["fe80::1"]));
    assert_eq!(to("\"10.0.0.1\""), places(&[], &[]));
}

#[test]
fn a_network_is_of_one_family_and_any_of_both() {
    let fits = |from: &str| {
        let sources = only(&format!("action = \"drop\", from = {from}")).spec.sources;
        ["1.2.3.4", "10.1.1.1", "2001:db8::1"].map(|address| {
            let ip: IpAddr = address.parse().expect("an address");
            sources.contains(ip.into())
        })
    };
    assert_eq!(fits("\"any\""), [true, true, true]);
    assert_eq!(fits("\"0.0.0.0/0\""), [true, true, false]);
    assert_eq!(fits("\"::/0\""), [false, false, true]);
    assert_eq!(fits("[\"::/0\", \"0.0.0.0/0\"]"), [true, true, true]);
    assert_eq!(fits("[\"::/0\", \"10.0.0.0/8\"]"), [false, true, true]);
    assert_eq!(fits("[\"any\", \"::/0\"]"), [true, true, true]);
    assert_eq!(fits("\"!::/0\""), [true, true, false]);
    assert_eq!(fits("[\"::/0\", \"!2001:db8::/32\"]"), [false, false, false]);
}

#[test]
fn all_of_ipv6_is_one_network_but_for_ipv4() {
    let sources = only(r#"action = "drop", from = "::/0""#).spec.sources;
    assert_eq!(sources, places(&["any"], &["0.0.0.0/0"]));
    let roles = sound(r#"amanda = { servers = "::/0", clients = "0.0.0.0/0" }"#).roles;
    assert!(
        roles.iter().all(|(network, bits)| *bits
            == u8::from(network.prefix() == 96 && network.addr().is_v4()) + 1)
    );
}

#[test]
fn an_icmp_type_has_its_number_in_each_protocol() {
    let entry = only(
        r#"protocol = ["icmp", "icmpv6"], icmp_type = ["echo-request", "time-exceeded"],
        action = "accept""#,
    );
    let typed = |(number, icmp_type)| Protocol { number, icmp_type: Some(icmp_type) };
    let expected = [(1, 8), (1, 11), (58, 128), (58, 3)].map(typed);
    assert_eq!(entry.spec.protocols, Protocols::Only(expected.to_vec()));
}

#[test]
fn as_many_rules_as_fit_are_taken_and_no_more() {
    const IMPLICIT: usize = 3;
    let rule = "[[rule]]\nprotocol = \"tcp\"\naction = \"drop\"\n";
    let fits = sound(&rule.repeat(MAX_PLACES - IMPLICIT));
    assert_eq!(fits.rules.len(), MAX_PLACES);
    let mistakes = compiled(&rule.repeat(MAX_PLACES - IMPLICIT + 1)).expect_err("too many");
    let found = mistakes.findings();
    let [finding] = found.as_slice() else { panic!("{mistakes}") };
    assert!(finding.message.starts_with("the rules make 16385 entries"), "{mistakes}");
    assert_eq!((finding.line, finding.column, finding.length), (49_144, 1, 8));
}
