//! What each authentication opens, and what a tape server announces to amoldrecover.

use std::net::SocketAddr;

use amanda_fw_common::auth::Auth;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{self, ACK, Packet, SYN, SYN_ACK};
use amanda_fw_tests::kernel::Hook;

use crate::pair::{CLIENT, Pair, SERVER, STRANGER, devices, ip, settings};
use crate::talk::connection;

const TAPE: u16 = 10083;

/// What the server says, segment by segment, and where the client connects after each, and from.
const SAID: [(&str, u16, u16); 12] = [
    ("ffffffff9efefbfffffffffffffff3fffbf71f", 50010, 701),
    ("CONNECT 22\n", 22, 701),
    ("CONNECT 50010\nX", 50010, 702),
    ("CONNECT 10083\n", 10083, 703),
    ("CONNECT 050010", 50010, 704),
    ("CONNECT 50010\n", 50010, 40000),
    ("CONNECT 50010\n", 50011, 701),
    ("CONNECT 50011\n", 50011, 701),
    ("CONNECT 50010\n", 50010, 701),
    ("CONNECT 50010\n", 50010, 705),
    ("FEEDME A-01\r\n", 50010, 706),
    ("", 50010, 707),
];

#[test]
#[ignore = "needs root: BPF"]
fn a_classic_recovery() {
    let mut pair = Pair::with(opened(&[Auth::Classic]));
    for family in [0, 1] {
        let (client, server) = (ip(CLIENT[family]), ip(SERVER[family]));
        for (home, device) in
            [client, server].into_iter().flat_map(|home| devices().map(move |d| (home, d)))
        {
            pair.clear();
            for port in [TAPE, 10082] {
                let from = SocketAddr::new(client, 700);
                for packet in dialogue(from, SocketAddr::new(server, port)) {
                    pair.meets(device[usize::from(packet.source == home)], &packet);
                }
            }
        }
    }
    assert_eq!(pair.refused, 0, "every frame of a conversation is run");
}

#[test]
#[ignore = "needs root: BPF"]
fn an_announced_port_is_open_to_a_privileged_one() {
    let mut pair = Pair::with(opened(&[Auth::Classic]));
    let from = SocketAddr::new(ip(CLIENT[0]), 700);
    let to = SocketAddr::new(ip(SERVER[0]), TAPE);
    for packet in [frames::tcp(from, to, SYN), frames::tcp(from, to, ACK)] {
        pair.meets(Hook::TcIngress, &packet);
        pair.meets(Hook::TcEgress, &frames::tcp(to, from, SYN_ACK));
    }
    pair.meets(Hook::TcEgress, &frames::tcp_with(to, from, ACK, b"CONNECT 50010\n"));
    let data = |port| {
        let from = SocketAddr::new(from.ip(), port);
        frames::tcp(from, SocketAddr::new(to.ip(), 50010), SYN)
    };
    assert_eq!(pair.meets(Hook::TcIngress, &data(40000)), Some(Reason::PolicyDrop));
    assert_eq!(pair.meets(Hook::TcIngress, &data(701)), Some(Reason::Expected));
    assert_eq!(pair.meets(Hook::TcIngress, &data(702)), Some(Reason::PolicyDrop));
}

#[test]
#[ignore = "needs root: BPF"]
fn what_each_auth_opens() {
    for auth in Auth::ALL {
        let mut pair = Pair::with(opened(&[*auth]));
        for packet in firsts() {
            pair.meets(Hook::TcIngress, &packet);
        }
    }
}

fn opened(auths: &[Auth]) -> Settings {
    let mut settings = settings();
    settings.open(Auth::bits(auths));
    settings
}

/// All that is said on a connection, and after each line what the client tries.
fn dialogue(client: SocketAddr, server: SocketAddr) -> Vec<Packet> {
    let open = [(client, server, SYN), (server, client, SYN_ACK), (client, server, ACK)];
    let mut packets: Vec<Packet> =
        open.map(|(from, to, flags)| frames::tcp(from, to, flags)).into();
    for (text, port, source_port) in SAID {
        packets.push(frames::tcp_with(client, server, ACK, text.as_bytes()));
        packets.push(frames::tcp_with(server, client, ACK, text.as_bytes()));
        let from = SocketAddr::new(client.ip(), source_port);
        packets.extend(connection(from, SocketAddr::new(server.ip(), port)));
    }
    packets
}

/// The first packets to every port of Amanda's, between every two hosts.
fn firsts() -> Vec<Packet> {
    let hosts = [SERVER[0], CLIENT[0], STRANGER[0]].map(ip);
    let pairs = hosts.iter().flat_map(|from| hosts.map(|to| (*from, to)));
    let ends = pairs.filter(|(from, to)| from != to).flat_map(|(from, to)| {
        let sources = [700, 40000].map(|port| SocketAddr::new(from, port));
        let ports = [22, 10080, 10081, 10082, TAPE].map(|port| SocketAddr::new(to, port));
        sources.into_iter().flat_map(move |from| ports.map(|to| (from, to)))
    });
    ends.flat_map(|(from, to)| [frames::tcp(from, to, SYN), frames::udp(from, to, b"?")]).collect()
}
