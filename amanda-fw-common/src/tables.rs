//! Where the packet path remembers: BPF maps, or tables in memory.

use crate::addr::Addr;
use crate::expect::{Expectation, ExpectationKey};
use crate::flow::{Flow, FlowKey};
use crate::fragment::{FragmentKey, Fragments};
use crate::rules::{Buckets, Query, Rule, SourceKey};
use crate::transaction::Transaction;
use crate::verdict::Counter;
use crate::wire::Packet;

/// The table has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A table of one kind of entry.
pub trait Table<K, V> {
    /// Returns an entry, to be changed in place.
    fn get(&mut self, key: &K) -> Option<&mut V>;

    /// Inserts an entry, or replaces it.
    fn insert(&mut self, key: &K, value: &V) -> Result<(), Full>;

    /// Removes an entry, and tells whether it was this call that did.
    fn remove(&mut self, key: &K) -> bool;
}

/// All the tables.
pub trait Tables {
    /// Returns the flows that have proven both ends, or that the host itself began.
    fn flows(&mut self) -> &mut impl Table<FlowKey, Flow>;

    /// Returns the flows that an outsider began and has not proven; the least used one makes
    /// room for a new one.
    fn embryos(&mut self) -> &mut impl Table<FlowKey, Flow>;

    /// Returns the datagrams whose first fragment was accepted; the least used makes room.
    fn fragments(&mut self) -> &mut impl Table<FragmentKey, Fragments>;

    /// Returns what is expected.
    fn expectations(&mut self) -> &mut impl Table<ExpectationKey, Expectation>;

    /// Returns the requests that nobody has answered, by identifier of their transaction; the
    /// least used makes room.
    fn requests(&mut self) -> &mut impl Table<u64, Transaction>;

    /// Copies a request to the transactions, where nobody can push it out; tells whether it is
    /// there now.
    fn open_transaction(&mut self, id: u64) -> bool;

    /// Returns the transactions whose request was answered, by identifier.
    fn transactions(&mut self) -> &mut impl Table<u64, Transaction>;

    /// Returns what a host is to Amanda, as bits of [`crate::rules::role`].
    fn role(&self, addr: Addr) -> u8;

    /// Finds the place of the first of the rules that are asked; behind all of them for none.
    fn first_match(&mut self, packet: &Packet, query: &Query) -> u32;

    /// Returns the rule at a place.
    fn rule(&self, place: u32) -> Option<Rule>;

    /// Returns the buckets of a rule, by its slot.
    fn buckets(&mut self, slot: u16) -> Option<&mut Buckets>;

    /// Returns the buckets that rules have for sources; the least used makes room.
    fn source_buckets(&mut self) -> &mut impl Table<SourceKey, u64>;

    /// Counts a packet for a rule, by its slot.
    fn count_rule(&mut self, slot: u16, bytes: u64);

    /// Counts a packet for the number of its reason.
    fn count_packet(&mut self, reason: u8, bytes: usize);

    /// Counts an occurrence.
    fn count(&mut self, counter: Counter);
}
