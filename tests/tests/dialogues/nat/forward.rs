//! Packets through the gateway, and the rules about them.

use amanda_fw_common::rules::{Action, Rule, Way};
use amanda_fw_common::ruleset::{Interfaces, RuleSpec};
use amanda_fw_common::verdict::{Reason, Verdict};
use amanda_fw_tests::frames::{ACK, ICMPV6, SYN, SYN_ACK, TCP, echo, icmp, tcp, udp, unreachable};

use crate::gateway::{
    DMZ, DMZ_HOST, GATEWAY, GATEWAY_INSIDE, Gateway, INSIDE, INSIDER, INSIDER_V6, NEIGHBOUR,
    OUTSIDE, REMOTE, REMOTE_V6, of_protocol, only, ports,
};
use crate::host::{endpoint, ip};

/// An interface that the firewall is not on.
const UNGUARDED: u32 = 9;

#[test]
fn a_rule_may_name_the_interface_that_a_packet_comes_by_and_the_one_that_it_leaves_by() {
    let mut gateway = Gateway::closed();
    gateway.accept(RuleSpec {
        interfaces: Interfaces::Only(vec![INSIDE]),
        outputs: Interfaces::Only(vec![DMZ]),
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    let (insider, server, remote) =
        (endpoint(INSIDER, 40_000), endpoint(DMZ_HOST, 80), endpoint(REMOTE, 80));
    let passed = gateway.passes(&tcp(insider, server, SYN), INSIDE, DMZ);
    assert_eq!(passed, tcp(insider, server, SYN));
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::PolicyDrop);
    gateway.drops(&tcp(server, endpoint(NEIGHBOUR, 80), SYN), DMZ, Reason::PolicyDrop);
    gateway.drops(&tcp(remote, server, SYN), OUTSIDE, Reason::PolicyDrop);
    let answer = tcp(server, insider, SYN_ACK);
    assert_eq!(gateway.passes(&answer, DMZ, INSIDE), answer);
}

#[test]
fn a_rule_for_the_gateway_lets_nothing_through_it() {
    let mut gateway = Gateway::closed();
    gateway.host.accept_in(TCP, Some(22));
    let insider = endpoint(INSIDER, 40_000);
    let own = tcp(insider, endpoint(GATEWAY_INSIDE, 22), SYN);
    assert_eq!(gateway.passes(&own, INSIDE, 0), own);
    gateway.drops(&tcp(insider, endpoint(REMOTE, 22), SYN), INSIDE, Reason::PolicyDrop);
}

#[test]
fn a_rule_for_what_goes_through_opens_nothing_of_the_gateway() {
    let mut gateway = Gateway::new();
    let packet = tcp(endpoint(INSIDER, 40_000), endpoint(GATEWAY_INSIDE, 22), SYN);
    gateway.drops(&packet, INSIDE, Reason::PolicyDrop);
}

#[test]
fn what_goes_through_is_not_the_gateways_own_when_it_leaves() {
    let mut gateway = Gateway::new();
    gateway.host.settings.accept_outgoing = 0;
    gateway.host.set_policies();
    let (insider, remote) = (endpoint(INSIDER, 40_000), endpoint(REMOTE, 80));
    gateway.leaves(&tcp(insider, remote, SYN));
    let own = gateway.sends(&tcp(endpoint(GATEWAY_INSIDE, 40_000), remote, SYN), 0);
    assert_eq!((own.reason(), own.packet), (Reason::PolicyDrop, None));
}

#[test]
fn a_packet_through_the_gateway_is_counted_once() {
    let mut gateway = Gateway::new();
    let (insider, remote) = (endpoint(INSIDER, 40_000), endpoint(REMOTE, 80));
    gateway.leaves(&tcp(insider, remote, SYN));
    gateway.enters(&tcp(remote, insider, SYN_ACK));
    let counted = |reason: Reason| gateway.host.tables.counted(reason.number());
    assert_eq!([Reason::Rule, Reason::Established].map(counted), [1, 1]);
    let of_rules: u64 = gateway.host.tables.rule_counts.values().map(|count| count.packets).sum();
    assert_eq!(of_rules, 1);
}

#[test]
fn a_packet_that_leaves_by_another_interface_than_foreseen_meets_the_rules_for_that_one() {
    let mut gateway = Gateway::closed();
    gateway.accept(RuleSpec {
        outputs: Interfaces::Only(vec![OUTSIDE]),
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    let (insider, remote) = (endpoint(INSIDER, 40_000), endpoint(REMOTE, 80));
    gateway.leaves(&tcp(insider, remote, SYN));
    gateway.enters(&tcp(remote, insider, SYN_ACK));
    for (_, output) in &mut gateway.host.tables.routes {
        *output = if *output == OUTSIDE { DMZ } else { *output };
    }
    let packet = tcp(insider, remote, ACK);
    let passage = gateway.carries(&packet, INSIDE);
    assert_eq!((passage.hops[0].reason(), passage.output), (Reason::Established, DMZ));
    assert_eq!((passage.reason(), passage.packet), (Reason::PolicyDrop, None));
    gateway.accept(RuleSpec {
        outputs: Interfaces::Only(vec![DMZ]),
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    assert_eq!(gateway.passes(&packet, INSIDE, DMZ), packet);
}

#[test]
fn answers_may_take_another_way_than_what_they_answer() {
    let mut gateway = Gateway::new();
    let (insider, remote) = (endpoint(INSIDER, 40_000), endpoint(REMOTE, 80));
    gateway.leaves(&tcp(insider, remote, SYN));
    let answer = tcp(remote, insider, SYN_ACK);
    assert_eq!(gateway.passes(&answer, DMZ, INSIDE), answer);
}

#[test]
fn a_packet_from_an_interface_without_firewall_is_decided_when_it_leaves() {
    let mut gateway = Gateway::closed();
    let (guest, remote) = (endpoint("10.9.0.2", 40_000), endpoint(REMOTE, 80));
    let asked = tcp(guest, remote, SYN);
    let passage = gateway.sends(&asked, UNGUARDED);
    assert_eq!((passage.reason(), passage.packet), (Reason::PolicyDrop, None));
    gateway.accept(RuleSpec {
        interfaces: Interfaces::Only(vec![UNGUARDED]),
        outputs: Interfaces::Only(vec![OUTSIDE]),
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    assert_eq!(gateway.sends(&asked, UNGUARDED).packet, Some(asked));
    gateway.check(&tcp(remote, guest, SYN_ACK), OUTSIDE, Reason::Established);
}

#[test]
fn a_packet_from_an_interface_without_firewall_is_translated() {
    let mut gateway = Gateway::masquerading();
    gateway.accept(RuleSpec {
        interfaces: Interfaces::Only(vec![UNGUARDED]),
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    let (guest, remote) = (endpoint("10.9.0.2", 40_000), endpoint(REMOTE, 80));
    let outside = endpoint(GATEWAY, 40_000);
    let passage = gateway.sends(&tcp(guest, remote, SYN), UNGUARDED);
    assert_eq!(passage.packet, Some(tcp(outside, remote, SYN)));
    let hop = gateway.carries(&tcp(remote, outside, SYN_ACK), OUTSIDE);
    assert_eq!(hop.packet, Some(tcp(remote, guest, SYN_ACK)));
}

#[test]
fn where_nothing_is_forwarded_everything_that_comes_in_meets_the_rules_for_that() {
    let mut gateway = Gateway::closed();
    gateway.host.settings.gateway = 0;
    let (insider, remote) = (endpoint(INSIDER, 40_000), endpoint(REMOTE, 80));
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::PolicyDrop);
    gateway.host.accept_in(TCP, Some(80));
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(insider, remote, SYN));
}

#[test]
fn a_rule_rejects_what_would_go_through() {
    let mut gateway = Gateway::closed();
    let rule = Rule::new(Action::Reject, 0);
    gateway.host.add_rule(RuleSpec::all(Way::Forward, rule));
    let packet = tcp(endpoint(INSIDER, 40_000), endpoint(REMOTE, 80), SYN);
    let passage = gateway.check(&packet, INSIDE, Reason::RuleReject);
    assert_eq!(passage.hops[0].decision.verdict(), Verdict::Reject);
}

#[test]
fn ipv6_goes_through_and_is_filtered_and_keeps_its_addresses() {
    let mut gateway = Gateway::masquerading();
    let (insider, remote) = (endpoint(INSIDER_V6, 40_000), endpoint(REMOTE_V6, 80));
    for packet in [
        tcp(insider, remote, SYN),
        udp(insider, remote, b"?"),
        echo(insider.ip(), remote.ip(), 7),
        tcp(insider, remote, ACK),
    ] {
        assert_eq!(gateway.leaves(&packet), packet);
    }
    for packet in [tcp(remote, insider, SYN_ACK), udp(remote, insider, b"!")] {
        assert_eq!(gateway.enters(&packet), packet);
    }
    let too_big = icmp(ip("2001:db8:ffff::1"), insider.ip(), [2, 0], &{
        let quoted = tcp(insider, remote, ACK).bytes();
        [&[0, 0, 5, 0][..], &quoted[..48]].concat()
    });
    gateway.check(&too_big, OUTSIDE, Reason::Related);
    gateway.drops(&tcp(remote, endpoint(INSIDER_V6, 22), SYN), OUTSIDE, Reason::PolicyDrop);
    gateway.accept(RuleSpec {
        destinations: only(INSIDER_V6),
        protocols: of_protocol(TCP),
        destination_ports: vec![ports(22, 22)],
        ..RuleSpec::all(Way::Forward, Rule::default())
    });
    gateway.enters(&tcp(remote, endpoint(INSIDER_V6, 22), SYN));
    gateway.drops(&echo(remote.ip(), insider.ip(), 9), OUTSIDE, Reason::PolicyDrop);
    gateway.accept_to(INSIDER_V6, ICMPV6);
    gateway.enters(&echo(remote.ip(), insider.ip(), 9));
}

#[test]
fn an_error_through_the_gateway_passes_where_it_is_about_a_flow() {
    let mut gateway = Gateway::new();
    let (insider, remote) = (endpoint(INSIDER, 40_000), endpoint(REMOTE, 80));
    let sent = udp(insider, remote, b"?");
    gateway.leaves(&sent);
    let error = unreachable(remote.ip(), insider.ip(), &sent);
    assert_eq!(gateway.enters(&error), error);
    let other = unreachable(remote.ip(), insider.ip(), &udp(insider, endpoint(REMOTE, 81), b"?"));
    gateway.drops(&other, OUTSIDE, Reason::Unsolicited);
}
