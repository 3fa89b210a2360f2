//! Packets through the host, zones and translations.

mod mistaken;
mod warned;

use std::net::Ipv4Addr;

use amanda_fw_common::nat::{Filtering, Translation, TranslationKind};
use amanda_fw_common::rules::{Action, Rule, State, Way};
use amanda_fw_common::ruleset::{Interfaces, RuleSpec};
use amanda_fw_common::settings::{Settings, gateway};

use super::*;
use crate::output;

const MINUTE: u64 = 60_000_000_000;

/// FWHost of the design: TSHost's configuration with interfaces and translations.
const FWHOST: &str = r#"
[hosts]
tshost = "192.168.2.2"
rhost  = "2.3.4.5"

[amanda]
servers = ["tshost"]
clients = ["rhost"]

[interfaces.ppp0]
mode = "auto"

[[nat]]
kind = "masquerade"
out = "ppp0"

[[nat]]
kind = "destination"
in = "ppp0"
from = "rhost"
protocol = "tcp"
ports = "50000:50100"
to = "tshost"
"#;

/// The usual host with two more interfaces, which have addresses.
pub(super) fn router() -> Host {
    let mut host = host();
    host.interfaces.extend([("eth1".to_owned(), 3), ("ppp0".to_owned(), 4)]);
    host.addressed = ["eth0", "eth1", "ppp0"].map(str::to_owned).into();
    host.forwards = Some(true);
    host
}

fn on_router(text: &str) -> Ruleset {
    let config = parsed(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    compile(&config, &router()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Returns the only translation of a text, with what it asks for.
fn only(nat: &str) -> (RuleSpec, Translation) {
    let ruleset =
        on_router(&format!("hosts.inside = [\"10.0.0.2\", \"fd00::2\"]\nnat = [{{ {nat} }}]"));
    let [translation] = ruleset.translations[..] else { panic!("{ruleset:?}") };
    let mut entries = ruleset.rules.into_iter().filter(|entry| entry.translation.is_some());
    let entry = entries.next().expect("a translation");
    assert_eq!(entry.translation, Some(translation));
    (entry.spec, translation)
}

fn kind(kind: TranslationKind) -> Translation {
    Translation { kind: kind.number(), ..Translation::default() }
}

fn bits(address: &str) -> u32 {
    address.parse::<Ipv4Addr>().expect("an address").to_bits()
}

#[test]
fn fwhost_of_the_design_is_what_it_says() {
    let shown = output::check::text("x.toml", &on_router(FWHOST), &router());
    let expected = "\
Rules, in order
LINE  NAME             DIR      PROTO                                  ACTION
   -  icmp             in       icmp echo-request icmpv6 echo-request  accept
   -  policy incoming  in       any                                    drop
   -  policy outgoing  out      any                                    accept
   -  policy forward   forward  any                                    drop

Addresses, in order
LINE  NAME   KIND         IN    OUT   PROTO  FROM     PORT         BECOMES
  13  nat 1  masquerade   any   ppp0  any    any      any          source interface's
  17  nat 2  destination  ppp0  any   tcp    2.3.4.5  50000:50100  destination 192.168.2.2

Amanda opens
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn a_host_of_which_nothing_is_said_of_packets_through_it_is_none_that_forwards() {
    for text in ["", "policy = {}", "zones.a = \"eth0\"", "rule = [{ action = \"drop\" }]"] {
        let ruleset = on_router(text);
        assert_eq!(ruleset.settings.gateway, 0);
        assert_eq!(ruleset.settings.timeouts, Settings::default().timeouts);
        assert!(ruleset.rules.iter().all(|entry| entry.name != "policy forward"));
    }
}

#[test]
fn whatever_is_said_of_packets_through_the_host_makes_it_forward() {
    let check = |text: &str, action, bits| {
        let ruleset = on_router(text);
        assert_eq!(ruleset.settings.gateway, bits, "{text}");
        let last = ruleset.rules.last().expect("a policy");
        assert_eq!(last.name, "policy forward");
        let rule = Rule { policy: 1, ..Rule::new(action, 0) };
        assert_eq!(last.spec, RuleSpec::all(Way::Forward, rule));
    };
    let (forwards, both) = (gateway::FORWARDS, gateway::FORWARDS | gateway::TRANSLATES);
    check("policy.forward = \"drop\"", Action::Drop, forwards);
    check("policy.forward = \"reject\"", Action::Reject, forwards);
    check("rule = [{ direction = \"forward\", action = \"drop\" }]", Action::Drop, forwards);
    check("nat = [{ kind = \"masquerade\" }]", Action::Drop, both);
    let text = "policy.forward = \"accept\"\nnat = [{ kind = \"masquerade\" }]";
    check(text, Action::Accept, both);
}

#[test]
fn a_rule_for_packets_through_the_host_names_both_interfaces() {
    let text = r#"zones.inside = ["eth0", "eth1"]
        rule = [{ direction = "forward", in = ["inside", "!eth0"], out = "!ppp0", action = "accept" }]"#;
    let spec = on_router(text).rules[0].spec.clone();
    let expected = RuleSpec {
        interfaces: Interfaces::Only(vec![3]),
        outputs: Interfaces::Except(vec![4]),
        ..RuleSpec::all(Way::Forward, Rule::new(Action::Accept, 0))
    };
    assert_eq!(spec, expected);
}

#[test]
fn a_zone_stands_wherever_an_interface_does() {
    let text = r#"
        zones = { inside = ["eth0", "eth1"], outside = "ppp0" }
        rule = [{ interface = "inside", action = "drop" }, { interface = "!outside", action = "drop" }]
        nat = [{ kind = "masquerade", out = "outside" },
            { kind = "destination", in = ["outside", "lo"], to = "10.0.0.2" }]
    "#;
    let rules = on_router(text).rules;
    let interfaces: Vec<&Interfaces> = rules.iter().take(4).map(|e| &e.spec.interfaces).collect();
    let only = |indexes: &[u32]| Interfaces::Only(indexes.to_vec());
    let expected = [&only(&[2, 3]), &Interfaces::Except(vec![4]), &only(&[4]), &only(&[4, 1])];
    assert_eq!(interfaces, expected);
}

#[test]
fn a_masquerade_is_asked_for_when_a_packet_leaves() {
    let (spec, translation) = only("kind = \"masquerade\", out = \"ppp0\"");
    let expected = RuleSpec {
        interfaces: Interfaces::Only(vec![4]),
        states: vec![State::New],
        ..RuleSpec::all(Way::Postrouting, Rule::new(Action::Translate, 0))
    };
    assert_eq!((spec, translation), (expected, kind(TranslationKind::Masquerade)));
}

#[test]
fn every_key_of_a_source_reaches_the_packet_path() {
    let (spec, translation) = only(
        r#"kind = "source", out = "ppp0", from = ["inside", "on-link"], destination = "!10.0.0.0/8",
        protocol = "udp", ports = 53, source_ports = "1024:65535", to = "192.0.2.1 - 192.0.2.9",
        to_ports = "2000:3000", filtering = "endpoint-independent""#,
    );
    let names = |networks: &[amanda_fw_common::addr::Network]| -> Vec<String> {
        networks.iter().map(network::display).collect()
    };
    assert_eq!(names(&spec.sources.within), ["10.0.0.2", "192.168.2.0/24"]);
    assert_eq!(names(&spec.destinations.except), ["10.0.0.0/8"]);
    assert_eq!((spec.source_ports[0].low, spec.destination_ports[0].low), (1024, 53));
    let expected = Translation {
        first: bits("192.0.2.1"),
        last: bits("192.0.2.9"),
        first_port: 2000,
        last_port: 3000,
        filtering: Filtering::Endpoint.number(),
        ..kind(TranslationKind::Source)
    };
    assert_eq!(translation, expected);
}

#[test]
fn a_destination_keeps_its_ports_or_shifts_them_as_a_whole() {
    let to = |keys: &str| only(&format!("kind = \"destination\", to = \"inside\", {keys}"));
    let address = bits("10.0.0.2");
    let kept = Translation { first: address, last: address, ..kind(TranslationKind::Destination) };
    let (spec, translation) = to("protocol = \"sctp\", ports = [80, 443]");
    assert_eq!((spec.way, translation), (Way::Prerouting, kept));
    let (_, translation) = to("protocol = \"tcp\", ports = \"50000:50100\", to_port = 40000");
    let shifted = Translation { matched_port: 50000, first_port: 40000, last_port: 40100, ..kept };
    assert_eq!(translation, shifted);
    assert_eq!(translation.destination_for(50007).port, 40007);
    let (_, translation) = to("service = \"ssh\", to_port = 2222");
    assert_eq!((translation.matched_port, translation.first_port), (22, 2222));
}

#[test]
fn an_exemption_is_asked_for_where_its_interfaces_are() {
    let (spec, translation) = only("kind = \"none\", in = \"ppp0\"");
    assert_eq!((spec.way, translation), (Way::Prerouting, Translation::default()));
    let (spec, _) = only("kind = \"none\", out = \"ppp0\", destination = \"10.0.0.0/8\"");
    assert_eq!(spec.way, Way::Postrouting);
}

#[test]
fn the_parts_of_a_translation_that_names_services_have_one_number() {
    let text = r#"nat = [{ kind = "none", in = "lo" },
        { kind = "destination", service = ["ssh", "dns"], to = "10.0.0.2" }]"#;
    let ruleset = on_router(text);
    let numbers: Vec<u16> = ruleset
        .rules
        .iter()
        .filter(|entry| entry.translation.is_some())
        .map(|entry| entry.spec.rule.translation)
        .collect();
    assert_eq!((numbers.as_slice(), ruleset.translations.len()), (&[0, 1, 1][..], 2));
}

#[test]
fn flows_that_are_translated_live_as_long_as_the_standards_want() {
    let timeouts = on_router("nat = [{ kind = \"masquerade\" }]").settings.timeouts;
    assert_eq!(timeouts.udp[..2], [2 * MINUTE, 5 * MINUTE]);
    assert_eq!(timeouts.icmp[0], MINUTE);
    let without = on_router("policy.forward = \"drop\"").settings.timeouts;
    assert_eq!(without, Settings::default().timeouts);
}

#[test]
fn programs_read_translations() {
    let text = "nat = [{ name = \"a\", kind = \"destination\", in = \"ppp0\", protocol = \"tcp\",
        ports = 2222, to = \"10.0.0.2\", to_port = 22 }]";
    let config = parsed(text).expect("a configuration");
    let (ruleset, none) = (on_router(text), warnings(&config, &router()));
    let report = output::check::Report::new(&ruleset, &router(), &none);
    let read = serde_json::to_value(report).expect("JSON");
    assert_eq!(
        read["nat"],
        serde_json::json!([{
            "line": 1, "name": "a", "kind": "destination", "in": "ppp0", "out": "any",
            "protocol": "tcp", "from": "any", "destination": "any", "source_ports": "any",
            "ports": "2222", "becomes": "destination 10.0.0.2 port 22", "filtering": null,
        }])
    );
    assert!(read["rules"].as_array().is_some_and(|rules| rules.len() == 4));
}

#[test]
fn a_list_says_what_becomes_of_what() {
    let said = |nat: &str| {
        let ruleset = on_router(&format!("nat = [{{ {nat} }}]"));
        output::check::matches(&ruleset.rules[0], &router())
    };
    assert_eq!(said("kind = \"masquerade\", out = \"ppp0\""), "source interface's for out ppp0");
    assert_eq!(
        said(
            "kind = \"source\", out = \"ppp0\", to = \"192.0.2.1-192.0.2.9\", protocol = \"tcp\", \
              to_ports = 99, filtering = \"address-dependent\""
        ),
        "source 192.0.2.1-192.0.2.9 port 99 filtering address-dependent for out ppp0 tcp"
    );
    assert_eq!(
        said(
            "kind = \"destination\", to = \"10.0.0.2\", protocol = \"tcp\", ports = \"20:29\", \
              to_port = 40"
        ),
        "destination 10.0.0.2 ports 40:49 for tcp port 20:29"
    );
    assert_eq!(said("kind = \"none\", in = \"lo\""), "no translation for in lo");
}
