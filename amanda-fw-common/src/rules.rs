//! Rules in the form that the packet path reads: bit vectors that are intersected.
//!
//! Each field of a packet leads to a class: the set of the rules that its value fits, a bit for
//! each place. The lowest bit that all classes of a packet share is the first rule that it fits,
//! so that what is looked at depends on the fields, and hardly on the number of rules.

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;
use crate::numbered::numbered;
use crate::wire::{Icmp, PROTOCOL_ICMP, PROTOCOL_ICMPV6, Packet, TcpFlags};

/// The most places for rules: bits of a [`Vector`].
pub const MAX_PLACES: usize = 16_384;

const WORD_BITS: usize = 64;
const WORDS: usize = MAX_PLACES / WORD_BITS;
const SUMMARY_WORDS: usize = WORDS / WORD_BITS;

numbered! {
    /// Where on its way a packet meets rules (netfilter's hooks).
    pub enum Way: u8 {
        /// Into the host.
        In = 1 "in",
        /// Out of the host.
        Out = 2 "out",
        /// Through the host.
        Forward = 3 "forward",
        /// Before anything else, where its destination may be translated.
        Prerouting = 4 "prerouting",
        /// After everything else, where its source may be translated.
        Postrouting = 5 "postrouting",
    }
}

numbered! {
    /// What a packet of no flow is to connection tracking.
    pub enum State: u8 {
        /// It may begin a flow.
        New = 0 "new",
        /// It is a TCP segment of no connection, and asks for none.
        Invalid = 1 "invalid",
        /// It is an ICMP message that answers what was never sent.
        Unsolicited = 2 "unsolicited",
    }
}

impl State {
    /// Returns the state of a packet that belongs to no flow.
    #[inline(always)]
    pub fn of(packet: &Packet) -> Self {
        match (packet.icmp, packet.segment()) {
            (Icmp::Reply | Icmp::Error, _) => Self::Unsolicited,
            (_, Some(flags)) if !TcpFlags::is_open(flags) => Self::Invalid,
            _ => Self::New,
        }
    }
}

numbered! {
    /// What a rule does to a packet.
    pub enum Action: u8 {
        /// It goes on.
        Accept = 1 "accept",
        /// It is gone.
        Drop = 2 "drop",
        /// It is gone, and its sender is told.
        Reject = 3 "reject",
        /// It is logged, and the next rule is asked.
        Log = 4 "log",
        /// One of its addresses is translated.
        Translate = 5 "translate",
    }
}

numbered! {
    /// How the sender of a rejected packet is told (xtables' names).
    pub enum Rejection: u8 {
        /// A TCP reset for TCP, else that the port is unreachable.
        Default = 0 "default",
        /// A TCP reset (RFC 9293, 3.10.7.1); nothing for what is not TCP.
        TcpReset = 1 "tcp-reset",
        /// No such port (ICMP 3/3, ICMPv6 1/4).
        Port = 2 "port-unreachable",
        /// No such host (ICMP 3/1, ICMPv6 1/3).
        Host = 3 "host-unreachable",
        /// No such network (ICMP 3/0, ICMPv6 1/0).
        Net = 4 "net-unreachable",
        /// No such protocol (ICMP 3/2, ICMPv6 4/1).
        Protocol = 5 "protocol-unreachable",
        /// An administrator forbids it (ICMP 3/13, ICMPv6 1/1).
        Admin = 6 "admin-prohibited",
        /// An administrator forbids the host (ICMP 3/10, ICMPv6 1/1).
        HostProhibited = 7 "host-prohibited",
        /// An administrator forbids the network (ICMP 3/9, ICMPv6 1/1).
        NetProhibited = 8 "net-prohibited",
    }
}

/// How often something may happen: steadily, with bursts (GCRA, ITU-T I.371 annex A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Rate {
    /// Nanoseconds between two occurrences, 0 for no limit.
    pub interval: u64,
    /// Nanoseconds by which occurrences may come early: intervals of a burst but one.
    pub tolerance: u64,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { interval: 0, tolerance: 0 };

    /// Allows so many occurrences in a time, and so many at once.
    pub const fn new(count: u64, period: u64, burst: u64) -> Self {
        let interval = match period.checked_div(count) {
            Some(0) | None => 1,
            Some(interval) => interval,
        };
        Self { interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)) }
    }

    /// Tells whether something may happen now, and notes in the bucket that it does.
    ///
    /// The bucket holds the time at which the next occurrence would be on time.
    #[inline(always)]
    pub fn take(&self, bucket: &mut u64, now: u64) -> bool {
        if self.interval == 0 {
            return true;
        }
        let due = if *bucket > now { *bucket } else { now };
        if due.wrapping_sub(now) > self.tolerance {
            return false;
        }
        *bucket = due.wrapping_add(self.interval);
        true
    }
}

/// What a rule does, at its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Rule {
    /// How many new flows it may decide.
    pub limit: Rate,
    /// How many new flows of one source it may decide.
    pub limit_per_source: Rate,
    /// How often it may log.
    pub log_rate: Rate,
    /// Its slot among the rules' counters, which it keeps for as long as it does not change.
    pub slot: u16,
    /// Number of the [`Action`].
    pub action: u8,
    /// Number of the [`Rejection`].
    pub rejection: u8,
    /// 1 where it logs.
    pub logs: u8,
    /// 1 where it is the policy of a direction, which comes after all rules.
    pub policy: u8,
    /// Number of its translation, if that is what it does.
    pub translation: u16,
}

impl Rule {
    /// Makes a rule that does nothing else than an action.
    pub fn new(action: Action, slot: u16) -> Self {
        Self { action: action.number(), slot, ..Self::zeroed() }
    }
}

/// The buckets of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Buckets {
    /// Of its limit.
    pub limit: u64,
    /// Of its log.
    pub log: u64,
}

/// The key of the bucket that a rule has for a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct SourceKey {
    /// The source.
    pub source: Addr,
    /// The rule's slot.
    pub slot: u64,
}

/// A set of rules, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Vector {
    /// A bit for each word that has one.
    summary: [u64; SUMMARY_WORDS],
    words: [u64; WORDS],
}

impl Vector {
    /// The set of no rule.
    pub const EMPTY: Self = Self { summary: [0; SUMMARY_WORDS], words: [0; WORDS] };

    /// The set of all rules.
    pub const ALL: Self = Self { summary: [u64::MAX; SUMMARY_WORDS], words: [u64::MAX; WORDS] };

    /// Puts a rule in, or takes it out.
    pub fn set(&mut self, place: usize, is_in: bool) {
        let index = place / WORD_BITS;
        let Some(word) = self.words.get_mut(index) else { return };
        set_bit(word, place, is_in);
        let is_used = *word != 0;
        if let Some(summary) = self.summary.get_mut(index / WORD_BITS) {
            set_bit(summary, index, is_used);
        }
    }

    /// Returns the set with the rules of another.
    pub fn with(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// Returns the set without the rules of another.
    pub fn without(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    fn combine(&self, other: &Self, word: impl Fn(u64, u64) -> u64) -> Self {
        let mut combined = Self::EMPTY;
        for (index, place) in combined.words.iter_mut().enumerate() {
            *place = word(self.word(index), other.word(index));
            if let Some(summary) = combined.summary.get_mut(index / WORD_BITS) {
                set_bit(summary, index, *place != 0);
            }
        }
        combined
    }

    #[inline(always)]
    fn summary(&self, index: usize) -> u64 {
        self.summary.get(index & (SUMMARY_WORDS - 1)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        self.words.get(index & (WORDS - 1)).copied().unwrap_or(0)
    }
}

fn set_bit(word: &mut u64, index: usize, is_set: bool) {
    let bit = 1 << (index % WORD_BITS);
    *word = if is_set { *word | bit } else { *word & !bit };
}

/// The class of every rule.
pub const CLASS_ALL: u32 = 0;
/// The class of the rules that decide.
pub const CLASS_DECIDING: u32 = 1;
/// The class of the rules that only log.
pub const CLASS_LOGGING: u32 = 2;

/// Fields that any rule looks at, as bits; the others need not be looked up.
pub mod field {
    /// The interface.
    pub const INTERFACE: u32 = 1;
    /// The source address.
    pub const SOURCE: u32 = 2;
    /// The destination address.
    pub const DESTINATION: u32 = 4;
    /// The source port.
    pub const SOURCE_PORT: u32 = 8;
    /// The destination port.
    pub const DESTINATION_PORT: u32 = 16;
    /// There are rules that only log.
    pub const LOGGING: u32 = 32;
    /// The interface that a packet leaves by.
    pub const OUTPUT: u32 = 64;
}

/// Entries of one block of classes.
pub const BLOCK: usize = 256;
/// Classes of the values of fields that are small numbers.
pub type Block = [u32; BLOCK];

const SOURCE_PORTS: u32 = 0;
const DESTINATION_PORTS: u32 = SOURCE_PORTS + 65_536;
/// The first halves of IPv4 addresses.
const SOURCES: u32 = DESTINATION_PORTS + 65_536;
const DESTINATIONS: u32 = SOURCES + 65_536;
const KINDS: u32 = DESTINATIONS + 65_536;
/// Kinds of one way and state: protocols, ICMP types, ICMPv6 types.
const KINDS_OF_STATE: u32 = 3 * 256;
const STATES: u32 = 4;
const WAYS: u32 = 5;
/// How many classes there are of values that are small numbers.
pub const DIRECT_CLASSES: usize = (KINDS + WAYS * STATES * KINDS_OF_STATE) as usize;
/// How many blocks those make.
pub const BLOCKS: usize = DIRECT_CLASSES / BLOCK;

/// Entries of one node of the trees for the second halves of IPv4 addresses.
pub const NODE: usize = 16;
/// Classes, or with [`INNER`] nodes, by the next four bits of an address.
pub type Node = [u32; NODE];
/// Marks an entry that leads to a node.
pub const INNER: u32 = 1 << 31;
/// By how much an address is shifted at each node.
pub const NODE_SHIFTS: [u32; 4] = [12, 8, 4, 0];

/// Returns the place of the class of a source's first half, in IPv4.
#[inline(always)]
pub const fn source_index(bits: u32) -> u32 {
    SOURCES.wrapping_add(bits >> 16)
}

/// Returns the place of the class of a destination's first half, in IPv4.
#[inline(always)]
pub const fn destination_index(bits: u32) -> u32 {
    DESTINATIONS.wrapping_add(bits >> 16)
}

/// Returns the place of a source port's class.
#[inline(always)]
pub const fn source_port_index(port: u16) -> u32 {
    SOURCE_PORTS.wrapping_add(port as u32)
}

/// Returns the place of a destination port's class.
#[inline(always)]
pub const fn destination_port_index(port: u16) -> u32 {
    DESTINATION_PORTS.wrapping_add(port as u32)
}

/// Returns the place of the class of a direction, state, protocol and ICMP type.
#[inline(always)]
pub const fn kind_index(way: Way, state: State, protocol: u8, icmp_type: u8) -> u32 {
    let group = (way as u32).wrapping_sub(1).wrapping_mul(STATES).wrapping_add(state as u32);
    let kind = match protocol {
        PROTOCOL_ICMP => 256 | icmp_type as u32,
        PROTOCOL_ICMPV6 => 512 | icmp_type as u32,
        protocol => protocol as u32,
    };
    KINDS.wrapping_add(group.wrapping_mul(KINDS_OF_STATE)).wrapping_add(kind)
}

/// Marks the index of an interface as that of the one that a packet leaves by.
pub const OUTPUT_BIT: u32 = 1 << 31;

/// Where classes and rules are looked up.
pub trait RuleTables {
    /// Returns the class of a value that is a small number, by its place.
    fn direct_class(&self, index: u32) -> u32;

    /// Returns the class of an interface, by its index, with [`OUTPUT_BIT`] for the one that a
    /// packet leaves by.
    fn interface_class(&self, interface: u32) -> u32;

    /// Returns the class of an IPv6 source.
    fn source_class(&self, addr: Addr) -> u32;

    /// Returns the class of an IPv6 destination.
    fn destination_class(&self, addr: Addr) -> u32;

    /// Returns the entry of a node, by the lowest four bits of a number.
    fn node_entry(&self, node: u32, bits: u32) -> u32;

    /// Returns the rules of a class.
    fn vector(&self, class: u32) -> Option<&Vector>;
}

/// What rules ask of a packet beside its own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Index of the interface that it crosses; of a forwarded packet, the one that it came by.
    pub interface: u32,
    /// Index of the interface that a forwarded packet leaves by, else 0.
    pub output: u32,
    /// Place of the class of its kind: [`kind_index`].
    pub kind: u32,
    /// The class of the rules that are asked.
    pub asked: u32,
    /// The [`field`]s that rules look at.
    pub fields: u32,
}

impl Query {
    /// Asks the rules that decide.
    #[inline(always)]
    pub fn deciding(packet: &Packet, way: Way, interface: u32, output: u32, fields: u32) -> Self {
        let kind = kind_index(way, State::of(packet), packet.protocol, packet.icmp_type);
        Self { interface, output, kind, asked: CLASS_DECIDING, fields }
    }

    /// Asks the rules that translate, to which every packet of no flow is a new one: what is none,
    /// and fits, is not to go on with the addresses that it has.
    #[inline(always)]
    pub fn translating(packet: &Packet, way: Way, interface: u32, fields: u32) -> Self {
        let kind = kind_index(way, State::New, packet.protocol, packet.icmp_type);
        Self { interface, output: 0, kind, asked: CLASS_DECIDING, fields }
    }

    /// Looks a class up if any rule looks at its field.
    #[inline(always)]
    fn ask(&self, field: u32, find: impl FnOnce() -> u32) -> u32 {
        if self.fields & field != 0 { find() } else { CLASS_ALL }
    }
}

/// The class of each field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Classes {
    asked: u32,
    kind: u32,
    interface: u32,
    output: u32,
    source: u32,
    destination: u32,
    source_port: u32,
    destination_port: u32,
}

/// Finds the place of the first rule that a packet fits.
#[inline(always)]
pub fn first_match<T: RuleTables>(tables: &T, packet: &Packet, query: &Query) -> Option<u32> {
    search(tables, &classes(tables, packet, query))
}

/// Looks the classes of a packet up.
#[inline(always)]
pub fn classes<T: RuleTables>(tables: &T, packet: &Packet, query: &Query) -> Classes {
    let (source, destination) = (packet.source, packet.destination);
    let port = |index: u32| tables.direct_class(index);
    Classes {
        asked: query.asked,
        kind: tables.direct_class(query.kind),
        interface: query.ask(field::INTERFACE, || tables.interface_class(query.interface)),
        output: query.ask(field::OUTPUT, || tables.interface_class(query.output | OUTPUT_BIT)),
        source: query.ask(field::SOURCE, || match source.addr.v4_bits() {
            Some(bits) => v4_class(tables, source_index(bits), bits),
            None => tables.source_class(source.addr),
        }),
        destination: query.ask(field::DESTINATION, || match destination.addr.v4_bits() {
            Some(bits) => v4_class(tables, destination_index(bits), bits),
            None => tables.destination_class(destination.addr),
        }),
        source_port: query.ask(field::SOURCE_PORT, || port(source_port_index(source.port))),
        destination_port: query
            .ask(field::DESTINATION_PORT, || port(destination_port_index(destination.port))),
    }
}

/// Finds the lowest place that all classes share.
#[inline(always)]
pub fn search<T: RuleTables>(tables: &T, classes: &Classes) -> Option<u32> {
    let class = |class: u32| tables.vector(class);
    let set = Intersection {
        asked: class(classes.asked)?,
        kind: class(classes.kind)?,
        interface: class(classes.interface)?,
        output: class(classes.output)?,
        source: class(classes.source)?,
        destination: class(classes.destination)?,
        source_port: class(classes.source_port)?,
        destination_port: class(classes.destination_port)?,
    };
    set.first()
}

/// Follows an IPv4 address from the class of its first half.
#[inline(always)]
fn v4_class<T: RuleTables>(tables: &T, first_half: u32, bits: u32) -> u32 {
    let mut entry = tables.direct_class(first_half);
    for shift in NODE_SHIFTS {
        if entry & INNER == 0 {
            break;
        }
        entry = tables.node_entry(entry & !INNER, bits >> shift);
    }
    entry
}

/// The rules of each class of a packet.
struct Intersection<'a> {
    asked: &'a Vector,
    kind: &'a Vector,
    interface: &'a Vector,
    output: &'a Vector,
    source: &'a Vector,
    destination: &'a Vector,
    source_port: &'a Vector,
    destination_port: &'a Vector,
}

impl Intersection<'_> {
    /// Finds the lowest place that all classes share.
    #[inline(always)]
    fn first(&self) -> Option<u32> {
        for index in 0..SUMMARY_WORDS {
            let mut candidates = self.summary(index);
            for _ in 0..WORD_BITS {
                if candidates == 0 {
                    break;
                }
                let lowest = candidates.trailing_zeros() as usize;
                let word_index = index.wrapping_mul(WORD_BITS) | lowest;
                let word = self.word(word_index);
                if word != 0 {
                    let place = word_index.wrapping_mul(WORD_BITS);
                    return Some(place as u32 | word.trailing_zeros());
                }
                candidates &= candidates.wrapping_sub(1);
            }
        }
        None
    }

    #[inline(always)]
    fn summary(&self, index: usize) -> u64 {
        self.asked.summary(index)
            & self.kind.summary(index)
            & self.interface.summary(index)
            & self.output.summary(index)
            & self.source.summary(index)
            & self.destination.summary(index)
            & self.source_port.summary(index)
            & self.destination_port.summary(index)
    }

    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        self.asked.word(index)
            & self.kind.word(index)
            & self.interface.word(index)
            & self.output.word(index)
            & self.source.word(index)
            & self.destination.word(index)
            & self.source_port.word(index)
            & self.destination_port.word(index)
    }
}

/// What a host is to Amanda, as bits.
pub mod role {
    /// It may send requests to clients.
    pub const SERVER: u8 = 1;
    /// It may be asked by servers, and recover from them.
    pub const CLIENT: u8 = 2;

    /// Tells whether an initiator may open a control flow to a responder: a server to a client
    /// for a backup, a client to a server for a recovery.
    #[inline(always)]
    pub const fn may_control(initiator: u8, responder: u8) -> bool {
        (initiator & SERVER != 0 && responder & CLIENT != 0)
            || (initiator & CLIENT != 0 && responder & SERVER != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_classes_fill_whole_blocks() {
        assert_eq!(BLOCKS * BLOCK, DIRECT_CLASSES);
        let last = kind_index(Way::Postrouting, State::Unsolicited, PROTOCOL_ICMPV6, 255);
        assert!((last as usize) < DIRECT_CLASSES);
        let tcp = kind_index(Way::In, State::New, 6, 0);
        assert_ne!(tcp, kind_index(Way::Out, State::New, 6, 0));
        assert_ne!(tcp, kind_index(Way::In, State::Invalid, 6, 0));
    }

    #[test]
    fn a_rate_allows_its_burst_and_then_its_interval() {
        let rate = Rate::new(10, 1_000, 3);
        let mut bucket = 0;
        let taken = |bucket: &mut u64, now| rate.take(bucket, now);
        assert!([5_000, 5_000, 5_000].iter().all(|&now| taken(&mut bucket, now)));
        assert!(!taken(&mut bucket, 5_000) && !taken(&mut bucket, 5_099));
        assert!(taken(&mut bucket, 5_100) && !taken(&mut bucket, 5_100));
        assert!([9_000, 9_000, 9_000].iter().all(|&now| taken(&mut bucket, now)));
        assert!(!taken(&mut bucket, 9_000));
    }

    #[test]
    fn no_limit_takes_nothing_from_its_bucket() {
        let mut bucket = 7;
        assert!(Rate::UNLIMITED.take(&mut bucket, 1));
        assert_eq!(bucket, 7);
    }
}
