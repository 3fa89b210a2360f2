//! Sources translated: masquerade, pools, ports, and who may answer.

use std::net::SocketAddr;

use amanda_fw_common::addr::Network;
use amanda_fw_common::memory::MemoryTable;
use amanda_fw_common::nat::{Binding, BindingKey, Filtering, Mapped, Translation, TranslationKind};
use amanda_fw_common::rules::{Rejection, Rule, Way};
use amanda_fw_common::ruleset::{Interfaces, Places, RuleSpec};
use amanda_fw_common::tables::Table;
use amanda_fw_common::verdict::{Counter, Reason, Verdict};
use amanda_fw_tests::frames::{
    ACK, Packet, RST, SYN, SYN_ACK, TCP, echo, echo_reply, icmp, tcp, tcp_with, udp,
};

use crate::gateway::{
    GATEWAY, Gateway, INSIDE, INSIDER, NEIGHBOUR, OTHER, OUTSIDE, REMOTE, masquerade, number, only,
    source_of,
};
use crate::host::{Outcome, endpoint, ip, seconds};
use crate::nat::ends;

/// The first address of a pool, and the last one.
const POOL: [&str; 2] = ["203.0.113.16", "203.0.113.31"];

#[test]
fn a_connection_out_has_the_address_of_the_gateway_and_its_answers_come_back() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(outside, remote, SYN));
    assert_eq!(gateway.enters(&tcp(remote, outside, SYN_ACK)), tcp(remote, insider, SYN_ACK));
    let data = tcp_with(insider, remote, ACK, b"GET /");
    assert_eq!(gateway.leaves(&data), tcp_with(outside, remote, ACK, b"GET /"));
    let data = tcp_with(remote, outside, ACK, b"200 OK");
    assert_eq!(gateway.enters(&data), tcp_with(remote, insider, ACK, b"200 OK"));
}

#[test]
fn a_datagram_out_has_the_address_of_the_gateway_and_its_answers_come_back() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    assert_eq!(gateway.leaves(&udp(insider, remote, b"?")), udp(outside, remote, b"?"));
    assert_eq!(gateway.enters(&udp(remote, outside, b"!")), udp(remote, insider, b"!"));
    assert_eq!(gateway.leaves(&udp(insider, remote, b"??")), udp(outside, remote, b"??"));
}

#[test]
fn a_datagram_without_checksum_stays_without() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    let without = |packet: Packet| {
        let mut packet = packet;
        packet.payload[6..8].fill(0);
        packet
    };
    let left = gateway.leaves(&without(udp(insider, remote, b"?")));
    assert_eq!(left, without(udp(outside, remote, b"?")));
}

#[test]
fn an_echo_has_the_address_of_the_gateway_and_its_reply_comes_back() {
    let mut gateway = Gateway::masquerading();
    let (insider, outside, remote) = (ip(INSIDER), ip(GATEWAY), ip(REMOTE));
    assert_eq!(gateway.leaves(&echo(insider, remote, 7)), echo(outside, remote, 7));
    assert_eq!(gateway.enters(&echo_reply(remote, outside, 7)), echo_reply(remote, insider, 7));
    gateway.drops(&echo_reply(remote, outside, 8), OUTSIDE, Reason::Unsolicited);
}

#[test]
fn an_echo_is_known_by_one_identifier_whomever_it_is_sent_to() {
    let mut gateway = Gateway::masquerading();
    gateway.leaves(&echo(ip(NEIGHBOUR), ip(REMOTE), 7));
    let known = [REMOTE, OTHER].map(|remote| {
        let left = gateway.leaves(&echo(ip(INSIDER), ip(remote), 7));
        u16::from_be_bytes([left.payload[4], left.payload[5]])
    });
    assert_eq!(known[0], known[1]);
}

#[test]
fn queries_other_than_echoes_do_not_leave() {
    const TIMESTAMP: [u8; 2] = [13, 0];
    let mut gateway = Gateway::masquerading();
    let query = icmp(ip(INSIDER), ip(REMOTE), TIMESTAMP, &[0; 16]);
    gateway.drops(&query, INSIDE, Reason::Untranslatable);
}

#[test]
fn echoes_of_two_hosts_with_one_identifier_have_two() {
    let mut gateway = Gateway::masquerading();
    let (outside, remote) = (ip(GATEWAY), ip(REMOTE));
    assert_eq!(gateway.leaves(&echo(ip(INSIDER), remote, 7)), echo(outside, remote, 7));
    let left = gateway.leaves(&echo(ip(NEIGHBOUR), remote, 7));
    let identifier = u16::from_be_bytes([left.payload[4], left.payload[5]]);
    assert_eq!(left, echo(outside, remote, identifier));
    assert_ne!(identifier, 7);
    let reply = gateway.enters(&echo_reply(remote, outside, identifier));
    assert_eq!(reply, echo_reply(remote, ip(NEIGHBOUR), 7));
    let reply = gateway.enters(&echo_reply(remote, outside, 7));
    assert_eq!(reply, echo_reply(remote, ip(INSIDER), 7));
}

#[test]
fn a_protocol_without_ports_is_translated_by_its_address() {
    const GRE: u8 = 47;
    let mut gateway = Gateway::masquerading();
    let packet = |from, to| Packet::new(ip(from), ip(to), GRE, vec![7; 40]);
    assert_eq!(gateway.leaves(&packet(INSIDER, REMOTE)), packet(GATEWAY, REMOTE));
    assert_eq!(gateway.enters(&packet(REMOTE, GATEWAY)), packet(REMOTE, INSIDER));
    gateway.drops(&packet(NEIGHBOUR, REMOTE), INSIDE, Reason::NatExhausted);
}

#[test]
fn a_port_is_kept_where_it_is_free() {
    for port in [1, 511, 512, 850, 1023, 1024, 40_000, u16::MAX] {
        let mut gateway = Gateway::masquerading();
        let [insider, outside, remote] = ends(port, 10080);
        assert_eq!(gateway.leaves(&udp(insider, remote, b"?")), udp(outside, remote, b"?"));
        assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(outside, remote, SYN));
    }
}

#[test]
fn a_port_that_is_taken_becomes_one_of_its_class() {
    for (port, class) in [(22, 1..=511), (700, 512..=1023), (2222, 1024..=u16::MAX)] {
        let mut gateway = Gateway::masquerading();
        let remote = endpoint(REMOTE, 10080);
        gateway.leaves(&tcp(endpoint(NEIGHBOUR, port), remote, SYN));
        let left = gateway.leaves(&tcp(endpoint(INSIDER, port), remote, SYN));
        let outside = source_of(&left);
        assert_ne!(outside.port(), port);
        assert!(class.contains(&outside.port()), "{outside}");
    }
}

#[test]
fn a_datagrams_port_keeps_its_parity() {
    let remote = endpoint(REMOTE, 5004);
    for port in [5004, 5005, 700, 701] {
        let mut gateway = Gateway::masquerading();
        for host in 2..60 {
            let insider = endpoint(&format!("192.168.2.{host}"), port);
            let outside = source_of(&gateway.leaves(&udp(insider, remote, b"?")));
            assert_eq!(outside.port() % 2, port % 2, "{insider}");
        }
    }
}

#[test]
fn an_endpoint_is_known_as_one_whomever_it_talks_to() {
    let mut gateway = Gateway::masquerading();
    let insider = endpoint(INSIDER, 700);
    // The port is taken, so that it is not by chance that it stays the same.
    gateway.leaves(&udp(endpoint(NEIGHBOUR, 700), endpoint(REMOTE, 53), b"?"));
    gateway.leaves(&tcp(endpoint(NEIGHBOUR, 700), endpoint(REMOTE, 53), SYN));
    let remotes = [endpoint(REMOTE, 53), endpoint(REMOTE, 54), endpoint(OTHER, 53)];
    let known: Vec<_> =
        remotes.map(|to| source_of(&gateway.leaves(&udp(insider, to, b"?")))).to_vec();
    assert!(known.iter().all(|&outside| outside == known[0]), "{known:?}");
    let known: Vec<_> =
        remotes.map(|to| source_of(&gateway.leaves(&tcp(insider, to, SYN)))).to_vec();
    assert!(known.iter().all(|&outside| outside == known[0]), "{known:?}");
}

#[test]
fn two_hosts_with_one_port_have_two_outside() {
    let mut gateway = Gateway::masquerading();
    let remote = endpoint(REMOTE, 80);
    let insiders = [endpoint(INSIDER, 40_000), endpoint(NEIGHBOUR, 40_000)];
    let known = insiders.map(|from| source_of(&gateway.leaves(&tcp(from, remote, SYN))));
    assert_ne!(known[0], known[1]);
    for (insider, outside) in insiders.into_iter().zip(known) {
        let answer = gateway.enters(&tcp(remote, outside, SYN_ACK));
        assert_eq!(answer, tcp(remote, insider, SYN_ACK));
    }
}

#[test]
fn nobody_but_the_addressed_port_may_answer_by_default() {
    check_filtering(Filtering::AddressAndPort, [true, false, false]);
}

#[test]
fn any_port_of_an_addressed_host_may_answer_where_filtering_says_so() {
    check_filtering(Filtering::Address, [true, true, false]);
}

#[test]
fn anybody_may_answer_where_filtering_says_so() {
    check_filtering(Filtering::Endpoint, [true, true, true]);
}

#[test]
fn what_filtering_lets_in_is_answered() {
    let mut gateway = filtering(Filtering::Endpoint);
    let [insider, outside, remote] = ends(40_000, 5060);
    gateway.leaves(&udp(insider, remote, b"register"));
    let caller = endpoint(OTHER, 5060);
    let passage = gateway.check(&udp(caller, outside, b"invite"), OUTSIDE, Reason::Mapped);
    assert_eq!(passage.packet, Some(udp(caller, insider, b"invite")));
    assert_eq!(gateway.leaves(&udp(insider, caller, b"ok")), udp(outside, caller, b"ok"));
    assert_eq!(gateway.enters(&udp(caller, outside, b"ack")), udp(caller, insider, b"ack"));
}

#[test]
fn what_nobody_inside_asked_for_reaches_nobody() {
    let mut gateway = Gateway::masquerading();
    let [_, outside, remote] = ends(40_000, 80);
    gateway.drops(&tcp(remote, outside, SYN), OUTSIDE, Reason::PolicyDrop);
    gateway.drops(&udp(remote, outside, b"?"), OUTSIDE, Reason::PolicyDrop);
    gateway.drops(&udp(remote, endpoint(INSIDER, 53), b"?"), OUTSIDE, Reason::PolicyDrop);
}

#[test]
fn a_range_that_is_exhausted_rejects_and_shares_no_port() {
    let mut gateway = Gateway::new();
    gateway.translate_source(Translation {
        first_port: 40_000,
        last_port: 40_003,
        ..to_pool(GATEWAY, GATEWAY)
    });
    let remote = endpoint(REMOTE, 80);
    let insider = |host: u8| endpoint(&format!("192.168.2.{host}"), 1234);
    let mut known: Vec<SocketAddr> =
        (2..6).map(|host| source_of(&gateway.leaves(&tcp(insider(host), remote, SYN)))).collect();
    known.sort_unstable();
    let range = (40_000..=40_003).map(|port| endpoint(GATEWAY, port));
    assert_eq!(known, range.collect::<Vec<_>>());
    let passage = gateway.carries(&tcp(insider(6), remote, SYN), INSIDE);
    assert_eq!((passage.reason(), passage.packet), (Reason::NatExhausted, None));
    let Outcome { decision, .. } = passage.hops[1];
    // RFC 5508, REQ-8: communication administratively prohibited.
    assert_eq!((decision.verdict(), decision.rejection()), (Verdict::Reject, Rejection::Admin));
    // Whoever has a mapping keeps it, for others as well.
    gateway.leaves(&tcp(insider(2), endpoint(OTHER, 80), SYN));
}

#[test]
fn each_protocol_has_mappings_of_its_own() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    gateway.leaves(&udp(endpoint(NEIGHBOUR, 40_000), remote, b"?"));
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(outside, remote, SYN));
}

#[test]
fn a_connection_that_both_ends_open_at_once_is_one() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 50_000);
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(outside, remote, SYN));
    assert_eq!(gateway.enters(&tcp(remote, outside, SYN)), tcp(remote, insider, SYN));
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN_ACK)), tcp(outside, remote, SYN_ACK));
    assert_eq!(gateway.enters(&tcp(remote, outside, SYN_ACK)), tcp(remote, insider, SYN_ACK));
    assert_eq!(gateway.leaves(&tcp(insider, remote, ACK)), tcp(outside, remote, ACK));
}

#[test]
fn a_connection_that_was_asked_for_too_early_is_opened_from_inside() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 50_000);
    gateway.drops(&tcp(remote, outside, SYN), OUTSIDE, Reason::PolicyDrop);
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(outside, remote, SYN));
    assert_eq!(gateway.enters(&tcp(remote, outside, SYN)), tcp(remote, insider, SYN));
}

#[test]
fn a_reset_is_translated_both_ways() {
    for is_from_inside in [true, false] {
        let mut gateway = connected();
        let [insider, outside, remote] = ends(40_000, 80);
        if is_from_inside {
            assert_eq!(gateway.leaves(&tcp(insider, remote, RST)), tcp(outside, remote, RST));
        } else {
            assert_eq!(gateway.enters(&tcp(remote, outside, RST)), tcp(remote, insider, RST));
        }
        // Whoever did not get it still hears of it.
        assert_eq!(gateway.leaves(&tcp(insider, remote, ACK)), tcp(outside, remote, ACK));
        assert_eq!(gateway.enters(&tcp(remote, outside, RST)), tcp(remote, insider, RST));
    }
}

#[test]
fn a_translated_connection_may_be_silent_for_days() {
    let mut gateway = connected();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.wait(seconds(5 * 24 * 3600));
    assert_eq!(gateway.enters(&tcp(remote, outside, ACK)), tcp(remote, insider, ACK));
    assert_eq!(gateway.leaves(&tcp(insider, remote, ACK)), tcp(outside, remote, ACK));
}

#[test]
fn what_comes_in_for_a_flow_keeps_it_alive() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    gateway.leaves(&udp(insider, remote, b"?"));
    for _ in 0..10 {
        assert_eq!(gateway.enters(&udp(remote, outside, b"!")), udp(remote, insider, b"!"));
        gateway.wait(seconds(170));
    }
}

#[test]
fn a_host_has_one_address_of_a_pool() {
    let mut gateway = Gateway::new();
    gateway.translate_source(to_pool(POOL[0], POOL[1]));
    let pool = number(POOL[0])..=number(POOL[1]);
    let mut used = Vec::new();
    for host in 2..40 {
        let address = format!("192.168.2.{host}");
        let sent = [
            udp(endpoint(&address, 5000), endpoint(REMOTE, 53), b"?"),
            udp(endpoint(&address, 5001), endpoint(OTHER, 53), b"?"),
            tcp(endpoint(&address, 5002), endpoint(REMOTE, 80), SYN),
            echo(ip(&address), ip(REMOTE), 7),
        ];
        let known = sent.map(|packet| gateway.leaves(&packet).source);
        assert!(known.iter().all(|&outside| outside == known[0]), "{address}: {known:?}");
        let outside = number(&known[0].to_string());
        assert!(pool.contains(&outside), "{address}: {known:?}");
        used.push(outside);
    }
    used.sort_unstable();
    used.dedup();
    assert!(used.len() > 8, "a pool of 16 addresses is used: {}", used.len());
}

#[test]
fn what_is_exempted_is_not_translated() {
    let mut gateway = Gateway::new();
    let spec = RuleSpec {
        interfaces: Interfaces::Only(vec![OUTSIDE]),
        destinations: only(OTHER),
        ..RuleSpec::all(Way::Postrouting, Rule::default())
    };
    gateway.translate(spec, Translation::default());
    gateway.translate_source(masquerade());
    let insider = endpoint(INSIDER, 40_000);
    let to_other = udp(insider, endpoint(OTHER, 53), b"?");
    assert_eq!(gateway.leaves(&to_other), to_other);
    let remote = endpoint(REMOTE, 53);
    let left = gateway.leaves(&udp(insider, remote, b"?"));
    assert_eq!(left, udp(endpoint(GATEWAY, 40_000), remote, b"?"));
}

#[test]
fn sources_are_translated_by_the_rule_that_fits_them() {
    let mut gateway = Gateway::new();
    let spec = RuleSpec {
        sources: Places {
            within: vec![Network::new(ip("192.168.2.0").into(), 96 + 30)],
            except: only(NEIGHBOUR).within,
        },
        ..RuleSpec::all(Way::Postrouting, Rule::default())
    };
    gateway.translate(spec, to_pool(POOL[0], POOL[0]));
    gateway.translate_source(masquerade());
    let remote = endpoint(REMOTE, 53);
    for (insider, outside) in [(INSIDER, POOL[0]), (NEIGHBOUR, GATEWAY)] {
        let left = gateway.leaves(&udp(endpoint(insider, 5000), remote, b"?"));
        assert_eq!(left, udp(endpoint(outside, 5000), remote, b"?"));
    }
}

#[test]
fn a_connection_of_the_gateway_takes_no_port_of_a_host_inside() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.leaves(&tcp(insider, remote, SYN));
    let passage = gateway.sends(&tcp(outside, remote, SYN), 0);
    let own = source_of(&passage.packet.expect("the gateway's own connection"));
    assert_eq!(own.ip(), outside.ip());
    assert_ne!(own.port(), outside.port());
    let answer = gateway.carries(&tcp(remote, own, SYN_ACK), OUTSIDE);
    assert_eq!((answer.output, answer.packet), (0, Some(tcp(remote, outside, SYN_ACK))));
    assert_eq!(gateway.enters(&tcp(remote, outside, SYN_ACK)), tcp(remote, insider, SYN_ACK));
}

#[test]
fn a_host_inside_takes_no_port_of_a_connection_of_the_gateway() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    let own = tcp(outside, remote, SYN);
    assert_eq!(gateway.sends(&own, 0).packet, Some(own));
    let left = gateway.leaves(&tcp(insider, remote, SYN));
    assert_ne!(source_of(&left), outside);
    let answer = gateway.carries(&tcp(remote, outside, SYN_ACK), OUTSIDE);
    assert_eq!((answer.output, answer.packet), (0, Some(tcp(remote, outside, SYN_ACK))));
}

#[test]
fn a_host_inside_takes_over_no_connection_to_the_gateway_by_its_source_port() {
    let mut gateway = Gateway::masquerading();
    gateway.host.accept_in(TCP, Some(22));
    let [insider, outside, remote] = ends(22, 40_000);
    assert_eq!(gateway.passes(&tcp(remote, outside, SYN), OUTSIDE, 0), tcp(remote, outside, SYN));
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::Untranslatable);
    gateway.drops(&tcp(insider, remote, ACK), INSIDE, Reason::Untranslatable);
    let data = tcp(remote, outside, ACK);
    assert_eq!(gateway.passes(&data, OUTSIDE, 0), data);
}

#[test]
fn a_new_connection_to_the_gateway_reaches_it_though_a_host_inside_has_the_port() {
    let mut gateway = Gateway::masquerading();
    gateway.host.accept_in(TCP, Some(22));
    let [insider, outside, remote] = ends(22, 40_000);
    assert_eq!(gateway.leaves(&tcp(insider, remote, SYN)), tcp(outside, remote, SYN));
    let asked = tcp(endpoint(OTHER, 40_000), outside, SYN);
    assert_eq!(gateway.passes(&asked, OUTSIDE, 0), asked);
}

#[test]
fn a_port_that_is_bound_to_the_gateway_itself_is_given_to_nobody_and_stays_local() {
    let mut gateway = Gateway::masquerading();
    gateway.host.accept_in(TCP, Some(22));
    let own = Mapped::new(number(GATEWAY), 22);
    let key = BindingKey::outside(TCP, own);
    let bindings = &mut gateway.host.tables.bindings;
    assert!(bindings.claim(&key, &Binding::new(own, OUTSIDE, 0, 0)));
    let [neighbour, remote] = [endpoint(NEIGHBOUR, 22), endpoint(REMOTE, 80)];
    assert_ne!(source_of(&gateway.leaves(&tcp(neighbour, remote, SYN))).port(), 22);
    let asked = tcp(endpoint(INSIDER, 40_000), endpoint(GATEWAY, 22), SYN);
    assert_eq!(gateway.passes(&asked, INSIDE, 0), asked);
}

#[test]
fn what_begins_no_flow_does_not_leave_with_an_inside_address() {
    let mut gateway = Gateway::masquerading();
    let [insider, _, remote] = ends(40_000, 80);
    for packet in [
        tcp(insider, remote, RST),
        tcp(insider, remote, SYN_ACK),
        echo_reply(insider.ip(), remote.ip(), 7),
    ] {
        let passage = gateway.carries(&packet, INSIDE);
        assert_eq!(passage.packet, None, "{packet:?} {:?}", passage.reason());
    }
    assert!(gateway.host.tables.bindings.is_empty());
}

#[test]
fn what_answers_nothing_leaves_with_the_address_of_the_gateway() {
    let mut gateway = Gateway::masquerading();
    let [_, outside, remote] = ends(22, 40_000);
    let reset = tcp(outside, remote, RST);
    assert_eq!(gateway.sends(&reset, 0).packet, Some(reset));
    assert!(gateway.host.tables.bindings.is_empty());
}

#[test]
fn an_interface_without_an_address_lends_none() {
    let mut gateway = Gateway::masquerading();
    gateway.host.tables.addresses.clear();
    let [insider, _, remote] = ends(40_000, 80);
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::Untranslatable);
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::Untranslatable);
}

#[test]
fn a_flow_keeps_its_address_when_that_of_the_interface_changes() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.leaves(&tcp(insider, remote, SYN));
    gateway.host.tables.addresses.insert(OUTSIDE, number(POOL[0]));
    assert_eq!(gateway.leaves(&tcp(insider, remote, ACK)), tcp(outside, remote, ACK));
    let left = gateway.leaves(&tcp(insider, endpoint(OTHER, 80), SYN));
    assert_eq!(left, tcp(endpoint(POOL[0], 40_000), endpoint(OTHER, 80), SYN));
}

#[test]
fn a_full_table_leaves_no_inside_address_uncovered() {
    let mut gateway = Gateway::masquerading();
    gateway.host.tables.aliases = MemoryTable::bounded(0);
    let [insider, _, remote] = ends(40_000, 80);
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::Untranslatable);
    assert_eq!(gateway.host.counted(Counter::NatFull), 1);
    let mut gateway = Gateway::masquerading();
    gateway.host.tables.bindings = MemoryTable::bounded(1);
    gateway.drops(&tcp(insider, remote, SYN), INSIDE, Reason::NatExhausted);
    assert!(gateway.host.tables.bindings.is_empty());
}

#[test]
fn a_datagram_flow_lives_for_three_minutes_once_it_was_answered() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    gateway.leaves(&udp(insider, remote, b"?"));
    gateway.enters(&udp(remote, outside, b"!"));
    gateway.wait(seconds(180));
    gateway.enters(&udp(remote, outside, b"!"));
    gateway.wait(seconds(181));
    gateway.drops(&udp(remote, outside, b"!"), OUTSIDE, Reason::PolicyDrop);
}

#[test]
fn what_goes_out_keeps_a_mapping_alive_and_what_comes_in_does_not_take_it_away() {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 53);
    gateway.leaves(&udp(insider, remote, b"?"));
    gateway.enters(&udp(remote, outside, b"!"));
    for _ in 0..10 {
        gateway.wait(seconds(170));
        assert_eq!(gateway.leaves(&udp(insider, remote, b"?")), udp(outside, remote, b"?"));
    }
    gateway.drops(&udp(endpoint(OTHER, 1), outside, b"?"), OUTSIDE, Reason::PolicyDrop);
    gateway.enters(&udp(remote, outside, b"!"));
}

/// Returns a gateway through which a connection is open.
#[track_caller]
fn connected() -> Gateway {
    let mut gateway = Gateway::masquerading();
    let [insider, outside, remote] = ends(40_000, 80);
    gateway.leaves(&tcp(insider, remote, SYN));
    gateway.enters(&tcp(remote, outside, SYN_ACK));
    gateway.leaves(&tcp(insider, remote, ACK));
    gateway
}

fn to_pool(first: &str, last: &str) -> Translation {
    Translation {
        first: number(first),
        last: number(last),
        kind: TranslationKind::Source.number(),
        ..Translation::default()
    }
}

fn filtering(filtering: Filtering) -> Gateway {
    let mut gateway = Gateway::new();
    gateway.translate_source(Translation { filtering: filtering.number(), ..masquerade() });
    gateway
}

/// Checks whether the addressed endpoint, another port of its host, and another host may answer.
#[track_caller]
fn check_filtering(choice: Filtering, expected: [bool; 3]) {
    let callers = [endpoint(REMOTE, 53), endpoint(REMOTE, 54), endpoint(OTHER, 53)];
    let [insider, outside, remote] = ends(40_000, 53);
    for (caller, expected) in callers.into_iter().zip(expected) {
        let mut gateway = filtering(choice);
        gateway.leaves(&udp(insider, remote, b"?"));
        gateway.leaves(&tcp(insider, remote, SYN));
        for packet in [udp(caller, outside, b"!"), tcp(caller, outside, SYN)] {
            let passage = gateway.carries(&packet, OUTSIDE);
            let is_in = passage.packet.is_some_and(|inside| inside.destination == insider.ip());
            assert_eq!(is_in, expected, "{choice} from {caller}");
        }
    }
}
