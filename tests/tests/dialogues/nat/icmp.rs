//! ICMP errors about translated flows: their own addresses, and those that they quote.

use std::net::SocketAddr;

use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{
    Packet, SYN, SYN_ACK, TCP, UDP, echo, echo_reply, icmp, tcp, udp, unreachable,
};

use crate::gateway::{
    GATEWAY, GATEWAY_INSIDE, Gateway, INSIDE, INSIDER, NEIGHBOUR, OUTSIDE, REMOTE, ports,
};
use crate::host::{endpoint, ip, seconds};
use crate::nat::ends;

/// A router between the gateway and everybody else.
const ROUTER: &str = "203.0.113.254";
/// A router inside.
const INNER_ROUTER: &str = "192.168.2.254";

#[test]
fn an_error_about_what_left_reaches_the_host_that_sent_it() {
    let [insider, outside, remote] = ends(40_000, 80);
    for (sent, known) in originals(insider, outside, remote) {
        let mut gateway = Gateway::masquerading();
        assert_eq!(gateway.leaves(&sent), known);
        for sender in [ROUTER, REMOTE] {
            let error = unreachable(ip(sender), outside.ip(), &known);
            let passage = gateway.check(&error, OUTSIDE, Reason::Related);
            assert_eq!(passage.packet, Some(unreachable(ip(sender), insider.ip(), &sent)));
            assert_eq!(passage.output, INSIDE);
        }
    }
}

#[test]
fn an_error_about_an_answer_has_the_address_of_the_gateway() {
    let [insider, outside, remote] = ends(40_000, 80);
    for ((sent, known), (answer, inside)) in
        originals(insider, outside, remote).into_iter().zip(answers(insider, outside, remote))
    {
        let mut gateway = Gateway::masquerading();
        assert_eq!(gateway.leaves(&sent), known);
        assert_eq!(gateway.enters(&answer), inside);
        for sender in [INSIDER, INNER_ROUTER] {
            let error = unreachable(ip(sender), remote.ip(), &inside);
            let passage = gateway.check(&error, INSIDE, Reason::Related);
            assert_eq!(passage.packet, Some(unreachable(outside.ip(), remote.ip(), &answer)));
        }
    }
}

#[test]
fn an_error_about_a_port_that_leads_inside_has_the_address_that_was_asked() {
    for (sent, entered) in asked() {
        let mut gateway = leading_inside();
        assert_eq!(gateway.enters(&sent), entered);
        for sender in [INSIDER, INNER_ROUTER] {
            let error = unreachable(ip(sender), ip(REMOTE), &entered);
            let passage = gateway.check(&error, INSIDE, Reason::Related);
            assert_eq!(passage.packet, Some(unreachable(ip(GATEWAY), ip(REMOTE), &sent)));
        }
    }
}

#[test]
fn an_error_about_the_answer_of_a_port_that_leads_inside_reaches_the_host_that_answered() {
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), endpoint(INSIDER, 8080));
    for (request, answer, known) in [
        (tcp(remote, asked, SYN), tcp(server, remote, SYN_ACK), tcp(asked, remote, SYN_ACK)),
        (udp(remote, asked, b"?"), udp(server, remote, b"!"), udp(asked, remote, b"!")),
    ] {
        let mut gateway = leading_inside();
        gateway.enters(&request);
        assert_eq!(gateway.leaves(&answer), known);
        let error = unreachable(ip(ROUTER), asked.ip(), &known);
        let passage = gateway.check(&error, OUTSIDE, Reason::Related);
        assert_eq!(passage.packet, Some(unreachable(ip(ROUTER), server.ip(), &answer)));
    }
}

#[test]
fn an_error_of_the_gateway_quotes_what_its_receiver_sent() {
    let [insider, outside, remote] = ends(40_000, 80);
    let (sent, answer) = (udp(insider, remote, b"?"), udp(remote, outside, b"!"));
    let mut gateway = Gateway::masquerading();
    gateway.leaves(&sent);
    let expired = unreachable(ip(GATEWAY_INSIDE), insider.ip(), &sent);
    assert_eq!(gateway.sends(&expired, 0).packet, Some(expired));
    // By then the answer has its destination inside.
    let entered = gateway.enters(&answer);
    let too_big = unreachable(ip(GATEWAY), remote.ip(), &entered);
    let told = unreachable(ip(GATEWAY), remote.ip(), &answer);
    assert_eq!(gateway.sends(&too_big, 0).packet, Some(told));
}

#[test]
fn what_every_kind_of_error_says_stays() {
    let [insider, outside, remote] = ends(40_000, 80);
    let (sent, known) = (udp(insider, remote, b"?"), udp(outside, remote, b"?"));
    // Fragmentation needed with the next hop's MTU, time exceeded, parameter problem.
    for (kind, rest) in [([3, 4], [0, 0, 5, 0xdc]), ([11, 0], [0; 4]), ([12, 0], [9, 0, 0, 0])] {
        let mut gateway = Gateway::masquerading();
        gateway.leaves(&sent);
        let about = |to, quoted: &Packet| {
            icmp(ip(ROUTER), to, kind, &[&rest[..], &quoted.bytes()[..28]].concat())
        };
        assert_eq!(gateway.enters(&about(outside.ip(), &known)), about(insider.ip(), &sent));
    }
}

#[test]
fn a_quoted_datagram_without_checksum_stays_without() {
    let [insider, outside, remote] = ends(40_000, 53);
    let without = |mut packet: Packet| {
        packet.payload[6..8].fill(0);
        packet
    };
    let (sent, known) = (without(udp(insider, remote, b"?")), without(udp(outside, remote, b"?")));
    let mut gateway = Gateway::masquerading();
    gateway.leaves(&sent);
    let error = gateway.enters(&unreachable(ip(ROUTER), outside.ip(), &known));
    assert_eq!(error, unreachable(ip(ROUTER), insider.ip(), &sent));
}

#[test]
fn options_of_a_quoted_packet_are_passed() {
    const LINK: usize = 14;
    let [insider, outside, remote] = ends(40_000, 53);
    let (sent, known) = (udp(insider, remote, b"?"), udp(outside, remote, b"?"));
    let about = |to, quoted: &Packet| {
        let body = [&[0; 4], &quoted.with_options(3)[LINK..]].concat();
        icmp(ip(ROUTER), to, [3, 3], &body)
    };
    let mut gateway = Gateway::masquerading();
    gateway.leaves(&sent);
    assert_eq!(gateway.enters(&about(outside.ip(), &known)), about(insider.ip(), &sent));
}

#[test]
fn an_error_keeps_no_flow_alive() {
    let mut gateway = Gateway::masquerading();
    let (insider, outside, remote) = (ip(INSIDER), ip(GATEWAY), ip(REMOTE));
    gateway.leaves(&echo(insider, remote, 7));
    gateway.wait(seconds(20));
    gateway.enters(&unreachable(ip(ROUTER), outside, &echo(outside, remote, 7)));
    gateway.wait(seconds(20));
    gateway.drops(&echo_reply(remote, outside, 7), OUTSIDE, Reason::Unsolicited);
}

#[test]
fn an_error_ends_no_mapping() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.leaves(&tcp(insider, remote, SYN));
    for _ in 0..3 {
        let error = unreachable(ip(ROUTER), outside.ip(), &tcp(outside, remote, SYN));
        gateway.enters(&error);
    }
    assert_eq!(gateway.enters(&tcp(remote, outside, SYN_ACK)), tcp(remote, insider, SYN_ACK));
}

#[test]
fn an_error_about_what_never_left_reaches_nobody() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.leaves(&udp(insider, remote, b"?"));
    for never in [
        tcp(outside, remote, SYN),
        udp(outside, endpoint(REMOTE, 81), b"?"),
        udp(endpoint(GATEWAY, 40_001), remote, b"?"),
        echo(outside.ip(), remote.ip(), 7),
    ] {
        let error = unreachable(ip(ROUTER), outside.ip(), &never);
        gateway.drops(&error, OUTSIDE, Reason::Unsolicited);
    }
    // Nor does one that goes to somebody else than the sender of what it quotes.
    let error = unreachable(ip(ROUTER), ip(NEIGHBOUR), &udp(outside, remote, b"?"));
    gateway.drops(&error, OUTSIDE, Reason::Unsolicited);
}

#[test]
fn an_error_about_no_flow_does_not_leave_with_an_inside_address() {
    let mut gateway = Gateway::masquerading();
    let never = udp(endpoint(REMOTE, 53), endpoint(INSIDER, 53), b"?");
    gateway.drops(&unreachable(ip(INSIDER), ip(REMOTE), &never), INSIDE, Reason::Unsolicited);
}

#[test]
fn an_error_of_another_host_about_a_flow_of_its_neighbour_says_no_more_than_a_routers() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.leaves(&udp(insider, remote, b"?"));
    let error = unreachable(ip(NEIGHBOUR), remote.ip(), &udp(remote, insider, b"!"));
    let told = unreachable(outside.ip(), remote.ip(), &udp(remote, outside, b"!"));
    assert_eq!(gateway.leaves(&error), told);
}

/// Returns what begins a flow, as a host inside sends it and as it is known outside.
fn originals(
    insider: SocketAddr,
    outside: SocketAddr,
    remote: SocketAddr,
) -> [(Packet, Packet); 3] {
    [
        (tcp(insider, remote, SYN), tcp(outside, remote, SYN)),
        (udp(insider, remote, b"?"), udp(outside, remote, b"?")),
        (echo(insider.ip(), remote.ip(), 7), echo(outside.ip(), remote.ip(), 7)),
    ]
}

/// Returns its answer, as the remote host sends it and as it arrives.
fn answers(insider: SocketAddr, outside: SocketAddr, remote: SocketAddr) -> [(Packet, Packet); 3] {
    [
        (tcp(remote, outside, SYN_ACK), tcp(remote, insider, SYN_ACK)),
        (udp(remote, outside, b"!"), udp(remote, insider, b"!")),
        (echo_reply(remote.ip(), outside.ip(), 7), echo_reply(remote.ip(), insider.ip(), 7)),
    ]
}

/// Returns what goes to a port of the gateway that leads inside, as it was sent and as it arrives.
fn asked() -> [(Packet, Packet); 2] {
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 80), endpoint(INSIDER, 8080));
    [
        (tcp(remote, asked, SYN), tcp(remote, server, SYN)),
        (udp(remote, asked, b"?"), udp(remote, server, b"?")),
    ]
}

fn leading_inside() -> Gateway {
    let mut gateway = Gateway::masquerading();
    for protocol in [TCP, UDP] {
        gateway.translate_destination(protocol, ports(80, 80), INSIDER, 8080);
        gateway.accept_to(INSIDER, protocol);
    }
    gateway
}
