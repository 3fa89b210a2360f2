//! What comes in and what goes out, by the policy and by rules, over IPv4 and IPv6.

use amanda_fw_tests::sockets::{self, Connection};

use crate::site::{DENY, HOST, PEER, Site, endpoint};

const SSH: &str = r#"
[[rule]]
name = "ssh"
direction = "in"
protocol = "tcp"
ports = 22
action = "accept"
"#;

/// Pings stay out, and neighbours are found by a rule.
const NO_PING: &str = r#"
icmp = false

[[rule]]
protocol = "icmpv6"
icmp_type = ["neighbour-solicitation", "neighbour-advertisement"]
action = "accept"
"#;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn everything_comes_in_without_a_firewall() {
    let site = Site::new();
    check(&site, [true, true, true, true]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn nothing_but_pings_comes_in_by_default() {
    let site = Site::new();
    let _firewall = site.firewall(DENY);
    check(&site, [false, false, false, true]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_lets_ssh_in_and_nothing_else() {
    let site = Site::new();
    let _firewall = site.firewall(&format!("{DENY}{SSH}"));
    check(&site, [true, false, false, true]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn pings_stay_out_where_the_policy_says_so() {
    let site = Site::new();
    let _firewall = site.firewall(&format!("{DENY}{NO_PING}"));
    check(&site, [false, false, false, false]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_built_in_config_lets_in_ssh_and_pings() {
    let site = Site::new();
    let built_in = include_str!("../../../amanda-fw/src/config/default.toml");
    let _firewall = site.firewall(built_in);
    check(&site, [true, false, false, true]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn what_the_host_begins_is_answered() {
    let site = Site::new();
    let firewall = site.firewall(DENY);
    let Site { host, peer, .. } = &site;
    for (here, there) in HOST.into_iter().zip(PEER) {
        Connection::open(host, peer, endpoint(there, 0))
            .and_then(|connection| connection.exchange())
            .unwrap_or_else(|error| panic!("{error:?}\n{:?}", firewall.account()));
        let (from, to) = (endpoint(here, 4000), endpoint(there, 53));
        let client = sockets::bind(host, from).expect("a port can be bound");
        let server = sockets::bind(peer, to).expect("a port can be bound");
        assert!(sockets::delivers(&client, &server, to, 100).expect("a query can be sent"));
        assert!(sockets::delivers(&server, &client, from, 100).expect("an answer can be sent"));
        assert!(site.answers(host, there), "{there} answers to a ping");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_unreachable_port_is_reported_to_the_host() {
    let site = Site::new();
    let _firewall = site.firewall(DENY);
    for (here, there) in HOST.into_iter().zip(PEER) {
        let socket = sockets::bind(&site.host, endpoint(here, 0)).expect("a port can be bound");
        socket.connect(endpoint(there, 9)).expect("a route is there");
        socket.send(b"anybody?").expect("a datagram can be sent");
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a time limit");
        let error = socket.recv(&mut [0; 8]).expect_err("nobody answers");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{there}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn what_the_policy_keeps_in_does_not_go_out() {
    let site = Site::new();
    let _firewall = site.firewall("[policy]\nincoming = \"accept\"\noutgoing = \"drop\"\n");
    let Site { host, peer, .. } = &site;
    for (here, there) in HOST.into_iter().zip(PEER) {
        assert!(Connection::open(host, peer, endpoint(there, 0)).is_err(), "{there}");
        Connection::open(peer, host, endpoint(here, 0))
            .and_then(|connection| connection.exchange())
            .expect("a connection of the peer's is answered");
        assert!(site.answers(peer, here), "{here} answers to a ping");
    }
}

/// Checks whether the peer gets in to port 22, to port 80, to UDP port 53, and with pings.
#[track_caller]
fn check(site: &Site, expected: [bool; 4]) {
    let Site { host, peer, .. } = site;
    for (here, there) in HOST.into_iter().zip(PEER) {
        let connects = |port| Connection::open(peer, host, endpoint(here, port)).is_ok();
        let server = sockets::bind(host, endpoint(here, 53)).expect("a port can be bound");
        let client = sockets::bind(peer, endpoint(there, 0)).expect("a port can be bound");
        let delivered = sockets::delivers(&client, &server, endpoint(here, 53), 100);
        let found = [
            connects(22),
            connects(80),
            delivered.expect("a datagram can be sent"),
            site.answers(peer, here),
        ];
        assert_eq!(found, expected, "{here}: tcp 22, tcp 80, udp 53, ping");
    }
}
