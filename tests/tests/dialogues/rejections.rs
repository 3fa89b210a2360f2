//! What the sender of a rejected packet is told, for every way to reject it.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::rules::{Action, Rejection, Rule, Way};
use amanda_fw_common::ruleset::RuleSpec;
use amanda_fw_common::verdict::{Reason, Verdict};
use amanda_fw_common::wire::{self, Link};
use amanda_fw_tests::answers::{self, Layer};
use amanda_fw_tests::frames::{self, ACK, FIN_ACK, Packet, QINQ, RST, SYN, SYN_ACK, VLAN};

use crate::host::{CLIENT, CLIENT_V6, Host, STRANGER, STRANGER_V6, endpoint, ip};

const FAMILIES: [(&str, &str); 2] = [(STRANGER, CLIENT), (STRANGER_V6, CLIENT_V6)];

/// Every way to reject, with the type and code of ICMP and of ICMPv6 (xtables-extensions).
const CODES: [(Rejection, [u8; 2], [u8; 2]); 8] = [
    (Rejection::Default, [3, 3], [1, 4]),
    (Rejection::Port, [3, 3], [1, 4]),
    (Rejection::Host, [3, 1], [1, 3]),
    (Rejection::Net, [3, 0], [1, 0]),
    (Rejection::Protocol, [3, 2], [4, 1]),
    (Rejection::Admin, [3, 13], [1, 1]),
    (Rejection::HostProhibited, [3, 10], [1, 1]),
    (Rejection::NetProhibited, [3, 9], [1, 1]),
];

#[test]
fn every_segment_is_reset() {
    for (from, to) in ends() {
        for flags in [SYN, SYN_ACK, ACK, FIN_ACK] {
            for data in [&b""[..], b"x", b"four", &[7; 1400]] {
                for rejection in [Rejection::Default, Rejection::TcpReset] {
                    let answer = check(&frames::tcp_with(from, to, flags, data), rejection);
                    assert_eq!(protocol(&answer), frames::TCP, "{flags:#x}");
                }
            }
        }
    }
}

#[test]
fn a_segment_without_acknowledgement_is_acknowledged() {
    let (from, to) = ends()[0];
    for (data, next) in [(&b""[..], 2), (b"data", 6)] {
        let answer = check(&frames::tcp_with(from, to, SYN, data), Rejection::Default);
        assert_eq!(answer[38..48], [0, 0, 0, 0, 0, 0, 0, next, 0x50, 0x14]);
    }
}

#[test]
fn an_acknowledgement_is_reset_where_it_stands() {
    let (from, to) = ends()[0];
    let mut packet = frames::tcp_with(from, to, ACK, b"data");
    packet.payload[8..12].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    let answer = check(&packet, Rejection::Default);
    assert_eq!(answer[38..48], [0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0x50, 0x04]);
}

#[test]
fn options_of_a_segment_are_no_data() {
    let (from, to) = ends()[0];
    let mut packet = frames::tcp_with(from, to, SYN, &[1; 20]);
    packet.payload[12] = 10 << 4;
    let answer = check(&packet, Rejection::Default);
    assert_eq!(answer[42..46], [0, 0, 0, 2]);
}

#[test]
fn every_rejection_has_its_code() {
    for (rejection, v4, v6) in CODES {
        for ((from, to), code) in ends().into_iter().zip([v4, v6]) {
            let echo = frames::echo(from.ip(), to.ip(), 7);
            let other = Packet::new(from.ip(), to.ip(), 132, vec![9; 30]);
            for packet in [frames::udp(from, to, b"query"), echo, other] {
                check_code(&packet, rejection, code);
            }
            if rejection != Rejection::Default {
                check_code(&frames::tcp(from, to, SYN), rejection, code);
            }
        }
    }
}

#[test]
fn a_quotation_is_as_long_as_it_may_be() {
    for (from, to) in ends() {
        for length in (0..64).chain([500, 519, 520, 521, 911, 912, 913, 1400, 1472]) {
            check(&frames::udp(from, to, &vec![0xa5; length]), Rejection::Default);
        }
    }
}

#[test]
fn padding_behind_a_packet_is_not_quoted() {
    let (from, to) = ends()[0];
    let mut frame = frames::udp(from, to, b"").ethernet();
    frame.resize(60, 0);
    let answer = assemble(&frame, Link::Ethernet, Rejection::Port, Layer::Xdp);
    assert_eq!(answer.map(|answer| answer.len()), Some(14 + 28 + 28));
}

#[test]
fn a_checksum_of_the_device_stays_one() {
    for (from, to) in ends() {
        for packet in [
            frames::tcp(from, to, SYN),
            frames::tcp_with(from, to, ACK, &[3; 1001]),
            frames::udp(from, to, b""),
            frames::udp(from, to, &[3; 1001]),
        ] {
            let frame = packet.left_to_device().ethernet();
            for rejection in [Rejection::Default, Rejection::Admin] {
                let by_tc = assemble(&frame, Link::Ethernet, rejection, Layer::Tc);
                answers::check(&frame, 14, &by_tc.expect("an answer"), true);
                let by_xdp = assemble(&frame, Link::Ethernet, rejection, Layer::Xdp);
                answers::check(&frame, 14, &by_xdp.expect("an answer"), false);
            }
        }
    }
}

#[test]
fn a_tag_comes_back() {
    let (from, to) = ends()[0];
    for packet in [frames::tcp(from, to, SYN), frames::udp(from, to, b"query")] {
        let frame = packet.tagged(&[VLAN]);
        let answer = assemble(&frame, Link::Ethernet, Rejection::Default, Layer::Xdp);
        answers::check(&frame, 18, &answer.expect("an answer"), false);
        for (tags, layer) in [(&[QINQ, VLAN][..], Layer::Xdp), (&[VLAN][..], Layer::Tc)] {
            let frame = packet.tagged(tags);
            assert_eq!(assemble(&frame, Link::Ethernet, Rejection::Default, layer), None);
        }
    }
}

#[test]
fn what_must_not_be_answered_is_not() {
    for (from, to) in ends() {
        let (a, b) = (from.ip(), to.ip());
        let udp = frames::udp(from, to, b"query");
        let error = |kind| frames::icmp(a, b, [kind, 0], &udp.bytes());
        let (kinds, oddities): (&[u8], &[u8]) = match a {
            IpAddr::V4(_) => (&[0, 3, 4, 5, 11, 12], &[13, 17, 255]),
            IpAddr::V6(_) => (&[1, 2, 3, 4, 129], &[0, 100, 127, 133, 135, 137, 200]),
        };
        for kind in kinds.iter().chain(oddities) {
            check_silent(&error(*kind).ethernet(), Rejection::Default);
        }
        check_silent(&frames::tcp(from, to, RST).ethernet(), Rejection::Default);
        check_silent(&frames::tcp(from, to, RST | ACK).ethernet(), Rejection::Port);
        check_silent(&udp.ethernet(), Rejection::TcpReset);
        check_silent(&frames::echo(a, b, 7).ethernet(), Rejection::TcpReset);
        let whole = frames::udp(from, to, &[7; 64]);
        for fragment in whole.fragments(9, 32) {
            check_silent(&fragment.ethernet(), Rejection::Default);
        }
    }
}

#[test]
fn nobody_and_everybody_get_no_answer() {
    const NOBODY: [&str; 5] = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"];
    const NOBODY_V6: [&str; 4] = ["::", "::1", "ff02::1", "ff05::2"];
    for (others, address) in [(&NOBODY[..], CLIENT), (&NOBODY_V6[..], CLIENT_V6)] {
        for other in others {
            for (a, b) in [(ip(other), ip(address)), (ip(address), ip(other))] {
                let (from, to) = (SocketAddr::new(a, 4000), SocketAddr::new(b, 53));
                check_silent(&frames::udp(from, to, b"query").ethernet(), Rejection::Default);
                check_silent(&frames::tcp(from, to, SYN).ethernet(), Rejection::Default);
            }
        }
    }
    let (from, to) = ends()[0];
    for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut frame = frames::udp(from, to, b"query").ethernet();
        frame[..6].copy_from_slice(&group);
        check_silent(&frame, Rejection::Default);
    }
}

#[test]
fn options_and_extension_headers_get_no_answer() {
    let (from, to) = ends()[0];
    let packet = frames::udp(from, to, b"query");
    for words in 1..=10 {
        // 5 words of options make a header as long as that of IPv6.
        check_silent(&packet.with_options(words), Rejection::Default);
    }
    let (from, to) = ends()[1];
    for extension in [frames::HOP_BY_HOP, frames::ROUTING, frames::DESTINATION, frames::FRAGMENT] {
        let packet = match extension {
            frames::FRAGMENT => frames::udp(from, to, b"query").as_fragment(7, 0, false),
            other => frames::udp(from, to, b"query").extended(&[other]),
        };
        check_silent(&packet.ethernet(), Rejection::Default);
    }
}

#[test]
fn a_rule_and_a_policy_reject() {
    let (from, to) = ends()[0];
    let mut host = Host::new();
    let rule = Rule { rejection: Rejection::Host.number(), ..Rule::new(Action::Reject, 0) };
    host.add_rule(RuleSpec::all(Way::In, rule));
    let outcome = host.receives(&frames::udp(from, to, b"query"), Reason::RuleReject);
    assert_eq!(outcome.decision.verdict(), Verdict::Reject);
    assert_eq!(outcome.decision.rejection(), Rejection::Host);
    assert!(host.tables.flows.is_empty() && host.tables.embryos.is_empty());
    let policy = RuleSpec::policy(Way::In, Action::Reject);
    host.tables.rules = Classifier::compile(&[policy]).expect("a rule");
    let outcome = host.receives(&frames::udp(from, to, b"query"), Reason::PolicyReject);
    assert_eq!(outcome.decision.rejection(), Rejection::Default);
}

/// Returns a stranger and the client, over IPv4 and IPv6.
fn ends() -> [(SocketAddr, SocketAddr); 2] {
    FAMILIES.map(|(from, to)| (endpoint(from, 4000), endpoint(to, 22)))
}

fn assemble(frame: &[u8], link: Link, rejection: Rejection, layer: Layer) -> Option<Vec<u8>> {
    let mut packet = wire::Packet::default();
    assert_eq!(wire::parse(frame, link, &mut packet), Ok(()), "a sound frame");
    answers::assemble(frame, &packet, rejection, layer)
}

/// Checks every answer to a packet, and returns that of XDP.
#[track_caller]
fn check(packet: &Packet, rejection: Rejection) -> Vec<u8> {
    let (frame, raw) = (packet.ethernet(), packet.bytes());
    let by_xdp = assemble(&frame, Link::Ethernet, rejection, Layer::Xdp).expect("an answer");
    answers::check(&frame, 14, &by_xdp, false);
    let by_tc = assemble(&frame, Link::Ethernet, rejection, Layer::Tc).expect("an answer");
    assert_eq!(by_tc, by_xdp);
    let by_raw = assemble(&raw, Link::Raw, rejection, Layer::Tc).expect("an answer");
    assert_eq!(by_raw, by_xdp[14..]);
    by_xdp
}

#[track_caller]
fn check_code(packet: &Packet, rejection: Rejection, expected: [u8; 2]) {
    let answer = check(packet, rejection);
    let header = if packet.source.is_ipv4() { 20 } else { 40 };
    assert_eq!(answer[14 + header..][..2], expected, "{rejection} {packet:?}");
}

#[track_caller]
fn check_silent(frame: &[u8], rejection: Rejection) {
    for layer in [Layer::Xdp, Layer::Tc] {
        let answer = assemble(frame, Link::Ethernet, rejection, layer);
        assert_eq!(answer, None, "{layer:?} {frame:02x?}");
    }
}

fn protocol(frame: &[u8]) -> u8 {
    if frame[14] == 0x45 { frame[14 + 9] } else { frame[14 + 6] }
}
