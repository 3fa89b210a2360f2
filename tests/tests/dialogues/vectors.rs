//! Vectors: one request and one datagram each, and the ports that the two together open.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_common::rules::Way;
use amanda_fw_tests::frames::{self, Packet, SYN};
use serde::Deserialize;

use crate::exchange::AMANDAD;
use crate::hex;
use crate::host::{
    CLIENT, CLIENT_V6, SERVER, SERVER_V6, STRANGER, STRANGER_V6, Site, endpoint, ip,
};

/// The vectors, as they were measured against the helper in the kernel (6.18).
const VECTORS: &str = include_str!("../data/vectors.json");

/// The payload of an Ethernet frame's fragment.
const FRAGMENT: u16 = 1480;

#[derive(Deserialize)]
struct Vector {
    name: String,
    dir: Direction,
    ipv6: bool,
    #[serde(rename = "req_hex")]
    request: String,
    #[serde(rename = "payload_hex")]
    datagram: String,
    expected_ports: Vec<u16>,
    /// What the helper in the kernel opens.
    kernel_ports: Vec<u16>,
}

#[derive(Clone, Copy, Deserialize)]
enum Direction {
    #[serde(rename = "orig")]
    Original,
    #[serde(rename = "reply")]
    Reply,
}

#[test]
fn a_vector_opens_its_ports_and_no_other() {
    for vector in vectors() {
        let mut expected = vector.expected_ports.clone();
        expected.sort_unstable();
        let site = vector.play();
        assert_eq!(site.client.open_ports(), expected, "{}, at its responder", vector.name);
        assert_eq!(site.server.open_ports(), expected, "{}, at its initiator", vector.name);
    }
}

#[test]
fn the_ports_of_a_vector_are_open_to_its_initiator_alone() {
    for vector in vectors() {
        let site = vector.play();
        let (initiator, responder) = vector.ends();
        for port in vector.probed_ports() {
            let to = SocketAddr::new(responder.ip(), port);
            let accepted = |from: SocketAddr| {
                let syn = frames::tcp(from, to, SYN).ethernet();
                site.clone().client.meets(Way::In, &syn).is_accepted()
            };
            let is_open = vector.expected_ports.contains(&port);
            let name = &vector.name;
            assert_eq!(accepted(SocketAddr::new(initiator.ip(), 50000)), is_open, "{name} {port}");
            assert!(!accepted(SocketAddr::new(vector.stranger(), 50000)), "{name} {port}");
        }
    }
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).expect("vectors in JSON");
    assert_eq!(vectors.len(), 74);
    vectors
}

impl Vector {
    /// Sends the request and the datagram from firewall to firewall.
    fn play(&self) -> Site {
        let mut site = Site::new();
        let (initiator, responder) = self.ends();
        site.passes(&frames::udp(initiator, responder, &hex::decode(&self.request)));
        let (from, to) = match self.dir {
            Direction::Original => (initiator, responder),
            Direction::Reply => (responder, initiator),
        };
        for packet in in_frames(&frames::udp(from, to, &hex::decode(&self.datagram))) {
            site.passes(&packet);
        }
        site
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        let (server, client) = if self.ipv6 { (SERVER_V6, CLIENT_V6) } else { (SERVER, CLIENT) };
        (endpoint(server, 601), endpoint(client, AMANDAD))
    }

    fn stranger(&self) -> IpAddr {
        ip(if self.ipv6 { STRANGER_V6 } else { STRANGER })
    }

    /// Returns the ports that any firewall opens for the vector, and some that none does.
    fn probed_ports(&self) -> Vec<u16> {
        const OTHERS: [u16; 3] = [22, 11002, 49999];
        [self.expected_ports.as_slice(), &self.kernel_ports, &OTHERS].concat()
    }
}

/// Cuts a packet that is too large for one frame.
fn in_frames(packet: &Packet) -> Vec<Packet> {
    if packet.payload.len() <= usize::from(FRAGMENT) {
        return vec![packet.clone()];
    }
    packet.fragments(7, FRAGMENT)
}
