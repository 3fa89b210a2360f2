//! The path of a packet: flow, expectation, control flow, rule, policy; then the verdict.

use bytemuck::{Pod, Zeroable};

use crate::expect::ExpectationKey;
use crate::flow::{Direction, Flow, FlowKey};
use crate::fragment::{FragmentKey, Fragments};
use crate::frame::Frame;
use crate::message::Message;
use crate::numbered::numbered;
use crate::rules::{Action, CLASS_LOGGING, Query, Rejection, Rule, SourceKey, Way, field, role};
use crate::settings::{FRAGMENT_TIMEOUT, Settings};
use crate::tables::{Table, Tables};
use crate::text::{TEXT_LENGTH, Text};
use crate::transaction::{self, ControlFlow, Inspection, StreamBytes, StreamState};
use crate::verdict::{Counter, Reason, Verdict};
use crate::wire::{self, Fragment, Icmp, Link, PROTOCOL_TCP, PROTOCOL_UDP, Packet, TcpFlags};

/// Where and when a packet was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which way it goes.
    pub way: Way,
    /// What the frame begins with.
    pub link: Link,
    /// Index of the interface.
    pub interface: u32,
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

    /// Tells whether it is a datagram to be inspected.
    #[inline(always)]
    pub const fn is_control(&self) -> bool {
        self.control != Control::None.number()
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
pub fn decide<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    packet: &mut Packet,
) -> Decision {
    let mut decision = Decision::new(Reason::PolicyDrop);
    match decide_known(frame, arrival, settings, tables, packet, &mut decision) {
        Known::Decided => {}
        known @ (Known::New | Known::Again) => {
            if !admit(packet, arrival, settings, tables, &mut decision) {
                ask_rules(packet, arrival, settings, tables, &mut decision);
            }
            let again = known == Known::Again;
            begin(packet, arrival, again, settings, tables, &mut decision);
        }
    }
    tables.count_packet(decision.reason, frame.length());
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
    decision: &mut Decision,
) -> Known {
    if settings.is_unconfirmed(arrival.now) {
        *decision = Decision::new(Reason::Unconfirmed);
        return Known::Decided;
    }
    match wire::parse(frame, arrival.link, packet) {
        Ok(()) => Path { packet, arrival, settings }.decide(frame, tables, decision),
        Err(reason) => {
            *decision = Decision::new(reason);
            Known::Decided
        }
    }
}

/// Lets a packet that belongs to no flow in where Amanda has it in view, and tells whether it did.
#[inline(always)]
pub fn admit<T: Tables>(
    packet: &Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    decision: &mut Decision,
) -> bool {
    Path { packet, arrival, settings }.admit(tables, decision)
}

/// Asks the rules about a packet that belongs to no flow; the policy is the last of them.
#[inline(always)]
pub fn ask_rules<T: Tables>(
    packet: &Packet,
    arrival: &Arrival,
    settings: &Settings,
    tables: &mut T,
    decision: &mut Decision,
) {
    Path { packet, arrival, settings }.ask_rules(tables, decision);
}

/// Remembers the flow that an accepted packet begins, in place of one that is over.
#[inline(always)]
pub fn begin<T: Tables>(
    packet: &Packet,
    arrival: &Arrival,
    again: bool,
    settings: &Settings,
    tables: &mut T,
    decision: &mut Decision,
) {
    let path = Path { packet, arrival, settings };
    path.begin(tables, again, decision);
    if packet.fragment == Fragment::First && decision.verdict() == Verdict::Accept {
        path.remember_fragments(tables);
    }
}

/// Reads the first bytes of a control flow's datagram.
#[inline(always)]
pub fn read_text<F: Frame + ?Sized>(frame: &F, packet: &Packet, text: &mut Text) {
    let at = packet.payload();
    let length = packet.end.saturating_sub(at).min(TEXT_LENGTH);
    frame.copy(at, length, text.cleared_words());
}

/// Reads the datagram of a control flow, once it was accepted, and learns from it.
///
/// The kernel calls the steps one by one.
pub fn inspect<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &Packet,
    decision: &Decision,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) -> Inspection {
    let mut text = Text::EMPTY;
    let mut message = Message::default();
    let mut found = Inspection::default();
    read_text(frame, packet, &mut text);
    if message.read_header(&text) {
        message.read_body(&text, settings.streams());
        learn(&message, packet, decision, settings, tables, now, &mut found);
    } else {
        tables.count(Counter::NotAmanda);
    }
    found
}

/// Learns from the datagram of a control flow.
#[inline(always)]
pub fn learn<T: Tables>(
    message: &Message,
    packet: &Packet,
    decision: &Decision,
    settings: &Settings,
    tables: &mut T,
    now: u64,
    found: &mut Inspection,
) {
    let (source, destination) = (packet.source, packet.destination);
    let from_initiator = decision.is_from_initiator();
    let (initiator, responder) =
        if from_initiator { (source, destination) } else { (destination, source) };
    let flow = ControlFlow { initiator, responder, from_initiator };
    transaction::learn(message, &flow, settings, tables, now, found);
}

/// A packet on its way, with what its decision rests on.
struct Path<'a> {
    packet: &'a Packet,
    arrival: &'a Arrival,
    settings: &'a Settings,
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
}

impl Path<'_> {
    #[inline(always)]
    fn decide<F: Frame + ?Sized, T: Tables>(
        &self,
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
                self.decide_flow(tables, decision)
            }
        }
    }

    /// Lets an ICMP error through when it quotes a packet of a flow.
    #[inline(always)]
    fn decide_error<F: Frame + ?Sized, T: Tables>(
        &self,
        frame: &F,
        tables: &mut T,
        decision: &mut Decision,
    ) -> Known {
        // An error goes to whoever sent the packet that it quotes.
        if let Some(quoted) = wire::quoted(frame, self.packet)
            && quoted.source.addr == self.packet.destination.addr
        {
            let (key, _) = FlowKey::new(quoted.protocol, quoted.source, quoted.destination);
            if self.is_live(tables, &key, quoted.protocol) {
                *decision = Decision::new(Reason::Related);
                return Known::Decided;
            }
        }
        Known::New
    }

    /// Tells whether a flow, or another of its transaction, was seen lately enough.
    #[inline(always)]
    fn is_live<T: Tables>(&self, tables: &mut T, key: &FlowKey, protocol: u8) -> bool {
        let (timeouts, now) = (&self.settings.timeouts, self.arrival.now);
        let (transaction, timeout) = match tables.flows().get(key) {
            Some(flow) if flow.is_expired(protocol, timeouts, now) => {
                (flow.transaction, flow.timeout(protocol, timeouts))
            }
            Some(_) => return true,
            None => {
                let embryo = tables.embryos().get(key);
                return embryo.is_some_and(|flow| !flow.is_expired(protocol, timeouts, now));
            }
        };
        self.is_moving(tables, transaction, timeout)
    }

    /// Tells whether a transaction has moved within a time, which keeps its silent streams.
    #[inline(always)]
    fn is_moving<T: Tables>(&self, tables: &mut T, transaction: u64, timeout: u64) -> bool {
        let transaction = tables.transactions().get(&transaction);
        transaction.is_some_and(|t| self.arrival.now.saturating_sub(t.seen) <= timeout)
    }

    #[inline(always)]
    fn fragment_key(&self) -> FragmentKey {
        FragmentKey {
            source: self.packet.source.addr,
            destination: self.packet.destination.addr,
            id: self.packet.id,
            protocol: u32::from(self.packet.fragment_protocol),
        }
    }

    #[inline(always)]
    fn remember_fragments<T: Tables>(&self, tables: &mut T) {
        let expires = self.arrival.now.saturating_add(FRAGMENT_TIMEOUT);
        // Where there is no room the later fragments are dropped and counted as such.
        let _ = tables.fragments().insert(&self.fragment_key(), &Fragments { expires });
    }

    /// Lets a later fragment follow its first one.
    #[inline(always)]
    fn decide_later<T: Tables>(&self, tables: &mut T, decision: &mut Decision) -> Known {
        let now = self.arrival.now;
        let first = tables.fragments().get(&self.fragment_key());
        *decision = match (first.is_some_and(|f| f.expires > now), self.arrival.way) {
            (true, _) => Decision::new(Reason::Fragment),
            (false, Way::In) => Decision::new(Reason::FragmentWithoutFirst),
            (false, Way::Out) => self.decide_by_policy(),
        };
        Known::Decided
    }

    #[inline(always)]
    fn flow_key(&self) -> (FlowKey, bool) {
        FlowKey::new(self.packet.protocol, self.packet.source, self.packet.destination)
    }

    /// Decides a packet by its flow, if it has one.
    #[inline(always)]
    fn decide_flow<T: Tables>(&self, tables: &mut T, decision: &mut Decision) -> Known {
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
                None => return Known::New,
            },
        };
        if tracked == Tracked::Expired && decision.transaction != 0 {
            tracked = self.revive(tables, &key, forward, decision, &mut note);
        }
        if tracked != Tracked::Belongs {
            return Known::Again;
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
        let packet = self.packet;
        if flow.is_over() && packet.segment().is_some_and(TcpFlags::is_open) {
            return Tracked::Over;
        }
        let direction = flow.direction(forward);
        let progress = flow.advance(direction, packet.segment(), packet.length(), self.arrival.now);
        let state = flow.state_number();
        decision.reason = Reason::Established.number();
        decision.rule = flow.rule;
        decision.state = state;
        decision.stream = flow.stream;
        decision.slot = flow.slot;
        decision.closed = u8::from(progress.closed && flow.transaction != 0);
        decision.control = match (flow.is_control(), direction) {
            (false, _) => Control::None.number(),
            (true, Direction::Original) => Control::FromInitiator.number(),
            (true, Direction::Reply) => Control::FromResponder.number(),
        };
        // A control flow counts as proven with the first answer: between a request's receipt and
        // its reply there may be hours in which its initiator is silent.
        note.proven = progress.proven || (flow.is_control() && state > 0);
        note.touched = progress.touched;
        note.carried = StreamBytes { initiator: flow.bytes_original, responder: flow.bytes_reply };
        Tracked::Belongs
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
    fn begin<T: Tables>(&self, tables: &mut T, again: bool, decision: &mut Decision) {
        if decision.verdict() != Verdict::Accept || !self.may_begin() {
            return;
        }
        let (key, forward) = self.flow_key();
        let Arrival { way, interface, now, .. } = *self.arrival;
        let mut flow = Flow::begin(forward, way, decision.is_control(), now);
        flow.interface = interface;
        flow.rule = decision.rule;
        flow.reason = decision.reason;
        flow.transaction = decision.transaction;
        flow.stream = decision.stream;
        flow.slot = decision.slot;
        if self.arrival.way == Way::Out && self.packet.segment().is_some_and(|f| !f.is_open()) {
            flow.pick_up();
        }
        if again {
            tables.flows().remove(&key);
        }
        // An outsider's flow waits among its like until it has proven both ends.
        let trusted = self.arrival.way == Way::Out || decision.reason == Reason::Expected.number();
        let kept = (trusted && tables.flows().insert(&key, &flow).is_ok())
            || tables.embryos().insert(&key, &flow).is_ok();
        if kept {
            decision.state = flow.state_number();
        } else {
            *decision = Decision::new(Reason::FlowTableFull);
        }
    }

    /// Tells whether a packet of no flow may begin one: not what ends or answers a flow that is
    /// not there, lest answers to a flood become flows of the host's own.
    #[inline(always)]
    fn may_begin(&self) -> bool {
        let packet = self.packet;
        let answers_control = packet.protocol == PROTOCOL_UDP
            && packet.source.port == self.settings.control_port
            && self.arrival.way == Way::Out;
        match packet.icmp {
            Icmp::None => !packet.tcp.rst() && !packet.tcp.is_open_answer() && !answers_control,
            Icmp::Request => true,
            Icmp::Reply | Icmp::Error | Icmp::Neighbour | Icmp::Other => false,
        }
    }

    /// Lets in what a reply announced, and what asks amandad.
    #[inline(always)]
    fn admit<T: Tables>(&self, tables: &mut T, decision: &mut Decision) -> bool {
        if self.find_expectation(tables, decision) {
            return true;
        }
        if !self.is_control(tables) {
            return false;
        }
        *decision = Decision::new(Reason::Control);
        if self.packet.protocol == PROTOCOL_UDP {
            decision.control = Control::FromInitiator.number();
        }
        true
    }

    /// Asks the rules, of which the policy is the last.
    #[inline(always)]
    fn ask_rules<T: Tables>(&self, tables: &mut T, decision: &mut Decision) {
        let Arrival { way, interface, .. } = *self.arrival;
        let query = Query::deciding(self.packet, way, interface, self.settings.rule_fields);
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

    /// Lets a connection in that a reply announced: once, from a port that is not privileged.
    #[inline(always)]
    fn find_expectation<T: Tables>(&self, tables: &mut T, decision: &mut Decision) -> bool {
        const FIRST_UNPRIVILEGED: u16 = 1024;
        let (source, destination) = (self.packet.source, self.packet.destination);
        if !self.packet.segment().is_some_and(TcpFlags::is_open)
            || source.port < FIRST_UNPRIVILEGED
            || !self.settings.streams().contains(destination.port)
        {
            return false;
        }
        let key = ExpectationKey::new(source.addr, destination.addr, destination.port);
        let Some(expectation) = tables.expectations().get(&key).map(|e| *e) else {
            return false;
        };
        if expectation.is_expired(self.arrival.now) || !tables.expectations().remove(&key) {
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
        true
    }

    /// Tells whether the packet asks amandad of a host that its sender may ask.
    #[inline(always)]
    fn is_control<T: Tables>(&self, tables: &T) -> bool {
        let (source, destination) = (self.packet.source, self.packet.destination);
        let sources = self.settings.control_sources();
        let fits = match self.packet.protocol {
            PROTOCOL_UDP => sources.contains(source.port),
            PROTOCOL_TCP => self.packet.tcp.is_open(),
            _ => false,
        };
        fits && destination.port == self.settings.control_port
            && role::may_control(tables.role(source.addr), tables.role(destination.addr))
    }

    #[inline(always)]
    fn decide_by_policy(&self) -> Decision {
        let accept = match self.arrival.way {
            Way::In => self.settings.accept_incoming,
            Way::Out => self.settings.accept_outgoing,
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
        (Some(Action::Drop | Action::Log) | None, false) => Reason::RuleDrop,
        (Some(Action::Drop | Action::Log) | None, true) => Reason::PolicyDrop,
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
