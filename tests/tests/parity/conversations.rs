//! Whole conversations, seen by the firewalls of both hosts, on every kind of device.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::Link;
use amanda_fw_tests::frames::{self, ACK, FIN_ACK, Packet, QINQ, RST, SYN, SYN_ACK, VLAN};

use crate::pair::{CLIENT, Pair, SERVER, STRANGER, devices, ip};
use crate::talk::{AMANDAD, Talk, connection};

const FOUR: &str = "CONNECT DATA 50002 MESG 50003 INDEX 50004 STATE 50005\n";

#[test]
#[ignore = "needs root: BPF"]
fn a_dump_with_four_streams() {
    check(|family| {
        let talk = Talk::backup(family);
        let streams = [50002, 50003, 50004, 50005].iter().flat_map(|port| talk.stream(*port));
        talk.whole("sendbackup", FOUR).into_iter().chain(streams).collect()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn a_dump_without_index() {
    check(|family| {
        let talk = Talk::backup(family);
        let mut packets = talk.whole("sendbackup", "CONNECT DATA 50002 MESG 50003 INDEX -1\n");
        packets.extend(talk.stream(50003));
        packets.extend(talk.stream(50004));
        packets.extend(talk.stream(50002));
        packets
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn a_recovery() {
    check(|family| {
        let index = Talk::recovery(family);
        let tape = Talk { sequence: 12, ..index };
        let mut packets = index.whole("amindexd", "CONNECT MESG 50010\n");
        packets.extend(index.stream(50010));
        packets.extend(tape.whole("amidxtaped", "CONNECT CTL 50011 DATA 50012 STATE 50013\n"));
        for port in [50011, 50012, 50013] {
            packets.extend(tape.stream(port));
        }
        packets
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn a_dump_over_bsdudp() {
    check(|family| {
        let talk = Talk::backup(family);
        let line = "CONNECT DATA 50002 MESG 499998 INDEX 499997\n";
        [talk.whole("sendbackup", line), talk.stream(50002)].concat()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn services_without_streams() {
    check(|family| {
        let talk = Talk::backup(family);
        let services = ["noop", "selfcheck", "sendsize", "unheard-of"];
        let talks = (1..).zip(services).flat_map(|(sequence, service)| {
            let talk = Talk { sequence, ..talk };
            talk.whole(service, "OPTIONS features=ff;\n/srv 0 SIZE 12\n")
        });
        talks.chain(Talk { sequence: 9, ..talk }.whole("selfcheck", FOUR)).collect()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn replies_that_open_nothing() {
    check(|family| {
        let lines = [
            "CONNECT DATA 50002 MESG 50003 INDEX 22 STATE 50005\n",
            "CONNECT DATA 50002 MESG 50003 INDEX 50101\n",
            "CONNECT DATA -1 MESG 50003 INDEX 50004\n",
            "CONNECT DATA 50002 MESG 50003 INDEX 50002\n",
            "CONNECT DATA 50002 MESG 50003 INDEX 70000\n",
            "CONNECT DATA 050002 MESG 50003 INDEX 50004\n",
            "CONNECT DATA 50002  MESG 50003 INDEX 50004\n",
            "CONNECT DATA 50002 MESG 50003 INDEX 50004",
            "CONNECT DATA 50002 MESG 50003 INDEX\n",
            "CONNECT\n",
            "CONNECT \n",
            "CONNECT DATA 50002\n",
            "CONNECT MESG 50002 DATA 50003 INDEX 50004\n",
            "CONNECT DATA 50002 MESG 50003 INDEX 50004 STATE 50005 CMD 50006 CTL 50007\n",
            "ERROR not allowed\n",
            "",
        ];
        let talk = Talk::backup(family);
        let whole = |(sequence, line)| Talk { sequence, ..talk }.whole("sendbackup", line);
        (1..).zip(lines).flat_map(whole).collect()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn a_dump_of_amanda_4_with_five_streams() {
    check(|family| {
        let talk = Talk::backup(family);
        let line = "CONNECT DATA 50002 MESG 50003 INDEX 50004 STATE 50005 CMD 50006\n";
        [talk.whole("sendbackup", line), talk.stream(50006)].concat()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn datagrams_that_are_repeated_late_refused_or_unasked() {
    check(|family| {
        let talk = Talk::backup(family);
        let other = Talk { sequence: 5, ..talk };
        vec![
            talk.reply(FOUR),
            talk.request("sendbackup"),
            talk.request("sendbackup"),
            talk.receipt(),
            talk.answers(&talk.text("PREP", "part\n")),
            other.reply(FOUR),
            talk.says(&talk.text("REP", FOUR)),
            talk.reply(FOUR),
            talk.reply(FOUR),
            talk.request("sendbackup"),
            talk.answers(&talk.text("NAK", "ERROR late\n")),
            other.request("sendbackup"),
            other.answers(&other.text("NAK", "ERROR execute access denied\n")),
            other.reply(FOUR),
            talk.says("hello"),
            talk.says(""),
            talk.answers(""),
        ]
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn control_flows_that_nobody_may_open() {
    check(|family| {
        let (server, client) = (ip(SERVER[family]), ip(CLIENT[family]));
        let amandad = SocketAddr::new(client, AMANDAD);
        let from = |host: IpAddr, port| frames::udp(SocketAddr::new(host, port), amandad, b"x");
        let bsdtcp = |host: IpAddr| connection(SocketAddr::new(host, 1021), amandad);
        let datagrams = [
            from(ip(STRANGER[family]), 850),
            from(server, 0),
            from(server, 1),
            from(server, 1023),
            from(server, 1024),
            from(client, 850),
        ];
        let connections = [bsdtcp(server), bsdtcp(ip(STRANGER[family]))].concat();
        datagrams.into_iter().chain(connections).collect()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn connections_of_other_services() {
    check(|family| {
        let (server, client) = (ip(SERVER[family]), ip(CLIENT[family]));
        let to = |port| SocketAddr::new(client, port);
        let from = |port| SocketAddr::new(server, port);
        let reset = [frames::tcp(from(9), to(22), SYN), frames::tcp(to(22), from(9), RST | ACK)];
        let middle = [
            frames::tcp(from(8), to(22), ACK),
            frames::tcp(to(22), from(8), ACK),
            frames::tcp(to(22), from(8), FIN_ACK),
            frames::tcp(from(7), to(23), RST),
            frames::tcp(to(23), from(7), RST),
            frames::tcp(from(6), to(22), SYN_ACK),
        ];
        let mut packets = Vec::new();
        for port in [22, 23, 25, 53, 10082] {
            packets.extend(connection(from(40_000), to(port)));
        }
        packets.extend(reset);
        packets.extend(middle);
        packets
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn datagrams_of_other_services_with_their_errors() {
    check(|family| {
        let (server, client) = (ip(SERVER[family]), ip(CLIENT[family]));
        let to = |port| SocketAddr::new(client, port);
        let from = |port| SocketAddr::new(server, port);
        let query = frames::udp(from(4000), to(53), b"query");
        let lease = frames::udp(from(67), to(68), b"lease");
        vec![
            query.clone(),
            frames::udp(to(53), from(4000), b"answer"),
            frames::udp(from(4000), to(53), b"query"),
            frames::unreachable(client, server, &query),
            frames::unreachable(ip(STRANGER[family]), server, &query),
            frames::unreachable(client, server, &frames::udp(from(4001), to(53), b"never sent")),
            lease.clone(),
            frames::unreachable(server, client, &lease),
            frames::unreachable(client, server, &frames::unreachable(server, client, &query)),
        ]
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn pings_both_ways() {
    check(|family| {
        let (server, client) = (ip(SERVER[family]), ip(CLIENT[family]));
        vec![
            frames::echo(server, client, 7),
            frames::echo_reply(client, server, 7),
            frames::echo_reply(client, server, 8),
            frames::echo_reply(server, client, 9),
            frames::echo(client, server, 10),
            frames::echo_reply(server, client, 10),
            frames::unreachable(server, client, &frames::echo(client, server, 10)),
        ]
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn large_replies_in_fragments() {
    check(|family| {
        let talk = Talk::backup(family);
        let body = format!("{FOUR}{}", "OPTIONS features=ffff;\n".repeat(800));
        let reply = talk.reply(&body).fragments(77, 1480);
        let mut reversed = Talk { sequence: 3, ..talk }.reply(&body).fragments(78, 1480);
        reversed.reverse();
        let stray = frames::udp(talk.initiator, talk.responder, &[0; 3000]).fragments(79, 1000);
        let mut packets = vec![talk.request("sendbackup"), talk.receipt()];
        packets.extend(reply);
        packets.extend(talk.stream(50002));
        packets.extend(reversed);
        packets.extend(stray.into_iter().skip(1));
        packets
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn fragments_of_both_families_in_turn() {
    let mut pair = Pair::new();
    let talks = [Talk::backup(0), Talk::backup(1)];
    for device in devices() {
        pair.clear();
        let requests = talks.map(|talk| talk.says(&"x".repeat(3000)).fragments(5, 1480));
        let segment = frames::tcp(talks[0].initiator, talks[0].responder, SYN);
        for (fragments, expected) in [(0, Reason::Control), (1, Reason::Fragment)] {
            for request in &requests {
                // What the packet before was must not matter.
                pair.meets(device[0], &segment);
                assert_eq!(
                    pair.meets(device[0], &request[fragments]),
                    Some(expected),
                    "{device:?}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn a_dump_behind_vlan_tags() {
    let mut pair = Pair::new();
    let talk = Talk::backup(0);
    let packets = [talk.whole("sendbackup", FOUR), talk.stream(50003)].concat();
    for device in devices().filter(|device| device[0].link() == Link::Ethernet) {
        for tags in [&[VLAN][..], &[QINQ, VLAN], &[VLAN, VLAN, VLAN]] {
            pair.clear();
            for packet in &packets {
                let outgoing = packet.source == ip(CLIENT[0]);
                pair.meets_frame(device[usize::from(outgoing)], &packet.tagged(tags));
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn the_corpus_reaches_the_streams() {
    let mut pair = Pair::new();
    let talk = Talk::backup(0);
    for device in devices() {
        pair.clear();
        for packet in talk.whole("sendbackup", FOUR) {
            let outgoing = packet.source == talk.responder.ip();
            pair.meets(device[usize::from(outgoing)], &packet);
        }
        let syn = &talk.stream(50005)[0];
        assert_eq!(pair.meets(device[0], syn), Some(Reason::Expected), "{device:?}");
    }
}

/// What becomes of a reply on its way.
type Kind = fn(Packet) -> Packet;

#[test]
#[ignore = "needs root: BPF"]
fn replies_with_checksums_of_every_kind() {
    const LENGTHS: [usize; 8] = [60, 61, 199, 200, 201, 700, 1300, 1416];
    check(|family| {
        let talk = Talk::backup(family);
        let kinds: [Kind; 4] = [
            |reply| reply,
            |reply| reply.left_to_device(),
            |mut reply| {
                reply.payload[6..8].fill(0);
                reply
            },
            |mut reply| {
                *reply.payload.last_mut().expect("a text") ^= 1;
                reply
            },
        ];
        let cases = LENGTHS.iter().flat_map(|length| kinds.map(|kind| (*length, kind)));
        let told = |(sequence, (length, kind)): (u32, (usize, Kind))| {
            let talk = Talk { sequence: sequence + 10, ..talk };
            let reply = talk.reply(&format!("{FOUR:\n<length$}"));
            [talk.request("sendbackup"), kind(reply.clone()), reply]
        };
        (0..).zip(cases).flat_map(told).collect()
    });
}

#[test]
#[ignore = "needs root: BPF"]
fn more_transactions_than_two_hosts_may_have() {
    check(|family| {
        let talks = |sequences: std::ops::Range<u32>| {
            sequences.map(move |sequence| Talk { sequence, ..Talk::backup(family) })
        };
        let mut packets: Vec<Packet> = Vec::new();
        packets.extend(talks(0..10).flat_map(|talk| talk.whole("noop", "OPTIONS ;\n")));
        packets.extend(talks(10..74).flat_map(|talk| [talk.request("sendsize"), talk.receipt()]));
        packets.extend(talks(74..76).flat_map(|talk| talk.whole("sendbackup", FOUR)));
        // Some of the places in the middle get free.
        packets.extend(talks(40..42).map(|talk| talk.reply("/srv 0 SIZE 12\n")));
        packets.extend(talks(76..80).flat_map(|talk| talk.whole("sendbackup", FOUR)));
        packets
    });
}

/// Plays a conversation of each family to the firewalls of the client and of the server.
#[track_caller]
fn check(packets: impl Fn(usize) -> Vec<Packet>) {
    let mut pair = Pair::new();
    for family in [0, 1] {
        for (home, device) in [SERVER, CLIENT]
            .into_iter()
            .zip([0, 1])
            .flat_map(|(home, _)| devices().map(move |device| (ip(home[family]), device)))
        {
            pair.clear();
            for packet in packets(family) {
                let outgoing = packet.source == home;
                pair.meets(device[usize::from(outgoing)], &packet);
            }
        }
    }
    assert_eq!(pair.refused, 0, "every frame of a conversation is run");
}
