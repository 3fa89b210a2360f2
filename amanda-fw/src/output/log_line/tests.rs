use amanda_fw_common::datapath::Decision;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{self, Link, Packet};
use bytemuck::Zeroable;

use super::*;

fn check(way: Way, link: Link, frame: &str, expected: &str) {
    let digits = frame.replace(char::is_whitespace, "");
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits"))
        .collect();
    let mut packet = Packet::default();
    wire::parse(bytes.as_slice(), link, &mut packet).expect("a packet");
    let place = (way, 2, 0);
    let mut event = Event::zeroed();
    event.record(&Decision::new(Reason::Rule), &packet, place, 0);
    event.length = bytes.len() as u32;
    assert_eq!(log_line(&event, "eth0", "", &bytes), expected);
}

/// The SYN of the wiki's first log line, but for its window scaling.
const SYN: &str = "0090f53cde6d 000c29d7986c 0800
    45000028 235d4000 40068000 c0a80ad3 c0a80aed
    024a2762 00000001 00000000 500216d0 00000000";

#[test]
fn a_segment_reads_as_on_the_wiki_page() {
    check(
        Way::In,
        Link::Ethernet,
        SYN,
        "IN=eth0 OUT= MAC=00:90:f5:3c:de:6d:00:0c:29:d7:98:6c:08:00 SRC=192.168.10.211 \
         DST=192.168.10.237 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=9053 DF PROTO=TCP SPT=586 DPT=10082 \
         WINDOW=5840 RES=0x00 SYN URGP=0",
    );
}

#[test]
fn an_outgoing_packet_has_no_mac() {
    check(
        Way::Out,
        Link::Raw,
        "4500001c 00010000 40110000 0a000001 0a000002 00350035 00080000",
        "IN= OUT=eth0 SRC=10.0.0.1 DST=10.0.0.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=UDP \
         SPT=53 DPT=53 LEN=8",
    );
}

#[test]
fn ipv6_is_written_without_gaps() {
    check(
        Way::In,
        Link::Raw,
        "60000000 00083a40 fd000000000000000000000000000001 fd000000000000000000000000000002
         8000 0000 0007 0002",
        "IN=eth0 OUT= MAC= SRC=fd00:0000:0000:0000:0000:0000:0000:0001 \
         DST=fd00:0000:0000:0000:0000:0000:0000:0002 LEN=48 TC=0 HOPLIMIT=64 FLOWLBL=0 \
         PROTO=ICMPv6 TYPE=128 CODE=0 ID=7 SEQ=2",
    );
}

#[test]
fn another_protocol_is_a_number() {
    check(
        Way::In,
        Link::Raw,
        "45000014 00010000 402f0000 0a000001 0a000002",
        "IN=eth0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=20 TOS=0x00 PREC=0x00 TTL=64 ID=1 \
         PROTO=47",
    );
}

#[test]
fn an_error_shows_what_it_quotes_and_how_much_of_that_is_there() {
    check(
        Way::Out,
        Link::Raw,
        "45000038 00024000 40010000 0a000001 0a000002 0304 0000 0000 05dc
         45000028 00014000 40060000 0a000002 0a000001 02bc2760 00000001",
        "IN= OUT=eth0 SRC=10.0.0.1 DST=10.0.0.2 LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=2 DF PROTO=ICMP \
         TYPE=3 CODE=4 [SRC=10.0.0.2 DST=10.0.0.1 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF \
         PROTO=TCP INCOMPLETE [8 bytes] ] MTU=1500",
    );
}

#[test]
fn extension_headers_of_ipv6_are_passed() {
    check(
        Way::In,
        Link::Raw,
        "60000000 00100040 fd000000000000000000000000000001 fd000000000000000000000000000002
         1100 010400000000 0035 0035 0008 0000",
        "IN=eth0 OUT= MAC= SRC=fd00:0000:0000:0000:0000:0000:0000:0001 \
         DST=fd00:0000:0000:0000:0000:0000:0000:0002 LEN=56 TC=0 HOPLIMIT=64 FLOWLBL=0 \
         PROTO=UDP SPT=53 DPT=53 LEN=8",
    );
}

#[test]
fn ipsec_has_its_index_in_ipv4_alone() {
    check(
        Way::In,
        Link::Raw,
        "4500001c 00010000 40320000 0a000001 0a000002 000000ab 00000001",
        "IN=eth0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=1 \
         PROTO=ESP SPI=0xab",
    );
}
