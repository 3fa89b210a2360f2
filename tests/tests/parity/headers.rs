//! Single frames: every kind of header that is met, whole, wrong and cut.

use std::net::SocketAddr;

use amanda_fw_common::wire::Link;
use amanda_fw_tests::frames::{
    self, ACK, AUTHENTICATION, DESTINATION, HOP_BY_HOP, ICMP, ICMPV6, Packet, QINQ, ROUTING, SYN,
    TCP, VLAN,
};

use crate::pair::{CLIENT, Pair, SERVER, STRANGER, devices, ip};
use crate::talk::Talk;

/// After how many packets a device forgets.
const BATCH: usize = 8;

/// The shortest frame that the kernel runs a program on: an Ethernet header.
const SHORTEST: usize = 14;

#[test]
#[ignore = "needs root: BPF"]
fn frames_of_every_kind() {
    check(&whole());
}

#[test]
#[ignore = "needs root: BPF"]
fn tcp_flags_of_every_kind() {
    let segments: Vec<Packet> = (0..=u8::MAX)
        .flat_map(|flags| {
            let segment =
                |to| frames::tcp(endpoint(SERVER[0], 4001), endpoint(CLIENT[0], to), flags);
            [segment(22), segment(23)]
        })
        .collect();
    check(&segments);
}

#[test]
#[ignore = "needs root: BPF"]
fn icmp_types_of_every_kind() {
    let messages: Vec<Packet> = (0..=u8::MAX)
        .flat_map(|kind| {
            [0, 1].map(|family| {
                let (from, to) = (ip(SERVER[family]), ip(CLIENT[family]));
                frames::icmp(from, to, [kind, 0], &[0; 60])
            })
        })
        .collect();
    check(&messages);
}

#[test]
#[ignore = "needs root: BPF"]
fn protocols_of_every_kind() {
    let packets: Vec<Packet> = (0..=u8::MAX)
        .flat_map(|protocol| {
            [0, 1].map(|family| {
                let payload = vec![protocol, 0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0x50, 0x10];
                let payload = [payload, vec![0; 46]].concat();
                Packet::new(ip(SERVER[family]), ip(CLIENT[family]), protocol, payload)
            })
        })
        .collect();
    check(&packets);
}

#[test]
#[ignore = "needs root: BPF"]
fn chains_of_extension_headers() {
    let types = [HOP_BY_HOP, ROUTING, DESTINATION, AUTHENTICATION];
    let datagram = frames::udp(endpoint(SERVER[1], 850), endpoint(CLIENT[1], 10080), b"Amanda");
    let segment = frames::tcp(endpoint(SERVER[1], 4000), endpoint(CLIENT[1], 22), SYN);
    let mut packets = Vec::new();
    for length in 0..8 {
        let chain: Vec<u8> = types.into_iter().cycle().take(length).collect();
        for packet in [&datagram, &segment] {
            packets.push(packet.clone().extended(&chain));
            packets.push(packet.clone().extended(&chain).as_fragment(9, 0, true));
            packets.push(packet.clone().extended(&chain).as_fragment(9, 8, true));
            packets.push(packet.clone().extended(&chain).as_fragment(10, 16, false));
            packets.push(packet.clone().extended(&chain).as_fragment(11, 0, false));
        }
    }
    check(&packets);
}

#[test]
#[ignore = "needs root: BPF"]
fn extension_headers_of_any_length() {
    let segment = frames::tcp(endpoint(SERVER[1], 4000), endpoint(CLIENT[1], 22), SYN);
    let of_length = |units: u8, count: usize| {
        let header = |next| [vec![next, units], vec![0; 6 + 8 * usize::from(units)]].concat();
        let mut payload = Vec::new();
        for index in 0..count {
            payload.extend(header(if index + 1 == count { TCP } else { DESTINATION }));
        }
        payload.extend(&segment.payload);
        Packet { protocol: DESTINATION, payload, ..segment.clone() }
    };
    let one = (0..=u8::MAX).map(|units| of_length(units, 1));
    let more = [(30, 2), (30, 3), (60, 2), (100, 2), (20, 6), (30, 6), (61, 2), (62, 2)];
    let packets: Vec<Packet> =
        one.chain(more.map(|(units, count)| of_length(units, count))).collect();
    check(&packets);
}

#[test]
#[ignore = "needs root: BPF"]
fn frames_cut_at_every_length() {
    let mut pair = Pair::new();
    let talk = Talk::backup(0);
    let cut: Vec<Packet> = [
        talk.whole("sendbackup", "CONNECT DATA 50002 MESG 50003 INDEX 50004\n"),
        vec![frames::unreachable(ip(CLIENT[1]), ip(SERVER[1]), &Talk::backup(1).request("noop"))],
        vec![
            frames::tcp_with(endpoint(SERVER[1], 4000), endpoint(CLIENT[1], 22), ACK, b"some data")
                .extended(&[HOP_BY_HOP, ROUTING, AUTHENTICATION]),
        ],
        vec![frames::echo(ip(SERVER[0]), ip(CLIENT[0]), 3).as_fragment(5, 0, true)],
    ]
    .concat();
    for device in devices() {
        pair.clear();
        for packet in &cut {
            for hook in device {
                let frame = bytes(packet, hook.link());
                for length in SHORTEST..=frame.len() {
                    pair.meets_frame(hook, &frame[..length]);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn frames_with_bytes_behind_the_packet() {
    let mut pair = Pair::new();
    let talk = Talk::backup(0);
    let trailers = [1, 6, 18, 46, 255, 256, 257, 300, 1000];
    let request = talk.text("REQ", "SECURITY USER backup\nSERVICE sendbackup\n");
    for device in devices() {
        for packet in
            [talk.says(""), talk.says("A"), talk.says("Amanda 3.5 "), talk.request("noop")]
        {
            for hook in device {
                for trailer in trailers {
                    pair.clear();
                    let mut frame = bytes(&packet, hook.link());
                    frame.extend(request.bytes().cycle().take(trailer));
                    pair.meets_frame(hook, &frame);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn control_datagrams_of_every_length() {
    let mut pair = Pair::new();
    let talk = Talk::backup(1);
    let text = talk.text("REQ", "SECURITY USER backup\nSERVICE sendbackup\nOPTIONS ");
    let text: String = text.chars().chain(std::iter::repeat('x')).take(300).collect();
    for device in devices() {
        for hook in device {
            for length in 0..=text.len() {
                pair.clear();
                pair.meets(hook, &talk.says(&text[..length]));
            }
        }
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn frames_larger_than_a_page() {
    let mut pair = Pair::new();
    let talk = Talk::backup(0);
    let mut large = 0;
    for device in devices() {
        pair.clear();
        for size in [1400, 3000, 3400, 3500, 4000, 8900, 20_000, 60_000] {
            let body = format!("SECURITY USER backup\nSERVICE sendbackup\n{}", "x".repeat(size));
            let request = talk.says(&talk.text("REQ", &body));
            let ran = pair.meets(device[0], &request);
            large += usize::from(ran.is_some() && size > 4096);
        }
    }
    assert_ne!(large, 0, "no program was run on a frame of several pieces");
}

/// Every kind of packet that hosts send, and some that none should.
pub(crate) fn whole() -> Vec<Packet> {
    let mut packets = Vec::new();
    for family in [0, 1] {
        let (server, client) = (SERVER[family], CLIENT[family]);
        let (a, b) = (endpoint(server, 4000), endpoint(client, 53));
        let datagram = frames::udp(a, b, b"query");
        let segment = frames::tcp(a, endpoint(client, 22), SYN);
        let talk = Talk::backup(family);
        packets.extend(talk.whole("sendbackup", "CONNECT DATA 50002 MESG 50003 INDEX 50004\n"));
        packets.extend(talk.stream(50002));
        packets.extend([datagram.clone(), segment.clone()]);
        packets.push(frames::echo(ip(server), ip(client), 1));
        packets.push(frames::echo_reply(ip(client), ip(server), 1));
        packets.push(frames::unreachable(ip(client), ip(server), &datagram));
        packets.push(frames::unreachable(ip(client), ip(server), &segment));
        packets.extend(frames::udp(a, b, &[0; 100]).fragments(3, 40));
        packets.push(segment.clone().as_fragment(4, 0, true));
        packets.push(segment.clone().as_fragment(4, 8, true));
        packets.push(segment.clone().as_fragment(4, 16, false));
        for (at, value) in [(12, 0x40), (12, 0xf0), (12, 0x60), (12, 0)] {
            packets.push(with_byte(&segment, at, value));
        }
        for length in [0, 1, 7, 8, 12, 13, 14, 200] {
            packets.push(with_byte(&datagram, 5, length));
        }
        for length in [0, 1, 7, 8, 12, 19, 20] {
            for packet in [&datagram, &segment] {
                let payload = packet.payload[..length.min(packet.payload.len())].to_vec();
                packets.push(Packet { payload, ..packet.clone() });
            }
        }
        packets.push(Packet::new(ip(STRANGER[family]), ip(client), 47, vec![0; 20]));
        packets.push(Packet::new(ip(server), ip(client), ICMP, vec![8, 0, 0, 0, 0, 1, 0, 1]));
        packets.push(Packet::new(ip(server), ip(client), ICMPV6, vec![128, 0, 0, 0, 0, 1, 0, 1]));
    }
    packets
}

/// Shows packets to every kind of device, and those with Ethernet headers also with tags and with
/// IP headers that are wrong.
#[track_caller]
fn check(packets: &[Packet]) {
    let mut pair = Pair::new();
    for device in devices() {
        for batch in packets.chunks(BATCH) {
            // Few entries are soon compared.
            pair.clear();
            for (packet, hook) in batch.iter().flat_map(|packet| device.map(|hook| (packet, hook)))
            {
                for frame in variants(packet, hook.link()) {
                    pair.meets_frame(hook, &frame);
                }
            }
        }
        for frame in not_ip() {
            for hook in device {
                pair.meets_frame(hook, &frame);
            }
        }
    }
    assert!(pair.seen > packets.len(), "{} seen, {} refused", pair.seen, pair.refused);
}

/// A packet as it is, tagged, and with single bytes of its IP header changed.
fn variants(packet: &Packet, link: Link) -> Vec<Vec<u8>> {
    let plain = bytes(packet, link);
    let mut variants = vec![plain.clone()];
    let at = match link {
        Link::Raw => 0,
        Link::Ethernet => {
            for tags in [&[VLAN][..], &[QINQ, VLAN], &[VLAN, QINQ, VLAN]] {
                variants.push(packet.tagged(tags));
            }
            14
        }
    };
    for (offset, value) in [(0, 0x44), (0, 0x46), (0, 0x4f), (0, 0x65), (0, 0x05), (3, 0), (3, 255)]
    {
        let mut changed = plain.clone();
        changed[at + offset] = value;
        variants.push(changed);
    }
    variants
}

/// Frames whose ethertype is that of no IP packet.
fn not_ip() -> Vec<Vec<u8>> {
    let frame =
        |ethertype: u16| [vec![2; 12], ethertype.to_be_bytes().to_vec(), vec![0x45; 46]].concat();
    [0x0806, 0x88cc, 0x0026, 0x9100, VLAN, QINQ, 0x0801].map(frame).to_vec()
}

pub(crate) fn bytes(packet: &Packet, link: Link) -> Vec<u8> {
    match link {
        Link::Ethernet => packet.ethernet(),
        Link::Raw => packet.bytes(),
    }
}

fn with_byte(packet: &Packet, at: usize, value: u8) -> Packet {
    let mut packet = packet.clone();
    packet.payload[at] = value;
    packet
}

fn endpoint(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}
