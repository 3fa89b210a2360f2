//! Replies with checksums of every kind, and what they open.

use std::ops::Range;

use amanda_fw_common::connect::Refusal;
use amanda_fw_common::verdict::Counter;
use amanda_fw_tests::frames::Packet;

use crate::exchange::{Exchange, NO_PORTS, THREE_PORTS, THREE_STREAMS};
use crate::host::{CLIENT_V6, SERVER_V6, Site, endpoint};

/// The bytes of the checksum in a UDP header.
const FIELD: Range<usize> = 6..8;

/// The longest text that a whole packet of 1500 bytes has room for.
const LONGEST: usize = 1472;

#[test]
fn a_reply_with_a_wrong_checksum_is_delivered_and_opens_nothing() {
    for backup in [over_ipv4(), over_ipv6()] {
        let mut site = asked(&backup);
        let passage = site.passes(&corrupt(backup.reply(THREE_STREAMS)));
        assert_eq!(site.open_ports(), NO_PORTS);
        let inspection = passage.departure.inspection.expect("a datagram of a control flow");
        assert_eq!(inspection.refusal, Refusal::Checksum.number());
        for host in [&site.server, &site.client] {
            assert_eq!(host.counted(Counter::RefusedChecksum), 1);
            assert_eq!(host.counted(Counter::Replies), 0);
        }
    }
}

#[test]
fn the_reply_that_is_repeated_after_a_wrong_checksum_opens_its_ports() {
    let backup = over_ipv4();
    for spoilt in [THREE_STREAMS, "CONNECT DATA 11001 MESG 22 INDEX 11004\n", "ERROR [tar]\n"] {
        let mut site = asked(&backup);
        site.passes(&corrupt(backup.reply(spoilt)));
        site.passes(&backup.reply(THREE_STREAMS));
        assert_eq!(site.open_ports(), THREE_PORTS, "after {spoilt:?}");
    }
}

#[test]
fn a_checksum_that_is_left_to_the_device_is_none_that_is_wrong() {
    for backup in [over_ipv4(), over_ipv6()] {
        let mut site = asked(&backup);
        site.passes(&backup.reply(THREE_STREAMS).left_to_device());
        assert_eq!(site.open_ports(), THREE_PORTS);
    }
}

#[test]
fn a_reply_needs_no_checksum_over_ipv4_alone() {
    for (backup, expected) in [(over_ipv4(), &THREE_PORTS[..]), (over_ipv6(), &NO_PORTS)] {
        let mut site = asked(&backup);
        let mut reply = backup.reply(THREE_STREAMS);
        reply.payload[FIELD].fill(0);
        site.passes(&reply);
        assert_eq!(site.open_ports(), expected);
    }
}

#[test]
fn every_byte_of_a_whole_packet_counts() {
    let backup = over_ipv4();
    let header = backup.reply("").payload.len() - 8;
    for length in [160, 247, 248, 249, 255, 256, 257, 512, 1023, 1024, 1471, LONGEST] {
        let filling = length - header - THREE_STREAMS.len();
        let reply = backup.reply(&format!("{THREE_STREAMS}{}", "x".repeat(filling)));
        let mut site = asked(&backup);
        let mut spoilt = reply.clone();
        *spoilt.payload.last_mut().expect("a text") ^= 1;
        site.passes(&spoilt);
        assert_eq!(site.open_ports(), NO_PORTS, "{length} bytes, the last one wrong");
        site.passes(&reply);
        assert_eq!(site.open_ports(), THREE_PORTS, "{length} bytes");
    }
}

#[test]
fn what_no_packet_tells_is_believed() {
    let backup = over_ipv4();
    let reply = |length| format!("{THREE_STREAMS}{}", "x".repeat(length));
    // A frame of 9000 bytes, and a first fragment.
    let whole = corrupt(backup.reply(&reply(4000)));
    let first = corrupt(backup.reply(&reply(2000))).fragments(7, 1480).remove(0);
    for packet in [whole, first] {
        let mut site = asked(&backup);
        site.passes(&packet);
        assert_eq!(site.open_ports(), THREE_PORTS);
    }
}

#[test]
fn replies_of_services_without_streams_are_not_looked_at() {
    let backup = over_ipv4();
    let mut site = Site::new();
    site.passes(&backup.request("selfcheck"));
    site.passes(&corrupt(backup.reply("OPTIONS ;\n")));
    assert_eq!(site.client.counted(Counter::RefusedChecksum), 0);
    assert_eq!(site.client.counted(Counter::Replies), 1);
}

fn over_ipv4() -> Exchange {
    Exchange::backup(601)
}

fn over_ipv6() -> Exchange {
    let (initiator, responder) = (endpoint(SERVER_V6, 601), endpoint(CLIENT_V6, 10080));
    Exchange { initiator, responder, ..over_ipv4() }
}

/// Returns two hosts after the request for a backup.
fn asked(backup: &Exchange) -> Site {
    let mut site = Site::new();
    site.passes(&backup.request("sendbackup"));
    site
}

/// Makes a checksum wrong, but none that says that there is none.
fn corrupt(mut packet: Packet) -> Packet {
    packet.payload[FIELD.start] ^= 0x10;
    packet
}
