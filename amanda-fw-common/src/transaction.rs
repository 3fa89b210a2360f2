//! Transactions: a request on a control flow, its reply, and the streams that the reply announced.

use core::num::NonZero;

use bytemuck::{Pod, Zeroable};

use crate::addr::{Addr, Endpoint};
use crate::connect::{self, MAX_STREAMS, PortRange, Refusal, Service};
use crate::expect::{Expectation, ExpectationKey};
use crate::flow::FlowState;
use crate::header::PacketType;
use crate::message::Message;
use crate::nat::Mapped;
use crate::numbered::numbered;
use crate::pair::{self, PairKey};
use crate::settings::{REQUEST_TIMEOUT, Settings};
use crate::tables::{Table, Tables};
use crate::text::Token;
use crate::verdict::Counter;
use crate::wire::PROTOCOL_TCP;

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

numbered! {
    /// What is left to do with a datagram that was learnt from.
    pub enum Rest: u8 {
        /// Nothing.
        Nothing = 0 "nothing",
        /// The reply is to be settled.
        Settle = 1 "settle",
        /// The reply is to be settled after a look at its checksum: it may open ports.
        Verify = 2 "verify",
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
    /// What the initiator knows the responder as, if that is translated.
    pub known_as: Mapped,
    /// Whether it is amoldrecover's, whose connections all come from privileged ports.
    pub classic: bool,
    /// Whether it goes out.
    pub outgoing: bool,
}

impl ControlFlow {
    /// Returns where a connection to an announced port really goes.
    #[inline(always)]
    fn to(&self, port: u16) -> Mapped {
        Mapped::of(Endpoint { addr: self.responder.addr, port })
    }

    #[inline(always)]
    fn pair(&self) -> PairKey {
        PairKey { initiator: self.initiator.addr, responder: self.responder.addr }
    }
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
    /// The ports that the initiator knows them by, where the responder's address is translated.
    pub outside: [u16; MAX_STREAMS],
    pad_end: u16,
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
    /// Number of the [`Refusal`] of an answer that opened nothing, else 0.
    pub refusal: u8,
    /// 1 for a reply of an open transaction.
    pub is_reply: u8,
    /// The ports that the initiator knows the streams of the line by, 0 where that is the one that the
    /// line says.
    pub outside: [u16; MAX_STREAMS],
    pad_end: [u16; 3],
}

impl Transaction {
    /// An entry of nobody.
    pub(crate) const EMPTY: Self = Self {
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
        outside: [0; MAX_STREAMS],
        pad_end: 0,
        carried: [StreamBytes { initiator: 0, responder: 0 }; MAX_STREAMS],
    };

    /// Fills an entry where it lies, since the kernel's stack has no room for it; until then it is
    /// nobody's.
    #[inline(always)]
    fn fill(&mut self, message: &Message, flow: &ControlFlow, now: u64) {
        self.handle = message.handle;
        self.sequence = message.sequence;
        self.opened = now;
        self.seen = now;
        self.initiator_port = flow.initiator.port;
        self.responder_port = flow.responder.port;
        self.service = message.service;
        self.state = TransactionState::Requested.number();
        self.responder = flow.responder.addr;
        self.initiator = flow.initiator.addr;
    }

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

    /// Tells whether nothing of the transaction is under way any more: it makes room for another.
    #[inline(always)]
    pub fn is_over(&self, settings: &Settings, now: u64) -> bool {
        let bit = |state: u8| 1_u32 << (state & 31);
        let states = self.streams.iter().fold(0, |states, slot| states | bit(slot.state));
        let is_any = |state: StreamState| states & bit(state.number()) != 0;
        let allowed = if self.is_waiting() {
            return self.is_expired(settings, now);
        } else if is_any(StreamState::Open) {
            let established = FlowState::Established.number();
            settings.timeouts.of(PROTOCOL_TCP, established, false)
        } else if is_any(StreamState::Expected) {
            settings.expectation_timeout
        } else {
            return true;
        };
        now.saturating_sub(self.seen) > allowed
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
pub(crate) fn identify(flow: &ControlFlow, message: &Message, seed: u64) -> u64 {
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

/// Learns from a datagram of a control flow, and returns what is left to do: to [`settle`] a reply.
#[inline(always)]
pub fn learn<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) -> Rest {
    let id = identify(flow, message, settings.seed);
    *found = Inspection {
        transaction: id,
        handle: message.handle,
        sequence: message.sequence,
        packet_type: message.packet_type,
        ..Inspection::default()
    };
    let asks = message.is(PacketType::Req);
    if asks != flow.from_initiator {
        return Rest::Nothing;
    }
    let may_be_open = if asks {
        found.service = message.service;
        request(message, flow, id, settings, tables, now)
    } else {
        open(flow, id, settings, tables, now)
    };
    if !may_be_open {
        refuse(Refusal::Crowd, tables, found);
        return Rest::Nothing;
    }
    match PacketType::from_number(message.packet_type) {
        Some(PacketType::Rep) => reply(message, flow, settings, tables, now, found),
        Some(PacketType::Ack | PacketType::Prep | PacketType::Nak) => {
            found.service = receipt(message, flow, id, tables, now);
            Rest::Nothing
        }
        Some(PacketType::Req) | None => Rest::Nothing,
    }
}

/// Records a request, and tells whether its hosts may have it open; a repeated one changes nothing
/// but the time.
#[inline(always)]
fn request<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    id: u64,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) -> bool {
    let is_same =
        |known: &&mut Transaction| known.is_of(flow, message) && !known.is_expired(settings, now);
    if let Some(known) = tables.transactions().get(&id) {
        if is_same(&known) {
            known.seen = now;
            return true;
        }
        // It is expired, or another's whose name happens to be the same.
        tables.transactions().remove(&id);
    }
    if let Some(known) = tables.requests().get(&id).filter(is_same) {
        known.seen = now;
        return true;
    }
    // What the host itself asks cannot be pushed out from the beginning.
    if flow.outgoing && !pair::take_place(&flow.pair(), id, settings, tables, now) {
        return false;
    }
    tables.count(Counter::Requests);
    if flow.outgoing {
        if tables.transactions().insert(&id, &Transaction::EMPTY).is_ok() {
            if let Some(entry) = tables.transactions().get(&id) {
                entry.fill(message, flow, now);
            }
            return true;
        }
        tables.count(Counter::TransactionsFull);
    }
    if tables.requests().insert(&id, &Transaction::EMPTY).is_ok()
        && let Some(entry) = tables.requests().get(&id)
    {
        entry.fill(message, flow, now);
    }
    true
}

/// Has a request stay that is answered: from now on it cannot be pushed out.
///
/// Returns whether its hosts may have it open.
#[inline(always)]
fn open<T: Tables>(
    flow: &ControlFlow,
    id: u64,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) -> bool {
    if tables.transactions().get(&id).is_some() || tables.requests().get(&id).is_none() {
        return true;
    }
    if !pair::take_place(&flow.pair(), id, settings, tables, now) {
        return false;
    }
    if tables.open_transaction(id) {
        tables.requests().remove(&id);
    } else {
        tables.count(Counter::TransactionsFull);
    }
    true
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
    let Some(known) = tables.transactions().get(&id).filter(|k| k.is_of(flow, message)) else {
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

/// Takes a reply, and tells what it needs to be settled.
#[inline(always)]
fn reply<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) -> Rest {
    let known = tables.transactions().get(&found.transaction);
    let Some(known) = known.filter(|k| k.is_of(flow, message) && !k.is_expired(settings, now))
    else {
        tables.count(Counter::RepliesUnasked);
        found.transaction = 0;
        return Rest::Nothing;
    };
    found.service = known.service;
    let service = Service::from_number(known.service).unwrap_or(Service::Other);
    if known.is_waiting() && service.has_streams() {
        return Rest::Verify;
    }
    let is_replied = known.state == TransactionState::Replied.number();
    // The initiator must read each reply alike, also when nothing is left to be opened.
    let is_done = is_replied && !known.has_streams() && !flow.known_as.is_set();
    match (known.is_waiting() || is_replied, is_done) {
        (true, false) => return Rest::Settle,
        // Nothing is left to be renewed.
        (true, true) => tables.count(Counter::Replies),
        (false, _) => tables.count(Counter::RepliesUnasked),
    }
    Rest::Nothing
}

/// Settles a reply: the first one fixes the streams, a repeated one renews those not yet open.
#[inline(always)]
pub fn settle<T: Tables>(message: &Message, tables: &mut T, now: u64, found: &mut Inspection) {
    let id = found.transaction;
    let Some(known) = tables.transactions().get(&id) else {
        return;
    };
    if message.is_distrusted() {
        // The host drops the datagram, and the responder repeats it.
        refuse(Refusal::Checksum, tables, found);
        return;
    }
    let mut refusal = None;
    if known.is_waiting() {
        known.state = TransactionState::Replied.number();
        refusal = announce(message, known);
        found.streams = known.streams;
    }
    known.seen = now;
    found.is_reply = 1;
    tables.count(Counter::Replies);
    if let Some(refusal) = refusal {
        refuse(refusal, tables, found);
    }
}

/// Notes and counts why an answer opens nothing.
#[inline(always)]
fn refuse<T: Tables>(refusal: Refusal, tables: &mut T, found: &mut Inspection) {
    found.refusal = refusal.number();
    tables.count(refusal.counter());
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

/// Finds by which port the initiator is to know a stream of a reply, where addresses are translated
/// between the two hosts, so that each repetition of the reply says the same.
#[inline(always)]
pub fn find_outside<T: Tables>(
    flow: &ControlFlow,
    index: usize,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &Inspection,
) {
    let id = found.transaction;
    let Some((slot, outside)) = stream(id, index, tables) else { return };
    if slot.state != StreamState::Expected.number() {
        return;
    }
    let wanted = if outside == 0 { slot.port } else { outside };
    let key = ExpectationKey::new(flow.initiator.addr, flow.known_as.endpoint().addr, wanted);
    let to = flow.to(slot.port);
    let port = tables.port_outside(&key, to, settings.streams(), now);
    if port == 0 {
        tables.count(Counter::RefusedClash);
    }
    if let Some(known) = tables.transactions().get(&id)
        && let Some(place) = known.outside.get_mut(index)
    {
        *place = port;
    }
}

/// Expects a stream of a reply, unless somebody has opened it.
#[inline(always)]
pub fn expect<T: Tables>(
    message: &Message,
    flow: &ControlFlow,
    index: usize,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) {
    let id = found.transaction;
    let Some((slot, outside)) = stream(id, index, tables) else { return };
    if let (Some(said), Some(place)) = (message.line.get(index), found.outside.get_mut(index))
        && said.port == slot.port
    {
        *place = outside;
    }
    let is_translated = flow.known_as.is_set();
    if slot.state != StreamState::Expected.number() || (is_translated && outside == 0) {
        return;
    }
    let initiator = flow.initiator.addr;
    let (key, to) = if is_translated {
        let key = ExpectationKey::new(initiator, flow.known_as.endpoint().addr, outside);
        (key, flow.to(slot.port))
    } else {
        (ExpectationKey::new(initiator, flow.responder.addr, slot.port), Mapped::NONE)
    };
    let expires = now.saturating_add(settings.expectation_timeout);
    if renew(&key, id, expires, tables) {
        tables.count(Counter::ExpectationsCreated);
        return;
    }
    let expectation =
        Expectation::new(id, expires, slot.stream, index as u8, to).with_privileged(flow.classic);
    match tables.expectations().insert(&key, &expectation) {
        Ok(()) => tables.count(Counter::ExpectationsCreated),
        Err(_) => tables.count(Counter::ExpectationsFull),
    }
}

/// Returns a stream of a transaction, and the port that the initiator knows it by.
#[inline(always)]
fn stream<T: Tables>(id: u64, index: usize, tables: &mut T) -> Option<(StreamSlot, u16)> {
    let known = tables.transactions().get(&id)?;
    Some((*known.streams.get(index)?, *known.outside.get(index)?))
}

/// How many ports are tried where the announced one stands for another host's.
const OUTSIDE_TRIES: u32 = 64;

/// Finds a port that an announced one can be known by outside: `wanted` if it is free, else one of as
/// many digits, so that the line keeps its length; 0 for none.
#[inline(always)]
pub fn port_outside(wanted: u16, range: PortRange, mut is_free: impl FnMut(u16) -> bool) -> u16 {
    let digits = PortRange::of_digits(wanted);
    let (low, high) = (range.low.max(digits.low), range.high.min(digits.high));
    // Without a branch in the loop, a verifier follows it once for each try.
    let size = NonZero::<u32>::MIN.saturating_add(u32::from(high.saturating_sub(low)));
    let start = u32::from(wanted.wrapping_sub(low));
    for index in 0..OUTSIDE_TRIES {
        let port = low.wrapping_add((start.wrapping_add(index) % size) as u16);
        if is_free(port) {
            return port;
        }
    }
    0
}

/// Tells whether a port stands for nobody else's.
#[inline(always)]
pub fn is_free(
    expectations: &mut impl Table<ExpectationKey, Expectation>,
    key: &ExpectationKey,
    to: Mapped,
    now: u64,
) -> bool {
    let other = expectations.get(key);
    !connect::OWN_PORTS.contains(key.port)
        && other.is_none_or(|other| other.to == to || other.is_expired(now))
}

/// Renews an expectation of the transaction's own, where it is, and tells whether there is one.
///
/// A port that another transaction announced, and that nobody has connected to, is taken over: its
/// listener is gone, or the port could not be announced again.
#[inline(always)]
fn renew<T: Tables>(key: &ExpectationKey, id: u64, expires: u64, tables: &mut T) -> bool {
    let Some(known) = tables.expectations().get(key) else {
        return false;
    };
    if known.transaction == id {
        known.expires = expires;
        return true;
    }
    let before = *known;
    if let Some(other) = tables.transactions().get(&before.transaction) {
        other.mark(before.slot, StreamState::Unused);
    }
    false
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
            Self::Checksum => Counter::RefusedChecksum,
            Self::Crowd => Counter::TransactionsCapped,
        }
    }
}
