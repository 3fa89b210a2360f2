//! What the other end is told of a rejected packet: at once, and in words that Linux understands.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use amanda_fw_common::rules::Rejection;
use amanda_fw_common::wire::{Link, Packet as Read};
use amanda_fw_tests::answers::{self, Layer};
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames::{self, ACK, Packet, SYN};
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::sockets;
use amanda_fw_tests::wire::{self, Tap};

use crate::site::{HOST, INTERFACE, PEER, Site, endpoint, in_mode, run};

const REJECT_IN: &str = "[policy]\nincoming = \"reject\"\noutgoing = \"accept\"\n";
const REJECT_OUT: &str = "[policy]\nincoming = \"drop\"\noutgoing = \"reject\"\n";
const ACCEPT: &str = "[policy]\nincoming = \"accept\"\noutgoing = \"accept\"\n";
const MODES: [&str; 3] = ["tc", "xdp-generic", "xdp"];

const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;
const ENETUNREACH: i32 = 101;
const ENOPROTOOPT: i32 = 92;
const EPROTO: i32 = 71;
const EACCES: i32 = 13;

/// Ways to reject, and what connect() says then over IPv4 and IPv6 (icmp_err_convert,
/// icmpv6_err_convert).
const ERRORS: [(&str, [i32; 2]); 8] = [
    ("tcp-reset", [ECONNREFUSED, ECONNREFUSED]),
    ("port-unreachable", [ECONNREFUSED, ECONNREFUSED]),
    ("host-unreachable", [EHOSTUNREACH, EHOSTUNREACH]),
    ("net-unreachable", [ENETUNREACH, ENETUNREACH]),
    ("protocol-unreachable", [ENOPROTOOPT, EPROTO]),
    ("admin-prohibited", [EHOSTUNREACH, EACCES]),
    ("host-prohibited", [EHOSTUNREACH, EACCES]),
    ("net-prohibited", [ENETUNREACH, EACCES]),
];

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn who_comes_in_is_refused_at_once() {
    for mode in MODES {
        let site = Site::new();
        let _polling = polling(&site);
        let _firewall = site.firewall(&in_mode(mode, REJECT_IN));
        for address in HOST {
            check(mode, &site.peer, address, [Some(ECONNREFUSED); 2]);
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn who_goes_out_is_refused_at_once() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let _firewall = site.firewall(&in_mode(mode, REJECT_OUT));
        for address in PEER {
            check(mode, &site.host, address, [Some(ECONNREFUSED); 2]);
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_device_without_a_link_header_refuses() {
    const ADDRESSES: [&str; 2] = ["10.95.0.1/24", "fd00:95::1/64"];
    let site = Site::new();
    let ip = |arguments: &[&str]| run(site.host.enter_net_only("ip").args(arguments));
    ip(&["tuntap", "add", "dev", "tun0", "mode", "tun"]);
    for address in ADDRESSES {
        ip(&["address", "add", address, "dev", "tun0"]);
    }
    ip(&["link", "set", "tun0", "up"]);
    let firewall = Firewall::attach(&site.bench, &site.host, "tun0", REJECT_OUT);
    let _firewall = firewall.unwrap_or_else(|error| panic!("{error:?}"));
    for address in ["10.95.0.2", "fd00:95::2"] {
        check("tun", &site.host, address, [Some(ECONNREFUSED); 2]);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn every_rejection_has_its_error() {
    for mode in MODES {
        let site = Site::new();
        let _polling = polling(&site);
        let _firewall = site.firewall(&in_mode(mode, &rules()));
        for (port, (rejection, errors)) in (2000..).zip(ERRORS) {
            for (address, expected) in HOST.into_iter().zip(errors) {
                let error = connect(&site.peer, endpoint(address, port));
                assert_eq!(error, Some(expected), "{mode} {rejection} {address}");
            }
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn what_is_on_the_wire_is_sound() {
    for mode in MODES {
        let site = Site::new();
        let _polling = polling(&site);
        let _firewall = site.firewall(&in_mode(mode, &rules()));
        for packet in packets() {
            let [sent, answer] = exchange(&site, &packet);
            answers::check(&sent, 14, &answer, false);
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn who_goes_out_hears_nothing_of_generic_xdp() {
    // The answer comes in through generic XDP, where it answers nothing that is known.
    const AGAIN: i32 = 11;
    let site = Site::new();
    let _firewall = site.firewall(&in_mode("xdp-generic", REJECT_OUT));
    for address in PEER {
        assert_eq!(ask(&site.host, endpoint(address, 80)), Some(AGAIN), "{address}");
    }
}

#[test]
#[ignore = "needs root: network namespaces, BPF and nft"]
fn answers_are_those_of_netfilter() {
    const REJECT: &str = "add table inet afw; \
        add chain inet afw in { type filter hook input priority 0; policy accept; }; \
        add rule inet afw in tcp dport 2000 reject with tcp reset; \
        add rule inet afw in meta l4proto { tcp, udp } reject with icmpx port-unreachable";
    let site = Site::new();
    for path in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
        site.host.set_sysctl(path, "0").expect("a sysctl can be set");
    }
    run(site.host.enter_net_only("nft").arg(REJECT));
    for packet in packets() {
        let [sent, theirs] = exchange(&site, &packet);
        let mut read = Read::default();
        assert_eq!(amanda_fw_common::wire::parse(&sent[..], Link::Ethernet, &mut read), Ok(()));
        let is_reset = read.destination.port == 2000;
        let rejection = if is_reset { Rejection::TcpReset } else { Rejection::Port };
        let ours = answers::assemble(&sent, &read, rejection, Layer::Tc).expect("an answer");
        check_alike(ours, theirs, is_reset);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_flood_gets_few_answers() {
    const FLOOD: u32 = 5000;
    let site = Site::new();
    let firewall = site.firewall(&in_mode("tc", REJECT_IN));
    // The first one finds the neighbour.
    let _ = connect(&site.peer, endpoint(HOST[0], 80));
    let before = [counted(&firewall, "rejects-sent"), counted(&firewall, "rejects-suppressed")];
    let syn = frames::tcp(endpoint(PEER[0], 4000), endpoint(HOST[0], 80), SYN);
    wire::send(&site.peer, &syn, FLOOD).expect("segments can be sent");
    let after = [counted(&firewall, "rejects-sent"), counted(&firewall, "rejects-suppressed")];
    let [sent, suppressed] = [after[0] - before[0], after[1] - before[1]];
    assert_eq!(sent + suppressed, u64::from(FLOOD));
    assert!(sent > 0 && suppressed > sent, "{sent} answers");
}

/// Checks that an answer is netfilter's but for what is meant to differ: it has neither precedence,
/// nor identification, nor flow label, and quotes whole words, of IPv6 no more than 960 bytes.
#[track_caller]
fn check_alike(mut ours: Vec<u8>, mut theirs: Vec<u8>, is_reset: bool) {
    const LONGEST: usize = 14 + 40 + 8 + 960;
    let is_v4 = ours[14] == 0x45;
    assert!(theirs.len() - ours.len() < 4 || ours.len() == LONGEST, "{theirs:02x?}");
    theirs.truncate(ours.len());
    let transport = if is_v4 { 34 } else { 54 };
    let checksum = if is_reset { transport + 16 } else { transport + 2 };
    for bytes in [&mut ours, &mut theirs] {
        // A checksum may be left to the device, and the lengths are compared above.
        bytes[checksum..][..2].fill(0);
        if is_v4 && !is_reset {
            // Type of service to fragmentation, and the checksum over them.
            bytes[15..22].fill(0);
            bytes[24..26].fill(0);
        } else if !is_v4 {
            bytes[15..20].fill(0);
        }
    }
    assert_eq!(ours, theirs);
}

/// Returns a rule for every way to reject, each for a port of its own.
fn rules() -> String {
    let rule = |(port, (rejection, _)): (u16, (&str, _))| {
        let is_reset = rejection == "tcp-reset";
        let protocol = if is_reset { "\"tcp\"" } else { "[\"tcp\", \"udp\"]" };
        format!(
            "[[rule]]\nprotocol = {protocol}\nports = {port}\naction = \"reject\"\n\
             reject_with = \"{rejection}\"\n"
        )
    };
    let rules: String = (2000..).zip(ERRORS).map(rule).collect();
    format!("{ACCEPT}{rules}")
}

/// Makes packets of every size for those rules.
fn packets() -> Vec<Packet> {
    let ends =
        |port| PEER.into_iter().zip(HOST).map(move |(a, b)| (endpoint(a, 4000), endpoint(b, port)));
    let mut packets = Vec::new();
    for (port, length) in [(2000, 0), (2000, 700), (2001, 0), (2001, 3), (2002, 600), (2005, 1400)]
    {
        for (from, to) in ends(port) {
            let data = vec![0x5a; length];
            packets.push(frames::tcp_with(from, to, if length == 0 { SYN } else { ACK }, &data));
            if port != 2000 {
                packets.push(frames::udp(from, to, &data));
            }
        }
    }
    packets
}

/// Sends a packet from the peer, and returns its frame and that of the answer.
fn exchange(site: &Site, packet: &Packet) -> [Vec<u8>; 2] {
    let tap = Tap::open(&site.peer).expect("a wire can be listened to");
    wire::send(&site.peer, packet, 1).expect("a packet can be sent");
    let sent = tap.find("the packet", |frame| frame.ends_with(&packet.payload));
    let is_answer = |frame: &[u8]| is_to_peer(frame) && !is_neighbour(frame);
    let answer = tap.find("an answer", is_answer);
    [sent, answer].map(|frame| frame.unwrap_or_else(|error| panic!("{error:?}: {packet:?}")))
}

fn is_to_peer(frame: &[u8]) -> bool {
    let [v4, v6] = PEER.map(|address| endpoint(address, 0).ip());
    match (v4, v6, &frame[12..14]) {
        (std::net::IpAddr::V4(v4), _, [8, 0]) => frame[30..34] == v4.octets(),
        (_, std::net::IpAddr::V6(v6), [0x86, 0xdd]) => frame[38..54] == v6.octets(),
        _ => false,
    }
}

/// Tells whether a frame is neighbour discovery.
fn is_neighbour(frame: &[u8]) -> bool {
    frame[12] == 0x86 && frame[20] == frames::ICMPV6 && (133..=137).contains(&frame[54])
}

/// Has the peer poll its end of the wire, without which native XDP cannot send to it.
fn polling(site: &Site) -> Firewall<'_> {
    let attached = Firewall::attach(&site.bench, &site.peer, INTERFACE, &in_mode("xdp", ACCEPT));
    attached.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Checks what connecting to an address says, and sending a datagram there.
#[track_caller]
fn check(mode: &str, from: &Namespace, address: &str, expected: [Option<i32>; 2]) {
    let to = endpoint(address, 80);
    assert_eq!([connect(from, to), ask(from, to)], expected, "{mode} {address}: TCP, UDP");
}

/// Returns the error that connecting gives.
///
/// Where an ICMP error comes back while connect() still holds its socket, Linux passes it over
/// (LockDroppedIcmps), and the next SYN, after a second, is answered like the first.
fn connect(from: &Namespace, to: SocketAddr) -> Option<i32> {
    let connect = || Ok(TcpStream::connect_timeout(&to, Duration::from_secs(5)));
    let connected = sockets::inside(from, connect).expect("a namespace can be moved into");
    connected.err()?.raw_os_error()
}

/// Returns the error that is there instead of an answer to a datagram.
fn ask(from: &Namespace, to: SocketAddr) -> Option<i32> {
    let any = if to.is_ipv4() { "0.0.0.0" } else { "::" };
    let socket = sockets::bind(from, endpoint(any, 0)).expect("a port can be bound");
    socket.connect(to).expect("a route is there");
    socket.send(b"anybody?").expect("a datagram can be sent");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time limit");
    socket.recv(&mut [0; 8]).err()?.raw_os_error()
}

/// Reads a counter out of the status.
fn counted(firewall: &Firewall<'_>, name: &str) -> u64 {
    let status = firewall.status(&[]).expect("the status can be asked for");
    let line = status.lines().find_map(|line| line.trim().strip_prefix(name));
    line.map_or(0, |number| number.trim().parse().expect("a number"))
}
