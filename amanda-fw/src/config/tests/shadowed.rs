//! Rules that are said to do nothing do nothing, for whatever packet.

use std::net::IpAddr;

use amanda_fw_common::addr::{Addr, Endpoint};
use amanda_fw_common::rules::{Action, Way};
use amanda_fw_common::wire::{Icmp, Link, Packet, parse as parse_packet};
use proptest::prelude::*;

use super::*;

const ADDRESSES: [&str; 6] =
    ["10.0.0.1", "10.1.0.1", "192.168.2.2", "203.0.113.9", "fd00::1", "2001:db8::2"];
const INTERFACES: [u32; 3] = [1, 2, 3];
const PORTS: [u16; 5] = [1, 22, 80, 1024, 65535];

/// Makes keys that say something of a field, or nothing.
fn key(name: &'static str, words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop::sample::select(words);
    let list = prop::collection::vec(word, 1..4);
    prop::option::weighted(0.4, list).prop_map(move |list| {
        let quoted: Vec<String> = list.iter().flatten().map(|word| format!("\"{word}\"")).collect();
        if quoted.is_empty() {
            String::new()
        } else {
            format!(", {name} = [{}]", quoted.join(", "))
        }
    })
}

fn places(name: &'static str) -> impl Strategy<Value = String> {
    key(
        name,
        &[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "!10.1.0.0/16",
            "!10.0.0.1",
            "::/0",
            "fd00::/8",
            "self",
            "!fd00::1",
            "any",
            "0.0.0.0/0",
        ],
    )
}

fn traffic() -> impl Strategy<Value = String> {
    let ports = || key("ports", &["22", "1:79", "80:1024", "!22", "!1024:65535", "1:65535"]);
    let source_ports = key("source_ports", &["1024:65535", "!80", "22"]);
    let with_ports = (prop::sample::select(vec!["tcp", "udp", "sctp"]), ports(), source_ports)
        .prop_map(|(protocol, ports, source_ports)| {
            format!(", protocol = \"{protocol}\"{ports}{source_ports}")
        });
    let types = key("icmp_type", &["echo-request", "echo-reply", "time-exceeded"]);
    prop_oneof![
        key("protocol", &["tcp", "udp", "icmp", "icmpv6", "!tcp", "gre"]),
        with_ports,
        types.prop_map(|types| format!(", protocol = [\"icmp\", \"icmpv6\"]{types}")),
        Just(", protocol = \"icmpv6\", icmp_type = \"router-advertisement\"".to_owned()),
        key("service", &["ssh", "dns", "llmnr", "ipsec"]),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec!["accept", "drop", "log"]);
    let interface = key("interface", &["lo", "eth0", "!lo", "ppp0"]);
    let state = key("state", &["new", "invalid"]);
    let way = prop::sample::select(vec!["in", "in", "out"]);
    (action, way, interface, state, places("from"), places("to"), traffic()).prop_map(
        |(action, way, interface, state, from, to, traffic)| {
            format!(
                "{{ action = \"{action}\", direction = \"{way}\"{interface}{state}{from}{to}{traffic} }}"
            )
        },
    )
}

/// Makes every packet of a few addresses, ports, protocols and types.
fn packets() -> Vec<Packet> {
    let mut packets = Vec::new();
    for source in ADDRESSES {
        for destination in ADDRESSES {
            packets.extend(between(source, destination));
        }
    }
    packets
}

fn between(source: &str, destination: &str) -> Vec<Packet> {
    let [source, destination]: [IpAddr; 2] =
        [source, destination].map(|text| text.parse().expect("an address"));
    if source.is_ipv4() != destination.is_ipv4() {
        return Vec::new();
    }
    let icmp = if source.is_ipv4() { 1 } else { 58 };
    let types = [0, 3, 8, 11, 128, 129, 134].map(|icmp_type| (icmp, icmp_type << 8, 0, 0));
    let mut kinds: Vec<(u8, u16, u16, u8)> = types.to_vec();
    kinds.extend([47, 50, 132].map(|protocol| (protocol, 80, 80, 0)));
    for port in PORTS {
        kinds.extend([(17, 1024, port, 0), (6, 80, port, 0x02), (6, 1024, port, 0x10)]);
    }
    let ends = (Addr::from(source), Addr::from(destination));
    kinds.into_iter().map(|kind| packet(ends, source.is_ipv4(), kind)).collect()
}

/// Reads a packet as the packet path does; the first words of its transport header are given.
fn packet(ends: (Addr, Addr), is_v4: bool, kind: (u8, u16, u16, u8)) -> Packet {
    let (protocol, first, second, flags) = kind;
    let mut transport = [first.to_be_bytes(), second.to_be_bytes()].concat();
    transport.resize(20, 0);
    // The length of a UDP datagram, and of a TCP header with its flags.
    transport[5] = if protocol == 17 { 20 } else { 0 };
    transport[12] = 5 << 4;
    transport[13] = flags;
    let mut frame = match is_v4 {
        true => [
            &[0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0][..],
            &ends.0.octets()[12..],
            &ends.1.octets()[12..],
        ]
        .concat(),
        false => {
            [&[0x60, 0, 0, 0, 0, 20, protocol, 64][..], &ends.0.octets()[..], &ends.1.octets()[..]]
                .concat()
        }
    };
    frame.extend(transport);
    let mut packet = Packet::default();
    parse_packet(frame.as_slice(), Link::Raw, &mut packet)
        .unwrap_or_else(|reason| panic!("{kind:?}: {reason}"));
    packet
}

/// Returns the line of the first rule that decides, and those of the rules that log before it.
fn asked(ruleset: &Ruleset, packet: &Packet, way: Way, interface: u32) -> Vec<usize> {
    let mut lines = Vec::new();
    for entry in ruleset.rules.iter().filter(|e| e.spec.matches(packet, way, interface, 0)) {
        lines.push(entry.line);
        if entry.spec.rule.action != Action::Log.number() {
            break;
        }
    }
    lines
}

/// Lists the lines of the rules that are said to do nothing.
fn useless(config: &Config) -> Vec<usize> {
    let says = ["is never asked", "adds nothing", "fits no packet"];
    let found = warnings(config, &host()).findings();
    let is_useless = |message: &str| says.iter().any(|words| message.contains(words));
    found.iter().filter(|f| is_useless(&f.message)).map(|f| f.line).collect()
}

fn check(rules: &[String], packets: &[Packet]) {
    let text = format!("rule = [\n{}\n]", rules.join(",\n"));
    let Ok(config) = parsed(&text) else { return };
    let useless = useless(&config);
    // An interface that is not there may come.
    let mut host = host();
    host.interfaces.insert("ppp0".to_owned(), 3);
    let ruleset = compile(&config, &host).expect("a ruleset");
    for packet in packets.iter().filter(|packet| packet.icmp != Icmp::Neighbour) {
        for (way, interface) in
            [Way::In, Way::Out].into_iter().flat_map(|w| INTERFACES.map(|i| (w, i)))
        {
            for line in asked(&ruleset, packet, way, interface) {
                assert!(!useless.contains(&line), "line {line} of {text}\nfits {packet:?}");
            }
        }
    }
}

/// Compares what is found of two rules with the comparison of every part with every part.
fn check_found(rules: &[String]) {
    let Ok(config) = parsed(&format!("rule = [\n{}\n]", rules.join(",\n"))) else { return };
    let [first, second] = config.rules.as_slice() else { panic!("{rules:?}") };
    let [outer, inner] = [first, second].map(|rule| ruleset::specs(rule, &host()));
    let mut index = shadow::Index::default();
    outer.iter().for_each(|spec| index.insert(0, spec));
    for inner in inner.iter().filter(|inner| packets_fit(inner)) {
        let covered = outer.iter().any(|outer| shadow::covers(outer, inner));
        assert!(!covered || index.candidates(inner) == [0], "{rules:#?}");
    }
}

fn packets_fit(spec: &amanda_fw_common::ruleset::RuleSpec) -> bool {
    let fits = |packet: &Packet| INTERFACES.iter().any(|&i| spec.matches(packet, spec.way, i, 0));
    packets().iter().any(fits)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_rule_that_is_said_to_do_nothing_is_asked_about_no_packet(
        rules in prop::collection::vec(rule(), 2..7)
    ) {
        check(&rules, &packets());
    }

    #[test]
    fn no_rule_is_passed_over_that_covers_another(rules in prop::collection::vec(rule(), 2)) {
        check_found(&rules);
    }
}

#[test]
fn the_packets_are_of_every_kind() {
    let packets = packets();
    let ports: Endpoint = packets.iter().map(|packet| packet.destination).max().expect("one");
    assert_eq!(ports.port, 65535);
    let kinds = [Icmp::None, Icmp::Request, Icmp::Reply, Icmp::Error, Icmp::Neighbour];
    assert!(kinds.iter().all(|kind| packets.iter().any(|packet| packet.icmp == *kind)));
}

#[test]
fn many_rules_are_found_to_do_nothing() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let rules = prop::collection::vec(rule(), 6);
    let mut found = 0;
    for _ in 0..64 {
        let rules = rules.new_tree(&mut runner).expect("rules").current();
        let text = format!("rule = [\n{}\n]", rules.join(",\n"));
        found += parsed(&text).map_or(0, |config| useless(&config).len());
    }
    assert!(found > 32, "{found}");
}
