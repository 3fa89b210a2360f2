//! Answers to rejected packets: the kernel's, byte for byte.

use std::net::SocketAddr;

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::{Action, Rejection, Rule, Way};
use amanda_fw_common::ruleset::RuleSpec;
use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{self, ACK, Packet, QINQ, RST, SYN, VLAN};
use amanda_fw_tests::kernel::Hook;
use amanda_fw_tests::random::splitmix64;

use crate::pair::{CLIENT, Pair, STRANGER, ip};

/// The hooks of devices with Ethernet headers.
const HOOKS: [Hook; 4] = [Hook::Xdp, Hook::XdpFrags, Hook::TcIngress, Hook::TcEgress];

/// Port 2000 and those behind it are rejected, each in another way.
const FIRST: u16 = 2000;

#[test]
#[ignore = "needs root: BPF"]
fn every_rejection_is_answered_alike() {
    let mut pair = rejecting();
    for hook in hooks() {
        for (port, _) in (FIRST..).zip(Rejection::ALL) {
            for (from, to) in ends(port) {
                check(&mut pair, hook, &frames::tcp(from, to, SYN));
                check(&mut pair, hook, &frames::tcp_with(from, to, ACK, b"data"));
                check(&mut pair, hook, &frames::udp(from, to, b"query"));
                let oddity = Packet::new(from.ip(), to.ip(), 132, vec![7; 33]);
                let echo = frames::echo(from.ip(), to.ip(), 7);
                for packet in [echo, oddity, frames::tcp(from, to, RST)] {
                    check(&mut pair, hook, &packet);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn packets_of_every_length_are_answered_alike() {
    let mut pair = rejecting();
    let mut state = 0x00a5_5a00;
    let mut random = |limit: u64| usize::try_from(splitmix64(&mut state) % limit).expect("small");
    let lengths: Vec<usize> =
        (0..40).chain((0..80).map(|_| random(1460))).chain([519, 520, 911, 912, 1460]).collect();
    for (index, length) in lengths.into_iter().enumerate() {
        let data: Vec<u8> = (0..length).map(|_| random(256).to_le_bytes()[0]).collect();
        for (from, to) in ends(FIRST) {
            let hook = HOOKS[index % HOOKS.len()];
            let (segment, datagram) =
                (frames::tcp_with(from, to, ACK, &data), frames::udp(from, to, &data));
            for packet in [segment, datagram] {
                if hook.is_there() {
                    check(&mut pair, hook, &packet);
                    check(&mut pair, hook, &packet.left_to_device());
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn resets_without_a_link_header_are_alike() {
    // A test run takes the first bytes of every packet for an Ethernet header, and makes the room
    // for an ICMP error behind them, so that resets alone can be compared.
    let mut pair = rejecting();
    for hook in [Hook::TcIngressRaw, Hook::TcEgressRaw] {
        for (from, to) in ends(FIRST) {
            for length in [0, 1, 100, 1400] {
                check(&mut pair, hook, &frames::tcp_with(from, to, ACK, &vec![7; length]));
                check(&mut pair, hook, &frames::tcp_with(from, to, SYN, &vec![7; length]));
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn tags_come_back_alike() {
    let mut pair = rejecting();
    for hook in hooks() {
        for (from, to) in ends(FIRST) {
            for packet in [frames::tcp(from, to, SYN), frames::udp(from, to, b"query")] {
                for tags in [&[VLAN][..], &[QINQ, VLAN]] {
                    let reason = pair.meets_frame(hook, &packet.tagged(tags));
                    assert_eq!(reason, Some(Reason::RuleReject));
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn the_same_packets_get_no_answer() {
    let mut pair = rejecting();
    for hook in hooks() {
        for (from, to) in ends(FIRST) {
            let datagram = frames::udp(from, to, b"query");
            let mut for_many = datagram.ethernet();
            for_many[..6].fill(0xff);
            let mut frames = vec![
                for_many,
                frames::tcp(from, to, RST).ethernet(),
                datagram.clone().as_fragment(7, 0, true).ethernet(),
            ];
            if from.is_ipv4() {
                frames.extend((1..=10).map(|words| datagram.with_options(words)));
            } else {
                frames.push(datagram.clone().extended(&[frames::HOP_BY_HOP]).ethernet());
                frames.push(datagram.extended(&[frames::DESTINATION; 2]).ethernet());
            }
            for frame in frames {
                assert_eq!(pair.meets_frame(hook, &frame), Some(Reason::RuleReject));
            }
        }
    }
}

/// Checks that a packet is rejected by both, and answered alike.
#[track_caller]
fn check(pair: &mut Pair, hook: Hook, packet: &Packet) {
    let reason = pair.meets(hook, packet);
    assert!(matches!(reason, Some(Reason::RuleReject | Reason::PolicyReject)), "{reason:?}");
}

fn hooks() -> impl Iterator<Item = Hook> {
    HOOKS.into_iter().filter(|hook| hook.is_there())
}

/// Returns a stranger and a port of the client's, over IPv4 and IPv6.
fn ends(port: u16) -> [(SocketAddr, SocketAddr); 2] {
    let end = |address, port| SocketAddr::new(ip(address), port);
    [0, 1].map(|family| (end(STRANGER[family], 4000), end(CLIENT[family], port)))
}

/// Rejects both ways: each port in its way, and everything else by the policies.
fn rejecting() -> Pair {
    let ways = [Way::In, Way::Out];
    let by_port = |way| {
        (FIRST..).zip(Rejection::ALL).map(move |(port, rejection)| {
            let rule = Rule { rejection: rejection.number(), ..Rule::new(Action::Reject, port) };
            let destination_ports = vec![PortRange { low: port, high: port }];
            RuleSpec { destination_ports, ..RuleSpec::all(way, rule) }
        })
    };
    let policies = ways.map(|way| RuleSpec::policy(way, Action::Reject));
    let rules: Vec<RuleSpec> = ways.into_iter().flat_map(by_port).chain(policies).collect();
    Pair::ruled(&rules)
}
