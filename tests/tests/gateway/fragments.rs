//! Datagrams in fragments, whose ports only the first one has.

use std::net::UdpSocket;

use amanda_fw_tests::frames::{self, UDP};
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::probes::Probes;
use amanda_fw_tests::sockets;

use crate::network::{GATEWAY, RHOST, TSHOST, endpoint};
use crate::site::{FORWARDED, MASQUERADE, Site, bind, packets};

/// Seven fragments.
const LARGE: usize = 9000;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn large_datagrams_cross_a_masquerade_both_ways() {
    let site = Site::new();
    let _firewall = site.firewall(MASQUERADE);
    let (inside, outside) = ends(&site, 850, 10080);
    check(&inside, &outside, RHOST, 10080, LARGE);
    check(&outside, &inside, GATEWAY, 850, LARGE);
    check(&outside, &inside, GATEWAY, 850, 60_000);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn large_datagrams_cross_a_destination_translation_both_ways() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, FORWARDED].concat());
    let (inside, outside) = ends(&site, 81, 900);
    check(&outside, &inside, GATEWAY, 8081, LARGE);
    check(&inside, &outside, RHOST, 900, LARGE);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_datagram_whose_first_fragment_comes_last_arrives() {
    let site = Site::new();
    let firewall = site.firewall(&[MASQUERADE, FORWARDED].concat());
    let (inside, outside) = ends(&site, 81, 900);
    let send = |from: &Namespace, source: &str, port: u16, to: &str, to_port: u16, id: u32| {
        let data: Vec<u8> = (0..=250).cycle().take(3000).collect();
        let whole = frames::udp(endpoint(source, port), endpoint(to, to_port), &data);
        let mut fragments = whole.fragments(id, 1000);
        fragments.rotate_left(1);
        let probes = Probes::open(from, &site.network.fwhost, &[UDP]).expect("raw sockets");
        for fragment in &fragments {
            probes.send(fragment).expect("a fragment can be sent");
        }
        data
    };
    let data = send(&site.network.rhost, RHOST, 900, GATEWAY, 8081, 7);
    assert_eq!(received(&inside), data, "{}", account(&firewall));
    let held = packets(&firewall, "fragment-held");
    assert!(held > 0, "{}", account(&firewall));
    let data = send(&site.network.tshost, TSHOST, 81, RHOST, 900, 8);
    assert_eq!(received(&outside), data, "{}", account(&firewall));
    assert!(packets(&firewall, "fragment-held") > held, "{}", account(&firewall));
}

fn account(firewall: &amanda_fw_tests::firewall::Firewall<'_>) -> String {
    firewall.status(&[]).unwrap_or_default()
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; LARGE];
    let timeout = std::time::Duration::from_secs(3);
    socket.set_read_timeout(Some(timeout)).expect("a read can be limited");
    let length = socket.recv(&mut bytes).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

fn ends(site: &Site, inside: u16, outside: u16) -> (UdpSocket, UdpSocket) {
    (bind(&site.network.tshost, TSHOST, inside), bind(&site.network.rhost, RHOST, outside))
}

#[track_caller]
fn check(from: &UdpSocket, to: &UdpSocket, address: &str, port: u16, size: usize) {
    let delivered = sockets::delivers(from, to, endpoint(address, port), size);
    assert!(delivered.expect("a datagram can be sent"), "{size} bytes to {address}:{port}");
}
