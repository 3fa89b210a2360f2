//! Headers: what stands before the transport header, and lengths that lie.

use amanda_fw_common::rules::Way;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::Link;
use amanda_fw_tests::frames::{
    AUTHENTICATION, DESTINATION, FRAGMENT, HOP_BY_HOP, Packet, QINQ, ROUTING, SYN, TCP, VLAN, echo,
    tcp, udp,
};

use crate::exchange::{Exchange, NO_PORTS, THREE_STREAMS};
use crate::host::{CLIENT, CLIENT_V6, Host, Outcome, STRANGER, STRANGER_V6, Site, endpoint, ip};

const PAIRS: [(&str, &str); 2] = [(CLIENT, STRANGER), (CLIENT_V6, STRANGER_V6)];
const ETHERNET: usize = 14;

#[test]
fn tags_of_two_networks_are_passed() {
    for pair in PAIRS {
        for tags in [&[][..], &[VLAN], &[QINQ], &[QINQ, VLAN], &[VLAN, VLAN]] {
            check(&ssh(pair).tagged(tags), Reason::Rule);
        }
    }
}

#[test]
fn a_third_tag_is_dropped() {
    for pair in PAIRS {
        check(&ssh(pair).tagged(&[QINQ, VLAN, VLAN]), Reason::MalformedIp);
    }
}

#[test]
fn what_is_not_ip_passes() {
    for ethertype in [0x0806_u16, 0x88cc, 0x8864, 0x0027] {
        let mut frame = ssh(PAIRS[0]).ethernet();
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        check(&frame, Reason::NotIp);
    }
}

#[test]
fn a_device_without_a_link_header_is_told_the_family_by_the_version() {
    for pair in PAIRS {
        assert_eq!(with_ssh_on(Link::Raw, &ssh(pair).bytes()).reason(), Reason::Rule);
        let mut other = ssh(pair).bytes();
        other[0] = 0x55;
        assert_eq!(with_ssh_on(Link::Raw, &other).reason(), Reason::MalformedIp);
        assert_eq!(with_ssh_on(Link::Raw, &[]).reason(), Reason::MalformedIp);
    }
}

#[test]
fn extension_headers_are_passed() {
    for chain in [
        &[HOP_BY_HOP][..],
        &[DESTINATION],
        &[ROUTING],
        &[AUTHENTICATION],
        &[FRAGMENT],
        &[HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION],
    ] {
        check(&ssh(PAIRS[1]).extended(chain).ethernet(), Reason::Rule);
    }
}

#[test]
fn the_longest_chain_of_the_rfc_is_passed() {
    // RFC 8200, 4.1: destination options stand twice.
    let chain = [HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION];
    check(&ssh(PAIRS[1]).extended(&chain).ethernet(), Reason::Rule);
}

#[test]
fn a_longer_chain_is_dropped() {
    let chain = [DESTINATION; 7];
    check(&ssh(PAIRS[1]).extended(&chain).ethernet(), Reason::Ipv6Extensions);
}

#[test]
fn a_chain_that_leaves_the_packet_is_dropped() {
    let mut frame = ssh(PAIRS[1]).extended(&[DESTINATION]).ethernet();
    frame[ETHERNET + 41] = 200;
    check(&frame, Reason::MalformedIp);
}

#[test]
fn options_of_ipv4_are_passed() {
    const NO_OPERATIONS: [u8; 8] = [1; 8];
    let mut frame = ssh(PAIRS[0]).ethernet();
    let total = frame.len() - ETHERNET + NO_OPERATIONS.len();
    frame.splice(ETHERNET + 20..ETHERNET + 20, NO_OPERATIONS);
    frame[ETHERNET] = 0x47;
    frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&length(total));
    check(&frame, Reason::Rule);
}

#[test]
fn a_frame_that_ends_early_is_never_let_in() {
    for pair in PAIRS {
        for packet in [ssh(pair), udp(endpoint(pair.1, 1), endpoint(pair.0, 22), b"")] {
            let frame = packet.ethernet();
            for end in ETHERNET..frame.len() {
                let outcome = with_ssh(&frame[..end]);
                assert!(!outcome.is_accepted(), "{end} bytes of {packet:?}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_frame_may_be_longer_than_its_packet() {
    for pair in PAIRS {
        let padded = [ssh(pair).ethernet(), vec![0xee; 30]].concat();
        check(&padded, Reason::Rule);
    }
}

#[test]
fn a_header_that_says_impossible_lengths_is_dropped() {
    let [v4, v6] = PAIRS.map(|pair| ssh(pair).ethernet());
    check(&with(&v4, 0, &[0x44]), Reason::MalformedIp);
    check(&with(&v4, 0, &[0x65]), Reason::MalformedIp);
    check(&with(&v4, 0, &[0x4f]), Reason::MalformedIp);
    for total in [0, 19, 41, 65535] {
        check(&with(&v4, 2, &length(total)), Reason::MalformedIp);
    }
    for total in [20, 28, 39] {
        check(&with(&v4, 2, &length(total)), Reason::MalformedTransport);
    }
    check(&with(&v6, 0, &[0x45]), Reason::MalformedIp);
    for payload in [21, 65535] {
        check(&with(&v6, 4, &length(payload)), Reason::MalformedIp);
    }
    for payload in [0, 8, 19] {
        check(&with(&v6, 4, &length(payload)), Reason::MalformedTransport);
    }
}

#[test]
fn a_segment_that_says_an_impossible_length_is_dropped() {
    const OFFSET: usize = 20 + 12;
    let frame = ssh(PAIRS[0]).ethernet();
    for words in [0, 4, 6, 15] {
        check(&with(&frame, OFFSET, &[words << 4]), Reason::MalformedTransport);
    }
}

#[test]
fn a_datagram_that_says_an_impossible_length_is_dropped() {
    const LENGTH: usize = 20 + 4;
    let frame = udp(endpoint(STRANGER, 1), endpoint(CLIENT, 22), b"1234").ethernet();
    for said in [0, 7, 13, 65535] {
        check(&with(&frame, LENGTH, &length(said)), Reason::MalformedTransport);
    }
    check(&with(&frame, LENGTH, &length(8)), Reason::PolicyDrop);
}

#[test]
fn a_message_without_a_whole_header_is_dropped() {
    for (client, stranger) in PAIRS {
        let message = echo(ip(stranger), ip(client), 7);
        for end in 0..8 {
            let cut = Packet { payload: message.payload[..end].to_vec(), ..message.clone() };
            check(&cut.ethernet(), Reason::MalformedTransport);
        }
    }
}

#[test]
fn bytes_behind_the_end_of_a_datagram_open_nothing() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    let mut reply = backup.reply(THREE_STREAMS);
    // The header alone is what the initiator will see.
    let header = backup.reply("").payload.len();
    reply.payload[4..6].copy_from_slice(&length(header));
    site.passes(&reply);
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn bytes_behind_the_end_of_a_packet_open_nothing() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    let short = backup.reply("").ethernet();
    site.client.meets(Way::Out, &[short, THREE_STREAMS.as_bytes().to_vec()].concat());
    assert_eq!(site.client.open_ports(), NO_PORTS);
}

/// Checks what becomes of an incoming frame where ssh is let in.
#[track_caller]
fn check(frame: &[u8], expected: Reason) {
    assert_eq!(with_ssh(frame).reason(), expected, "{frame:02x?}");
}

fn with_ssh(frame: &[u8]) -> Outcome {
    with_ssh_on(Link::Ethernet, frame)
}

fn with_ssh_on(link: Link, frame: &[u8]) -> Outcome {
    let mut host = Host::new();
    host.accept_in(TCP, Some(22));
    host.meets_on(link, Way::In, frame)
}

fn ssh((client, stranger): (&str, &str)) -> Packet {
    tcp(endpoint(stranger, 40000), endpoint(client, 22), SYN)
}

/// Overwrites bytes of a frame, counted from its IP header.
fn with(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[ETHERNET + at..][..bytes.len()].copy_from_slice(bytes);
    frame
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a length of 16 bits").to_be_bytes()
}
