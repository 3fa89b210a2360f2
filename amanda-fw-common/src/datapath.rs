//! The path of a packet: flow, expectation, control flow, rule, policy; then the verdict.

use bytemuck::{Pod, Zeroable};

use crate::auth::{self, purpose};
use crate::classic;
use crate::connect::MAX_STREAMS;
use crate::expect::ExpectationKey;
use crate::flow::{Direction, Flow, FlowKey};
use crate::fragment::{FragmentKey, Fragments, MOST_HELD, Waiting};
use crate::frame::Frame;
use crate::message::Message;
use crate::nat::{
    AliasKey, Binding, BindingKey, Crossing, Filtering, Mapped, Rewrite, Rewritten, TranslationKind,
};
use crate::numbered::numbered;
use crate::rules::{Action, CLASS_LOGGING, Query, Rejection, Rule, SourceKey, Way, field};
use crate::settings::{FRAGMENT_TIMEOUT, HOLD_TIMEOUT, Settings};
use crate::tables::{Router, Table, Tables};
use crate::text::{TEXT_LENGTH, Text};
use crate::transaction::{self, ControlFlow, Inspection, Rest, StreamBytes, StreamState};
use crate::verdict::{Counter, Reason, Verdict};
use crate::wire::{self, Fragment, Icmp, Link, PROTOCOL_ICMP, PROTOCOL_UDP, Packet, TcpFlags};

/// Where and when a packet was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which way it goes.
    pub way: Way,
    /// What the frame begins with.
    pub link: Link,
    /// Index of the interface.
    pub interface: u32,
    /// Index of the interface that a packet on its way out came by, 0 where the host sends it.
    pub from: u32,
    /// Monotonic time, in nanoseconds.
    pub now: u64,
}

numbered! {
    /// Whose datagram on a control flow a packet is.
    pub enum Control: u8 {
        /// The packet is on no control flow.
        None = 0 "none",
        /// The initiator's.
        FromInitiator = 1 "from-initiator",
        /// The responder's.
        FromResponder = 2 "from-responder",
        /// The packet begins a connection to a tape server, which will announce a port on it.
        BeginsTape = 3 "begins-tape",
        /// The segment may be that announcement.
        MayAnnounce = 4 "may-announce",
    }
}

/// What was decided about a packet, in the numbers that the kernel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Decision {
    /// Identifier of the transaction that the flow belongs to, else 0.
    pub transaction: u64,
    /// Slot of the rule that decided, else 0.
    pub rule: u16,
    /// Slot of the rule that logs the packet, else 0.
    pub log: u16,
    /// Number of the reason.
    reason: u8,
    /// Number of the flow's state.
    pub state: u8,
    /// Number of the stream that the flow is, else 0.
    pub stream: u8,
    /// Place of the stream in its transaction.
    pub slot: u8,
    /// Number of the [`Control`].
    control: u8,
    /// 1 where the packet ended a stream.
    closed: u8,
    /// Number of the [`Rejection`] that the rule asks for.
    rejection: u8,
    pad: u8,
    pad_word: u32,
}

impl Decision {
    /// Makes a decision of which no more is known than why.
    #[inline(always)]
    pub const fn new(reason: Reason) -> Self {
        Self {
            transaction: 0,
            rule: 0,
            log: 0,
            reason: reason.number(),
            state: 0,
            stream: 0,
            slot: 0,
            control: 0,
            closed: 0,
            rejection: 0,
            pad: 0,
            pad_word: 0,
        }
    }

    /// Returns why; the verdict follows from it.
    #[inline(always)]
    pub fn reason(&self) -> Reason {
        Reason::from_number(self.reason).unwrap_or(Reason::PolicyDrop)
    }

    /// Returns the number of the reason.
    #[inline(always)]
    pub const fn reason_number(&self) -> u8 {
        self.reason
    }

    /// Returns what happens to the packet.
    #[inline(always)]
    pub const fn verdict(&self) -> Verdict {
        Reason::verdict_of(self.reason)
    }

    /// Tells whether it is a datagram of a control flow.
    #[inline(always)]
    pub const fn is_control(&self) -> bool {
        self.control == Control::FromInitiator.number()
            || self.control == Control::FromResponder.number()
    }

    /// Tells whether it is a segment that may announce a port to amoldrecover.
    #[inline(always)]
    pub const fn may_announce(&self) -> bool {
        self.control == Control::MayAnnounce.number()
    }

    /// Tells whether it is to be inspected.
    #[inline(always)]
    pub const fn is_inspected(&self) -> bool {
        self.is_control() || self.may_announce()
    }

    /// Notes that a segment announces nothing.
    #[inline(always)]
    pub const fn announces_nothing(&mut self) {
        self.control = Control::None.number();
    }

    /// Tells whether the datagram to be inspected is the initiator's.
    #[inline(always)]
    pub const fn is_from_initiator(&self) -> bool {
        self.control == Control::FromInitiator.number()
    }

    /// Tells whether the packet ended a stream.
    #[inline(always)]
    pub const fn is_closed(&self) -> bool {
        self.closed != 0
    }

    /// Returns how the sender of a rejected packet is told.
    #[inline(always)]
    pub fn rejection(&self) -> Rejection {
        Rejection::from_number(self.rejection).unwrap_or(Rejection::Default)
    }

    /// Tells whether a person who watches wants to see the decision.
    #[inline(always)]
    pub const fn is_notable(&self) -> bool {
        self.closed != 0 || self.log != 0 || Reason::is_notable(self.reason)
    }
}

/// How far a packet's flow decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is decided.
    Decided,
    /// It belongs to no flow: [`admit`], [`ask_rules`] and [`begin`] decide it.
    New,
    /// It belongs to a flow that is over, and is decided like a new one.
    Again,
}

/// Reads a packet, decides it, remembers its flow, and counts it.
///
/// The kernel calls the steps one by one, each on a stack of its own.
pub fn decide<F: Frame + ?Sized, T: Tables + Router>(
    frame: &F,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    packet: &mut Packet,
    crossing: &mut Crossing,
) -> Decision {
    let mut decision = Decision::new(Reason::PolicyDrop);
    match decide_known(frame, arrival, settings, tables, packet, crossing, &mut decision) {
        Known::Decided => {}
        known @ (Known::New | Known::Again) => {
            let admitted = admit(packet, arrival, settings, tables, crossing, &mut decision);
            if asks_route(arrival, settings) {
                crossing.output = tables.route(packet, arrival.interface);
            }
            if !admitted {
                ask_rules(packet, arrival, settings, tables, crossing, &mut decision);
            }
            let again = known == Known::Again;
            begin(packet, arrival, again, settings, tables, crossing, &mut decision);
        }
    }
    if crossing.asks_source != 0
        && decision.verdict() == Verdict::Accept
        && find_source_translation(packet, arrival, settings, tables, crossing)
        && bind_source(packet, arrival, settings, tables, crossing, &mut decision)
    {
        translate_source(packet, arrival, settings, tables, crossing, &mut decision);
    }
    if crossing.is_decided == 0 || decision.verdict() != Verdict::Accept {
        tables.count_packet(decision.reason, frame.length());
    }
    decision
}

/// Reads a packet, and decides it as far as its headers and its flow do.
#[inline(always)]
pub fn decide_known<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    packet: &mut Packet,
    crossing: &mut Crossing,
    decision: &mut Decision,
) -> Known {
    *crossing = Crossing::NONE;
    if settings.is_unconfirmed(arrival.now) {
        *decision = Decision::new(Reason::Unconfirmed);
        return Known::Decided;
    }
    match wire::parse(frame, arrival.link, packet) {
        Ok(()) => Path { packet, arrival, settings, crossing }.decide(frame, tables, decision),
        Err(reason) => {
            *decision = Decision::new(reason);
            Known::Decided
        }
    }
}

/// Returns where a packet meets the rules, by which interface it crosses the host's border, or came,
/// and by which one a forwarded packet leaves.
#[inline(always)]
pub fn place(arrival: &Arrival, settings: &Settings, crossing: &Crossing) -> (Way, u32, u32) {
    let Arrival { way, interface, from, .. } = *arrival;
    match way {
        Way::In if crossing.output != 0 => (Way::Forward, interface, crossing.output),
        Way::Out if settings.forwards() && from != 0 => (Way::Forward, from, interface),
        Way::In | Way::Out | Way::Forward | Way::Prerouting | Way::Postrouting => {
            (way, interface, 0)
        }
    }
}

/// Lets a packet that belongs to no flow in where Amanda or a translation has it in view, and tells
/// whether it did; translates its destination.
#[inline(always)]
pub fn admit<T: Tables>(
    packet: &mut Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    crossing: &mut Crossing,
    decision: &mut Decision,
) -> bool {
    Path { packet, arrival, settings, crossing }.admit(tables, decision)
}

/// Tells whether it matters by which interface a packet of no flow will leave.
#[inline(always)]
pub fn asks_route(arrival: &Arrival, settings: &Settings) -> bool {
    settings.forwards() && arrival.way == Way::In
}

/// Asks the rules about a packet that belongs to no flow; the policy is the last of them.
#[inline(always)]
pub fn ask_rules<T: Tables>(
    packet: &mut Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    crossing: &mut Crossing,
    decision: &mut Decision,
) {
    Path { packet, arrival, settings, crossing }.ask_rules(tables, decision);
}

/// Remembers the flow that an accepted packet begins, in place of one that is over.
#[inline(always)]
pub fn begin<T: Tables>(
    packet: &mut Packet,
    arrival: &Arrival,
    again: bool,
    settings: &Settings,
    tables: &mut T,
    crossing: &mut Crossing,
    decision: &mut Decision,
) {
    let mut path = Path { packet, arrival, settings, crossing };
    path.begin(tables, again, decision);
    if path.packet.fragment == Fragment::First && decision.verdict() == Verdict::Accept {
        path.remember_fragments(tables);
    }
}

/// Finds what the source of a packet that leaves is translated to, and tells whether it is; if not, its
/// flow remembers that.
#[inline(always)]
pub fn find_source_translation<T: Tables>(
    packet: &mut Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    crossing: &mut Crossing,
) -> bool {
    Path { packet, arrival, settings, crossing }.find_source_translation(tables)
}

/// Finds the endpoint outside for the source of a packet that leaves, and tells whether there is one.
#[inline(always)]
pub fn bind_source<T: Tables>(
    packet: &mut Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    crossing: &mut Crossing,
    decision: &mut Decision,
) -> bool {
    let path = Path { packet, arrival, settings, crossing };
    match path.bind_source(tables) {
        Ok(source) => path.crossing.source = source,
        Err(reason) => {
            *decision = Decision::new(reason);
            decision.rejection = Rejection::Admin.number();
        }
    }
    path.crossing.source.is_set()
}

/// Translates the source of a packet that leaves, and remembers that for its flow.
#[inline(always)]
pub fn translate_source<T: Tables>(
    packet: &mut Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    crossing: &mut Crossing,
    decision: &mut Decision,
) {
    let mut path = Path { packet, arrival, settings, crossing };
    if !path.translate_source(tables) {
        *decision = Decision::new(Reason::Untranslatable);
    } else if path.packet.fragment == Fragment::First {
        path.remember_fragments(tables);
    }
}

/// Reads the first bytes of a control flow's datagram.
#[inline(always)]
pub fn read_text<F: Frame + ?Sized>(frame: &F, packet: &Packet, text: &mut Text) {
    read_text_at(frame, packet, 0, text);
}

#[inline(always)]
fn read_text_at<F: Frame + ?Sized>(frame: &F, packet: &Packet, before: usize, text: &mut Text) {
    let at = packet.payload().wrapping_add(before);
    let length = packet.end.saturating_sub(at).min(TEXT_LENGTH);
    frame.copy(at, length, text.cleared_words());
}

/// Texts of a datagram that are read for its checksum: all that fits in a packet of 1500 bytes.
const SUMMED_TEXTS: usize = 6;

/// Returns the sum of one of a datagram's `SUMMED_TEXTS`; the first was read before.
#[inline(always)]
pub fn sum_text<F: Frame + ?Sized>(
    frame: &F,
    packet: &Packet,
    index: usize,
    text: &mut Text,
) -> u16 {
    if index != 0 {
        let before = index.min(SUMMED_TEXTS).wrapping_mul(TEXT_LENGTH);
        read_text_at(frame, packet, before, text);
    }
    text.sum().folded()
}

/// Tells whether the checksum of a control flow's datagram is right, as far as a packet tells: that
/// of fragments and of more bytes than `SUMMED_TEXTS` hold is not looked at.
///
/// The kernel's [`sum_text`] is a function of its own.
#[inline(always)]
pub fn is_sound<F: Frame + ?Sized>(
    frame: &F,
    packet: &Packet,
    crossing: &Crossing,
    mut sum_text: impl FnMut(usize) -> u16,
) -> bool {
    let length = packet.end.saturating_sub(packet.payload());
    let header = frame.read::<8>(packet.transport);
    let (Fragment::Whole, Some(header)) = (packet.fragment, header) else {
        return true;
    };
    let sent = Packet { destination: crossing.rewrite.destination_before(packet), ..*packet };
    let (pseudo, [s0, s1, d0, d1, l0, l1, c0, c1]) = (sent.pseudo_header(), header);
    match u16::from_be_bytes([c0, c1]) {
        // No checksum (RFC 768), which IPv6 does not allow (RFC 8200, 8.1).
        0 => return packet.source.addr.is_v4(),
        // It is left to the device, on the way between two hosts of one machine.
        said if said == pseudo.folded() => return true,
        _ if length > SUMMED_TEXTS.wrapping_mul(TEXT_LENGTH) => return true,
        _ => {}
    }
    let mut sum = pseudo.word([s0, s1, d0, d1]).word([l0, l1, c0, c1]);
    for index in 0..SUMMED_TEXTS {
        if index.wrapping_mul(TEXT_LENGTH) >= length {
            break;
        }
        sum = sum.number(sum_text(index));
    }
    sum.folded() == u16::MAX
}

/// Reads a packet that is to be inspected, once it was accepted, and learns from it.
///
/// The kernel calls the steps one by one.
pub fn inspect<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &Packet,
    decision: &Decision,
    crossing: &Crossing,
    settings: &Settings,
    tables: &mut T,
    arrival: &Arrival,
) -> Inspection {
    let now = arrival.now;
    let mut text = Text::EMPTY;
    let mut message = Message::default();
    let mut found = Inspection::default();
    read_text(frame, packet, &mut text);
    if decision.may_announce() {
        classic::learn(&text, packet, settings, tables, now, &mut found);
    } else if message.read_header(&text) {
        message.read_body(&text, settings.streams());
        let datagram = Datagram { message: &message, packet, decision, crossing };
        let rest = learn(datagram, settings, tables, arrival, &mut found);
        if rest != Rest::Nothing {
            let sum = |index| sum_text(frame, packet, index, &mut text);
            if rest == Rest::Verify && !is_sound(frame, packet, crossing, sum) {
                message.distrust();
            }
            transaction::settle(&message, tables, now, &mut found);
        }
    } else {
        tables.count(Counter::NotAmanda);
    }
    if found.is_reply == 1 {
        let datagram = Datagram { message: &message, packet, decision, crossing };
        for index in 0..MAX_STREAMS {
            if crossing.responder.is_set() {
                find_outside(datagram, index, settings, tables, now, &found);
            }
            expect(datagram, index, settings, tables, now, &mut found);
        }
    }
    found
}

/// A datagram of a control flow that is learned from.
#[derive(Clone, Copy)]
pub struct Datagram<'a> {
    /// What it says.
    pub message: &'a Message,
    /// Its packet, with inside addresses.
    pub packet: &'a Packet,
    /// What was decided about it.
    pub decision: &'a Decision,
    /// What becomes of it beside.
    pub crossing: &'a Crossing,
}

impl Datagram<'_> {
    #[inline(always)]
    fn control_flow(&self, way: Way) -> ControlFlow {
        let (source, destination) = (self.packet.source, self.packet.destination);
        let from_initiator = self.decision.is_from_initiator();
        let (initiator, responder) =
            if from_initiator { (source, destination) } else { (destination, source) };
        let known_as = self.crossing.responder;
        let (outgoing, classic) = (way == Way::Out, self.decision.may_announce());
        ControlFlow { initiator, responder, from_initiator, known_as, outgoing, classic }
    }
}

/// Learns from the datagram of a control flow, and returns what is left to do.
#[inline(always)]
pub fn learn<T: Tables>(
    datagram: Datagram<'_>,
    settings: &Settings,
    tables: &mut T,
    arrival: &Arrival,
    found: &mut Inspection,
) -> Rest {
    let flow = datagram.control_flow(arrival.way);
    transaction::learn(datagram.message, &flow, settings, tables, arrival.now, found)
}

/// Finds by which port the initiator is to know a stream of a reply that is settled.
#[inline(always)]
pub fn find_outside<T: Tables>(
    datagram: Datagram<'_>,
    index: usize,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &Inspection,
) {
    let flow = datagram.control_flow(Way::In);
    transaction::find_outside(&flow, index, settings, tables, now, found);
}

/// Expects a stream of a reply that is settled.
#[inline(always)]
pub fn expect<T: Tables>(
    datagram: Datagram<'_>,
    index: usize,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) {
    let flow = datagram.control_flow(Way::In);
    transaction::expect(datagram.message, &flow, index, settings, tables, now, found);
}

/// A packet on its way, with what its decision rests on.
struct Path<'a> {
    packet: &'a mut Packet,
    arrival: &'a Arrival,
    settings: &'a Settings,
    crossing: &'a mut Crossing,
}

/// What the ends of a flow are known as outside.
#[derive(Clone, Copy)]
struct Ends {
    source: Mapped,
    destination: Mapped,
    is_from_a: bool,
}

impl Ends {
    #[inline(always)]
    fn of(flow: &Flow) -> Self {
        let is_from_a = flow.is_from_a();
        Self { source: flow.source, destination: flow.destination, is_from_a }
    }
}

/// What a flow's entry says of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracked {
    /// The packet belongs to the flow.
    Belongs,
    /// The flow is over, and the packet begins another one.
    Over,
    /// The flow has been silent for too long, unless its transaction says otherwise.
    Expired,
}

/// What is left to do once a flow's entry is let go.
#[derive(Clone, Copy, Default)]
struct Note {
    proven: bool,
    touched: bool,
    carried: StreamBytes,
    /// What the responder is known as to the originator.
    responder: Mapped,
    /// What the source of the packet is known as where it goes.
    known_as: Mapped,
    asks_source: bool,
    is_decided: bool,
}

impl Path<'_> {
    #[inline(always)]
    fn decide<F: Frame + ?Sized, T: Tables>(
        &mut self,
        frame: &F,
        tables: &mut T,
        decision: &mut Decision,
    ) -> Known {
        if self.packet.fragment == Fragment::Later {
            return self.decide_later(tables, decision);
        }
        match self.packet.icmp {
            Icmp::Neighbour if self.settings.neighbours == 1 => {
                *decision = Decision::new(Reason::Neighbour);
                Known::Decided
            }
            Icmp::Error => self.decide_error(frame, tables, decision),
            Icmp::None | Icmp::Request | Icmp::Reply | Icmp::Neighbour | Icmp::Other => {
                if self.translates(Way::In) {
                    self.restore_destination(tables);
                }
                self.decide_flow(tables, decision)
            }
        }
    }

    /// Tells whether addresses of packets that go a way are translated.
    #[inline(always)]
    fn translates(&self, way: Way) -> bool {
        self.settings.translates() && self.arrival.way == way
    }

    /// Tells whether the packet goes through the host, and is on its way out.
    #[inline(always)]
    fn is_leaving(&self) -> bool {
        self.settings.forwards() && self.arrival.way == Way::Out && self.arrival.from != 0
    }

    #[inline(always)]
    fn place(&self) -> (Way, u32, u32) {
        place(self.arrival, self.settings, self.crossing)
    }

    /// Gives the packet the destination inside that its own one stands for.
    #[inline(always)]
    fn restore_destination<T: Tables>(&mut self, tables: &mut T) {
        let (from, to) = (Mapped::of(self.packet.source), Mapped::of(self.packet.destination));
        if !from.is_set() || !to.is_set() {
            return;
        }
        let key = AliasKey::new(self.packet.protocol, from, to);
        if let Some(inside) = tables.aliases().get(&key).map(|inside| *inside) {
            self.crossing.rewrite.endpoint(self.packet, Rewritten::Destination, inside);
        }
    }

    /// Lets an ICMP error through when it quotes a packet of a flow.
    #[inline(always)]
    fn decide_error<F: Frame + ?Sized, T: Tables>(
        &mut self,
        frame: &F,
        tables: &mut T,
        decision: &mut Decision,
    ) -> Known {
        // An error goes to whoever sent the packet that it quotes.
        let Some(mut quoted) = wire::quoted(frame, self.packet)
            .filter(|quoted| quoted.source.addr == self.packet.destination.addr)
        else {
            return Known::New;
        };
        if self.translates(Way::In) {
            self.restore_quoted(tables, &mut quoted);
        }
        let (key, forward) = FlowKey::new(quoted.protocol, quoted.source, quoted.destination);
        let Some(ends) = self.live(tables, &key, quoted.protocol) else {
            self.crossing.rewrite = Rewrite::NONE;
            return Known::New;
        };
        if self.translates(Way::Out) {
            let is_original = ends.is_from_a == forward;
            let known_as = if is_original { ends.destination } else { ends.source };
            if known_as.is_set() {
                let outer = Mapped::of(self.packet.source).addr;
                let before = Mapped::of(quoted.destination);
                self.crossing.rewrite.error(Rewritten::Source, outer, before, known_as, &quoted);
            }
        }
        self.crossing.is_decided = u8::from(self.is_leaving());
        *decision = Decision::new(Reason::Related);
        Known::Decided
    }

    /// Gives a quoted packet of a flow whose source was translated the source that it had.
    #[inline(always)]
    fn restore_quoted<T: Tables>(&mut self, tables: &mut T, quoted: &mut Packet) {
        let (from, to) = (Mapped::of(quoted.destination), Mapped::of(quoted.source));
        if !from.is_set() || !to.is_set() {
            return;
        }
        let key = AliasKey::new(quoted.protocol, from, to);
        let Some(inside) = tables.aliases().get(&key).map(|inside| *inside) else {
            return;
        };
        self.crossing.rewrite.error(Rewritten::Destination, to.addr, to, inside, quoted);
        quoted.source = inside.endpoint();
        if quoted.protocol == PROTOCOL_ICMP {
            quoted.destination.port = inside.port;
        }
    }

    /// Returns what the ends of a flow are known as, if it, or another of its transaction, was seen
    /// lately enough.
    #[inline(always)]
    fn live<T: Tables>(&self, tables: &mut T, key: &FlowKey, protocol: u8) -> Option<Ends> {
        let (timeouts, now) = (&self.settings.timeouts, self.arrival.now);
        let (transaction, timeout, ends) = match tables.flows().get(key) {
            Some(flow) if flow.is_expired(protocol, timeouts, now) => {
                (flow.transaction, flow.timeout(protocol, timeouts), Ends::of(flow))
            }
            Some(flow) => return Some(Ends::of(flow)),
            None => {
                let embryo = tables.embryos().get(key);
                return embryo
                    .filter(|flow| !flow.is_expired(protocol, timeouts, now))
                    .map(|flow| Ends::of(flow));
            }
        };
        self.is_moving(tables, transaction, timeout).then_some(ends)
    }

    /// Tells whether a transaction has moved within a time, which keeps its silent streams.
    #[inline(always)]
    fn is_moving<T: Tables>(&self, tables: &mut T, transaction: u64, timeout: u64) -> bool {
        let transaction = tables.transactions().get(&transaction);
        transaction.is_some_and(|t| self.arrival.now.saturating_sub(t.seen) <= timeout)
    }

    /// Returns what the packet's datagram is known by, in the addresses that its fragments have
    /// where this hook meets them.
    #[inline(always)]
    fn fragment_key(&self) -> FragmentKey {
        let Rewrite { before, .. } = self.crossing.rewrite;
        let (mut key, before) = (self.packet.datagram(), before.endpoint().addr);
        match self.crossing.rewrite.side() {
            Rewritten::Source => key.source = before,
            Rewritten::Destination => key.destination = before,
            Rewritten::None => {}
        }
        key
    }

    #[inline(always)]
    fn remember_fragments<T: Tables>(&mut self, tables: &mut T) {
        let expires = self.arrival.now.saturating_add(FRAGMENT_TIMEOUT);
        let Rewrite { after, .. } = self.crossing.rewrite;
        let (source, destination) = match self.crossing.rewrite.side() {
            Rewritten::Source => (after.addr, 0),
            Rewritten::Destination => (0, after.addr),
            Rewritten::None => (0, 0),
        };
        // Where there is no room the later fragments are dropped and counted as such.
        let datagram = Fragments { expires, source, destination };
        let key = self.fragment_key();
        let _ = tables.fragments().insert(&key, &datagram);
        if self.translates(Way::In)
            && let Some(waiting) = tables.waiting().get(&key).map(|waiting| *waiting)
        {
            tables.waiting().remove(&key);
            if waiting.expires > self.arrival.now {
                self.crossing.held = waiting.held as u8;
                self.crossing.datagram = key;
            }
        }
    }

    /// Has a later fragment held until the first one comes, if there is room for it.
    #[inline(always)]
    fn hold<T: Tables>(&mut self, tables: &mut T) -> Reason {
        let (key, now) = (self.fragment_key(), self.arrival.now);
        let held = match tables.waiting().get(&key) {
            Some(waiting) if waiting.expires > now => {
                waiting.held = waiting.held.wrapping_add(1);
                waiting.held
            }
            _ => {
                let expires = now.saturating_add(HOLD_TIMEOUT);
                if tables.waiting().insert(&key, &Waiting { expires, held: 1 }).is_err() {
                    return Reason::FragmentWithoutFirst;
                }
                1
            }
        };
        if held > u64::from(MOST_HELD) {
            return Reason::FragmentWithoutFirst;
        }
        self.crossing.hold = held as u8;
        Reason::FragmentHeld
    }

    /// Lets a later fragment follow its first one.
    #[inline(always)]
    fn decide_later<T: Tables>(&mut self, tables: &mut T, decision: &mut Decision) -> Known {
        let now = self.arrival.now;
        let first = tables.fragments().get(&self.fragment_key()).map(|first| *first);
        *decision = match (first.filter(|first| first.expires > now), self.arrival.way) {
            (Some(first), way) => {
                let (side, after) = if way == Way::In {
                    (Rewritten::Destination, first.destination)
                } else {
                    (Rewritten::Source, first.source)
                };
                if after != 0 {
                    self.crossing.rewrite.address(self.packet, side, after);
                }
                self.crossing.is_decided = u8::from(self.is_leaving());
                Decision::new(Reason::Fragment)
            }
            (None, Way::Out) if !self.is_leaving() => self.decide_by_policy(),
            (None, Way::In) if self.settings.translates() => Decision::new(self.hold(tables)),
            (None, _) => Decision::new(Reason::FragmentWithoutFirst),
        };
        Known::Decided
    }

    #[inline(always)]
    fn flow_key(&self) -> (FlowKey, bool) {
        FlowKey::new(self.packet.protocol, self.packet.source, self.packet.destination)
    }

    /// Decides a packet by its flow, if it has one.
    #[inline(always)]
    fn decide_flow<T: Tables>(&mut self, tables: &mut T, decision: &mut Decision) -> Known {
        let (key, forward) = self.flow_key();
        let mut note = Note::default();
        let mut embryo = false;
        let mut tracked = match tables.flows().get(&key) {
            Some(flow) => self.track(flow, forward, decision, &mut note),
            None => match tables.embryos().get(&key) {
                Some(flow) => {
                    embryo = true;
                    self.track(flow, forward, decision, &mut note)
                }
                None => {
                    self.give_destination_back();
                    return Known::New;
                }
            },
        };
        if tracked == Tracked::Expired && decision.transaction != 0 {
            tracked = self.revive(tables, &key, forward, decision, &mut note);
        }
        if tracked != Tracked::Belongs {
            self.give_destination_back();
            return Known::Again;
        }
        self.crossing.responder = note.responder;
        self.crossing.asks_source = u8::from(note.asks_source);
        self.crossing.is_decided = u8::from(note.is_decided);
        if note.known_as.is_set() {
            self.crossing.rewrite.endpoint(self.packet, Rewritten::Source, note.known_as);
        }
        if embryo && note.proven {
            prove(tables, &key);
        }
        if note.touched && decision.transaction != 0 {
            self.touch(tables, decision, &note);
        }
        if self.packet.fragment == Fragment::First {
            self.remember_fragments(tables);
        }
        Known::Decided
    }

    /// Takes a flow further by the packet.
    #[inline(always)]
    fn track(
        &self,
        flow: &mut Flow,
        forward: bool,
        decision: &mut Decision,
        note: &mut Note,
    ) -> Tracked {
        decision.transaction = flow.transaction;
        if flow.is_expired(self.packet.protocol, &self.settings.timeouts, self.arrival.now) {
            return Tracked::Expired;
        }
        self.advance(flow, forward, decision, note)
    }

    /// Takes a flow that is not expired further, unless it is over and the packet begins another.
    #[inline(always)]
    fn advance(
        &self,
        flow: &mut Flow,
        forward: bool,
        decision: &mut Decision,
        note: &mut Note,
    ) -> Tracked {
        let packet = &*self.packet;
        if flow.is_over() && packet.segment().is_some_and(TcpFlags::is_open) {
            return Tracked::Over;
        }
        let direction = flow.direction(forward);
        if self.settings.translates() {
            self.note_ends(flow, direction, note);
        }
        decision.reason = Reason::Established.number();
        if flow.is_forwarded() && self.is_leaving() {
            note.is_decided = true;
            let is_as_foreseen = flow.output == self.arrival.interface;
            let is_original = direction == Direction::Original;
            return if is_original && !is_as_foreseen { Tracked::Over } else { Tracked::Belongs };
        }
        let progress = flow.advance(direction, packet.segment(), packet.length(), self.arrival.now);
        let state = flow.state_number();
        decision.rule = flow.rule;
        decision.state = state;
        decision.stream = flow.stream;
        decision.slot = flow.slot;
        decision.closed = u8::from(progress.closed && flow.transaction != 0);
        decision.control = match (flow.is_control(), direction) {
            (false, _) if self.may_announce(flow, direction) => Control::MayAnnounce.number(),
            (false, _) => Control::None.number(),
            (true, Direction::Original) => Control::FromInitiator.number(),
            (true, Direction::Reply) if self.pretends(flow) => Control::None.number(),
            (true, Direction::Reply) => Control::FromResponder.number(),
        };
        // A control flow counts as proven with the first answer: between a request's receipt and
        // its reply there may be hours in which its initiator is silent.
        note.proven = progress.proven || (flow.is_control() && state > 0);
        note.touched = progress.touched;
        note.carried = StreamBytes { initiator: flow.bytes_original, responder: flow.bytes_reply };
        Tracked::Belongs
    }

    /// Notes what the ends of the packet's flow are known as.
    #[inline(always)]
    fn note_ends(&self, flow: &Flow, direction: Direction, note: &mut Note) {
        note.responder = flow.destination;
        if self.arrival.way == Way::Out {
            match direction {
                Direction::Original => {
                    note.known_as = flow.source;
                    note.asks_source = !flow.is_routed();
                }
                Direction::Reply => note.known_as = flow.destination,
            }
        }
    }

    /// Lets the packet have the destination again that it came with.
    #[inline(always)]
    fn give_destination_back(&mut self) {
        if self.crossing.rewrite.is_any() {
            let before = self.crossing.rewrite.before;
            self.crossing.rewrite.endpoint(self.packet, Rewritten::Destination, before);
            self.crossing.rewrite = Rewrite::NONE;
        }
    }

    /// Tells whether a reply comes from where the request of its flow came from, and so not from
    /// whom it says.
    #[inline(always)]
    fn pretends(&self, flow: &Flow) -> bool {
        if flow.is_forwarded() {
            self.arrival.interface == flow.interface && flow.output != flow.interface
        } else {
            self.arrival.way == flow.way()
        }
    }

    /// Tells whether a packet may announce a port to amoldrecover: not one that pretends to be the
    /// server's, and comes from where the client is.
    #[inline(always)]
    fn may_announce(&self, flow: &Flow, direction: Direction) -> bool {
        flow.is_tape()
            && direction == Direction::Reply
            && !self.pretends(flow)
            && self.packet.fragment == Fragment::Whole
            && classic::fits(self.packet.payload_length())
    }

    /// Keeps a silent stream while another stream of its transaction moves.
    #[inline(always)]
    fn revive<T: Tables>(
        &self,
        tables: &mut T,
        key: &FlowKey,
        forward: bool,
        decision: &mut Decision,
        note: &mut Note,
    ) -> Tracked {
        let timeouts = &self.settings.timeouts;
        let timeout = match tables.flows().get(key) {
            Some(flow) => flow.timeout(self.packet.protocol, timeouts),
            None => return Tracked::Expired,
        };
        if !self.is_moving(tables, decision.transaction, timeout) {
            return Tracked::Expired;
        }
        match tables.flows().get(key) {
            Some(flow) => self.advance(flow, forward, decision, note),
            None => Tracked::Expired,
        }
    }

    /// Notes on a transaction that a stream of it moves, or has ended.
    #[inline(always)]
    fn touch<T: Tables>(&self, tables: &mut T, decision: &Decision, note: &Note) {
        if let Some(transaction) = tables.transactions().get(&decision.transaction) {
            transaction.seen = self.arrival.now;
            if decision.is_closed() {
                transaction.close(decision.slot, note.carried);
            }
        }
    }

    /// Remembers the flow that an accepted packet begins.
    #[inline(always)]
    fn begin<T: Tables>(&mut self, tables: &mut T, again: bool, decision: &mut Decision) {
        if decision.verdict() != Verdict::Accept {
            return;
        }
        if !self.may_begin() {
            self.crossing.asks_source = u8::from(self.translates(Way::Out));
            return;
        }
        let (key, forward) = self.flow_key();
        let (way, interface, output) = self.place();
        let now = self.arrival.now;
        let mut flow = Flow::begin(forward, way, decision.is_control(), now);
        flow.interface = interface;
        flow.output = output;
        flow.rule = decision.rule;
        flow.reason = decision.reason;
        flow.transaction = decision.transaction;
        flow.stream = decision.stream;
        flow.slot = decision.slot;
        if decision.control == Control::BeginsTape.number() {
            flow.set_tape();
        }
        if way == Way::Out && self.packet.segment().is_some_and(|f| !f.is_open()) {
            flow.pick_up();
        }
        if again {
            tables.flows().remove(&key);
        }
        if self.crossing.rewrite.is_any() && !self.keep_destination(tables, &key, &mut flow) {
            *decision = Decision::new(Reason::Untranslatable);
            return;
        }
        // An outsider's flow waits among its like until it has proven both ends.
        let trusted = way == Way::Out || decision.reason == Reason::Expected.number();
        let kept = (trusted && tables.flows().insert(&key, &flow).is_ok())
            || tables.embryos().insert(&key, &flow).is_ok();
        if kept {
            decision.state = flow.state_number();
            self.crossing.responder = flow.destination;
            self.crossing.asks_source = u8::from(self.translates(Way::Out));
        } else {
            *decision = Decision::new(Reason::FlowTableFull);
        }
    }

    /// Remembers where the packets of a new flow go, unless another one goes there too.
    #[inline(always)]
    fn keep_destination<T: Tables>(&self, tables: &mut T, key: &FlowKey, flow: &mut Flow) -> bool {
        let Rewrite { before, after, .. } = self.crossing.rewrite;
        let protocol = self.packet.protocol;
        flow.destination = before;
        if self.live(tables, key, protocol).is_some_and(|ends| ends.destination != before) {
            return false;
        }
        let alias = AliasKey::new(protocol, Mapped::of(self.packet.source), before);
        let kept = tables.aliases().insert(&alias, &after).is_ok();
        if !kept {
            tables.count(Counter::NatFull);
        }
        kept
    }

    /// Finds what the source of the packet is translated to, and tells whether it is.
    #[inline(always)]
    fn find_source_translation<T: Tables>(&mut self, tables: &mut T) -> bool {
        let inside = Mapped::of(self.packet.source);
        let is_found = inside.is_set() && self.ask_source_rules(tables, inside.addr);
        if !is_found {
            let (key, _) = self.flow_key();
            route(tables, &key, Mapped::NONE);
        }
        is_found
    }

    #[inline(always)]
    fn ask_source_rules<T: Tables>(&mut self, tables: &mut T, inside: u32) -> bool {
        let Arrival { interface, from, .. } = *self.arrival;
        let responder = self.crossing.responder;
        if responder.is_set() {
            // Between two endpoints inside, the one is to know the other as everybody else does
            // (RFC 4787, REQ-9).
            let bound = BindingKey::outside(self.packet.protocol, responder);
            let is_bound = |binding: &mut Binding| binding.interface != from;
            if from == interface || tables.bindings().get(&bound).is_some_and(is_bound) {
                // No rule of translation has a say in its ports.
                (self.crossing.outside, self.crossing.translation) = (responder.addr, u16::MAX);
                return true;
            }
        }
        let fields = self.settings.rule_fields;
        let query = Query::translating(self.packet, Way::Postrouting, interface, fields);
        let place = tables.first_match(self.packet, &query);
        let Some(rule) = tables.rule(place) else { return false };
        let Some(translation) = tables.translation(rule.translation) else { return false };
        self.crossing.outside = match translation.kind() {
            TranslationKind::Source => translation.address_for(inside),
            // An interface without an address has none to lend.
            TranslationKind::Masquerade => tables.address_of(interface).unwrap_or(0),
            TranslationKind::Destination | TranslationKind::None => return false,
        };
        self.crossing.translation = rule.translation;
        tables.count_rule(rule.slot, self.packet.total());
        true
    }

    /// Returns the endpoint outside that the source of the packet has, or is given now; none where it
    /// stays what it is.
    #[inline(always)]
    fn bind_source<T: Tables>(&self, tables: &mut T) -> Result<Mapped, Reason> {
        let Arrival { interface, now, .. } = *self.arrival;
        let (inside, outside) = (Mapped::of(self.packet.source), self.crossing.outside);
        if !self.may_begin() {
            let is_own = outside == inside.addr;
            return if is_own { Ok(Mapped::NONE) } else { Err(Reason::Untranslatable) };
        }
        if outside == 0 {
            return Err(Reason::Untranslatable);
        }
        let protocol = self.packet.protocol;
        let key = BindingKey::inside(protocol, inside, outside);
        if let Some(binding) = tables.bindings().get(&key) {
            binding.seen = now;
            return Ok(binding.other);
        }
        let settings = self.settings;
        let port = tables.bind_port(self.packet, self.crossing, settings, interface, now);
        let Some(port) = port else { return Err(Reason::NatExhausted) };
        let endpoint = Mapped::new(outside, port);
        if tables.bindings().claim(&key, &Binding::new(endpoint, interface, 0, now)) {
            tables.count(Counter::BindingsCreated);
            return Ok(endpoint);
        }
        // Another CPU has bound the endpoint meanwhile, or there is no room.
        tables.bindings().remove(&BindingKey::outside(protocol, endpoint));
        let other = tables.bindings().get(&key).map(|binding| binding.other);
        other.ok_or(Reason::NatExhausted)
    }

    /// Gives the source of the packet the endpoint outside that was found for it, and tells whether no
    /// other flow has it.
    #[inline(always)]
    fn translate_source<T: Tables>(&mut self, tables: &mut T) -> bool {
        let (inside, remote) =
            (Mapped::of(self.packet.source), Mapped::of(self.packet.destination));
        let (endpoint, protocol) = (self.crossing.source, self.packet.protocol);
        let (key, _) = self.flow_key();
        if endpoint == inside {
            route(tables, &key, Mapped::NONE);
            return true;
        }
        let (clashing, _) = FlowKey::new(protocol, endpoint.endpoint(), remote.endpoint());
        if self.live(tables, &clashing, protocol).is_some() {
            return false;
        }
        let alias = AliasKey::new(protocol, remote, endpoint);
        if tables.aliases().insert(&alias, &inside).is_err() {
            tables.count(Counter::NatFull);
            return false;
        }
        let translation = tables.translation(self.crossing.translation).unwrap_or_default();
        if translation.filtering == Filtering::Address.number() {
            let alias = AliasKey::of_address(protocol, remote.addr, endpoint);
            let _ = tables.aliases().insert(&alias, &inside);
        }
        route(tables, &key, endpoint);
        self.crossing.rewrite.endpoint(self.packet, Rewritten::Source, endpoint);
        true
    }

    /// Tells whether a packet of no flow may begin one: not what ends or answers a flow that is
    /// not there, lest answers to a flood become flows of the host's own.
    #[inline(always)]
    fn may_begin(&self) -> bool {
        let packet = &*self.packet;
        let answers_control = packet.protocol == PROTOCOL_UDP
            && packet.source.port == self.settings.control_port
            && self.arrival.way == Way::Out;
        match packet.icmp {
            Icmp::None => !packet.tcp.rst() && !packet.tcp.is_open_answer() && !answers_control,
            Icmp::Request => true,
            Icmp::Reply | Icmp::Error | Icmp::Neighbour | Icmp::Other => false,
        }
    }

    /// Lets in what a reply announced, what translation has opened, and what asks amandad.
    #[inline(always)]
    fn admit<T: Tables>(&mut self, tables: &mut T, decision: &mut Decision) -> bool {
        if self.find_expectation(tables, decision) {
            return true;
        }
        if self.translates(Way::In) && self.translate_destination(tables, decision) {
            return true;
        }
        let permitted = self.permitted(tables);
        if permitted == 0 {
            return false;
        }
        *decision = Decision::new(Reason::Control);
        decision.control = if self.packet.protocol == PROTOCOL_UDP {
            Control::FromInitiator.number()
        } else if permitted & purpose::ANNOUNCES != 0 {
            Control::BeginsTape.number()
        } else {
            Control::None.number()
        };
        true
    }

    /// Translates the destination of a packet of no flow, and tells whether that lets it in.
    #[inline(always)]
    fn translate_destination<T: Tables>(
        &mut self,
        tables: &mut T,
        decision: &mut Decision,
    ) -> bool {
        let (from, to) = (Mapped::of(self.packet.source), Mapped::of(self.packet.destination));
        if !from.is_set() || !to.is_set() || !self.may_begin() {
            return false;
        }
        let Arrival { interface, .. } = *self.arrival;
        let fields = self.settings.rule_fields;
        let query = Query::translating(self.packet, Way::Prerouting, interface, fields);
        let place = tables.first_match(self.packet, &query);
        if let Some(rule) = tables.rule(place)
            && let Some(translation) = tables.translation(rule.translation)
        {
            tables.count_rule(rule.slot, self.packet.total());
            if translation.kind() == TranslationKind::Destination {
                let inside = translation.destination_for(to.port);
                self.crossing.rewrite.endpoint(self.packet, Rewritten::Destination, inside);
            }
            return false;
        }
        let protocol = self.packet.protocol;
        let end = BindingKey::outside(protocol, to);
        let Some(binding) = tables.bindings().get(&end).map(|binding| *binding) else {
            return false;
        };
        // The host's own endpoints are bound to themselves.
        if binding.other == to {
            return false;
        }
        let is_from_inside = binding.interface != interface;
        let is_open = match Filtering::from_number(binding.filtering) {
            Some(Filtering::Endpoint) => true,
            Some(Filtering::Address) => {
                let alias = AliasKey::of_address(protocol, from.addr, to);
                tables.aliases().get(&alias).is_some()
            }
            Some(Filtering::AddressAndPort) | None => false,
        };
        if !is_from_inside && !is_open {
            return false;
        }
        self.crossing.rewrite.endpoint(self.packet, Rewritten::Destination, binding.other);
        if !is_from_inside {
            *decision = Decision::new(Reason::Mapped);
        }
        !is_from_inside
    }

    /// Asks the rules, of which the policy is the last.
    #[inline(always)]
    fn ask_rules<T: Tables>(&self, tables: &mut T, decision: &mut Decision) {
        let (way, interface, output) = self.place();
        let fields = self.settings.rule_fields;
        let query = Query::deciding(self.packet, way, interface, output, fields);
        let place = tables.first_match(self.packet, &query);
        let Some(rule) = tables.rule(place) else {
            // Whatever answers nothing is met by no policy.
            *decision = Decision::new(Reason::Unsolicited);
            return;
        };
        *decision = Decision::new(reason_of(&rule));
        decision.rule = rule.slot;
        decision.rejection = rule.rejection;
        tables.count_rule(rule.slot, self.packet.total());
        if !self.is_within_limits(tables, &rule) {
            decision.reason = Reason::RateLimited.number();
        }
        if self.settings.rule_fields & field::LOGGING != 0 {
            self.ask_logging_rules(tables, &query, place, decision);
        }
        if decision.log == 0 && rule.logs == 1 {
            self.log(tables, &rule, decision);
        }
    }

    /// Takes a new flow from what a rule allows in all, and to its source.
    #[inline(always)]
    fn is_within_limits<T: Tables>(&self, tables: &mut T, rule: &Rule) -> bool {
        let now = self.arrival.now;
        let limited = rule.limit.interval != 0;
        if limited && !tables.buckets(rule.slot).is_none_or(|b| rule.limit.take(&mut b.limit, now))
        {
            return false;
        }
        if rule.limit_per_source.interval == 0 {
            return true;
        }
        let key = SourceKey { source: self.packet.source.addr, slot: u64::from(rule.slot) };
        match tables.source_buckets().get(&key) {
            Some(bucket) => rule.limit_per_source.take(bucket, now),
            None => {
                let mut bucket = 0;
                rule.limit_per_source.take(&mut bucket, now);
                // Where there is no room the least used bucket is gone.
                let _ = tables.source_buckets().insert(&key, &bucket);
                true
            }
        }
    }

    /// Asks the rules that only log and stand before the one that decides.
    #[inline(always)]
    fn ask_logging_rules<T: Tables>(
        &self,
        tables: &mut T,
        query: &Query,
        before: u32,
        decision: &mut Decision,
    ) {
        let place = tables.first_match(self.packet, &Query { asked: CLASS_LOGGING, ..*query });
        if place < before
            && let Some(rule) = tables.rule(place)
        {
            tables.count_rule(rule.slot, self.packet.total());
            self.log(tables, &rule, decision);
        }
    }

    /// Has a packet logged, as often as the rule allows.
    #[inline(always)]
    fn log<T: Tables>(&self, tables: &mut T, rule: &Rule, decision: &mut Decision) {
        let now = self.arrival.now;
        if tables.buckets(rule.slot).is_none_or(|b| rule.log_rate.take(&mut b.log, now)) {
            decision.log = rule.slot;
        } else {
            tables.count(Counter::LogsSuppressed);
        }
    }

    /// Lets a connection in that was announced: once, from a port of the kind that is expected.
    #[inline(always)]
    fn find_expectation<T: Tables>(&mut self, tables: &mut T, decision: &mut Decision) -> bool {
        let (source, destination) = (self.packet.source, self.packet.destination);
        if !self.packet.segment().is_some_and(TcpFlags::is_open)
            || !self.settings.streams().contains(destination.port)
        {
            return false;
        }
        let key = ExpectationKey::new(source.addr, destination.addr, destination.port);
        let Some(expectation) = tables.expectations().get(&key).map(|e| *e) else {
            return false;
        };
        if expectation.is_expired(self.arrival.now) || !expectation.fits(source.port) {
            return false;
        }
        if !tables.expectations().remove(&key) {
            return false;
        }
        tables.count(Counter::ExpectationsUsed);
        if let Some(transaction) = tables.transactions().get(&expectation.transaction) {
            transaction.seen = self.arrival.now;
            transaction.mark(expectation.slot, StreamState::Open);
        }
        *decision = Decision::new(Reason::Expected);
        decision.transaction = expectation.transaction;
        decision.stream = expectation.stream;
        decision.slot = expectation.slot;
        if expectation.to.is_set() {
            self.crossing.rewrite.endpoint(self.packet, Rewritten::Destination, expectation.to);
        }
        true
    }

    /// Returns the bits of [`purpose`] for which the packet's hosts may begin its flow.
    #[inline(always)]
    fn permitted<T: Tables>(&self, tables: &T) -> u8 {
        let Packet { source, destination, protocol, .. } = *self.packet;
        if self.packet.segment().is_some_and(|flags| !flags.is_open()) {
            return 0;
        }
        let openings = &self.settings.openings;
        let purposes = auth::purposes(openings, protocol, source.port, destination.port);
        if purposes == 0 {
            return 0;
        }
        auth::permitted(purposes, tables.role(source.addr), tables.role(destination.addr))
    }

    #[inline(always)]
    fn decide_by_policy(&self) -> Decision {
        let accept = match self.arrival.way {
            Way::In => self.settings.accept_incoming,
            Way::Out | Way::Forward | Way::Prerouting | Way::Postrouting => {
                self.settings.accept_outgoing
            }
        };
        Decision::new(if accept == 1 { Reason::PolicyAccept } else { Reason::PolicyDrop })
    }
}

#[inline(always)]
fn reason_of(rule: &Rule) -> Reason {
    match (Action::from_number(rule.action), rule.policy == 1) {
        (Some(Action::Accept), false) => Reason::Rule,
        (Some(Action::Accept), true) => Reason::PolicyAccept,
        (Some(Action::Reject), false) => Reason::RuleReject,
        (Some(Action::Reject), true) => Reason::PolicyReject,
        (Some(Action::Drop | Action::Log | Action::Translate) | None, false) => Reason::RuleDrop,
        (Some(Action::Drop | Action::Log | Action::Translate) | None, true) => Reason::PolicyDrop,
    }
}

/// Moves a flow to those that nobody can push out; where there is no room it stays.
#[inline(never)]
fn prove<T: Tables>(tables: &mut T, key: &FlowKey) {
    let Some(flow) = tables.embryos().get(key).map(|flow| *flow) else {
        return;
    };
    if tables.flows().insert(key, &flow).is_ok() {
        tables.embryos().remove(key);
    }
}

/// Has a flow remember what its source is translated to, if anything.
#[inline(never)]
fn route<T: Tables>(tables: &mut T, key: &FlowKey, source: Mapped) {
    if let Some(flow) = tables.flows().get(key) {
        flow.route(source);
    } else if let Some(flow) = tables.embryos().get(key) {
        flow.route(source);
    }
}
