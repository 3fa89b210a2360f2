//! Fragments: the first one is decided, the others follow it.

use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{
    DESTINATION, HOP_BY_HOP, Packet, ROUTING, SYN, TCP, UDP, tcp_with, udp,
};

use crate::host::{CLIENT, CLIENT_V6, Host, STRANGER, STRANGER_V6, endpoint, seconds};

const PAIRS: [(&str, &str); 2] = [(CLIENT, STRANGER), (CLIENT_V6, STRANGER_V6)];
const SIZE: u16 = 64;

#[test]
fn later_fragments_follow_an_accepted_first_one() {
    for pair in PAIRS {
        let (mut host, whole) = syslog(pair);
        let fragments = whole.fragments(7, SIZE);
        host.receives(&fragments[0], Reason::Rule);
        for later in &fragments[1..] {
            host.receives(later, Reason::Fragment);
        }
    }
}

#[test]
fn later_fragments_follow_in_any_order() {
    for pair in PAIRS {
        let (mut host, whole) = syslog(pair);
        let fragments = whole.fragments(7, SIZE);
        host.receives(&fragments[0], Reason::Rule);
        for later in fragments[1..].iter().rev() {
            host.receives(later, Reason::Fragment);
        }
    }
}

#[test]
fn later_fragments_of_a_flow_follow() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        let (own, other) = (endpoint(client, 40000), endpoint(stranger, 53));
        host.sends(&udp(own, other, b"?"), Reason::PolicyAccept);
        let [first, later] = two(&udp(other, own, &[b'!'; 100]), 7);
        host.receives(&first, Reason::Established);
        host.receives(&later, Reason::Fragment);
    }
}

#[test]
fn later_fragments_before_the_first_one_are_dropped() {
    for pair in PAIRS {
        let (mut host, whole) = syslog(pair);
        let [first, later] = two(&whole, 7);
        host.receives(&later, Reason::FragmentWithoutFirst);
        host.receives(&first, Reason::Rule);
        host.receives(&later, Reason::Fragment);
    }
}

#[test]
fn later_fragments_of_a_dropped_first_one_are_dropped() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        let datagram = udp(endpoint(stranger, 514), endpoint(client, 514), &[0; 100]);
        let [first, later] = two(&datagram, 7);
        host.receives(&first, Reason::PolicyDrop);
        host.receives(&later, Reason::FragmentWithoutFirst);
    }
}

#[test]
fn later_fragments_of_another_datagram_are_dropped() {
    for (client, stranger) in PAIRS {
        let (mut host, whole) = syslog((client, stranger));
        let [first, later] = two(&whole, 7);
        host.receives(&first, Reason::Rule);
        let other_source = endpoint(if first.source.is_ipv4() { "10.0.0.8" } else { "fd00::8" }, 1);
        for other in [
            Packet { id: 8, ..later.clone() },
            Packet { source: other_source.ip(), ..later.clone() },
        ] {
            host.receives(&other, Reason::FragmentWithoutFirst);
        }
        // In IPv6 the protocol of a later fragment says nothing (RFC 8200, 4.5).
        let reason =
            if first.source.is_ipv4() { Reason::FragmentWithoutFirst } else { Reason::Fragment };
        host.receives(&Packet { protocol: TCP, ..later.clone() }, reason);
    }
}

#[test]
fn later_fragments_are_waited_for_half_a_minute() {
    for pair in PAIRS {
        let (mut host, whole) = syslog(pair);
        let [first, later] = two(&whole, 7);
        host.receives(&first, Reason::Rule);
        host.wait(seconds(29));
        host.receives(&later, Reason::Fragment);
        host.wait(seconds(1));
        host.receives(&later, Reason::FragmentWithoutFirst);
    }
}

#[test]
fn a_first_fragment_without_a_whole_header_is_dropped() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        host.accept_in(0, None);
        let (from, to) = (endpoint(stranger, 40000), endpoint(client, 22));
        for whole in [tcp_with(from, to, SYN, &[0; 16]), udp(from, to, &[0; 32])] {
            let enough = if whole.protocol == TCP { 20 } else { 8 };
            for length in 0..enough {
                let cut = Packet { payload: whole.payload[..length].to_vec(), ..whole.clone() };
                host.receives(&cut.as_fragment(7, 0, true), Reason::TinyFragment);
            }
        }
    }
}

#[test]
fn a_second_fragment_that_could_overwrite_tcp_flags_is_dropped() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        host.accept_in(0, None);
        let (from, to) = (endpoint(stranger, 40000), endpoint(client, 22));
        let segment = tcp_with(from, to, SYN, &[0; 64]);
        host.receives(&segment.clone().as_fragment(7, 0, true), Reason::Rule);
        for more in [true, false] {
            host.receives(&segment.clone().as_fragment(7, 8, more), Reason::TinyFragment);
        }
        host.receives(&segment.as_fragment(7, 24, false), Reason::Fragment);
    }
}

#[test]
fn a_fragment_alone_that_says_it_is_whole_is_whole() {
    // RFC 6946: an atomic fragment.
    let (mut host, whole) = syslog((CLIENT_V6, STRANGER_V6));
    let later = whole.clone().as_fragment(7, 64, false);
    host.receives(&whole.as_fragment(7, 0, false), Reason::Rule);
    host.receives(&later, Reason::FragmentWithoutFirst);
}

#[test]
fn fragments_may_have_extension_headers_before_them() {
    let (mut host, whole) = syslog((CLIENT_V6, STRANGER_V6));
    let whole = whole.extended(&[HOP_BY_HOP, DESTINATION, ROUTING]);
    let [first, later] = two(&whole, 7);
    host.receives(&first, Reason::Rule);
    host.receives(&later, Reason::Fragment);
}

#[test]
fn outgoing_fragments_follow_the_policy() {
    let mut host = Host::new();
    let datagram = udp(endpoint(CLIENT, 40000), endpoint(STRANGER, 514), &[0; 100]);
    let [first, later] = two(&datagram, 7);
    host.sends(&later, Reason::PolicyAccept);
    host.sends(&first, Reason::PolicyAccept);
    host.sends(&later, Reason::Fragment);
    host.settings.accept_outgoing = 0;
    host.set_policies();
    host.sends(&Packet { id: 8, ..later }, Reason::PolicyDrop);
}

/// Returns a client that lets syslog in, and a message from a stranger to it.
fn syslog((client, stranger): (&str, &str)) -> (Host, Packet) {
    const SYSLOG: u16 = 514;
    let mut host = Host::new();
    host.accept_in(UDP, Some(SYSLOG));
    (host, udp(endpoint(stranger, SYSLOG), endpoint(client, SYSLOG), &[b'x'; 300]))
}

/// Cuts a packet in two.
fn two(whole: &Packet, id: u32) -> [Packet; 2] {
    let half = (whole.payload.len() / 2).next_multiple_of(8);
    let size = u16::try_from(half).expect("a small packet");
    whole.fragments(id, size).try_into().expect("two fragments")
}
