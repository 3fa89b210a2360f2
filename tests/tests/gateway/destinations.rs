//! Packets to the gateway's outside address that go on to a host inside.

use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::sockets::{self, Connection};

use crate::network::{GATEWAY, RHOST, TSHOST, endpoint};
use crate::site::{FORWARDED, MASQUERADE, Site, bind, listen};

/// The first of the ports that are shifted, and what it becomes.
const PORTS: [u16; 2] = [8080, 80];

/// The gateway's own service, beside those that it passes on.
const OWN: &str = r#"
[[rule]]
name = "own"
direction = "in"
protocol = "tcp"
ports = 22
action = "accept"
"#;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_range_of_ports_is_shifted() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, FORWARDED].concat());
    for offset in 0..4 {
        let connection = forwarded(&site, &site.network.rhost, offset);
        // Who asks is known by its own address.
        assert_eq!(peer(&connection).ip(), endpoint(RHOST, 0).ip());
        connection.transfer(300_000).expect("bytes arrive as they are");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn datagrams_are_shifted_and_answered_from_where_they_were_sent_to() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, FORWARDED].concat());
    let (outside, inside) =
        (bind(&site.network.rhost, RHOST, 900), bind(&site.network.tshost, TSHOST, 82));
    let seen = sockets::deliver(&outside, &inside, endpoint(GATEWAY, 8082), 800).expect("sent");
    assert_eq!(seen, Some(endpoint(RHOST, 900)));
    let seen = sockets::deliver(&inside, &outside, endpoint(RHOST, 900), 800).expect("sent");
    assert_eq!(seen, Some(endpoint(GATEWAY, 8082)));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn hosts_inside_reach_one_another_by_the_gateways_outside_address() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, FORWARDED].concat());
    for host in [&site.network.lhost, &site.network.tshost] {
        let connection = forwarded(&site, host, 0);
        // Else the answers would not come back through the gateway.
        assert_eq!(peer(&connection).ip(), endpoint(GATEWAY, 0).ip());
        connection.transfer(300_000).expect("bytes arrive as they are");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_gateways_own_services_are_its_own() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, FORWARDED, OWN].concat());
    let (gateway, outside) = (&site.network.fwhost, &site.network.rhost);
    let own = listen(gateway, GATEWAY, 22);
    let connection = Connection::open_to(outside, &own, endpoint(GATEWAY, 22));
    connection.and_then(|c| c.transfer(100_000)).expect("the gateway's own service answers");
    forwarded(&site, outside, 0).exchange().expect("the forwarded service answers");
    // What may be forwarded may not come in, and the other way round.
    let _closed = [listen(gateway, GATEWAY, 80), listen(&site.network.tshost, TSHOST, 22)];
    assert!(sockets::connect(outside, endpoint(GATEWAY, 80)).is_err());
    crate::network::ip(outside, &["route", "add", "192.168.2.0/24", "via", GATEWAY]);
    assert!(sockets::connect(outside, endpoint(TSHOST, 22)).is_err());
}

/// Connects to a forwarded port, as far behind the first as `offset` says.
fn forwarded(site: &Site, from: &Namespace, offset: u16) -> Connection {
    let [outside, inside] = PORTS.map(|port| port + offset);
    let listener = listen(&site.network.tshost, TSHOST, inside);
    let connection = Connection::open_to(from, &listener, endpoint(GATEWAY, outside));
    connection.expect("the forwarded port leads to the host inside")
}

fn peer(connection: &Connection) -> std::net::SocketAddr {
    connection.server.peer_addr().expect("an address")
}
