//! Real dumps and recoveries, replayed through the firewalls of both hosts.

use amanda_fw_common::rules::role;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{self, Link, PROTOCOL_TCP, Packet};

use crate::capture::{self, BSD, BSDTCP, BSDUDP, CLIENT, Captured, SERVER};
use crate::exchange::AMANDAD;
use crate::host::{Passage, Site, ip};

#[test]
fn a_real_dump_and_recovery_by_bsd_pass() {
    check(BSD, Tally { lines: 6, streams: 16, controls: 0 });
}

#[test]
fn a_real_dump_and_recovery_by_bsdudp_pass() {
    check(BSDUDP, Tally { lines: 4, streams: 4, controls: 0 });
}

#[test]
fn a_real_dump_and_recovery_by_bsdtcp_pass() {
    check(BSDTCP, Tally { lines: 0, streams: 0, controls: 6 });
}

/// What a capture holds.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    /// CONNECT lines.
    lines: usize,
    /// Connections to a port that such a line announced.
    streams: usize,
    /// Connections to amandad.
    controls: usize,
}

/// Checks that every frame of a capture arrives, that every CONNECT line opens its ports, and that
/// nothing else opens any.
#[track_caller]
fn check(capture: &str, expected: Tally) {
    let mut site = site();
    let mut found = Tally::default();
    let mut last = None;
    for captured in capture::read(capture) {
        site.wait(captured.time - last.unwrap_or_default());
        last = Some(captured.time);
        let before = site.open_ports();
        let passage = site.carry(&captured.frame, ip(SERVER).into());
        let arrived = passage.arrival.is_some_and(|arrival| arrival.is_accepted());
        assert!(arrived, "{} {passage:?}", captured.note);
        let ports = announced(&captured.frame);
        check_inspection(&passage, &ports, &captured);
        found.lines += usize::from(!ports.is_empty());
        match opened(&captured.frame) {
            Some(AMANDAD) => {
                assert_eq!(passage.reason(), Reason::Control, "{}", captured.note);
                found.controls += 1;
            }
            Some(port) => {
                check_stream(&passage, &captured);
                assert_eq!(site.open_ports(), without(before, port), "{}", captured.note);
                found.streams += 1;
            }
            None => assert_eq!(site.open_ports(), with(before, ports), "{}", captured.note),
        }
    }
    assert_eq!(found, expected);
}

fn site() -> Site {
    let mut site = Site::new();
    for host in [&mut site.server, &mut site.client] {
        host.knows(SERVER, role::SERVER);
        host.knows(CLIENT, role::CLIENT);
        (host.settings.stream_low, host.settings.stream_high) = (50000, 50100);
    }
    site
}

/// Checks that both firewalls read from a frame that it announces these ports.
fn check_inspection(passage: &Passage, ports: &[u16], captured: &Captured) {
    for outcome in [Some(passage.departure), passage.arrival].into_iter().flatten() {
        let streams = outcome.inspection.map(|inspection| inspection.streams).unwrap_or_default();
        let read: Vec<u16> = streams.iter().map(|s| s.port).filter(|&port| port > 0).collect();
        assert_eq!(read, ports, "{}", captured.note);
        let refusal = outcome.inspection.map(|inspection| inspection.refusal);
        assert_eq!(refusal.unwrap_or_default(), 0, "{}", captured.note);
    }
}

/// Checks that a reply announced the connection, at either end.
fn check_stream(passage: &Passage, captured: &Captured) {
    assert_eq!(passage.departure.reason(), Reason::Expected, "{}", captured.note);
    assert_eq!(passage.reason(), Reason::Expected, "{}", captured.note);
}

/// Returns the ports in a frame's CONNECT line, read as a person reads them.
fn announced(frame: &[u8]) -> Vec<u16> {
    const HEADERS: usize = 14 + 20 + 8;
    let text = String::from_utf8_lossy(frame.get(HEADERS..).unwrap_or_default()).into_owned();
    let mut lines = text.lines();
    let is_reply = lines.next().is_some_and(|line| line.starts_with("Amanda 3.5 REP "));
    let words = lines.next().filter(|_| is_reply).and_then(|l| l.strip_prefix("CONNECT "));
    words.map_or(Vec::new(), |w| w.split(' ').filter_map(|word| word.parse().ok()).collect())
}

/// Returns the port that a frame asks for a connection to.
fn opened(frame: &[u8]) -> Option<u16> {
    let mut packet = Packet::default();
    wire::parse(frame, Link::Ethernet, &mut packet).ok()?;
    let opens = packet.protocol == PROTOCOL_TCP && packet.tcp.is_open();
    opens.then_some(packet.destination.port)
}

fn without(mut ports: Vec<u16>, port: u16) -> Vec<u16> {
    ports.retain(|&p| p != port);
    ports
}

fn with(mut ports: Vec<u16>, more: Vec<u16>) -> Vec<u16> {
    ports.extend(more);
    ports.sort_unstable();
    ports
}
