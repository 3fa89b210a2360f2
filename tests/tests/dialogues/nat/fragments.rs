//! Fragments of translated datagrams.

use amanda_fw_common::fragment::MOST_HELD;
use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{Packet, UDP, echo, udp};

use crate::gateway::{GATEWAY, Gateway, INSIDE, INSIDER, OTHER, OUTSIDE, REMOTE, ports};
use crate::host::{endpoint, ip, seconds};
use crate::nat::ends;

const SIZE: u16 = 1480;

#[test]
fn fragments_of_a_datagram_leave_with_the_address_of_the_gateway() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    check(&mut gateway, INSIDE, &udp(insider, remote, &LONG), &udp(outside, remote, &LONG));
}

#[test]
fn fragments_of_an_answer_reach_the_host_that_asked() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    gateway.leaves(&udp(insider, remote, b"?"));
    check(&mut gateway, OUTSIDE, &udp(remote, outside, &LONG), &udp(remote, insider, &LONG));
}

#[test]
fn fragments_to_a_port_that_leads_inside_arrive_and_those_of_the_answer_leave() {
    let mut gateway = leading_inside();
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 53), endpoint(INSIDER, 5353));
    check(&mut gateway, OUTSIDE, &udp(remote, asked, &LONG), &udp(remote, server, &LONG));
    check(&mut gateway, INSIDE, &udp(server, remote, &LONG), &udp(asked, remote, &LONG));
}

#[test]
fn fragments_of_a_flow_that_is_known_leave_as_those_that_begin_it_do() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    gateway.leaves(&udp(insider, remote, b"?"));
    check(&mut gateway, INSIDE, &udp(insider, remote, &LONG), &udp(outside, remote, &LONG));
}

#[test]
fn fragments_of_an_echo_leave_with_the_address_of_the_gateway() {
    let mut gateway = Gateway::masquerading();
    let long = |from| {
        let mut packet = echo(ip(from), ip(REMOTE), 7);
        packet.payload.extend(LONG);
        packet.with_checksum(2)
    };
    check(&mut gateway, INSIDE, &long(INSIDER), &long(GATEWAY));
}

#[test]
fn a_later_fragment_of_no_first_one_does_not_leave_with_an_inside_address() {
    let mut gateway = Gateway::masquerading();
    let [insider, _, remote] = ends(40_000, 53);
    let [_, later, _] = three(&udp(insider, remote, &LONG));
    gateway.drops(&later, INSIDE, Reason::FragmentHeld);
    // One that came by an interface without the firewall is not held.
    let passage = gateway.sends(&later, 9);
    assert_eq!((passage.reason(), passage.packet), (Reason::FragmentWithoutFirst, None));
}

#[test]
fn fragments_that_overtake_their_first_one_are_held_until_it_comes() {
    let mut gateway = leading_inside();
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 53), endpoint(INSIDER, 5353));
    let [first, second, third] = three(&udp(remote, asked, &LONG));
    let [inside, then, last] = three(&udp(remote, server, &LONG));
    for (number, later) in (1..).zip([&third, &second]) {
        let passage = gateway.check(later, OUTSIDE, Reason::FragmentHeld);
        assert_eq!((passage.packet, passage.hops[0].crossing.hold), (None, number));
    }
    let passage = gateway.carries(&first, OUTSIDE);
    assert_eq!(passage.packet, Some(inside));
    assert_eq!(passage.hops[0].crossing.held, 2);
    assert_eq!([third, second].map(|held| gateway.enters(&held)), [last, then]);
}

#[test]
fn a_first_fragment_that_comes_too_late_releases_nothing() {
    let mut gateway = leading_inside();
    let sent = udp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 53), &LONG);
    let [first, second, _] = three(&sent);
    gateway.drops(&second, OUTSIDE, Reason::FragmentHeld);
    gateway.wait(seconds(3));
    assert_eq!(gateway.carries(&first, OUTSIDE).hops[0].crossing.held, 0);
}

#[test]
fn a_flood_of_later_fragments_keeps_no_datagram_from_passing() {
    let mut gateway = leading_inside();
    let (remote, asked, server) =
        (endpoint(REMOTE, 40_000), endpoint(GATEWAY, 53), endpoint(INSIDER, 5353));
    let [first, ..] = three(&udp(remote, asked, &LONG));
    gateway.enters(&first);
    let forged = udp(endpoint(OTHER, 40_000), asked, &LONG);
    for id in 0..1000 {
        let later = forged.clone().as_fragment(id, 1480, true);
        gateway.drops(&later, OUTSIDE, Reason::FragmentHeld);
    }
    assert!(gateway.host.tables.waiting.len() < 1000);
    let [_, second, _] = three(&udp(remote, asked, &LONG));
    let [_, inside, _] = three(&udp(remote, server, &LONG));
    assert_eq!(gateway.enters(&second), inside);
    check(&mut gateway, INSIDE, &udp(server, remote, &LONG), &udp(asked, remote, &LONG));
}

#[test]
fn no_more_than_so_many_fragments_of_a_datagram_are_held() {
    let mut gateway = leading_inside();
    let sent = udp(endpoint(REMOTE, 40_000), endpoint(GATEWAY, 53), &LONG);
    let [_, later, _] = three(&sent);
    for _ in 0..MOST_HELD {
        gateway.drops(&later, OUTSIDE, Reason::FragmentHeld);
    }
    gateway.drops(&later, OUTSIDE, Reason::FragmentWithoutFirst);
}

#[test]
fn fragments_of_a_dropped_datagram_are_dropped() {
    let mut gateway = Gateway::masquerading();
    let [_, outside, remote] = ends(40_000, 53);
    let [first, second, _] = three(&udp(remote, outside, &LONG));
    gateway.drops(&first, OUTSIDE, Reason::PolicyDrop);
    gateway.drops(&second, OUTSIDE, Reason::FragmentHeld);
}

/// More than two packets of 1500 bytes hold.
const LONG: [u8; 3001] = [b'x'; 3001];

/// Checks that the fragments of a datagram come out as those of another one.
#[track_caller]
fn check(gateway: &mut Gateway, from: u32, sent: &Packet, expected: &Packet) {
    for (sent, expected) in three(sent).into_iter().zip(three(expected)) {
        assert_eq!(gateway.carries(&sent, from).packet, Some(expected));
    }
}

fn three(whole: &Packet) -> [Packet; 3] {
    whole.fragments(77, SIZE).try_into().expect("three fragments")
}

fn leading_inside() -> Gateway {
    let mut gateway = Gateway::masquerading();
    gateway.translate_destination(UDP, ports(53, 53), INSIDER, 5353);
    gateway.accept_to(INSIDER, UDP);
    gateway
}
