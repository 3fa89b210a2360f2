//! Hosts inside that talk to each other by the addresses that they are known as outside.

use std::net::SocketAddr;

use amanda_fw_common::rules::{Rule, Way};
use amanda_fw_common::ruleset::{Interfaces, RuleSpec};
use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{ACK, Packet, SYN, SYN_ACK, TCP, UDP, tcp, udp, unreachable};

use crate::gateway::{
    DMZ, DMZ_HOST, GATEWAY, Gateway, INSIDE, INSIDER, NEIGHBOUR, REMOTE, ports, source_of,
};
use crate::host::{endpoint, ip};

#[test]
fn two_hosts_on_one_network_talk_by_what_they_are_known_as() {
    check_hairpin((NEIGHBOUR, INSIDE));
}

#[test]
fn hosts_on_two_networks_talk_by_what_they_are_known_as() {
    check_hairpin((DMZ_HOST, DMZ));
}

#[test]
fn a_host_that_nobody_knew_yet_is_known_by_its_endpoint_outside() {
    let mut gateway = Gateway::masquerading();
    let neighbour = known(&mut gateway, endpoint(NEIGHBOUR, 6000), INSIDE);
    let insider = endpoint(INSIDER, 5000);
    let passed = gateway.passes(&udp(insider, neighbour, b"?"), INSIDE, INSIDE);
    // RFC 4787, REQ-9 a: its source is the endpoint that everybody else knows.
    let outside = source_of(&gateway.leaves(&udp(insider, endpoint(REMOTE, 53), b"?")));
    assert_eq!(passed, udp(outside, endpoint(NEIGHBOUR, 6000), b"?"));
}

#[test]
fn a_port_of_the_gateway_that_leads_inside_is_reached_from_the_same_network() {
    let mut gateway = web();
    let (client, asked, server) =
        (endpoint(INSIDER, 40_000), endpoint(GATEWAY, 80), endpoint(NEIGHBOUR, 8080));
    let passed = gateway.passes(&tcp(client, asked, SYN), INSIDE, INSIDE);
    let outside = source_of(&passed);
    assert_eq!(passed, tcp(outside, server, SYN));
    assert_eq!(outside.ip(), asked.ip());
    let answer = gateway.passes(&tcp(server, outside, SYN_ACK), INSIDE, INSIDE);
    assert_eq!(answer, tcp(asked, client, SYN_ACK));
    let data = gateway.passes(&tcp(client, asked, ACK), INSIDE, INSIDE);
    assert_eq!(data, tcp(outside, server, ACK));
}

#[test]
fn an_error_between_two_hosts_inside_says_what_each_knows() {
    let mut gateway = web();
    let (client, asked, server) =
        (endpoint(INSIDER, 40_000), endpoint(GATEWAY, 80), endpoint(NEIGHBOUR, 8080));
    let sent = udp(client, asked, b"?");
    let passed = gateway.passes(&sent, INSIDE, INSIDE);
    let outside = source_of(&passed);
    assert_eq!(passed, udp(outside, server, b"?"));
    let error = unreachable(server.ip(), outside.ip(), &passed);
    let passage = gateway.check(&error, INSIDE, Reason::Related);
    assert_eq!(passage.packet, Some(unreachable(asked.ip(), client.ip(), &sent)));
}

#[test]
fn fragments_between_two_hosts_inside_have_both_addresses_translated() {
    let mut gateway = web();
    let (client, asked, server) =
        (endpoint(INSIDER, 40_000), endpoint(GATEWAY, 80), endpoint(NEIGHBOUR, 8080));
    let long = [b'x'; 2000];
    let sent = udp(client, asked, &long).fragments(5, 1480);
    let passed: Vec<Packet> =
        sent.iter().map(|packet| gateway.passes(packet, INSIDE, INSIDE)).collect();
    let outside = source_of(&passed[0]);
    assert_eq!(passed, udp(outside, server, &long).fragments(5, 1480));
}

#[test]
fn the_rules_decide_who_inside_may_talk_to_whom() {
    let mut gateway = Gateway::masquerading();
    let neighbour = known(&mut gateway, endpoint(NEIGHBOUR, 6000), INSIDE);
    gateway.host.clear_rules();
    let packet = udp(endpoint(INSIDER, 5000), neighbour, b"?");
    gateway.drops(&packet, INSIDE, Reason::PolicyDrop);
    gateway.accept(RuleSpec {
        interfaces: Interfaces::Only(vec![INSIDE]),
        outputs: Interfaces::Only(vec![INSIDE]),
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    gateway.check(&packet, INSIDE, Reason::Rule);
}

/// Checks that a host inside and one behind an interface talk by what they are known as.
#[track_caller]
fn check_hairpin((address, interface): (&str, u32)) {
    let mut gateway = Gateway::masquerading();
    let (client, server) = (endpoint(INSIDER, 5000), endpoint(address, 6000));
    let client_outside = known(&mut gateway, client, INSIDE);
    let server_outside = known(&mut gateway, server, interface);
    let passed = gateway.passes(&udp(client, server_outside, b"?"), INSIDE, interface);
    assert_eq!(passed, udp(client_outside, server, b"?"));
    let answer = gateway.passes(&udp(server, client_outside, b"!"), interface, INSIDE);
    assert_eq!(answer, udp(server_outside, client, b"!"));
    let passed = gateway.passes(&udp(client, server_outside, b"??"), INSIDE, interface);
    assert_eq!(passed, udp(client_outside, server, b"??"));
    let passed = gateway.passes(&tcp(client, server_outside, SYN), INSIDE, interface);
    assert_eq!(passed, tcp(client_outside, server, SYN));
    let answer = gateway.passes(&tcp(server, client_outside, SYN_ACK), interface, INSIDE);
    assert_eq!(answer, tcp(server_outside, client, SYN_ACK));
}

/// Has an endpoint talk to somebody outside, and returns what it is known as there.
#[track_caller]
fn known(gateway: &mut Gateway, from: SocketAddr, interface: u32) -> SocketAddr {
    let remote = endpoint(REMOTE, 53);
    gateway.carries(&tcp(from, remote, SYN), interface);
    let passage = gateway.carries(&udp(from, remote, b"?"), interface);
    let outside = source_of(&passage.packet.expect("a datagram that leaves"));
    assert_eq!(outside.ip(), ip(GATEWAY));
    outside
}

/// Returns a gateway whose port 80 leads to port 8080 of a host inside.
fn web() -> Gateway {
    let mut gateway = Gateway::masquerading();
    for protocol in [TCP, UDP] {
        gateway.translate_destination(protocol, ports(80, 80), NEIGHBOUR, 8080);
    }
    gateway
}
