//! Datagrams that are larger than a frame.

use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::sockets;

use crate::site::{HOST, PEER, Site, endpoint, in_mode};

/// The server is the peer, the client the host.
const BACKUP: &str = r#"[policy]
incoming = "drop"
outgoing = "accept"

[amanda]
servers = ["10.94.0.2", "fd00:94::2"]
clients = ["self"]
control_source_ports = "512:1023"
stream_ports = "50000:50100"
"#;

const AMANDAD: u16 = 10080;

/// A reply with many features and estimates; the largest datagram has 64 KB.
const SIZES: [usize; 3] = [2000, 20_000, 60_000];

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn large_datagrams_of_a_control_flow_cross_tc() {
    check("tc");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn large_datagrams_of_a_control_flow_cross_xdp() {
    check("xdp");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn large_datagrams_of_a_control_flow_cross_generic_xdp() {
    check("xdp-generic");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn fragments_of_a_refused_datagram_stay_out() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let firewall = site.firewall(&in_mode(mode, BACKUP));
        let to = endpoint(HOST[0], AMANDAD);
        let amandad = sockets::bind(&site.host, to).expect("a port can be bound");
        // No request comes from such a port.
        let stranger = sockets::bind(&site.peer, endpoint(PEER[0], 40_000)).expect("a port");
        assert!(!sockets::delivers(&stranger, &amandad, to, 20_000).expect("it can be sent"));
        let reassembled = sockets::counted(&site.host, "Ip", "ReasmReqds").expect("a counter");
        assert_eq!(reassembled, 0, "fragments that reached the host in mode {mode}");
        assert!(packets(&firewall, "fragment-without-first") > 10, "{:?}", firewall.status(&[]));
    }
}

/// Sends datagrams from the server's port to amandad, and back.
fn check(mode: &str) {
    let site = Site::new();
    let firewall = site.firewall(&in_mode(mode, BACKUP));
    for (here, there) in HOST.into_iter().zip(PEER) {
        let (from, to) = (endpoint(there, 850), endpoint(here, AMANDAD));
        let server = sockets::bind(&site.peer, from).expect("a port can be bound");
        let amandad = sockets::bind(&site.host, to).expect("a port can be bound");
        for size in SIZES {
            for (one, other, address) in [(&server, &amandad, to), (&amandad, &server, from)] {
                let delivered = sockets::delivers(one, other, address, size);
                let account = || firewall.account().unwrap_or_default();
                assert!(
                    delivered.expect("it can be sent"),
                    "{size} bytes to {address} in mode {mode}: {}",
                    account()
                );
            }
        }
    }
}

/// Reads how many packets were decided for a reason.
fn packets(firewall: &Firewall<'_>, reason: &str) -> u64 {
    let status = firewall.status(&["--json"]).expect("status answers");
    let status: serde_json::Value = serde_json::from_str(&status).expect("status in JSON");
    let reasons = status["reasons"].as_array().expect("a list of reasons");
    let found = reasons.iter().find(|entry| entry["name"] == reason);
    found.and_then(|entry| entry["packets"].as_u64()).expect("a count of packets")
}
