//! The parser against the reference: one datagram, read by both.

use amanda_fw_common::addr::{Addr, Endpoint};
use amanda_fw_common::connect::{MAX_STREAMS, Refusal, Service, Stream};
use amanda_fw_common::header::{self, PacketType};
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::message::Message;
use amanda_fw_common::nat::Mapped;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::text::{Text, Token};
use amanda_fw_common::transaction::{self, ControlFlow, Inspection, Rest};

use crate::reference::{self, Fault};

/// Any time; nothing expires here.
const NOW: u64 = 1_000_000_000_000;
const INITIATOR: Endpoint = Endpoint { addr: Addr::v4([10, 0, 0, 1]), port: 850 };
const RESPONDER: Endpoint = Endpoint { addr: Addr::v4([10, 0, 0, 2]), port: 10080 };
/// The stream ports of a Debian host, and those of a host that was not configured.
const PORTS: [(u16, u16); 2] = [(50000, 50100), (1024, 65535)];

/// Reads a datagram both ways, and panics where the two disagree.
pub fn run(datagram: &[u8]) {
    let text = text(datagram);
    let found = header::parse(&text);
    let expected = reference::header(datagram);
    assert_eq!(found.is_some(), expected.is_some(), "{expected:?}");
    let (Some(found), Some(expected)) = (found, expected) else {
        return;
    };
    assert_eq!(found.packet_type.name(), expected.packet_type);
    assert_eq!(name(found.handle), expected.handle);
    assert_eq!(name(found.sequence), expected.sequence);
    assert_eq!(found.body, expected.body);
    let body = &datagram[expected.body..];
    for (stream_low, stream_high) in PORTS {
        let mut settings = Settings::default();
        (settings.stream_low, settings.stream_high) = (stream_low, stream_high);
        check_body(&text, &expected, body, &settings);
    }
}

fn check_body(text: &Text, header: &reference::Header, body: &[u8], settings: &Settings) {
    let message = message(text, settings);
    let is_request = message.is(PacketType::Req);
    let service = if is_request { reference::service(body) } else { "other" };
    assert_eq!(Service::from_number(message.service).map(Service::name), Some(service));
    if !message.is(PacketType::Rep) {
        assert!(!message.has_connect());
        return;
    }
    for &service in Service::ALL {
        check_reply(&message, header, body, service, settings);
    }
}

/// Checks what the reply to a request of a service opens.
fn check_reply(
    message: &Message,
    header: &reference::Header,
    body: &[u8],
    service: Service,
    settings: &Settings,
) {
    let mut tables = MemoryTables::default();
    let request = request(header, service);
    let asked = learn(&self::message(&text(&request), settings), true, settings, &mut tables);
    assert_eq!(asked.service, service.number());
    let found = learn(message, false, settings, &mut tables);
    assert_eq!(found.service, service.number());
    let ports = settings.stream_low..=settings.stream_high;
    let expected = match reference::is_connect(body) {
        true => reference::connect(body, service.name(), ports),
        false => Ok(Vec::new()),
    };
    let mut open: Vec<u16> = tables.expectations.iter().map(|(key, _)| key.port).collect();
    open.sort_unstable();
    match expected {
        Ok(announced) => {
            assert_eq!(found.refusal, 0, "{service} {announced:?}");
            assert_eq!(streams(&found), announced, "{service}");
            let mut ports: Vec<u16> = announced.iter().filter_map(|&(_, port)| port).collect();
            ports.sort_unstable();
            assert_eq!(open, ports, "{service}");
        }
        Err(faults) => {
            assert_eq!(open, [], "{service} {faults:?}");
            let refusal = Refusal::from_number(found.refusal).map(fault);
            // A line may have several faults; the parser names the one that it met first.
            assert!(
                refusal.is_some_and(|f| faults.contains(&f)),
                "{service} {refusal:?} {faults:?}"
            );
        }
    }
}

fn learn(
    message: &Message,
    from_initiator: bool,
    settings: &Settings,
    tables: &mut MemoryTables,
) -> Inspection {
    let (initiator, responder) = (INITIATOR, RESPONDER);
    let flow = ControlFlow { initiator, responder, from_initiator, outgoing: from_initiator, known_as: Mapped::NONE, classic: false };
    let mut found = Inspection::default();
    if transaction::learn(message, &flow, settings, tables, NOW, &mut found) != Rest::Nothing {
        transaction::settle(message, tables, NOW, &mut found);
    }
    if found.is_reply == 1 {
        for index in 0..MAX_STREAMS {
            transaction::expect(message, &flow, index, settings, tables, NOW, &mut found);
        }
    }
    found
}

/// Writes a request for a service, with the handle and the sequence number of a reply to it.
fn request(header: &reference::Header, service: Service) -> Vec<u8> {
    let reference::Header { handle, sequence, .. } = header;
    let line = format!("Amanda 3.5 REQ HANDLE {handle} SEQ {sequence}\n");
    format!("{line}SECURITY USER backup\nSERVICE {service}\n").into_bytes()
}

fn text(datagram: &[u8]) -> Text {
    let mut text = Text::EMPTY;
    text.fill(datagram);
    text
}

fn message(text: &Text, settings: &Settings) -> Message {
    let mut message = Message::default();
    assert!(message.read_header(text));
    message.read_body(text, settings.streams());
    message
}

/// Lists the streams of a reply as the reference does.
fn streams(found: &Inspection) -> Vec<(&'static str, Option<u16>)> {
    let known = found.streams.iter().filter(|slot| slot.state != 0);
    let name = |number| Stream::from_number(number).map_or("", Stream::name);
    known.map(|slot| (name(slot.stream), (slot.port != 0).then_some(slot.port))).collect()
}

fn fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Service => Fault::Service,
        Refusal::Syntax => Fault::Syntax,
        Refusal::Layout => Fault::Layout,
        Refusal::Port => Fault::Port,
        Refusal::Checksum | Refusal::Crowd => panic!("{refusal} is no fault of a line"),
    }
}

fn name(token: Token) -> String {
    token.to_string()
}
