//! What a tape server tells amoldrecover: `CONNECT 12345\n`, within the connection to amidxtaped.
//!
//! The server writes the line at once, and nothing else until somebody connects to the port
//! (perl/Amanda/Service/Amidxtaped.pm, `setup_data_stream`); the client, which reads the answer to
//! each of its lines before it goes on, finds it alone in what it reads (oldrecover-src/
//! extract_list.c). So the line is all that its segment holds.

use crate::auth::TAPE_PORT;
use crate::connect::{self, PortRange, Refusal, Service, Stream};
use crate::flow::FlowKey;
use crate::header::PacketType;
use crate::message::Message;
use crate::nat::Mapped;
use crate::settings::Settings;
use crate::tables::{Table, Tables};
use crate::text::Text;
use crate::transaction::{
    ControlFlow, Inspection, StreamSlot, StreamState, Transaction, TransactionState, identify,
};
use crate::verdict::Counter;
use crate::wire::Packet;

/// Bytes of the shortest line, with a digit, and of the longest one, with five.
const SHORTEST: usize = 10;
const LONGEST: usize = 14;

/// The place of the connection itself among the streams of its transaction; the data follows.
const CTL: u8 = 0;

/// Tells whether a segment with so many bytes may be the line.
#[inline(always)]
pub const fn fits(length: usize) -> bool {
    length >= SHORTEST && length <= LONGEST
}

/// Reads a port, or why the line opens nothing; nothing where it is no such line.
#[inline(always)]
fn port(text: &Text, length: usize, range: PortRange) -> Option<Result<u16, Refusal>> {
    if !connect::is_connect(text, 0) {
        return None;
    }
    let Some((number, digits)) = text.token(8) else {
        return Some(Err(Refusal::Syntax));
    };
    let end = digits.wrapping_add(8);
    if text.byte(end) != b'\n' || end.wrapping_add(1) != length {
        return Some(Err(Refusal::Syntax));
    }
    Some(match connect::port(number, true, range) {
        Ok(0) => Err(Refusal::Port),
        read => read,
    })
}

/// Learns from a segment of a tape server's what it opens; tells whether it is an announcement.
#[inline(always)]
pub fn learn<T: Tables>(
    text: &Text,
    packet: &Packet,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) -> bool {
    *found = Inspection::default();
    let Some(port) = port(text, packet.payload_length(), settings.streams()) else {
        return false;
    };
    found.packet_type = PacketType::Rep.number();
    found.service = Service::Amidxtaped.number();
    match port {
        Ok(port) => announce(port, packet, settings, tables, now, found),
        Err(refusal) => {
            found.refusal = refusal.number();
            tables.count(refusal.counter());
        }
    }
    true
}

/// Takes a port: the first one that a connection announces is its only one, and a repeated line
/// renews it for as long as nobody has connected.
#[inline(always)]
fn announce<T: Tables>(
    port: u16,
    packet: &Packet,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) {
    let (initiator, responder) = (packet.destination, packet.source);
    let flow = ControlFlow {
        initiator,
        responder,
        from_initiator: false,
        known_as: Mapped::NONE,
        outgoing: false,
        classic: true,
    };
    let (key, _) = FlowKey::new(packet.protocol, packet.source, packet.destination);
    // Among the embryos nobody has proven both ends.
    let Some(before) = tables.flows().get(&key).map(|flow| flow.transaction) else {
        return;
    };
    let id = identify(&flow, &Message::default(), settings.seed);
    if before == 0 && !begin(id, port, &flow, tables, now) {
        tables.count(Counter::TransactionsFull);
        return;
    }
    let streams = tables.transactions().get(&id).map(|known| known.streams).unwrap_or_default();
    let [_, data, ..] = streams;
    if data.port != port {
        tables.count(Counter::RepliesUnasked);
        return;
    }
    if before == 0
        && let Some(flow) = tables.flows().get(&key)
    {
        flow.transaction = id;
        flow.stream = Stream::Ctl.number();
        flow.slot = CTL;
    }
    found.transaction = id;
    found.streams = streams;
    found.is_reply = 1;
    tables.count(Counter::Replies);
}

/// Makes the transaction of a recovery; tells whether there is room for it.
#[inline(always)]
fn begin<T: Tables>(id: u64, port: u16, flow: &ControlFlow, tables: &mut T, now: u64) -> bool {
    if tables.transactions().insert(&id, &Transaction::EMPTY).is_err() {
        return false;
    }
    let Some(entry) = tables.transactions().get(&id) else {
        return false;
    };
    let slot = |port, stream: Stream, state: StreamState| StreamSlot {
        port,
        stream: stream.number(),
        state: state.number(),
    };
    entry.opened = now;
    entry.seen = now;
    entry.initiator_port = flow.initiator.port;
    entry.responder_port = flow.responder.port;
    entry.service = Service::Amidxtaped.number();
    entry.state = TransactionState::Replied.number();
    entry.responder = flow.responder.addr;
    entry.initiator = flow.initiator.addr;
    let none = StreamSlot::default();
    entry.streams = [
        slot(TAPE_PORT, Stream::Ctl, StreamState::Open),
        slot(port, Stream::Data, StreamState::Expected),
        none,
        none,
        none,
    ];
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<Result<u16, Refusal>>) {
        let mut text = Text::EMPTY;
        text.fill(line.as_bytes());
        let range = PortRange { low: 1024, high: 65535 };
        let read = fits(line.len()).then(|| port(&text, line.len(), range)).flatten();
        assert_eq!(read, expected, "{line:?}");
    }

    #[test]
    fn a_port_is_announced_in_a_line_of_its_own() {
        check("CONNECT 50010\n", Some(Ok(50010)));
        check("CONNECT 1024\n", Some(Ok(1024)));
        check("CONNECT 65535\n", Some(Ok(65535)));
    }

    #[test]
    fn a_number_that_is_no_port_is_refused() {
        for number in
            ["1", "22", "1023", "65536", "02222", "10080", "10083", "-1", "+2222", "2222x"]
        {
            check(&format!("CONNECT {number}\n"), Some(Err(Refusal::Port)));
        }
    }

    #[test]
    fn a_line_that_is_not_alone_or_not_whole_is_refused() {
        for line in [
            "CONNECT 50010",
            "CONNECT 50010\r",
            "CONNECT 2222\nX",
            "CONNECT 222 2\n",
            "CONNECT  2222\n",
            "CONNECT 5001\0\n",
        ] {
            check(line, Some(Err(Refusal::Syntax)));
        }
    }

    #[test]
    fn anything_else_is_no_line() {
        for line in ["CONNECT 222222\n", "CONNECT\t2222\n", "connect 2222\n", "FEEDME A-01\n", ""] {
            check(line, None);
        }
    }
}
