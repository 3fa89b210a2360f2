//! Replies whose checksums the sender leaves to the device, as Linux does, and wrong ones.

use std::time::Duration;

use amanda_fw_tests::answers::is_seeded;
use amanda_fw_tests::frames::{self, UDP};
use amanda_fw_tests::wire::{self, Tap};
use amanda_fw_tests::{sockets, wait};

use crate::flows::{REPLY, REQUEST, check_expected, say};
use crate::operator::{attach_and_kill, json, loader};
use crate::site::{DENY, HOST, PEER, Site, endpoint, in_mode};

/// The server is the host, the client the peer.
const AMANDA: &str = "\n[amanda]\nservers = [\"self\"]\n\
                      clients = [\"10.94.0.2\", \"fd00:94::2\"]\n";

const AMANDAD: u16 = 10080;

/// The ports of the reply.
const PORTS: [u64; 3] = [50001, 50002, 50003];

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn replies_open_ports_by_their_checksum_over_tc() {
    check("tc");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn replies_open_ports_by_their_checksum_over_xdp() {
    check("xdp");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn replies_open_ports_by_their_checksum_over_generic_xdp() {
    check("xdp-generic");
}

/// Has the client answer with a wrong checksum, and then by a socket.
fn check(mode: &str) {
    for (here, there) in HOST.into_iter().zip(PEER) {
        let site = Site::new();
        let loader = loader(&site, &in_mode(mode, &format!("{DENY}{AMANDA}")));
        attach_and_kill(&loader);
        let (from, to) = (endpoint(here, 850), endpoint(there, AMANDAD));
        let server = sockets::bind(&site.host, from).expect("a port can be bound");
        let amandad = sockets::bind(&site.peer, to).expect("a port can be bound");
        let tap = Tap::open(&site.host).expect("a tap can be opened");
        say(&server, &amandad, REQUEST);
        let mut wrong = frames::udp(to, from, REPLY.as_bytes());
        wrong.payload[6] ^= 0x10;
        wire::send(&site.peer, &wrong, 1).expect("a datagram can be sent");
        wait::until("the wrong checksum", Duration::from_secs(5), || {
            Ok((refused(&json(&loader, &["status"])) == 1).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:?} in mode {mode}"));
        check_expected(&loader, &[]);
        say(&amandad, &server, REPLY);
        check_expected(&loader, &PORTS);
        let is_left_to_device = |frame: &[u8]| {
            let packet = &frame[14..];
            let protocol = if here.contains(':') { packet[6] } else { packet[9] };
            matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd])
                && packet[0] >> 4 == if here.contains(':') { 6 } else { 4 }
                && protocol == UDP
                && is_seeded(packet)
        };
        // They stand in this order on the wire, the wrong reply between them.
        for what in ["the request", "the reply"] {
            tap.find(what, is_left_to_device).expect("checksums that are left to the device");
        }
    }
}

fn refused(status: &serde_json::Value) -> u64 {
    let occurrences = status["occurrences"].as_array().expect("a list of occurrences");
    let found = occurrences.iter().find(|entry| entry["name"] == "refused-checksum");
    found.and_then(|entry| entry["count"].as_u64()).expect("a count")
}
