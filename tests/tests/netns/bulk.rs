//! Much data, in each mode: nothing is lost, and nothing is changed.

use amanda_fw_tests::sockets::Connection;

use crate::site::{DENY, HOST, INTERFACE, PEER, Site, endpoint, in_mode};

/// Bytes that go each way.
const BYTES: usize = 100_000_000;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bulk_tcp_crosses_tc() {
    check("tc", 1500, 0);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bulk_tcp_crosses_xdp() {
    check("xdp", 1500, 0);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bulk_tcp_crosses_generic_xdp() {
    check("xdp-generic", 1500, 0);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bulk_tcp_crosses_xdp_in_frames_of_several_pieces() {
    check("xdp", 9000, 0);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bulk_tcp_of_ipv6_crosses_xdp() {
    check("xdp", 1500, 1);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bulk_tcp_of_ipv6_crosses_tc() {
    check("tc", 9000, 1);
}

fn check(mode: &str, mtu: u32, family: usize) {
    let site = Site::new();
    site.set_mtu(mtu);
    let firewall = site.firewall(&in_mode(mode, DENY));
    let status = firewall.status(&["--json"]).expect("status answers");
    assert!(status.contains(&format!("\"mode\": \"{mode}\"")), "{status}");
    let there = endpoint(PEER[family], 0);
    let connection = Connection::open(&site.host, &site.peer, there).expect("it can be opened");
    connection.transfer(BYTES).unwrap_or_else(|error| panic!("{mode}, MTU {mtu}: {error:?}"));
    let stranger = Connection::open(&site.peer, &site.host, endpoint(HOST[family], 0));
    assert!(stranger.is_err(), "{INTERFACE} is open in mode {mode}");
}
