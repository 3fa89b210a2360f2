//! Packets that leave under the gateway's address.

use std::net::UdpSocket;

use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::sockets::{self, Connection};

use crate::network::{GATEWAY, LHOST, RHOST, TSHOST, endpoint};
use crate::site::{MASQUERADE, Site, bind, listen, packets, pings};

/// The ports of a server that bsd auth asks from.
const RESERVED: u16 = 850;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn connections_leave_under_the_gateways_address() {
    let site = Site::new();
    let _firewall = site.firewall(MASQUERADE);
    let (inside, outside) = (&site.network.tshost, &site.network.rhost);
    let listener = listen(outside, RHOST, 7000);
    let connection = Connection::open_to(inside, &listener, endpoint(RHOST, 7000));
    let connection = connection.expect("hosts inside can connect");
    let local = connection.client.local_addr().expect("an address");
    let seen = connection.server.peer_addr().expect("an address");
    assert_eq!(seen, endpoint(GATEWAY, local.port()));
    connection.transfer(1_000_000).expect("bytes arrive as they are");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn datagrams_leave_under_the_gateways_address_and_answers_find_back() {
    let site = Site::new();
    let _firewall = site.firewall(MASQUERADE);
    let outside = bind(&site.network.rhost, RHOST, 10080);
    let inside = bind(&site.network.tshost, TSHOST, RESERVED);
    let seen = ask(&inside, &outside);
    assert_eq!(seen, Some(endpoint(GATEWAY, RESERVED)));
    assert!(sockets::delivers(&outside, &inside, endpoint(GATEWAY, RESERVED), 900).expect("sent"));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_port_that_is_taken_becomes_one_of_its_class() {
    let site = Site::new();
    let _firewall = site.firewall(MASQUERADE);
    let outside = bind(&site.network.rhost, RHOST, 10080);
    let hosts: [(&Namespace, &str); 2] =
        [(&site.network.tshost, TSHOST), (&site.network.lhost, LHOST)];
    for port in [RESERVED, 300, 40_001] {
        let [first, second] = hosts.map(|(host, address)| bind(host, address, port));
        assert_eq!(ask(&first, &outside), Some(endpoint(GATEWAY, port)));
        let seen = ask(&second, &outside).expect("a datagram of the second host arrives");
        let class = [1..512, 512..1024, 1024..u16::MAX].into_iter().find(|c| c.contains(&port));
        assert!(class.is_some_and(|class| class.contains(&seen.port())), "{port}: {seen}");
        assert_eq!(seen.port() % 2, port % 2, "{port}: {seen}");
        assert_ne!(seen.port(), port);
        // Each hears the answer to its own question.
        assert!(sockets::delivers(&outside, &second, seen, 40).expect("it can be sent"));
        assert!(sockets::delivers(&outside, &first, endpoint(GATEWAY, port), 41).expect("sent"));
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn pings_of_two_hosts_are_told_apart() {
    let site = Site::new();
    let _firewall = site.firewall(MASQUERADE);
    for host in [&site.network.tshost, &site.network.lhost, &site.network.fwhost] {
        assert!(pings(host, RHOST, &["-e", "77"]));
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn who_finds_every_port_taken_is_told_so() {
    const EHOSTUNREACH: i32 = 113;
    let site = Site::new();
    let config = format!("{MASQUERADE}protocol = \"udp\"\nto_ports = \"2000:2001\"\n");
    let firewall = site.firewall(&config);
    let outside = bind(&site.network.rhost, RHOST, 7000);
    let inside: Vec<UdpSocket> =
        (3000..3003).map(|port| bind(&site.network.tshost, TSHOST, port)).collect();
    let seen = [ask(&inside[0], &outside), ask(&inside[1], &outside)];
    let [first, second] = seen.map(|seen| seen.expect("there is a port").port());
    assert!(first != second && [first, second].iter().all(|port| [2000, 2001].contains(port)));
    inside[2].connect(endpoint(RHOST, 7000)).expect("a socket can be connected");
    assert_eq!(ask(&inside[2], &outside), None);
    let error = inside[2].take_error().expect("a socket's error can be read");
    assert_eq!(error.and_then(|error| error.raw_os_error()), Some(EHOSTUNREACH));
    assert_eq!(packets(&firewall, "nat-exhausted"), 1);
    for (socket, port) in inside.iter().zip([first, second]) {
        assert!(sockets::delivers(&outside, socket, endpoint(GATEWAY, port), 50).expect("sent"));
    }
}

/// Sends a datagram out, and returns whom it seems to be from.
fn ask(inside: &UdpSocket, outside: &UdpSocket) -> Option<std::net::SocketAddr> {
    let to = outside.local_addr().expect("an address");
    sockets::deliver(inside, outside, to, 700).expect("a datagram can be sent")
}
