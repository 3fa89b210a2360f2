//! Destinations translated: ports of the gateway that lead to hosts inside.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::memory::MemoryTable;
use amanda_fw_common::rules::{Rule, Way};
use amanda_fw_common::ruleset::{Interfaces, RuleSpec};
use amanda_fw_common::verdict::{Counter, Reason};
use amanda_fw_tests::frames::{ACK, SYN, SYN_ACK, TCP, UDP, echo, tcp, tcp_with, udp};

use crate::gateway::{
    DMZ, DMZ_HOST, GATEWAY, Gateway, INSIDE, INSIDER, NEIGHBOUR, OTHER, OUTSIDE, REMOTE,
    of_protocol, only, ports, to_address,
};
use crate::host::{endpoint, ip, seconds};

/// An address of the gateway's that no interface has.
const SECOND: &str = "203.0.113.17";

const HTTP: PortRange = ports(80, 80);

#[test]
fn a_port_of_the_gateway_leads_inside_and_answers_come_from_it() {
    let mut gateway = web();
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), endpoint(INSIDER, 8080));
    assert_eq!(gateway.enters(&tcp(remote, asked, SYN)), tcp(remote, server, SYN));
    assert_eq!(gateway.leaves(&tcp(server, remote, SYN_ACK)), tcp(asked, remote, SYN_ACK));
    let data = tcp_with(remote, asked, ACK, b"GET /");
    assert_eq!(gateway.enters(&data), tcp_with(remote, server, ACK, b"GET /"));
    let data = tcp_with(server, remote, ACK, b"200 OK");
    assert_eq!(gateway.leaves(&data), tcp_with(asked, remote, ACK, b"200 OK"));
}

#[test]
fn a_datagrams_destination_is_translated_too() {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(UDP, ports(53, 53), INSIDER, 5353);
    gateway.accept_to(INSIDER, UDP);
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 53), endpoint(INSIDER, 5353));
    assert_eq!(gateway.enters(&udp(remote, asked, b"?")), udp(remote, server, b"?"));
    assert_eq!(gateway.leaves(&udp(server, remote, b"!")), udp(asked, remote, b"!"));
}

#[test]
fn a_translated_destination_meets_the_rules_by_its_address_inside() {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(TCP, HTTP, INSIDER, 8080);
    let asked = tcp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), SYN);
    gateway.drops(&asked, OUTSIDE, Reason::PolicyDrop);
    // A rule about the address that was asked is none about the host inside.
    gateway.accept_to(GATEWAY, TCP);
    gateway.drops(&asked, OUTSIDE, Reason::PolicyDrop);
    gateway.accept(RuleSpec {
        destinations: only(INSIDER),
        destination_ports: vec![ports(8080, 8080)],
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    gateway.check(&asked, OUTSIDE, Reason::Rule);
}

#[test]
fn other_ports_and_protocols_of_the_gateway_stay_its_own() {
    let mut gateway = web();
    for packet in [
        tcp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 81), SYN),
        udp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), b"?"),
        echo(ip(REMOTE), ip(GATEWAY), 7),
    ] {
        gateway.drops(&packet, OUTSIDE, Reason::PolicyDrop);
    }
}

#[test]
fn a_range_of_ports_keeps_them() {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(TCP, ports(50_000, 50_100), INSIDER, 0);
    gateway.accept_to(INSIDER, TCP);
    for port in [50_000, 50_042, 50_100] {
        let entered = gateway.enters(&tcp(endpoint(REMOTE, 1024), endpoint(GATEWAY, port), SYN));
        assert_eq!(entered, tcp(endpoint(REMOTE, 1024), endpoint(INSIDER, port), SYN));
    }
    for port in [49_999, 50_101] {
        let packet = tcp(endpoint(REMOTE, 1024), endpoint(GATEWAY, port), SYN);
        gateway.drops(&packet, OUTSIDE, Reason::PolicyDrop);
    }
}

#[test]
fn a_range_of_ports_is_shifted() {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(TCP, ports(8000, 8010), INSIDER, 9000);
    gateway.accept_to(INSIDER, TCP);
    for offset in [0, 1, 10] {
        let remote = endpoint(REMOTE, 1024);
        let entered = gateway.enters(&tcp(remote, endpoint(GATEWAY, 8000 + offset), SYN));
        assert_eq!(entered, tcp(remote, endpoint(INSIDER, 9000 + offset), SYN));
    }
}

#[test]
fn a_destination_is_translated_for_whom_the_rule_names_alone() {
    // Amanda's wiki: -i ppp0 -s 2.3.4.5 -p tcp --dport 50000:50100 -j DNAT --to 192.168.2.2
    const RHOST: &str = "2.3.4.5";
    let mut gateway = Gateway::masquerading();
    let range = ports(50_000, 50_100);
    let spec = RuleSpec {
        interfaces: Interfaces::Only(vec![OUTSIDE]),
        sources: only(RHOST),
        protocols: of_protocol(TCP),
        destination_ports: vec![range],
        ..RuleSpec::all(Way::Prerouting, Rule::default())
    };
    gateway.translate(spec, to_address(INSIDER, 0, range));
    gateway.accept_to(INSIDER, TCP);
    let asked = endpoint(GATEWAY, 50_001);
    let entered = gateway.enters(&tcp(endpoint(RHOST, 50_000), asked, SYN));
    assert_eq!(entered, tcp(endpoint(RHOST, 50_000), endpoint(INSIDER, 50_001), SYN));
    let other = tcp(endpoint(REMOTE, 50_000), asked, SYN);
    gateway.drops(&other, OUTSIDE, Reason::PolicyDrop);
    let spoofed = tcp(endpoint(RHOST, 50_002), asked, SYN);
    gateway.drops(&spoofed, DMZ, Reason::PolicyDrop);
}

#[test]
fn a_port_is_the_gateways_own_at_one_address_and_leads_inside_at_another() {
    let mut gateway = Gateway::masquerading();
    gateway.host.accept_in(TCP, Some(22));
    let ssh = ports(22, 22);
    let spec = RuleSpec {
        destinations: only(SECOND),
        protocols: of_protocol(TCP),
        destination_ports: vec![ssh],
        ..RuleSpec::all(Way::Prerouting, Rule::default())
    };
    gateway.translate(spec, to_address(INSIDER, 0, ssh));
    gateway.accept_to(INSIDER, TCP);
    let remote = endpoint(REMOTE, 40_000);
    let own = tcp(remote, endpoint(GATEWAY, 22), SYN);
    assert_eq!(gateway.passes(&own, OUTSIDE, 0), own);
    let through = gateway.enters(&tcp(remote, endpoint(SECOND, 22), SYN));
    assert_eq!(through, tcp(remote, endpoint(INSIDER, 22), SYN));
    let answer = gateway.leaves(&tcp(endpoint(INSIDER, 22), remote, SYN_ACK));
    assert_eq!(answer, tcp(endpoint(SECOND, 22), remote, SYN_ACK));
    let answer = tcp(endpoint(GATEWAY, 22), remote, SYN_ACK);
    assert_eq!(gateway.sends(&answer, 0).packet, Some(answer));
}

#[test]
fn a_host_behind_another_interface_is_reached_by_its_port_as_well() {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(TCP, HTTP, DMZ_HOST, 0);
    gateway.accept_to(DMZ_HOST, TCP);
    let (server, asked) = (endpoint(DMZ_HOST, 80), endpoint(GATEWAY, 80));
    for (client, interface) in
        [(endpoint(REMOTE, 40_000), OUTSIDE), (endpoint(INSIDER, 40_000), INSIDE)]
    {
        let passed = gateway.passes(&tcp(client, asked, SYN), interface, DMZ);
        assert_eq!(passed, tcp(client, server, SYN));
        let answer = gateway.passes(&tcp(server, client, SYN_ACK), DMZ, interface);
        assert_eq!(answer, tcp(asked, client, SYN_ACK));
    }
}

#[test]
fn two_endpoints_of_the_gateway_that_lead_to_one_are_told_apart() {
    let mut gateway = web();
    gateway.translate_destination(TCP, ports(81, 81), INSIDER, 8080);
    let server = endpoint(INSIDER, 8080);
    for (client, port) in [(40_000, 80), (40_001, 81)] {
        let (remote, asked) = (endpoint(REMOTE, client), endpoint(GATEWAY, port));
        assert_eq!(gateway.enters(&tcp(remote, asked, SYN)), tcp(remote, server, SYN));
        assert_eq!(gateway.leaves(&tcp(server, remote, SYN_ACK)), tcp(asked, remote, SYN_ACK));
    }
    // What would be one flow inside is not let in twice.
    let clashing = tcp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 81), SYN);
    gateway.drops(&clashing, OUTSIDE, Reason::Untranslatable);
    let answer = gateway.leaves(&tcp(server, endpoint(REMOTE, 40_000), ACK));
    assert_eq!(answer, tcp(endpoint(GATEWAY, 80), endpoint(REMOTE, 40_000), ACK));
}

#[test]
fn a_flow_that_clashes_with_a_direct_one_is_dropped() {
    let mut gateway = web();
    let (remote, server) = (endpoint(REMOTE, 40_000), endpoint(INSIDER, 8080));
    let direct = tcp(remote, server, SYN);
    assert_eq!(gateway.enters(&direct), direct);
    let asked = tcp(remote, endpoint(GATEWAY, 80), SYN);
    gateway.drops(&asked, OUTSIDE, Reason::Untranslatable);
    let answer = tcp(server, remote, SYN_ACK);
    assert_eq!(gateway.leaves(&answer), answer);
}

#[test]
fn a_closed_connection_may_be_opened_again_by_its_ports() {
    let mut gateway = web();
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), endpoint(INSIDER, 8080));
    for _ in 0..2 {
        assert_eq!(gateway.enters(&tcp(remote, asked, SYN)), tcp(remote, server, SYN));
        assert_eq!(gateway.leaves(&tcp(server, remote, SYN_ACK)), tcp(asked, remote, SYN_ACK));
        gateway.enters(&tcp(remote, asked, ACK));
        gateway.leaves(&tcp(server, remote, 0x14));
    }
}

#[test]
fn a_server_that_is_reached_by_its_port_is_known_outside_as_others_are() {
    let mut gateway = web();
    let (server, remote) = (endpoint(INSIDER, 8080), endpoint(OTHER, 25));
    let left = gateway.leaves(&tcp(server, remote, SYN));
    assert_eq!(left, tcp(endpoint(GATEWAY, 8080), remote, SYN));
}

#[test]
fn what_leads_inside_outlives_a_change_of_rules() {
    let mut gateway = web();
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), endpoint(INSIDER, 8080));
    gateway.enters(&tcp(remote, asked, SYN));
    gateway.leaves(&tcp(server, remote, SYN_ACK));
    gateway.enters(&tcp(remote, asked, ACK));
    gateway.host.clear_rules();
    assert_eq!(gateway.enters(&tcp(remote, asked, ACK)), tcp(remote, server, ACK));
    gateway.wait(seconds(3600));
    assert_eq!(gateway.leaves(&tcp(server, remote, ACK)), tcp(asked, remote, ACK));
    gateway.drops(&tcp(endpoint(OTHER, 1), asked, SYN), OUTSIDE, Reason::PolicyDrop);
}

#[test]
fn a_full_table_lets_nobody_in_whose_answers_would_be_lost() {
    let mut gateway = web();
    gateway.host.tables.aliases = MemoryTable::bounded(0);
    let asked = tcp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), SYN);
    gateway.drops(&asked, OUTSIDE, Reason::Untranslatable);
    assert_eq!(gateway.host.counted(Counter::NatFull), 1);
}

#[test]
fn a_neighbour_does_not_get_what_the_rule_gives_another() {
    let mut gateway = web();
    let from = endpoint(REMOTE, 40_000);
    gateway.enters(&tcp(from, endpoint(GATEWAY, 80), SYN));
    let forged = tcp(endpoint(NEIGHBOUR, 8080), from, SYN_ACK);
    assert_eq!(gateway.carries(&forged, INSIDE).packet, None);
}

/// Returns a gateway whose port 80 leads to port 8080 of a host inside.
fn web() -> Gateway {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(TCP, HTTP, INSIDER, 8080);
    gateway.accept_to(INSIDER, TCP);
    gateway
}
