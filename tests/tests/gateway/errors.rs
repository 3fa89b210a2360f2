//! ICMP errors about translated packets, which reach who sent them.

use std::net::UdpSocket;
use std::time::Duration;

use crate::network::{GATEWAY, RHOST, TSHOST, endpoint, ip};
use crate::site::{FORWARDED, MASQUERADE, Site, bind, ping};

const ECONNREFUSED: i32 = 111;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_host_inside_hears_of_a_closed_port_outside() {
    let site = Site::new();
    let _firewall = site.firewall(MASQUERADE);
    let socket = bind(&site.network.tshost, TSHOST, 5000);
    assert_eq!(error(&socket, RHOST, 9999), Some(ECONNREFUSED));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_host_outside_hears_of_a_closed_port_inside() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, FORWARDED].concat());
    let socket = bind(&site.network.rhost, RHOST, 5000);
    assert_eq!(error(&socket, GATEWAY, 8083), Some(ECONNREFUSED));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_host_inside_sees_the_routers_on_its_way() {
    // Nobody has it; the host outside forwards it to nowhere.
    const FAR: &str = "9.9.9.9";
    let site = Site::new();
    ip(&site.network.rhost, &["route", "add", FAR, "dev", "eth0"]);
    site.network.rhost.set_sysctl("net/ipv4/ip_forward", "1").expect("a sysctl can be set");
    let _firewall = site.firewall(MASQUERADE);
    for (hops, router) in [("1", "192.168.2.1"), ("2", RHOST)] {
        let said = ping(&site.network.tshost, FAR, &["-t", hops]).stdout;
        let expected = format!("From {router} icmp_seq=1 Time to live exceeded");
        assert!(said.contains(&expected), "{hops}: {said}");
    }
}

/// Sends to a port, and returns the error that comes back.
fn error(socket: &UdpSocket, address: &str, port: u16) -> Option<i32> {
    socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a read can be limited");
    socket.connect(endpoint(address, port)).expect("a socket can be connected");
    socket.send(b"is anybody there?").expect("a datagram can be sent");
    socket.recv(&mut [0; 16]).expect_err("nobody answers").raw_os_error()
}
