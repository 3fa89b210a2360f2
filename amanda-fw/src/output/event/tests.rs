//! Lines of decisions, as they must read.

use amanda_fw_common::addr::Addr;
use amanda_fw_common::label::{Label, RuleInfo};
use amanda_fw_common::text::Token;
use amanda_fw_common::transaction::StreamState;

use super::*;

const SECOND: u64 = 1_000_000_000;
const SERVER: Addr = Addr::v4([10, 84, 0, 1]);
const CLIENT: Addr = Addr::v4([10, 84, 0, 2]);

fn names() -> RuleNames {
    let mut ssh: RuleInfo = bytemuck::Zeroable::zeroed();
    (ssh.slot, ssh.line, ssh.name) = (1, 7, Label::new("ssh"));
    RuleNames::new(&[ssh])
}

fn line(event: &Event, service: Option<Service>, color: bool) -> String {
    let lines = EventLines {
        clock: &WallClock::from_midnight(),
        interface: "eth0",
        output: "",
        rule_names: &names(),
        color,
    };
    lines.line(event, service)
}

fn check(event: &Event, service: Option<Service>, expected: &str) {
    assert_eq!(line(event, service, false), expected);
}

fn event(kind: EventKind, reason: Reason, protocol: u8, source: u16, destination: u16) -> Event {
    let time = 45_065 * SECOND + 123_000_000;
    let mut event = Event { time, ..Event::default() };
    (event.source, event.source_port) = (SERVER, source);
    (event.destination, event.destination_port) = (CLIENT, destination);
    (event.kind, event.way) = (kind.number(), Way::In as u8);
    (event.reason, event.protocol) = (reason.number(), protocol);
    event
}

fn syn(reason: Reason, port: u16) -> Event {
    let mut event = event(EventKind::Decision, reason, PROTOCOL_TCP, 50000, port);
    event.tcp = 0x02;
    event
}

fn control(packet_type: PacketType, service: Service) -> Event {
    let mut event = event(EventKind::Amanda, Reason::Control, PROTOCOL_UDP, 850, 10080);
    event.amanda.transaction = 7;
    event.amanda.packet_type = packet_type.number();
    event.amanda.service = service.number();
    event.amanda.handle = Token::of("000-00000000");
    event.amanda.sequence = Token::of("1795180617");
    event
}

#[test]
fn what_a_tape_server_announces_has_no_handle() {
    let mut event = event(EventKind::Amanda, Reason::Established, PROTOCOL_TCP, 10083, 1000);
    event.tcp = 0x18;
    event.amanda.transaction = 7;
    event.amanda.packet_type = PacketType::Rep.number();
    event.amanda.service = Service::Amidxtaped.number();
    for (slot, (stream, port)) in
        event.amanda.streams.iter_mut().zip([(Stream::Ctl, 10083), (Stream::Data, 50010)])
    {
        (slot.stream, slot.port) = (stream.number(), port);
    }
    check(
        &event,
        None,
        "12:31:05.123 eth0 in  accept established            tcp 10.84.0.1:10083 > 10.84.0.2:1000 \
         PSH ACK REP amidxtaped CONNECT CTL 10083 DATA 50010",
    );
}

fn reply() -> Event {
    let mut event = control(PacketType::Rep, Service::Sendbackup);
    event.reason = Reason::Established.number();
    event.way = Way::Out as u8;
    (event.source, event.destination) = (CLIENT, SERVER);
    (event.source_port, event.destination_port) = (10080, 850);
    event
}

#[test]
fn a_dropped_packet_shows_its_ends_and_flags() {
    check(
        &syn(Reason::PolicyDrop, 22),
        None,
        "12:31:05.123 eth0 in  drop   policy-drop            tcp 10.84.0.1:50000 > 10.84.0.2:22 SYN",
    );
}

#[test]
fn a_request_shows_its_service_handle_and_sequence() {
    check(
        &control(PacketType::Req, Service::Sendbackup),
        None,
        "12:31:05.123 eth0 in  accept amanda-control         udp 10.84.0.1:850 > 10.84.0.2:10080 \
         REQ sendbackup 000-00000000 1795180617",
    );
    check(
        &control(PacketType::Ack, Service::Other),
        None,
        "12:31:05.123 eth0 in  accept amanda-control         udp 10.84.0.1:850 > 10.84.0.2:10080 \
         ACK 000-00000000 1795180617",
    );
}

#[test]
fn a_reply_shows_what_it_announces() {
    let mut event = reply();
    let streams = [(50093, 1), (50094, 2), (0, 3), (50096, 4)];
    for (slot, (port, stream)) in event.amanda.streams.iter_mut().zip(streams) {
        *slot = StreamSlot { port, stream, state: StreamState::Expected.number() };
    }
    check(
        &event,
        None,
        "12:31:05.123 eth0 out accept established            udp 10.84.0.2:10080 > 10.84.0.1:850 \
         REP sendbackup 000-00000000 1795180617 CONNECT DATA 50093 MESG 50094 INDEX - STATE 50096",
    );
}

#[test]
fn a_reply_that_opens_nothing_says_why() {
    let mut refused = reply();
    refused.amanda.refusal = Refusal::Port.number();
    assert!(line(&refused, None, false).ends_with("1795180617 refused connect-port"));
    let mut unasked = reply();
    unasked.amanda.transaction = 0;
    assert!(line(&unasked, None, false).ends_with("1795180617 unasked"));
    let mut foreign = reply();
    foreign.amanda = Inspection::default();
    assert!(line(&foreign, None, false).ends_with("10.84.0.1:850 not Amanda's"));
}

#[test]
fn a_stream_shows_its_service_and_its_end() {
    let mut event = syn(Reason::Expected, 50093);
    event.stream = Stream::Data.number();
    check(
        &event,
        Some(Service::Sendbackup),
        "12:31:05.123 eth0 in  accept expected               tcp 10.84.0.1:50000 > \
         10.84.0.2:50093 SYN sendbackup DATA",
    );
    event.kind = EventKind::Closed.number();
    event.tcp = 0x11;
    assert!(line(&event, None, false).ends_with("10.84.0.2:50093 FIN ACK DATA closed"));
}

#[test]
fn a_rule_is_named() {
    let mut event = syn(Reason::Rule, 22);
    event.rule = 1;
    assert!(line(&event, None, false).ends_with("SYN rule \"ssh\""));
    event.rule = 2;
    assert!(line(&event, None, false).ends_with("SYN rule of slot 2, which is gone"));
}

#[test]
fn icmp_shows_its_type_and_other_protocols_their_number() {
    let mut icmp = event(EventKind::Decision, Reason::Unsolicited, PROTOCOL_ICMP, 7, 7);
    assert!(line(&icmp, None, false).ends_with("icmp 10.84.0.1 > 10.84.0.2 echo-reply"));
    icmp.icmp_type = 42;
    assert!(line(&icmp, None, false).ends_with("icmp 10.84.0.1 > 10.84.0.2 type 42"));
    let gre = event(EventKind::Decision, Reason::PolicyDrop, 47, 0, 0);
    assert!(line(&gre, None, false).ends_with("gre 10.84.0.1 > 10.84.0.2"));
}

#[test]
fn a_packet_without_a_readable_header_shows_its_length() {
    let mut event = Event::default();
    (event.reason, event.length) = (Reason::MalformedIp.number(), 60);
    check(&event, None, "00:00:00.000 eth0 in  drop   malformed-ip           60 bytes");
}

#[test]
fn colour_stands_around_the_verdict_alone() {
    let colored = line(&syn(Reason::PolicyDrop, 22), None, true);
    assert!(colored.contains(" \u{1b}[31mdrop  \u{1b}[0m policy-drop"), "{colored:?}");
    let colored = line(&syn(Reason::Expected, 22), None, true);
    assert!(colored.contains(" \u{1b}[32maccept\u{1b}[0m expected"), "{colored:?}");
}
