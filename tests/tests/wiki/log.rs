//! The log lines of the page, and those of many other packets, by the kernel and by amanda-fw.

use std::time::Duration;

use amanda_fw_tests::bench::unique_name;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames::{
    self, ACK, AUTHENTICATION, DESTINATION, FIN_ACK, HOP_BY_HOP, Packet, RST, SYN,
};
use amanda_fw_tests::kernel_log::KernelLog;
use amanda_fw_tests::probes::Probes;
use amanda_fw_tests::wait;

use crate::netfilter::script;
use crate::recipes::AMRECOVER;
use crate::site::{INTERFACE, Site, address};

/// The longest that a line may take.
const NOTICE: Duration = Duration::from_secs(10);

/// The first and the last line of the page's session, without date and host.
const PAGE: [(&str, &str); 2] = [
    (
        "amanda high: ",
        "IN=eth0 OUT= MAC=00:90:f5:3c:de:6d:00:0c:29:d7:98:6c:08:00 SRC=192.168.10.211 \
         DST=192.168.10.237 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=9053 DF PROTO=TCP SPT=586 DPT=10082 \
         WINDOW=5840 RES=0x00 SYN URGP=0",
    ),
    (
        "amanda low: ",
        "IN=eth0 OUT= MAC=00:90:f5:3c:de:6d:00:0c:29:d7:98:6c:08:00 SRC=192.168.10.211 \
         DST=192.168.10.237 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=48387 DF PROTO=TCP SPT=643 DPT=1130 \
         WINDOW=5840 RES=0x00 SYN URGP=0",
    ),
];

/// The page's hosts, "boston" and the one that recovers.
const BOSTON: [&str; 2] = ["192.168.10.237/24", "fd00:10::237/64"];
const RECOVERING: [&str; 2] = ["192.168.10.211/24", "fd00:10::211/64"];
const BOSTONS_MAC: &str = "00:90:f5:3c:de:6d";
const RECOVERINGS_MAC: &str = "00:0c:29:d7:98:6c";

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_sessions_lines_are_those_of_the_page() {
    let site = boston();
    site.script(&script(&AMRECOVER));
    for mode in ["tc", "xdp"] {
        let config = AMRECOVER.config;
        let config = format!("{config}\n[interfaces.{INTERFACE}]\nmode = \"{mode}\"\n");
        let mut logs = Logs::follow(&site, &config);
        let probes = site.probes(&[frames::TCP]);
        for ((prefix, line), packet) in PAGE
            .into_iter()
            .zip([segment("586", "10082", 9053, SYN), segment("643", "1130", 48387, SYN)])
        {
            probes.send(&packet).expect("a packet can be sent");
            logs.check(prefix, Some(line));
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn every_kind_of_packet_is_logged_as_by_the_kernel() {
    let site = boston();
    let prefix = format!("{}: ", unique_name("k"));
    site.script(&log_everything(&prefix));
    for mode in ["tc", "xdp"] {
        let mut logs = Logs::follow(&site, &config(&prefix, mode));
        let probes = site.probes(&[frames::TCP]);
        for bytes in incoming() {
            send(&probes, &bytes);
            logs.check(&prefix, None);
        }
        let outward = Probes::open(&site.host, &site.peer, &[frames::UDP]).expect("sockets");
        for family in [0, 1] {
            let (from, to) = (plain(BOSTON[family]), plain(RECOVERING[family]));
            send(&outward, &frames::udp(end(from, "1"), end(to, "9"), b"out").bytes());
            logs.check(&prefix, None);
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn errors_that_the_policy_keeps_in_are_logged_as_by_the_kernel() {
    let site = boston();
    let prefix = format!("{}: ", unique_name("e"));
    site.script(&log_errors(&prefix));
    let policy = format!(
        r#"
[policy]
incoming = "accept"
outgoing = "drop"
log = {{ prefix = "{prefix}", rate = "1000000/s" }}
"#
    );
    let mut logs = Logs::follow(&site, &policy);
    let outward = Probes::open(&site.host, &site.peer, &[frames::ICMP]).expect("sockets");
    for bytes in errors() {
        send(&outward, &bytes);
        logs.check(&prefix, None);
    }
}

/// Errors about packets that nobody has sent: an unreachable port, an MTU, a parameter.
fn errors() -> Vec<Vec<u8>> {
    let mut errors = Vec::new();
    for (family, kinds) in [(0, [[3, 3], [3, 4], [12, 0]]), (1, [[1, 4], [2, 0], [4, 1]])] {
        let (from, to) = (plain(BOSTON[family]), plain(RECOVERING[family]));
        let (lost, by) = (end(to, "700"), end(from, "10080"));
        for packet in [frames::udp(lost, by, b"Amanda 2.4"), frames::tcp(lost, by, SYN)] {
            // Eight bytes behind the header are less than a header of TCP.
            let quoted = packet.bytes();
            let shorter = quoted.len() - packet.payload.len() + 8;
            let body = [&[9, 0, 5, 220][..], &quoted[..shorter]].concat();
            errors.extend(
                kinds.map(|kind| frames::icmp(address(from), address(to), kind, &body).bytes()),
            );
        }
    }
    errors
}

/// Has iptables log the errors that go out.
fn log_errors(prefix: &str) -> String {
    let log = format!("-j LOG --log-prefix '{prefix}'");
    format!(
        "iptables -A OUTPUT -p icmp {log}\n\
         for kind in destination-unreachable packet-too-big parameter-problem; do\n\
         ip6tables -A OUTPUT -p icmpv6 --icmpv6-type $kind {log}\n\
         done\n"
    )
}

/// Has iptables log all that comes in but neighbour discovery, and what goes out to one port.
fn log_everything(prefix: &str) -> String {
    let log = format!("-j LOG --log-prefix '{prefix}'");
    format!(
        "iptables -A INPUT {log}\n\
         iptables -A OUTPUT -p udp --dport 9 {log}\n\
         ip6tables -A INPUT -p icmpv6 ! --icmpv6-type echo-request -j ACCEPT\n\
         ip6tables -A INPUT {log}\n\
         ip6tables -A OUTPUT -p udp --dport 9 {log}\n"
    )
}

/// The same for amanda-fw, at a rate that packets cannot exceed.
fn config(prefix: &str, mode: &str) -> String {
    format!(
        r#"
[policy]
incoming = "accept"
outgoing = "accept"

[[rule]]
action = "log"
log = {{ prefix = "{prefix}", rate = "1000000/s" }}

[[rule]]
direction = "out"
protocol = "udp"
ports = 9
action = "log"
log = {{ prefix = "{prefix}", rate = "1000000/s" }}

[interfaces.{INTERFACE}]
mode = "{mode}"
"#
    )
}

/// Packets of every protocol and option that the LOG target tells apart.
///
/// Not among them: fragments, of which the kernel logs the whole; answers and errors, which meet no
/// rule of amanda-fw's; and what is malformed, which it drops before.
fn incoming() -> Vec<Vec<u8>> {
    [v4(), v6()].concat()
}

const UDPLITE: u8 = 136;

fn v4() -> Vec<Vec<u8>> {
    const FLAGS: [u8; 5] = [SYN, SYN | 0xc0, ACK, RST, FIN_ACK | 0x28];
    // Each from a port of its own: what belongs to a flow meets no rule.
    let flags = (586_u16..).zip(FLAGS);
    let segments = flags.map(|(from, flags)| segment(&from.to_string(), "10082", 7, flags).bytes());
    let mut packets: Vec<Vec<u8>> = segments.collect();
    let (from, to) = (plain(RECOVERING[0]), plain(BOSTON[0]));
    let udp = |port| frames::udp(end(from, port), end(to, "10080"), b"Amanda 2.4").bytes();
    packets.push(udp("700"));
    packets.push(patched(&udp("701"), &[(1, 0xff), (5, 9), (6, 0xc0), (8, 3)]));
    packets.push(patched(&udp("702"), &[(1, 0x1e), (5, 10), (6, 0), (9, UDPLITE)]));
    packets.push(with_options(&udp("703")));
    packets.push(frames::echo(address(from), address(to), 77).bytes());
    // A timestamp, a router solicitation, and a redirect that quotes the datagram.
    let icmp = |kind, body: &[u8]| frames::icmp(address(from), address(to), [kind, 1], body);
    packets.push(icmp(13, &[0, 5, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).bytes());
    packets.push(icmp(10, &[0; 4]).bytes());
    let reversed = frames::udp(end(to, "700"), end(from, "10080"), b"Amanda 2.4").bytes();
    packets.push(icmp(5, &[&[192, 168, 10, 9], &reversed[..28]].concat()).bytes());
    // IGMP, IP in IP, GRE, ESP, AH, SCTP, and a number of nobody's.
    for protocol in [2, 4, 47, 50, 51, 132, 253] {
        let body = vec![0x11, 0x22, 0x33, protocol, 1, 2, 3, 4, 5, 6, 7, 8];
        packets.push(Packet::new(address(from), address(to), protocol, body).bytes());
    }
    packets
}

fn v6() -> Vec<Vec<u8>> {
    let (from, to) = (plain(RECOVERING[1]), plain(BOSTON[1]));
    let udp = |port| frames::udp(end(from, port), end(to, "10080"), b"Amanda 2.4");
    let syn = frames::tcp(end(from, "586"), end(to, "10082"), SYN);
    let mut packets = vec![
        syn.bytes(),
        // Traffic class 0xbc and flow label 0xabcde.
        patched(&udp("700").bytes(), &[(0, 0x6b), (1, 0xca), (2, 0xbc), (3, 0xde), (7, 9)]),
        udp("701").extended(&[HOP_BY_HOP]).bytes(),
        udp("702").extended(&[DESTINATION, AUTHENTICATION]).bytes(),
        frames::echo(address(from), address(to), 77).bytes(),
    ];
    for protocol in [47, 50, 132, 253] {
        let body = vec![0x11, 0x22, 0x33, protocol, 1, 2, 3, 4, 5, 6, 7, 8];
        packets.push(Packet::new(address(from), address(to), protocol, body).bytes());
    }
    packets
}

/// Makes a segment of the page's session: 20 bytes of options, and its window.
fn segment(from: &str, to: &str, id: u32, flags: u8) -> Packet {
    const NO_OPERATION: [u8; 20] = [1; 20];
    const HEADER_OF_40: u8 = 10 << 4;
    let (from, to) = (end(plain(RECOVERING[0]), from), end(plain(BOSTON[0]), to));
    let mut packet = frames::tcp_with(from, to, flags, &NO_OPERATION);
    packet.payload[12] = HEADER_OF_40;
    packet.payload[14..16].copy_from_slice(&5840_u16.to_be_bytes());
    Packet { id, ..packet.with_checksum(16) }
}

/// Changes bytes of a packet; those of an IPv4 header's checksum are the sending kernel's.
fn patched(bytes: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, byte) in changes {
        bytes[at] = byte;
    }
    bytes
}

/// Puts four bytes of options into an IPv4 header.
fn with_options(bytes: &[u8]) -> Vec<u8> {
    const HEADER_OF_24: u8 = 0x46;
    const NO_OPERATION: [u8; 4] = [1; 4];
    let length = bytes[3] + 4;
    let header = patched(&bytes[..20], &[(0, HEADER_OF_24), (3, length), (5, 11)]);
    [&header, &NO_OPERATION[..], &bytes[20..]].concat()
}

fn boston() -> Site {
    let site = Site::with_addresses(&BOSTON, &RECOVERING, plain(RECOVERING[0]));
    site.script(&format!("ip link set {INTERFACE} address {BOSTONS_MAC}"));
    let mut set = site.peer.enter_net_only("ip");
    crate::site::run(set.args(["link", "set", INTERFACE, "address", RECOVERINGS_MAC]));
    for namespace in [&site.host, &site.peer] {
        let mut flush = namespace.enter_net_only("ip");
        crate::site::run(flush.args(["neigh", "flush", "dev", INTERFACE]));
    }
    site
}

fn plain(network: &'static str) -> &'static str {
    network.split('/').next().unwrap_or(network)
}

fn end(address: &str, port: &str) -> std::net::SocketAddr {
    let port = port.parse().expect("a port");
    std::net::SocketAddr::new(crate::site::address(address), port)
}

fn send(probes: &Probes, bytes: &[u8]) {
    let to = match bytes[0] >> 4 {
        4 => std::net::IpAddr::from(<[u8; 4]>::try_from(&bytes[16..20]).expect("4 bytes")),
        _ => std::net::IpAddr::from(<[u8; 16]>::try_from(&bytes[24..40]).expect("16 bytes")),
    };
    probes.send_bytes(to, bytes).expect("a packet can be sent");
}

/// What both have logged.
struct Logs<'a> {
    kernel: KernelLog,
    firewall: Firewall<'a>,
    read: u64,
}

impl<'a> Logs<'a> {
    fn follow(site: &'a Site, config: &str) -> Self {
        let kernel = KernelLog::follow().expect("the kernel's log can be read");
        Self { kernel, firewall: site.firewall(config), read: 0 }
    }

    /// Checks that the two log the same line behind a prefix, and that it is the expected one.
    #[track_caller]
    fn check(&mut self, prefix: &str, expected: Option<&str>) {
        let by_kernel = wait::until("the kernel's line", NOTICE, || {
            Ok(self.kernel.lines()?.iter().find_map(|line| fields(line, prefix)))
        });
        let Self { firewall, read, .. } = self;
        let by_us = wait::until("amanda-fw's line", NOTICE, || {
            let lines = firewall.events()?.lines_from(read)?;
            Ok(lines.iter().find_map(|line| fields(line, prefix)))
        });
        let by_kernel = by_kernel.expect("the kernel logs it");
        let by_us = by_us.unwrap_or_else(|error| {
            panic!("{error:#}: {by_kernel}\n{:?}\n{:?}", firewall.account(), firewall.status(&[]))
        });
        assert_eq!(by_us, by_kernel, "by amanda-fw, and by the kernel");
        assert_eq!(by_us, expected.unwrap_or(&by_us));
    }
}

/// Returns what follows a prefix in a line about the page's hosts, without the blank that the kernel
/// ends its lines with.
fn fields(line: &str, prefix: &str) -> Option<String> {
    const HOSTS: [&str; 2] = ["192.168.10.211", "fd00:0010:"];
    let (_, fields) = line.split_once(prefix)?;
    let is_theirs = HOSTS.iter().any(|host| fields.contains(host));
    is_theirs.then(|| fields.trim_end().to_owned())
}
