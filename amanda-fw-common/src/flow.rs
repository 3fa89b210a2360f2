//! Flows: tracked 5-tuples of both directions in one entry.

use bytemuck::{Pod, Zeroable};

use crate::addr::{Addr, Endpoint};
use crate::nat::Mapped;
use crate::numbered::numbered;
use crate::rules::Way;
use crate::settings::Timeouts;
use crate::wire::TcpFlags;

/// A 5-tuple that reads the same from both directions: the lower endpoint stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey {
    addr_a: Addr,
    addr_b: Addr,
    port_a: u16,
    port_b: u16,
    protocol: u8,
    pad: [u8; 3],
}

impl FlowKey {
    /// Makes the key of a packet, and tells whether its source is the key's first endpoint.
    #[inline(always)]
    pub fn new(protocol: u8, source: Endpoint, destination: Endpoint) -> (Self, bool) {
        let forward = is_before(source, destination);
        let (a, b) = if forward { (source, destination) } else { (destination, source) };
        let key = Self {
            addr_a: a.addr,
            addr_b: b.addr,
            port_a: a.port,
            port_b: b.port,
            protocol,
            pad: [0; 3],
        };
        (key, forward)
    }

    /// Returns the first endpoint.
    pub fn a(&self) -> Endpoint {
        Endpoint { addr: self.addr_a, port: self.port_a }
    }

    /// Returns the second endpoint.
    pub fn b(&self) -> Endpoint {
        Endpoint { addr: self.addr_b, port: self.port_b }
    }

    /// Returns the IP protocol.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Returns the words of the key, for hashing.
    #[inline(always)]
    pub fn words(&self) -> [u64; 5] {
        let [a0, a1] = self.addr_a.words();
        let [b0, b1] = self.addr_b.words();
        let ports = (u64::from(self.port_a) << 16) | u64::from(self.port_b);
        [a0, a1, b0, b1, (ports << 8) | u64::from(self.protocol)]
    }
}

/// Orders endpoints; any total order will do, and this one is cheap on native words.
#[inline(always)]
fn is_before(x: Endpoint, y: Endpoint) -> bool {
    let ([x0, x1], [y0, y1]) = (x.addr.words(), y.addr.words());
    if x1 != y1 {
        x1 < y1
    } else if x0 != y0 {
        x0 < y0
    } else {
        x.port <= y.port
    }
}

numbered! {
    /// How far a flow has come.
    pub enum FlowState: u8 {
        /// Packets of the originator alone (TCP: a SYN).
        New = 0 "NEW",
        /// The other side has answered (TCP: SYN and ACK).
        Replied = 1 "REPLIED",
        /// Both sides talk.
        Established = 2 "ESTABLISHED",
        /// One side of a TCP connection has said its last byte.
        HalfClosed = 3 "HALF_CLOSED",
        /// Both sides have.
        TimeWait = 4 "TIME_WAIT",
        /// A reset ended the connection.
        Closed = 5 "CLOSE",
    }
}

/// Which end of a flow a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the originator.
    Original,
    /// Towards the originator.
    Reply,
}

/// Steps of [`Flow::seen`], in nanoseconds: an entry is written once a step at most.
pub const SEEN_STEP: u64 = 1_000_000_000;

const ESTABLISHED: u8 = FlowState::Established.number();
const HALF_CLOSED: u8 = FlowState::HalfClosed.number();

/// The originator is the key's first endpoint.
const FROM_A: u8 = 1;
/// The flow is a control flow of Amanda.
const CONTROL: u8 = 2;
/// The originator has closed its half.
const FIN_ORIGINAL: u8 = 4;
/// The other side has closed its half.
const FIN_REPLY: u8 = 8;
/// The flow's first packet went out.
const OUTGOING: u8 = 16;
/// The flow is a connection to a tape server, which will announce a port on it.
const TAPE: u8 = 32;
/// The flow goes through the host.
const FORWARDED: u8 = 64;
/// Whether its source is translated has been decided.
const ROUTED: u8 = 128;

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    /// Monotonic time of the last packet, in nanoseconds, in steps of [`SEEN_STEP`].
    pub seen: u64,
    /// Monotonic time of the first packet, in nanoseconds.
    pub started: u64,
    /// Identifier of the transaction whose stream this is, else 0.
    pub transaction: u64,
    /// Bytes from the originator, counted for streams alone.
    pub bytes_original: u64,
    /// Bytes towards the originator, counted for streams alone.
    pub bytes_reply: u64,
    /// Index of the interface that the first packet crossed; of a forwarded flow, came by.
    pub interface: u32,
    /// Slot of the rule that let the flow in, else 0.
    pub rule: u16,
    state: u8,
    flags: u8,
    /// Number of the stream, else 0.
    pub stream: u8,
    /// Place of the stream in its transaction.
    pub slot: u8,
    /// Number of the reason that let the flow in.
    pub reason: u8,
    pad: u8,
    /// Index of the interface that the first packet of a forwarded flow left by, else 0.
    pub output: u32,
    /// What the originator is known as to the other side, if that is translated.
    pub source: Mapped,
    /// What the other side is known as to the originator, if that is translated.
    pub destination: Mapped,
}

/// What a packet did to its flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The flow has proven both its ends, and belongs into the table of established flows.
    pub proven: bool,
    /// The flow's time was written.
    pub touched: bool,
    /// The connection ended with this packet.
    pub closed: bool,
}

impl Flow {
    /// Makes the flow that a packet begins.
    #[inline(always)]
    pub fn begin(forward: bool, way: Way, control: bool, now: u64) -> Self {
        let flags = if forward { FROM_A } else { 0 }
            | if control { CONTROL } else { 0 }
            | match way {
                Way::Out => OUTGOING,
                Way::Forward => FORWARDED,
                Way::In | Way::Prerouting | Way::Postrouting => 0,
            };
        Self { seen: now, started: now, flags, ..Self::default() }
    }

    /// Returns which way the first packet went.
    #[inline(always)]
    pub fn way(&self) -> Way {
        match self.flags & (OUTGOING | FORWARDED) {
            0 => Way::In,
            OUTGOING => Way::Out,
            _ => Way::Forward,
        }
    }

    /// Tells whether the flow goes through the host.
    #[inline(always)]
    pub fn is_forwarded(&self) -> bool {
        self.flags & FORWARDED != 0
    }

    /// Tells whether it is decided what its source is translated to, if anything.
    #[inline(always)]
    pub fn is_routed(&self) -> bool {
        self.flags & ROUTED != 0
    }

    /// Notes what its source is translated to, if anything.
    #[inline(always)]
    pub fn route(&mut self, source: Mapped) {
        self.source = source;
        self.flags |= ROUTED;
    }

    /// Tells which end a packet comes from.
    #[inline(always)]
    pub fn direction(&self, forward: bool) -> Direction {
        if (self.flags & FROM_A != 0) == forward { Direction::Original } else { Direction::Reply }
    }

    /// Tells whether the originator is the key's first endpoint.
    pub fn is_from_a(&self) -> bool {
        self.flags & FROM_A != 0
    }

    /// Returns the originator and the other end.
    pub fn ends(&self, key: &FlowKey) -> (Endpoint, Endpoint) {
        if self.is_from_a() { (key.a(), key.b()) } else { (key.b(), key.a()) }
    }

    /// Tells whether the flow is a control flow of Amanda.
    #[inline(always)]
    pub fn is_control(&self) -> bool {
        self.flags & CONTROL != 0
    }

    /// Makes the flow a connection to a tape server, which will announce a port on it.
    #[inline(always)]
    pub fn set_tape(&mut self) {
        self.flags |= TAPE;
    }

    /// Tells whether the flow is a connection to a tape server.
    #[inline(always)]
    pub fn is_tape(&self) -> bool {
        self.flags & TAPE != 0
    }

    /// Returns the state's number.
    #[inline(always)]
    pub fn state_number(&self) -> u8 {
        self.state
    }

    /// Returns the state.
    pub fn state(&self) -> FlowState {
        FlowState::from_number(self.state).unwrap_or(FlowState::Closed)
    }

    /// Returns for how long the flow may be silent, in nanoseconds.
    #[inline(always)]
    pub fn timeout(&self, protocol: u8, timeouts: &Timeouts) -> u64 {
        timeouts.of(protocol, self.state, self.is_control())
    }

    /// Tells whether the flow has been silent for too long.
    #[inline(always)]
    pub fn is_expired(&self, protocol: u8, timeouts: &Timeouts, now: u64) -> bool {
        now.saturating_sub(self.seen) > self.timeout(protocol, timeouts)
    }

    /// Tells whether the connection is over, so that a SYN begins another one.
    #[inline(always)]
    pub fn is_over(&self) -> bool {
        self.state >= FlowState::TimeWait.number()
    }

    /// Takes the flow a packet further.
    #[inline(always)]
    pub fn advance(
        &mut self,
        direction: Direction,
        tcp: Option<TcpFlags>,
        length: u64,
        now: u64,
    ) -> Progress {
        let before = self.state;
        let after = match tcp {
            Some(flags) => self.next_tcp(direction, flags),
            None => self.next_datagram(direction),
        };
        let mut progress = Progress::default();
        if after != before {
            self.state = after;
            progress.closed = after >= FlowState::TimeWait.number();
        }
        progress.proven = (ESTABLISHED..=HALF_CLOSED).contains(&after);
        if now.wrapping_sub(self.seen) >= SEEN_STEP || after != before {
            self.seen = now;
            progress.touched = true;
        }
        if self.transaction != 0 {
            match direction {
                Direction::Original => {
                    self.bytes_original = self.bytes_original.wrapping_add(length);
                }
                Direction::Reply => self.bytes_reply = self.bytes_reply.wrapping_add(length),
            }
        }
        progress
    }

    /// Returns the state after a segment (RFC 9293, seen from between the two ends).
    #[inline(always)]
    fn next_tcp(&mut self, direction: Direction, flags: TcpFlags) -> u8 {
        if flags.rst() {
            return FlowState::Closed.number();
        }
        // Before the other side has answered, a FIN says no more than its sender's SYN.
        let answered = self.state != FlowState::New.number() || direction == Direction::Reply;
        if flags.fin() && answered {
            let side = match direction {
                Direction::Original => FIN_ORIGINAL,
                Direction::Reply => FIN_REPLY,
            };
            if self.flags & side == 0 {
                self.flags |= side;
            }
            let both = self.flags & (FIN_ORIGINAL | FIN_REPLY) == FIN_ORIGINAL | FIN_REPLY;
            let state = if both { FlowState::TimeWait } else { FlowState::HalfClosed };
            return state.number().max(self.state);
        }
        if flags.syn() && direction == Direction::Original {
            return self.state;
        }
        self.next_datagram(direction)
    }

    /// Returns the state after a packet that says no more than that its sender is there.
    #[inline(always)]
    fn next_datagram(&self, direction: Direction) -> u8 {
        const NEW: u8 = FlowState::New.number();
        const REPLIED: u8 = FlowState::Replied.number();
        match (self.state, direction) {
            (NEW, Direction::Reply) => REPLIED,
            (REPLIED, Direction::Original) => FlowState::Established.number(),
            (state, _) => state,
        }
    }

    /// Marks a flow that the host was found to be talking on as established.
    #[inline(always)]
    pub fn pick_up(&mut self) {
        self.state = FlowState::Established.number();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u8 = 6;

    fn endpoint(last: u8, port: u16) -> Endpoint {
        Endpoint { addr: Addr::v4([10, 0, 0, last]), port }
    }

    fn states(steps: &[(Direction, u8)]) -> Vec<FlowState> {
        let mut flow = Flow::begin(true, Way::In, false, 0);
        steps
            .iter()
            .map(|&(direction, flags)| {
                flow.advance(direction, Some(TcpFlags(flags)), 60, 0);
                flow.state()
            })
            .collect()
    }

    #[test]
    fn both_directions_have_one_key() {
        let (server, client) = (endpoint(1, 850), endpoint(2, 10080));
        let (there, forward) = FlowKey::new(17, server, client);
        let (back, backward) = FlowKey::new(17, client, server);
        assert_eq!(there, back);
        assert_ne!(forward, backward);
    }

    #[test]
    fn a_connection_goes_from_syn_to_time_wait() {
        use Direction::{Original, Reply};
        use FlowState::{Established, HalfClosed, New, Replied, TimeWait};
        let (syn, ack, fin) = (0x02, 0x10, 0x01);
        assert_eq!(
            states(&[
                (Original, syn),
                (Original, syn),
                (Reply, syn | ack),
                (Original, ack),
                (Reply, ack),
                (Reply, fin | ack),
                (Original, ack),
                (Original, fin | ack),
                (Reply, ack),
            ]),
            [
                New,
                New,
                Replied,
                Established,
                Established,
                HalfClosed,
                HalfClosed,
                TimeWait,
                TimeWait
            ]
        );
    }

    #[test]
    fn an_originator_alone_closes_nothing() {
        use Direction::Original;
        let (syn, fin) = (0x02, 0x11);
        assert_eq!(states(&[(Original, syn), (Original, fin)]), [FlowState::New, FlowState::New]);
    }

    #[test]
    fn a_reset_ends_a_connection() {
        use Direction::{Original, Reply};
        assert_eq!(states(&[(Original, 0x02), (Reply, 0x14)]), [FlowState::New, FlowState::Closed]);
    }

    #[test]
    fn a_flow_is_written_once_a_second() {
        let mut flow = Flow::begin(true, Way::In, false, 0);
        flow.pick_up();
        assert!(!flow.advance(Direction::Reply, None, 1, SEEN_STEP - 1).touched);
        assert!(flow.advance(Direction::Reply, None, 1, SEEN_STEP).touched);
        assert!(!flow.advance(Direction::Reply, None, 1, SEEN_STEP + 1).touched);
    }

    #[test]
    fn a_silent_flow_expires() {
        let timeouts = Timeouts::default();
        let flow = Flow::begin(true, Way::In, false, 0);
        let end = flow.timeout(TCP, &timeouts);
        assert!(!flow.is_expired(TCP, &timeouts, end));
        assert!(flow.is_expired(TCP, &timeouts, end + 1));
    }
}
