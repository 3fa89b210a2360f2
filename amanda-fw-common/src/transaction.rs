//! Transactions: a request on a control flow, its reply, and the streams that the reply announced.

use bytemuck::{Pod, Zeroable};

use crate::addr::{Addr, Endpoint};
use crate::connect::{MAX_STREAMS, Refusal, Service};
use crate::expect::{Expectation, ExpectationKey};
use crate::header::PacketType;
use crate::message::Message;
use crate::numbered::numbered;
use crate::settings::{REQUEST_TIMEOUT, Settings};
use crate::tables::{Table, Tables};
use crate::text::Token;
use crate::verdict::Counter;

numbered! {
    /// How far a transaction has come.
    pub enum TransactionState: u8 {
        /// The request was sent.
        Requested = 1 "requested",
        /// The responder has received it, and its service runs.
        Running = 2 "running",
        /// The reply was sent.
        Replied = 3 "replied",
        /// The request was refused.
        Refused = 4 "refused",
    }
}

numbered! {
    /// How far a stream has come.
    pub enum StreamState: u8 {
        /// The line has no such stream.
        None = 0 "none",
        /// The stream needs no connection of its own.
        Unused = 1 "unused",
        /// The connection is expected.
        Expected = 2 "expected",
        /// The connection was opened.
        Open = 3 "open",
        /// The connection is over.
        Closed = 4 "closed",
    }
}

/// One stream of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct StreamSlot {
    /// The TCP port on the responder.
    pub port: u16,
    /// The number of the stream.
    pub stream: u8,
    /// The number of its [`StreamState`].
    pub state: u8,
}

/// Bytes that a stream carried, known once it is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct StreamBytes {
    /// From the initiator.
    pub initiator: u64,
    /// From the responder.
    pub responder: u64,
}

/// Two hosts with their ports on a control flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFlow {
    /// Who sends requests.
    pub initiator: Endpoint,
    /// Who answers them.
    pub responder: Endpoint,
    /// Whether the datagram at hand comes from the initiator.
    pub from_initiator: bool,
}

/// What is remembered of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Transaction {
    /// Who sent the request.
    pub initiator: Addr,
    /// Who answers it.
    pub responder: Addr,
    /// The handle.
    pub handle: Token,
    /// The sequence number's digits.
    pub sequence: Token,
    /// Monotonic time of the request, in nanoseconds.
    pub opened: u64,
    /// Monotonic time of the last packet of the control flow or of a stream, in nanoseconds.
    pub seen: u64,
    /// UDP port of the initiator.
    pub initiator_port: u16,
    /// UDP port of the responder.
    pub responder_port: u16,
    /// Number of the service.
    pub service: u8,
    /// Number of the [`TransactionState`].
    pub state: u8,
    pad: [u8; 2],
    /// The streams, in the order of the line.
    pub streams: [StreamSlot; MAX_STREAMS],
    pad_end: u32,
    /// What closed streams carried, in the order of the line.
    pub carried: [StreamBytes; MAX_STREAMS],
}

/// What the first bytes of a control flow's datagram were found to be, in the numbers that events
/// carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Inspection {
    /// Identifier of the transaction, 0 where none is known.
    pub transaction: u64,
    /// The handle.
    pub handle: Token,
    /// The sequence number's digits.
    pub sequence: Token,
    /// The streams that are expected from now on.
    pub streams: [StreamSlot; MAX_STREAMS],
    /// Number of the [`PacketType`], 0 where the datagram is not Amanda's.
    pub packet_type: u8,
    /// Number of the [`Service`].
    pub service: u8,
    /// Number of the [`Refusal`] of a CONNECT line that opened nothing, else 0.
    pub refusal: u8,
    pad: u8,
}

impl Transaction {
    /// An entry of nobody.
    const EMPTY: Self = Self {
        initiator: Addr::UNSPECIFIED,
        responder: Addr::UNSPECIFIED,
        handle: Token::of(""),
        sequence: Token::of(""),
        opened: 0,
        seen: 0,
        initiator_port: 0,
        responder_port: 0,
        service: 0,
        state: 0,
        pad: [0; 2],
        streams: [StreamSlot { port: 0, stream: 0, state: 0 }; MAX_STREAMS],
        pad_end: 0,
        carried: [StreamBytes { initiator: 0, responder: 0 }; MAX_STREAMS],
    };

    fn is_of(&self, flow: &ControlFlow, message: &Message) -> bool {
        self.initiator == flow.initiator.addr
            && self.responder == flow.responder.addr
            && self.initiator_port == flow.initiator.port
            && self.responder_port == flow.responder.port
            && self.handle == message.handle
            && self.sequence == message.sequence
    }

    /// Tells whether the reply is still to come.
    #[inline(always)]
    pub fn is_waiting(&self) -> bool {
        self.state <= TransactionState::Running.number()
    }

    /// Tells whether any stream is expected or open.
    pub fn has_streams(&self) -> bool {
        let live = [StreamState::Expected.number(), StreamState::Open.number()];
        self.streams.iter().any(|slot| live.contains(&slot.state))
    }

    /// Tells whether the transaction has been silent for longer than it may.
    #[inline(always)]
    pub fn is_expired(&self, settings: &Settings, now: u64) -> bool {
        let requested = self.state == TransactionState::Requested.number();
        let allowed = if requested { REQUEST_TIMEOUT } else { settings.transaction_timeout };
        self.is_waiting() && now.saturating_sub(self.seen) > allowed
    }

    /// Marks a stream as closed, and keeps what it carried.
    #[inline(always)]
    pub fn close(&mut self, slot: u8, carried: StreamBytes) {
        self.mark(slot, StreamState::Closed);
        if let Some(place) = self.carried.get_mut(usize::from(slot)) {
            *place = carried;
        }
    }

    /// Marks a stream's state.
    #[inline(always)]
    pub fn mark(&mut self, slot: u8, state: StreamState) {
        if let Some(slot) = self.streams.get_mut(usize::from(slot)) {
            slot.state = state.number();
        }
    }
}

/// Computes the identifier of a transaction: not 0, and not to be guessed without the seed.
#[inline(always)]
fn identify(flow: &ControlFlow, message: &Message, seed: u64) -> u64 {
    let [i0, i1] = flow.initiator.addr.words();
    let [r0, r1] = flow.responder.addr.words();
    let ports = (u64::from(flow.initiator.port) << 16) | u64::from(flow.responder.port);
    let [h0, h1] = message.handle.words();
    let [s0, s1] = message.sequence.words();
    let mut id = seed;
    for word in [i0, i1, r0, r1, ports, h0, h1, s0, s1] {
        // The finaliser of splitmix64 (Steele, Lea, Flood 2014), once a word.
        id = (id ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
        id ^= id >> 32;
    }
    id | 1
}

/// Learns from a datagram of a control flow what it opens.
#[inline(always)]
pub fn learn<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) {
    let id = identify(flow, message, settings.seed);
    *found = Inspection {
        transaction: id,
        handle: message.handle,
        sequence: message.sequence,
        packet_type: message.packet_type,
        ..Inspection::default()
    };
    match (PacketType::from_number(message.packet_type), flow.from_initiator) {
        (Some(PacketType::Req), true) => {
            found.service = message.service;
            request(message, flow, id, settings, tables, now);
        }
        (Some(PacketType::Rep), false) => reply(message, flow, settings, tables, now, found),
        (Some(PacketType::Ack | PacketType::Prep | PacketType::Nak), false) => {
            found.service = receipt(message, flow, id, tables, now);
        }
        _ => {}
    }
}

/// Records a request; a repeated one changes nothing but the time.
#[inline(always)]
fn request<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    id: u64,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) {
    let is_same =
        |known: &&mut Transaction| known.is_of(flow, message) && !known.is_expired(settings, now);
    if let Some(known) = tables.transactions().get(&id).filter(is_same) {
        known.seen = now;
        return;
    }
    if let Some(known) = tables.requests().get(&id).filter(is_same) {
        known.seen = now;
        return;
    }
    // One of the same name is expired, or another's whose name happens to be the same.
    tables.transactions().remove(&id);
    // An entry is filled where it lies, since the kernel's stack has no room for it. Until it is,
    // it is nobody's.
    if tables.requests().insert(&id, &Transaction::EMPTY).is_err() {
        return;
    }
    let Some(entry) = tables.requests().get(&id) else {
        return;
    };
    entry.handle = message.handle;
    entry.sequence = message.sequence;
    entry.opened = now;
    entry.seen = now;
    entry.initiator_port = flow.initiator.port;
    entry.responder_port = flow.responder.port;
    entry.service = message.service;
    entry.state = TransactionState::Requested.number();
    entry.responder = flow.responder.addr;
    entry.initiator = flow.initiator.addr;
    tables.count(Counter::Requests);
}

/// Returns a transaction that its responder answers: from now on it cannot be pushed out.
#[inline(always)]
fn open<T: Tables>(id: u64, tables: &mut T) -> Option<&mut Transaction> {
    if tables.transactions().get(&id).is_none() && tables.requests().get(&id).is_some() {
        if !tables.open_transaction(id) {
            tables.count(Counter::TransactionsFull);
            return None;
        }
        tables.requests().remove(&id);
    }
    tables.transactions().get(&id)
}

/// Notes that the responder works on a request, or refuses it.
#[inline(always)]
fn receipt<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    id: u64,
    tables: &mut T,
    now: u64,
) -> u8 {
    let Some(known) = open(id, tables).filter(|k| k.is_of(flow, message)) else {
        return 0;
    };
    if known.is_waiting() {
        let refused = message.is(PacketType::Nak);
        let state = if refused { TransactionState::Refused } else { TransactionState::Running };
        known.state = state.number();
        known.seen = now;
    }
    known.service
}

/// Takes a reply: the first one fixes the streams, a repeated one renews those not yet open.
#[inline(always)]
fn reply<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) {
    let id = found.transaction;
    let known = open(id, tables);
    let Some(known) = known.filter(|k| k.is_of(flow, message) && !k.is_expired(settings, now))
    else {
        tables.count(Counter::RepliesUnasked);
        found.transaction = 0;
        return;
    };
    found.service = known.service;
    let replied = TransactionState::Replied.number();
    let mut refusal = None;
    if known.is_waiting() {
        known.state = replied;
        known.seen = now;
        refusal = announce(message, known);
        found.streams = known.streams;
    } else if known.state != replied {
        tables.count(Counter::RepliesUnasked);
        return;
    }
    let streams = known.streams;
    tables.count(Counter::Replies);
    if let Some(refusal) = refusal {
        found.refusal = refusal.number();
        tables.count(refusal.counter());
    }
    expect(flow, &streams, id, settings, tables, now);
}

/// Fills the streams of a transaction from the CONNECT line of its reply, if there is one.
#[inline(always)]
fn announce(message: &Message, known: &mut Transaction) -> Option<Refusal> {
    if !message.has_connect() {
        return None;
    }
    let service = Service::from_number(known.service).unwrap_or(Service::Other);
    if !service.has_streams() {
        return Some(Refusal::Service);
    }
    if message.refusal != 0 {
        return Refusal::from_number(message.refusal);
    }
    if !service.sends(message.layout) {
        return Some(Refusal::Layout);
    }
    for (slot, announced) in known.streams.iter_mut().zip(&message.line) {
        let state = match (announced.stream, announced.port) {
            (0, _) => StreamState::None,
            (_, 0) => StreamState::Unused,
            _ => StreamState::Expected,
        };
        *slot =
            StreamSlot { port: announced.port, stream: announced.stream, state: state.number() };
    }
    None
}

/// Inserts the expectations of all streams that nobody has opened.
#[inline(always)]
fn expect<T: Tables>(
    flow: &ControlFlow,
    streams: &[StreamSlot; MAX_STREAMS],
    id: u64,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) {
    let expires = now.saturating_add(settings.expectation_timeout);
    for (index, slot) in streams.iter().enumerate() {
        if slot.state != StreamState::Expected.number() {
            continue;
        }
        let key = ExpectationKey::new(flow.initiator.addr, flow.responder.addr, slot.port);
        take_over(&key, id, tables);
        let expectation = Expectation::new(id, expires, slot.stream, index as u8);
        match tables.expectations().insert(&key, &expectation) {
            Ok(()) => tables.count(Counter::ExpectationsCreated),
            Err(_) => tables.count(Counter::ExpectationsFull),
        }
    }
}

/// Takes a port over that another transaction announced, and that nobody has connected to: its
/// listener is gone, or the port could not be announced again.
#[inline(always)]
fn take_over<T: Tables>(key: &ExpectationKey, id: u64, tables: &mut T) {
    let Some(before) = tables.expectations().get(key).map(|expectation| *expectation) else {
        return;
    };
    if before.transaction != id
        && let Some(other) = tables.transactions().get(&before.transaction)
    {
        other.mark(before.slot, StreamState::Unused);
    }
}

impl Refusal {
    /// Returns the counter of the refusal.
    #[inline(always)]
    pub const fn counter(self) -> Counter {
        match self {
            Self::Service => Counter::RefusedService,
            Self::Syntax => Counter::RefusedSyntax,
            Self::Layout => Counter::RefusedLayout,
            Self::Port => Counter::RefusedPort,
        }
    }
}
