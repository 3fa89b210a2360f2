//! Where the packet path remembers: BPF maps, or tables in memory.

use crate::addr::Addr;
use crate::connect::PortRange;
use crate::expect::{Expectation, ExpectationKey};
use crate::flow::{Flow, FlowKey};
use crate::fragment::{FragmentKey, Fragments, Waiting};
use crate::nat::{AliasKey, Binding, BindingKey, Crossing, Mapped, Translation};
use crate::pair::{Pair, PairKey};
use crate::rules::{Buckets, Query, Rule, SourceKey};
use crate::settings::Settings;
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

    /// Inserts an entry where there is none, and tells whether it is there now.
    fn claim(&mut self, key: &K, value: &V) -> bool;

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

    /// Returns the datagrams whose first fragment has not come yet; the least used makes room.
    fn waiting(&mut self) -> &mut impl Table<FragmentKey, Waiting>;

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

    /// Returns where packets go that come in with addresses that stand for others.
    fn aliases(&mut self) -> &mut impl Table<AliasKey, Mapped>;

    /// Returns what sources are translated to, by both ends.
    fn bindings(&mut self) -> &mut impl Table<BindingKey, Binding>;

    /// Returns a translation, by its number.
    fn translation(&self, number: u16) -> Option<Translation>;

    /// Returns the IPv4 address of an interface that masquerades.
    fn address_of(&self, interface: u32) -> Option<u32>;

    /// Finds a port by which an initiator can know one that a responder announces, 0 for none
    /// ([`crate::transaction::port_outside`]).
    fn port_outside(&mut self, key: &ExpectationKey, to: Mapped, range: PortRange, now: u64)
    -> u16;

    /// Binds a port of the address outside to the source of a packet, and returns it
    /// ([`crate::nat::bind_port`]).
    fn bind_port(
        &mut self,
        packet: &Packet,
        crossing: &Crossing,
        settings: &Settings,
        interface: u32,
        now: u64,
    ) -> Option<u16>;

    /// Tells whether a transaction is over, or not there; the kernel has a step for it.
    fn is_over(&mut self, id: u64, settings: &Settings, now: u64) -> bool {
        self.transactions().get(&id).is_none_or(|transaction| transaction.is_over(settings, now))
    }

    /// Returns what two hosts have open with each other; the least used pair makes room.
    fn pairs(&mut self) -> &mut impl Table<PairKey, Pair>;

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

/// Where packets go.
pub trait Router {
    /// Returns the index of the interface that a packet will leave by that came by another one,
    /// 0 where it is for this host.
    fn route(&self, packet: &Packet, interface: u32) -> u32;
}
