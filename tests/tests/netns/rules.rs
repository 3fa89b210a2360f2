//! What each key of a rule selects, asked by packets of any make, at both places where packets come in.

use amanda_fw_tests::frames::{
    self, ACK, FIN_ACK, ICMP, ICMPV6, Packet, RST, SYN, SYN_ACK, TCP, UDP,
};
use amanda_fw_tests::probes::Probes;
use amanda_fw_tests::sockets;

use crate::site::{DENY, HOST, INTERFACE, PEER, Site, endpoint, in_mode};

/// Where incoming packets are met.
const MODES: [&str; 2] = ["tc", "xdp"];

const GRE: u8 = 47;
const SCTP: u8 = 132;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn one_rule_names_sources_of_both_families() {
    let rule = r#"
[hosts]
backup = ["10.94.0.3", "fd00:94::3"]

[[rule]]
protocol = "tcp"
from = ["backup", "10.94.0.64/26", "fd00:94:0:0:1::/80"]
action = "accept"
"#;
    let sources = [
        ("10.94.0.3", true),
        ("10.94.0.4", false),
        ("10.94.0.63", false),
        ("10.94.0.64", true),
        ("10.94.0.127", true),
        ("10.94.0.128", false),
        ("fd00:94::3", true),
        ("fd00:94::4", false),
        ("fd00:94::1:0:0:1", true),
        ("fd00:94::2:0:0:1", false),
    ];
    check(rule, &sources.map(|(source, passes)| (syn(source, 22), passes)));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn one_rule_names_destinations_of_both_families() {
    let rule = r#"
[[rule]]
protocol = "udp"
to = ["10.94.0.1", "fd00:94::11"]
action = "accept"
"#;
    let to = |source, host| frames::udp(endpoint(source, 40_000), endpoint(host, 53), b"?");
    check(
        rule,
        &[
            (to(PEER[0], HOST[0]), true),
            (to(PEER[0], "10.94.0.11"), false),
            (to(PEER[1], HOST[1]), false),
            (to(PEER[1], "fd00:94::11"), true),
        ],
    );
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_exclamation_mark_takes_places_and_ports_out() {
    let rules = r#"
[[rule]]
protocol = "tcp"
from = ["10.94.0.0/24", "!10.94.0.16/28", "fd00:94::/64", "!fd00:94::3"]
ports = ["20:30", "!22"]
action = "accept"

[[rule]]
protocol = "udp"
from = "!10.94.0.3"
ports = "!53"
action = "accept"
"#;
    check(
        rules,
        &[
            (syn("10.94.0.3", 20), true),
            (syn("10.94.0.3", 22), false),
            (syn("10.94.0.3", 30), true),
            (syn("10.94.0.3", 31), false),
            (syn("10.94.0.16", 20), false),
            (syn("10.94.0.31", 20), false),
            (syn("10.94.0.32", 20), true),
            (syn("fd00:94::3", 20), false),
            (syn("fd00:94::4", 20), true),
            (syn("fd00:94::4", 22), false),
            (udp("10.94.0.3", 54), false),
            (udp("10.94.0.4", 54), true),
            (udp("10.94.0.4", 53), false),
            (udp("fd00:94::4", 54), true),
            (udp("fd00:94::4", 53), false),
        ],
    );
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn on_link_is_what_the_host_has_an_address_in() {
    let rule = "\n[[rule]]\nprotocol = \"tcp\"\nfrom = \"on-link\"\naction = \"accept\"\n";
    check(
        rule,
        &[
            (syn("10.94.0.200", 22), true),
            (syn("10.94.1.1", 22), false),
            (syn("10.93.255.254", 22), false),
            (syn("10.95.0.1", 22), false),
            (syn("fd00:94::200", 22), true),
            (syn("fd00:94:0:1::1", 22), false),
            (syn("fd00:95::200", 22), false),
        ],
    );
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn source_ports_count_beside_destination_ports() {
    let rule = r#"
[[rule]]
protocol = ["tcp", "udp"]
source_ports = "512:1023"
ports = 10080
action = "accept"
"#;
    let host = endpoint(HOST[0], 10080);
    let from = |port| frames::udp(endpoint(PEER[0], port), host, b"?");
    check(
        rule,
        &[
            (from(511), false),
            (from(512), true),
            (from(1023), true),
            (from(1024), false),
            (frames::tcp(endpoint(PEER[0], 600), host, SYN), true),
            (frames::tcp(endpoint(PEER[0], 10_080), host, SYN), false),
            (frames::udp(endpoint(PEER[0], 600), endpoint(HOST[0], 10_081), b"?"), false),
        ],
    );
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn icmp_types_are_names_or_numbers() {
    let rules = r#"
icmp = false

[[rule]]
protocol = "icmpv6"
icmp_type = ["neighbour-solicitation", "neighbour-advertisement"]
action = "accept"

[[rule]]
protocol = ["icmp", "icmpv6"]
icmp_type = "echo-request"
from = ["10.94.0.3", "fd00:94::3"]
action = "accept"

[[rule]]
protocol = "icmp"
icmp_type = 13
action = "accept"
"#;
    let ping = |source: &str| frames::echo(ip(source), host_for(source), 9);
    let icmp = |kind| frames::icmp(ip(PEER[0]), ip(HOST[0]), [kind, 0], &[0; 16]);
    check(
        rules,
        &[
            (ping("10.94.0.3"), true),
            (ping("10.94.0.4"), false),
            (ping("fd00:94::3"), true),
            (ping("fd00:94::4"), false),
            (icmp(13), true),
            (icmp(17), false),
        ],
    );
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn protocols_are_names_or_numbers_or_all_but_some() {
    let numbered = "\n[[rule]]\nprotocol = [47, \"sctp\"]\naction = \"accept\"\n";
    let packets = |others| {
        [
            (other(GRE, PEER[0]), true),
            (other(GRE, PEER[1]), true),
            (other(SCTP, PEER[0]), true),
            (other(50, PEER[0]), others),
            (udp(PEER[1], 53), others),
            (syn(PEER[0], 22), false),
        ]
    };
    check(numbered, &packets(false));
    check("\n[[rule]]\nprotocol = \"!tcp\"\naction = \"accept\"\n", &packets(true));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn new_and_invalid_are_told_apart() {
    let rules = r#"
[[rule]]
protocol = "tcp"
ports = 22
state = "new"
action = "accept"

[[rule]]
protocol = "tcp"
ports = 23
state = "invalid"
action = "accept"

[[rule]]
protocol = "tcp"
ports = 24
action = "accept"
"#;
    let flags = [SYN, ACK, RST, FIN_ACK, SYN_ACK];
    let segments = (40_000..).zip(flags).flat_map(|(source_port, flags)| {
        let from = endpoint(PEER[0], source_port);
        let to = |port| frames::tcp(from, endpoint(HOST[0], port), flags);
        [(to(22), flags == SYN), (to(23), flags != SYN), (to(24), true)]
    });
    check(rules, &segments.collect::<Vec<_>>());
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn services_open_their_ports() {
    let rule = "\n[[rule]]\nservice = [\"ssh\", \"dns\"]\naction = \"accept\"\n";
    check(
        rule,
        &[
            (syn(PEER[0], 22), true),
            (syn(PEER[1], 22), true),
            (udp(PEER[0], 22), false),
            (udp(PEER[0], 53), true),
            (syn(PEER[1], 53), true),
            (syn(PEER[0], 23), false),
        ],
    );
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_service_has_its_own_destinations() {
    let rule = "\n[[rule]]\nservice = \"dhcpv6-client\"\naction = \"accept\"\n";
    for mode in MODES {
        let site = Site::new();
        site.address(&site.host, "fe80::94:1/64");
        site.address(&site.peer, "fe80::94:2/64");
        let _firewall = site.firewall(&in_mode(mode, &format!("{DENY}{rule}")));
        let local = |address, port| site.link_local(address, port);
        for (from, to, expected) in [
            (local("fe80::94:2", 547), local("fe80::94:1", 546), true),
            (local("fe80::94:2", 548), local("fe80::94:1", 547), false),
            (endpoint(PEER[1], 549), endpoint(HOST[1], 546), false),
        ] {
            let server = sockets::bind(&site.peer, from).expect("a port can be bound");
            let client = sockets::bind(&site.host, to).expect("a port can be bound");
            let delivered = sockets::delivers(&server, &client, to, 100);
            assert_eq!(delivered.expect("it can be sent"), expected, "to {to} in mode {mode}");
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_first_of_three_overlapping_rules_decides() {
    let one = "\n[[rule]]\nprotocol = \"tcp\"\nfrom = \"10.94.0.3\"\naction = \"drop\"\n";
    let few = "\n[[rule]]\nprotocol = \"tcp\"\nfrom = \"10.94.0.0/28\"\naction = \"accept\"\n";
    let ports = "\n[[rule]]\nprotocol = \"tcp\"\nports = \"20:22\"\naction = \"drop\"\n";
    let packets = [syn("10.94.0.3", 80), syn("10.94.0.4", 80), syn("10.94.0.4", 22)];
    for (order, expected) in [
        ([one, few, ports], [false, true, true]),
        ([few, ports, one], [true, true, true]),
        ([ports, few, one], [true, true, false]),
        ([one, ports, few], [false, true, false]),
    ] {
        let packets: Vec<_> = packets.iter().cloned().zip(expected).collect();
        check(&order.concat(), &packets);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn outgoing_rules_decide_what_goes_out() {
    let config = r#"
[policy]
incoming = "accept"
outgoing = "drop"

[[rule]]
direction = "out"
protocol = "tcp"
to = ["10.94.0.2", "!self"]
ports = 22
action = "accept"

[[rule]]
direction = "in"
protocol = "tcp"
ports = 23
action = "accept"

[[rule]]
direction = "out"
from = "self"
to = "fd00:94::2"
protocol = "udp"
action = "accept"
"#;
    let tcp = |to, port| frames::tcp(endpoint(host(to), 40_000), endpoint(to, port), SYN);
    let udp = |to| frames::udp(endpoint(host(to), 40_000), endpoint(to, 53), b"?");
    let packets = [
        (tcp(PEER[0], 22), true),
        (tcp(PEER[0], 23), false),
        (tcp(PEER[1], 22), false),
        (udp(PEER[0]), false),
        (udp(PEER[1]), true),
    ];
    for mode in MODES {
        let site = Site::new();
        let _firewall = site.firewall(&in_mode(mode, config));
        let probes = Probes::open(&site.host, &site.peer, &[TCP, UDP]).expect("raw sockets");
        check_passing(&probes, &packets, mode);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_for_an_interface_is_for_no_other() {
    let rules = r#"
[[rule]]
interface = "eth1"
protocol = "tcp"
ports = 22
action = "accept"

[[rule]]
interface = "!eth1"
protocol = "tcp"
ports = 23
action = "accept"

[[rule]]
protocol = "tcp"
ports = 24
action = "accept"
"#;
    let over = |host, port| frames::tcp(endpoint(PEER[0], 40_000), endpoint(host, port), SYN);
    let packets = [
        (over(HOST[0], 22), false),
        (over(HOST[0], 23), true),
        (over(HOST[0], 24), true),
        (over("10.95.0.1", 22), true),
        (over("10.95.0.1", 23), false),
        (over("10.95.0.1", 24), true),
    ];
    for mode in MODES {
        let site = Site::new();
        site.second_wire("eth1", "10.95.0.1/24", "10.95.0.2/24");
        let config = format!(
            "{}[interfaces.eth1]\nmode = \"{mode}\"\n",
            in_mode(mode, &format!("{DENY}{rules}"))
        );
        let (_loader, _child) = site.attached(&config, &[INTERFACE, "eth1"]);
        let probes = Probes::open(&site.peer, &site.host, &[TCP]).expect("raw sockets");
        check_passing(&probes, &packets, mode);
    }
}

/// Checks which packets of the peer's are delivered by rules before a policy that drops.
#[track_caller]
fn check(rules: &str, packets: &[(Packet, bool)]) {
    for mode in MODES {
        let site = Site::new();
        site.address(&site.host, "10.94.0.11/24");
        site.address(&site.host, "fd00:94::11/64");
        site.trust_sources();
        // For a packet of a source that is not the peer's, it would look for the host only once
        // its link-local address is known to be its own.
        assert!(site.answers(&site.peer, HOST[1]), "nothing stands between");
        let config = in_mode(mode, &with_policy(rules));
        let _firewall = site.firewall(&config);
        let protocols = [TCP, UDP, ICMP, ICMPV6, GRE, SCTP, 50];
        let probes = Probes::open(&site.peer, &site.host, &protocols).expect("raw sockets");
        check_passing(&probes, packets, mode);
    }
}

/// Puts the policy where rules expect it: before them, but behind the hosts.
fn with_policy(rules: &str) -> String {
    if rules.trim_start().starts_with("[hosts]") {
        return rules.replacen("[[rule]]", &format!("{DENY}\n[[rule]]"), 1);
    }
    format!("{DENY}{rules}")
}

#[track_caller]
fn check_passing(probes: &Probes, packets: &[(Packet, bool)], mode: &str) {
    let sent: Vec<Packet> = packets.iter().map(|(packet, _)| packet.clone()).collect();
    let passed = probes.pass(&sent).expect("packets can be sent and received");
    for ((packet, expected), passed) in packets.iter().zip(passed) {
        assert_eq!(passed, *expected, "in mode {mode}: {packet:?}");
    }
}

fn syn(source: &str, port: u16) -> Packet {
    frames::tcp(endpoint(source, 40_000), endpoint(host(source), port), SYN)
}

fn udp(source: &str, port: u16) -> Packet {
    frames::udp(endpoint(source, 40_000), endpoint(host(source), port), b"?")
}

fn other(protocol: u8, source: &str) -> Packet {
    let body = vec![0, 0, 8, 0, protocol, u8::from(source.contains(':')), 1, 2, 3, 4, 5, 6];
    Packet::new(ip(source), host_for(source), protocol, body)
}

/// Returns the host's address of a source's family.
fn host(source: &str) -> &'static str {
    HOST[usize::from(source.contains(':'))]
}

fn host_for(source: &str) -> std::net::IpAddr {
    ip(host(source))
}

fn ip(address: &str) -> std::net::IpAddr {
    address.parse().expect("an address")
}
