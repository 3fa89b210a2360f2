//! Flows: what a firewall lets in that is not Amanda's, and what an outsider can do to it.

use std::net::SocketAddr;

use amanda_fw_common::memory::MemoryTable;
use amanda_fw_common::rules::Way;
use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{
    ACK, FIN_ACK, ICMP, ICMPV6, Packet, RST, SYN, SYN_ACK, TCP, UDP, echo, echo_reply, icmp, tcp,
    udp, unreachable,
};

use crate::exchange::{Exchange, THREE_STREAMS};
use crate::host::{CLIENT, CLIENT_V6, Host, STRANGER, STRANGER_V6, Site, endpoint, ip, seconds};

const SSH: u16 = 22;
const DAY: u64 = 24 * 3600;

/// The client with its stranger, in both families.
const PAIRS: [(&str, &str); 2] = [(CLIENT, STRANGER), (CLIENT_V6, STRANGER_V6)];

#[test]
fn what_nobody_asked_for_is_dropped() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        let (from, to) = (endpoint(stranger, 40000), endpoint(client, SSH));
        host.receives(&tcp(from, to, SYN), Reason::PolicyDrop);
        host.receives(&tcp(from, to, ACK), Reason::PolicyDrop);
        host.receives(&tcp(from, to, SYN_ACK), Reason::PolicyDrop);
        host.receives(&tcp(from, to, RST), Reason::PolicyDrop);
        host.receives(&udp(from, to, b"?"), Reason::PolicyDrop);
        host.receives(&echo(from.ip(), to.ip(), 7), Reason::PolicyDrop);
        host.receives(&echo_reply(from.ip(), to.ip(), 7), Reason::Unsolicited);
        host.receives(&Packet::new(from.ip(), to.ip(), 47, vec![0; 8]), Reason::PolicyDrop);
        assert!(host.tables.flows.is_empty() && host.tables.embryos.is_empty());
    }
}

#[test]
fn what_the_host_begins_is_answered() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        let (own, other) = (endpoint(client, 40000), endpoint(stranger, 53));
        host.sends(&tcp(own, other, SYN), Reason::PolicyAccept);
        host.receives(&tcp(other, own, SYN_ACK), Reason::Established);
        host.sends(&udp(own, other, b"?"), Reason::PolicyAccept);
        host.receives(&udp(other, own, b"!"), Reason::Established);
        host.sends(&echo(own.ip(), other.ip(), 7), Reason::PolicyAccept);
        host.receives(&echo_reply(other.ip(), own.ip(), 7), Reason::Established);
        host.receives(&echo_reply(other.ip(), own.ip(), 8), Reason::Unsolicited);
        host.sends(&Packet::new(own.ip(), other.ip(), 47, vec![0; 8]), Reason::PolicyAccept);
        host.receives(&Packet::new(other.ip(), own.ip(), 47, vec![0; 8]), Reason::Established);
    }
}

#[test]
fn an_answer_from_another_port_is_none() {
    let mut host = Host::new();
    let (own, other) = (endpoint(CLIENT, 40000), endpoint(STRANGER, 53));
    host.sends(&udp(own, other, b"?"), Reason::PolicyAccept);
    host.receives(&udp(endpoint(STRANGER, 54), own, b"!"), Reason::PolicyDrop);
    host.receives(&udp(other, endpoint(CLIENT, 40001), b"!"), Reason::PolicyDrop);
    host.receives(&tcp(other, own, ACK), Reason::PolicyDrop);
}

#[test]
fn a_rule_opens_its_port_and_no_other() {
    let (mut host, from, to) = with_ssh();
    host.receives(&tcp(from, to, SYN), Reason::Rule);
    host.sends(&tcp(to, from, SYN_ACK), Reason::Established);
    host.receives(&tcp(from, to, ACK), Reason::Established);
    host.receives(&tcp(from, endpoint(CLIENT, 23), SYN), Reason::PolicyDrop);
    host.receives(&udp(from, to, b"?"), Reason::PolicyDrop);
}

#[test]
fn a_rule_for_echoes_lets_them_in() {
    for ((client, stranger), protocol) in PAIRS.into_iter().zip([ICMP, ICMPV6]) {
        let mut host = Host::new();
        host.accept_in(protocol, None);
        host.receives(&echo(ip(stranger), ip(client), 7), Reason::Rule);
        host.sends(&echo_reply(ip(client), ip(stranger), 7), Reason::Established);
        host.receives(&echo_reply(ip(stranger), ip(client), 8), Reason::Unsolicited);
    }
}

#[test]
fn neighbour_discovery_passes() {
    for icmp_type in [133, 134, 135, 136, 143] {
        let message = icmp(ip(STRANGER_V6), ip(CLIENT_V6), [icmp_type, 0], &[0; 20]);
        Host::new().receives(&message, Reason::Neighbour);
    }
    let redirect = icmp(ip(STRANGER), ip(CLIENT), [5, 1], &[0; 24]);
    Host::new().receives(&redirect, Reason::PolicyDrop);
}

#[test]
fn an_error_about_a_flow_arrives() {
    for (client, stranger) in PAIRS {
        let (own, other) = (endpoint(client, 40000), endpoint(stranger, 53));
        for sent in [tcp(own, other, SYN), udp(own, other, b"?"), echo(own.ip(), other.ip(), 7)] {
            let mut host = Host::new();
            host.sends(&sent, Reason::PolicyAccept);
            // The error comes from a router that the host never spoke to.
            let router = ip(if own.is_ipv4() { "10.0.0.254" } else { "fd00::254" });
            host.receives(&unreachable(router, own.ip(), &sent), Reason::Related);
        }
    }
}

#[test]
fn an_error_about_what_was_never_sent_is_dropped() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        let (own, other) = (endpoint(client, 40000), endpoint(stranger, 53));
        host.sends(&udp(own, other, b"?"), Reason::PolicyAccept);
        for never in [
            udp(own, endpoint(stranger, 54), b"?"),
            tcp(own, other, SYN),
            echo(own.ip(), other.ip(), 9),
            unreachable(own.ip(), other.ip(), &udp(other, own, b"!")),
        ] {
            host.receives(&unreachable(other.ip(), own.ip(), &never), Reason::Unsolicited);
        }
    }
}

#[test]
fn an_error_that_quotes_too_little_is_dropped() {
    for (client, stranger) in PAIRS {
        let mut host = Host::new();
        let (own, other) = (endpoint(client, 40000), endpoint(stranger, 53));
        let sent = udp(own, other, b"?");
        host.sends(&sent, Reason::PolicyAccept);
        let error = unreachable(other.ip(), own.ip(), &sent);
        for length in 8..error.payload.len() {
            let payload = error.payload[..length].to_vec();
            let cut = Packet { payload, ..error.clone() };
            host.receives(&cut, Reason::Unsolicited);
        }
    }
}

#[test]
fn flags_that_no_connection_has_are_dropped() {
    let (mut host, from, to) = with_connection();
    // Nothing, FIN, SYN with FIN, SYN with RST, the "Christmas tree", everything, URG with PSH.
    for flags in [0x00, 0x01, 0x03, 0x06, 0x29, 0x3f, 0x28, 0x13, 0x07] {
        host.receives(&tcp(from, to, flags), Reason::TcpFlags);
        host.receives(&tcp(from, endpoint(CLIENT, 23), flags), Reason::TcpFlags);
    }
    host.receives(&tcp(from, to, ACK), Reason::Established);
}

#[test]
fn a_flood_of_requests_pushes_out_no_connection() {
    let (mut host, from, to) = with_connection();
    host.tables.embryos = MemoryTable::evicting(64);
    flood(&mut host, 1000);
    assert_eq!(host.tables.embryos.len(), 64);
    assert_eq!(host.tables.flows.len(), 1);
    host.receives(&tcp(from, to, ACK), Reason::Established);
}

#[test]
fn a_flood_of_requests_pushes_out_no_stream_and_nothing_expected() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    backup.run(&mut site, "sendbackup", THREE_STREAMS);
    backup.open(&mut site, 50000, 11001);
    site.client.accept_in(TCP, Some(SSH));
    site.client.tables.embryos = MemoryTable::evicting(64);
    flood(&mut site.client, 1000);
    site.passes(&backup.stream(50000, 11001, ACK));
    backup.open(&mut site, 50000, 11003);
    site.passes(&backup.next().request("noop"));
    assert_eq!(site.open_ports(), [11004]);
}

#[test]
fn an_outsider_alone_proves_nothing() {
    for flags in [FIN_ACK, ACK, SYN] {
        let (mut host, from, to) = with_ssh();
        for flags in [SYN, flags, flags, ACK, FIN_ACK] {
            host.meets(Way::In, &tcp(from, to, flags).ethernet());
        }
        assert!(host.tables.flows.is_empty(), "after {flags:#x}");
    }
}

#[test]
fn an_outsider_alone_proves_nothing_by_datagrams() {
    let mut host = Host::new();
    host.accept_in(UDP, Some(53));
    let query = udp(endpoint(STRANGER, 40000), endpoint(CLIENT, 53), b"?");
    host.receives(&query, Reason::Rule);
    host.receives(&query, Reason::Established);
    assert!(host.tables.flows.is_empty());
}

#[test]
fn a_full_table_takes_no_flow_of_the_host() {
    let mut host = Host::new();
    host.tables.flows = MemoryTable::bounded(0);
    host.tables.embryos = MemoryTable::bounded(0);
    let (own, other) = (endpoint(CLIENT, 40000), endpoint(STRANGER, 53));
    host.sends(&udp(own, other, b"?"), Reason::FlowTableFull);
}

#[test]
fn a_silent_flow_expires() {
    let (own, other) = (endpoint(CLIENT, 40000), endpoint(STRANGER, 53));
    let mut host = Host::new();
    host.sends(&udp(own, other, b"?"), Reason::PolicyAccept);
    host.wait(seconds(30));
    host.receives(&udp(other, own, b"!"), Reason::Established);
    host.wait(seconds(181));
    host.receives(&udp(other, own, b"!"), Reason::PolicyDrop);
}

#[test]
fn a_connection_may_be_silent_for_days() {
    let (mut host, from, to) = with_connection();
    host.wait(seconds(5 * DAY));
    host.receives(&tcp(from, to, ACK), Reason::Established);
    host.wait(seconds(5 * DAY + 1));
    let before = host.clone();
    host.clear_rules();
    host.receives(&tcp(from, to, ACK), Reason::PolicyDrop);
    host = before;
    host.sends(&tcp(to, from, ACK), Reason::PolicyAccept);
    host.receives(&tcp(from, to, ACK), Reason::Established);
}

#[test]
fn a_silent_stream_lives_while_another_of_its_session_moves() {
    let (mut site, backup) = two_streams();
    for _ in 0..5 {
        site.wait(seconds(100));
        site.passes(&backup.stream_answer(50000, 11001, ACK));
    }
    site.wait(seconds(100));
    site.check(&backup.stream_answer(50000, 11003, ACK), Reason::Established);
}

#[test]
fn the_streams_of_a_silent_session_expire() {
    let (mut site, backup) = two_streams();
    site.wait(seconds(121));
    site.client.receives(&backup.stream(50000, 11003, ACK), Reason::PolicyDrop);
    site.server.receives(&backup.stream_answer(50000, 11003, ACK), Reason::PolicyDrop);
}

#[test]
fn a_stream_lives_no_longer_than_the_one_that_moves_allows() {
    let (mut site, backup) = two_streams();
    site.wait(seconds(100));
    site.passes(&backup.stream_answer(50000, 11001, ACK));
    site.wait(seconds(121));
    site.client.receives(&backup.stream(50000, 11003, ACK), Reason::PolicyDrop);
}

#[test]
fn the_last_segments_of_a_connection_pass() {
    let (mut host, from, to) = with_connection();
    host.sends(&tcp(to, from, FIN_ACK), Reason::Established);
    host.receives(&tcp(from, to, FIN_ACK), Reason::Established);
    host.sends(&tcp(to, from, ACK), Reason::Established);
    host.wait(seconds(100));
    host.receives(&tcp(from, to, FIN_ACK), Reason::Established);
}

#[test]
fn a_half_closed_connection_may_be_silent_for_days() {
    let (mut host, from, to) = with_connection();
    host.receives(&tcp(from, to, FIN_ACK), Reason::Established);
    host.wait(seconds(2 * DAY));
    host.sends(&tcp(to, from, ACK), Reason::Established);
}

#[test]
fn a_connection_ends_with_a_reset() {
    let (mut host, from, to) = with_connection();
    host.sends(&tcp(to, from, RST), Reason::Established);
    host.clear_rules();
    host.wait(seconds(11));
    host.receives(&tcp(from, to, ACK), Reason::PolicyDrop);
}

#[test]
fn a_closed_connection_may_be_followed_by_another() {
    let (mut host, from, to) = with_connection();
    host.sends(&tcp(to, from, FIN_ACK), Reason::Established);
    host.receives(&tcp(from, to, FIN_ACK), Reason::Established);
    host.receives(&tcp(from, to, SYN), Reason::Rule);
    host.sends(&tcp(to, from, SYN_ACK), Reason::Established);
    host.receives(&tcp(from, to, ACK), Reason::Established);
}

#[test]
fn amandas_tcp_port_is_open_to_its_peers_alone() {
    let mut site = Site::new();
    let backup = Exchange::backup(516);
    let syn = tcp(backup.initiator, backup.responder, SYN);
    let stranger = tcp(endpoint(STRANGER, 516), backup.responder, SYN);
    site.client.receives(&stranger, Reason::PolicyDrop);
    site.client.receives(&tcp(backup.initiator, backup.responder, ACK), Reason::PolicyDrop);
    site.check(&syn, Reason::Control);
    site.passes(&tcp(backup.responder, backup.initiator, SYN_ACK));
}

#[test]
fn repeated_answers_to_a_flood_become_no_flows_of_the_host() {
    let mut host = Host::new();
    host.accept_in(TCP, Some(SSH));
    host.tables.embryos = MemoryTable::evicting(64);
    flood(&mut host, 1000);
    for number in 0..1000u16 {
        let [high, low] = number.to_be_bytes();
        let from = endpoint(&format!("198.18.{high}.{low}"), 40000);
        host.meets(Way::Out, &tcp(endpoint(CLIENT, SSH), from, SYN_ACK).ethernet());
    }
    assert_eq!(host.tables.flows.len(), 0);
}

#[test]
fn an_error_about_the_peers_own_packet_is_dropped() {
    let mut host = Host::new();
    let (own, other) = (endpoint(CLIENT, 40000), endpoint(STRANGER, 53));
    host.sends(&udp(own, other, b"?"), Reason::PolicyAccept);
    host.receives(&unreachable(other.ip(), own.ip(), &udp(other, own, b"?")), Reason::Unsolicited);
}

#[test]
fn an_error_about_an_expired_flow_is_dropped() {
    let mut host = Host::new();
    let (own, other) = (endpoint(CLIENT, 40000), endpoint(STRANGER, 53));
    let sent = udp(own, other, b"?");
    host.sends(&sent, Reason::PolicyAccept);
    host.wait(seconds(1000));
    host.receives(&unreachable(other.ip(), own.ip(), &sent), Reason::Unsolicited);
}

#[test]
fn an_outgoing_policy_of_drop_lets_amanda_out() {
    let mut site = Site::new();
    for host in [&mut site.server, &mut site.client] {
        host.settings.accept_outgoing = 0;
        host.set_policies();
    }
    let backup = Exchange::backup(601);
    backup.run(&mut site, "sendbackup", THREE_STREAMS);
    backup.open(&mut site, 50000, 11001);
    let own = tcp(endpoint(CLIENT, 40000), endpoint(STRANGER, 80), SYN);
    site.client.sends(&own, Reason::PolicyDrop);
}

/// Returns a client that lets ssh in, and the two ends of a connection.
fn with_ssh() -> (Host, SocketAddr, SocketAddr) {
    let mut host = Host::new();
    host.accept_in(TCP, Some(SSH));
    (host, endpoint(STRANGER, 40000), endpoint(CLIENT, SSH))
}

/// Returns a client with an established ssh connection.
fn with_connection() -> (Host, SocketAddr, SocketAddr) {
    let (mut host, from, to) = with_ssh();
    host.receives(&tcp(from, to, SYN), Reason::Rule);
    host.sends(&tcp(to, from, SYN_ACK), Reason::Established);
    host.receives(&tcp(from, to, ACK), Reason::Established);
    (host, from, to)
}

/// Returns a backup with two streams, which may be silent for 2 minutes.
fn two_streams() -> (Site, Exchange) {
    let mut site = Site::new();
    for host in [&mut site.server, &mut site.client] {
        host.settings.timeouts.tcp = [120_000_000_000; 8];
    }
    let backup = Exchange::backup(601);
    backup.run(&mut site, "sendbackup", THREE_STREAMS);
    backup.open(&mut site, 50000, 11001);
    backup.open(&mut site, 50000, 11003);
    (site, backup)
}

/// Asks for so many connections from addresses that never answer.
fn flood(host: &mut Host, count: u16) {
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let from = endpoint(&format!("198.18.{high}.{low}"), 40000);
        host.receives(&tcp(from, endpoint(CLIENT, SSH), SYN), Reason::Rule);
    }
}
