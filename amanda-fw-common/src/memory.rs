//! Tables in memory, which stand for the BPF maps in tests, fuzzing and replay.

extern crate std;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::vec::Vec;

use crate::addr::{Addr, Network};
use crate::classifier::{Classifier, TooManyRules};
use crate::connect::PortRange;
use crate::expect::{Expectation, ExpectationKey};
use crate::flow::{Flow, FlowKey};
use crate::fragment::{FragmentKey, Fragments, Waiting};
use crate::nat::{self, AliasKey, Binding, BindingKey, Crossing, Mapped, Translation};
use crate::pair::{Pair, PairKey};
use crate::rules::{self, Action, Buckets, Query, Rule, SourceKey, Way};
use crate::ruleset::RuleSpec;
use crate::settings::Settings;
use crate::tables::{Full, Router, Table, Tables};
use crate::transaction::{self, Transaction};
use crate::verdict::{COUNTERS, Count, Counter};
use crate::wire::Packet;

/// A table with a limit: at it, a new entry is refused, or pushes the oldest one out.
#[derive(Clone, Debug)]
pub struct MemoryTable<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    capacity: usize,
    evicts: bool,
}

impl<K: Copy + Eq + Hash, V> MemoryTable<K, V> {
    /// Makes a table that refuses entries when it is full, like BPF_MAP_TYPE_HASH.
    pub fn bounded(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), capacity, evicts: false }
    }

    /// Makes a table that makes room for new entries, like BPF_MAP_TYPE_LRU_HASH.
    pub fn evicting(capacity: usize) -> Self {
        Self { evicts: true, ..Self::bounded(capacity) }
    }

    /// Lists the entries.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// Counts the entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn make_room(&mut self) -> Result<(), Full> {
        while self.entries.len() >= self.capacity {
            let oldest = self.evicts.then(|| self.order.pop_front()).flatten().ok_or(Full)?;
            self.entries.remove(&oldest);
        }
        Ok(())
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Table<K, V> for MemoryTable<K, V> {
    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    fn insert(&mut self, key: &K, value: &V) -> Result<(), Full> {
        if !self.entries.contains_key(key) {
            self.make_room()?;
            if self.evicts {
                self.order.push_back(*key);
            }
        }
        self.entries.insert(*key, *value);
        Ok(())
    }

    fn claim(&mut self, key: &K, value: &V) -> bool {
        !self.entries.contains_key(key) && self.insert(key, value).is_ok()
    }

    fn remove(&mut self, key: &K) -> bool {
        self.order.retain(|k| k != key);
        self.entries.remove(key).is_some()
    }
}

/// All tables of one firewall.
#[derive(Clone, Debug)]
pub struct MemoryTables {
    /// Flows that have proven both ends, or that the host itself began.
    pub flows: MemoryTable<FlowKey, Flow>,
    /// Flows that an outsider began.
    pub embryos: MemoryTable<FlowKey, Flow>,
    /// Datagrams whose first fragment was accepted.
    pub fragments: MemoryTable<FragmentKey, Fragments>,
    /// What is expected.
    pub expectations: MemoryTable<ExpectationKey, Expectation>,
    /// The requests that nobody has answered.
    pub requests: MemoryTable<u64, Transaction>,
    /// The transactions.
    pub transactions: MemoryTable<u64, Transaction>,
    /// What pairs of hosts have open.
    pub pairs: MemoryTable<PairKey, Pair>,
    /// What networks are to Amanda; the longest prefix decides.
    pub roles: Vec<(Network, u8)>,
    /// The rules.
    pub rules: Classifier,
    /// The buckets of rules, by slot.
    pub buckets: HashMap<u16, Buckets>,
    /// The buckets that rules have for sources.
    pub source_buckets: MemoryTable<SourceKey, u64>,
    /// Packets that fitted rules, by slot.
    pub rule_counts: HashMap<u16, Count>,
    /// Packets and occurrences, by number.
    pub counters: [u64; COUNTERS as usize],
    /// Datagrams whose first fragment has not come yet.
    pub waiting: MemoryTable<FragmentKey, Waiting>,
    /// Where packets go that come in with addresses that stand for others.
    pub aliases: MemoryTable<AliasKey, Mapped>,
    /// What sources are translated to.
    pub bindings: MemoryTable<BindingKey, Binding>,
    /// The translations, by their numbers.
    pub translations: Vec<Translation>,
    /// IPv4 addresses of interfaces that masquerade.
    pub addresses: HashMap<u32, u32>,
    /// Networks behind interfaces, by their indexes; 0 is this host.
    pub routes: Vec<(Network, u32)>,
}

impl Default for MemoryTables {
    fn default() -> Self {
        Self {
            flows: MemoryTable::bounded(65_536),
            embryos: MemoryTable::evicting(65_536),
            fragments: MemoryTable::evicting(4096),
            expectations: MemoryTable::bounded(16_384),
            requests: MemoryTable::evicting(8192),
            transactions: MemoryTable::bounded(8192),
            pairs: MemoryTable::evicting(8192),
            roles: Vec::new(),
            rules: Classifier::default(),
            buckets: HashMap::new(),
            source_buckets: MemoryTable::evicting(65_536),
            rule_counts: HashMap::new(),
            counters: [0; COUNTERS as usize],
            waiting: MemoryTable::evicting(256),
            aliases: MemoryTable::bounded(65_536),
            bindings: MemoryTable::bounded(65_536),
            translations: Vec::new(),
            addresses: HashMap::new(),
            routes: Vec::new(),
        }
    }
}

impl Router for MemoryTables {
    fn route(&self, packet: &Packet, _interface: u32) -> u32 {
        let addr = packet.destination.addr;
        let fitting = self.routes.iter().filter(|(network, _)| network.contains(addr));
        fitting.max_by_key(|(network, _)| network.prefix()).map_or(0, |&(_, output)| output)
    }
}

impl MemoryTables {
    /// Returns a count by its number.
    pub fn counted(&self, number: u8) -> u64 {
        self.counters.get(usize::from(number)).copied().unwrap_or(0)
    }

    /// Puts rules in force, and behind them the policies of the settings; each rule has its place,
    /// counted from 1, for its slot.
    pub fn set_rules(
        &mut self,
        rules: &[RuleSpec],
        settings: &mut Settings,
    ) -> Result<(), TooManyRules> {
        let action = |accepts| if accepts == 1 { Action::Accept } else { Action::Drop };
        let policies = [
            RuleSpec::policy(Way::In, action(settings.accept_incoming)),
            RuleSpec::policy(Way::Out, action(settings.accept_outgoing)),
        ];
        let with_slot = |(slot, spec): (u16, &RuleSpec)| {
            let rule = Rule { slot, ..spec.rule };
            RuleSpec { rule, ..spec.clone() }
        };
        let specs: Vec<RuleSpec> =
            (1..).zip(rules.iter().chain(&policies)).map(with_slot).collect();
        self.rules = Classifier::compile(&specs)?;
        settings.rule_fields = self.rules.fields;
        Ok(())
    }

    fn add(&mut self, number: u8) {
        if let Some(counter) = self.counters.get_mut(usize::from(number)) {
            *counter = counter.wrapping_add(1);
        }
    }
}

impl Tables for MemoryTables {
    fn flows(&mut self) -> &mut impl Table<FlowKey, Flow> {
        &mut self.flows
    }

    fn embryos(&mut self) -> &mut impl Table<FlowKey, Flow> {
        &mut self.embryos
    }

    fn fragments(&mut self) -> &mut impl Table<FragmentKey, Fragments> {
        &mut self.fragments
    }

    fn waiting(&mut self) -> &mut impl Table<FragmentKey, Waiting> {
        &mut self.waiting
    }

    fn expectations(&mut self) -> &mut impl Table<ExpectationKey, Expectation> {
        &mut self.expectations
    }

    fn requests(&mut self) -> &mut impl Table<u64, Transaction> {
        &mut self.requests
    }

    fn open_transaction(&mut self, id: u64) -> bool {
        let request = self.requests.entries.get(&id).copied();
        request.is_some_and(|request| self.transactions.insert(&id, &request).is_ok())
    }

    fn transactions(&mut self) -> &mut impl Table<u64, Transaction> {
        &mut self.transactions
    }

    fn aliases(&mut self) -> &mut impl Table<AliasKey, Mapped> {
        &mut self.aliases
    }

    fn bindings(&mut self) -> &mut impl Table<BindingKey, Binding> {
        &mut self.bindings
    }

    fn translation(&self, number: u16) -> Option<Translation> {
        self.translations.get(usize::from(number)).copied()
    }

    fn address_of(&self, interface: u32) -> Option<u32> {
        self.addresses.get(&interface).copied()
    }

    fn port_outside(
        &mut self,
        key: &ExpectationKey,
        to: Mapped,
        range: PortRange,
        now: u64,
    ) -> u16 {
        let expectations = &mut self.expectations;
        transaction::port_outside(key.port, range, |port| {
            transaction::is_free(expectations, &key.with_port(port), to, now)
        })
    }

    fn bind_port(
        &mut self,
        packet: &Packet,
        crossing: &Crossing,
        settings: &Settings,
        interface: u32,
        now: u64,
    ) -> Option<u16> {
        let inside = Mapped::of(packet.source);
        let translation = self.translation(crossing.translation).unwrap_or_default();
        let binding = Binding::new(inside, interface, translation.filtering, now);
        let bindings = &mut self.bindings;
        nat::bind_port(packet.protocol, inside, &translation, settings.seed, |port| {
            let outside = Mapped::new(crossing.outside, port);
            bindings.claim(&BindingKey::outside(packet.protocol, outside), &binding)
        })
    }

    fn pairs(&mut self) -> &mut impl Table<PairKey, Pair> {
        &mut self.pairs
    }

    fn role(&self, addr: Addr) -> u8 {
        let fitting = self.roles.iter().filter(|(network, _)| network.contains(addr));
        fitting.max_by_key(|(network, _)| network.prefix()).map_or(0, |&(_, role)| role)
    }

    fn first_match(&mut self, packet: &Packet, query: &Query) -> u32 {
        rules::first_match(&self.rules, packet, query).unwrap_or(u32::MAX)
    }

    fn rule(&self, place: u32) -> Option<Rule> {
        self.rules.rule(place).copied()
    }

    fn buckets(&mut self, slot: u16) -> Option<&mut Buckets> {
        Some(self.buckets.entry(slot).or_default())
    }

    fn source_buckets(&mut self) -> &mut impl Table<SourceKey, u64> {
        &mut self.source_buckets
    }

    fn count_rule(&mut self, slot: u16, bytes: u64) {
        let count = self.rule_counts.entry(slot).or_default();
        count.packets = count.packets.wrapping_add(1);
        count.bytes = count.bytes.wrapping_add(bytes);
    }

    fn count_packet(&mut self, reason: u8, _bytes: usize) {
        self.add(reason);
    }

    fn count(&mut self, counter: Counter) {
        self.add(counter.number());
    }
}
