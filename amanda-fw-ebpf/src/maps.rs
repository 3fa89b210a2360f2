//! Every map of the firewall, and the tables that the packet path sees in them.

use amanda_fw_common::addr::Addr;
use amanda_fw_common::answer::{Answer, Copied};
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::datapath::Decision;
use amanda_fw_common::event::Event;
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::fragment::{
    FragmentKey, Fragments as Datagram, HELD_BYTES, HeldKey, Waiting as Datagrams,
};
use amanda_fw_common::label::{Label, Origin, RuleInfo};
use amanda_fw_common::message::Message;
use amanda_fw_common::nat::{AliasKey, Binding, BindingKey, Crossing, Mapped, Translation};
use amanda_fw_common::pair::{Pair, PairKey};
use amanda_fw_common::rules::{
    BLOCK, BLOCKS, Block, Buckets, Classes, MAX_PLACES, NODE, Node, OUTPUT_BIT, Query, Rule,
    RuleTables, SourceKey, Vector,
};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::{Full, Table, Tables};
use amanda_fw_common::text::Text;
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::verdict::{COUNTERS, Count, Counter};
use amanda_fw_common::wire::Packet;
use aya_ebpf::bindings::bpf_fib_lookup;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerfEventByteArray};

use crate::steps;

// The loader sets the sizes of the tables; those here serve whoever loads the object alone.
#[map(name = "SETTINGS")]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map(name = "RULES")]
static RULES: Array<Rule> = Array::with_max_entries(2, 0);
// What people call the rules: for whoever lists them.
#[map(name = "RULE_INFO")]
static RULE_INFO: Array<RuleInfo> = Array::with_max_entries(2, 0);
#[map(name = "ORIGIN")]
static ORIGIN: Array<Origin> = Array::with_max_entries(1, 0);
#[map(name = "VECTORS")]
static VECTORS: Array<Vector> = Array::with_max_entries(8, 0);
#[map(name = "CLASSES")]
static CLASSES: Array<Block> = Array::with_max_entries(BLOCKS as u32, 0);
#[map(name = "NODES")]
static NODES: Array<Node> = Array::with_max_entries(1, 0);
#[map(name = "INTERFACES")]
static INTERFACES: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);
#[map(name = "SOURCES")]
static SOURCES: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map(name = "DESTINATIONS")]
static DESTINATIONS: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map(name = "RULE_BUCKETS")]
static RULE_BUCKETS: Array<Buckets> = Array::with_max_entries(MAX_SLOTS, 0);
#[map(name = "SOURCE_BUCKETS")]
static SOURCE_BUCKETS: LruHashMap<SourceKey, u64> = LruHashMap::with_max_entries(65_536, 0);
#[map(name = "RULE_COUNTERS")]
static RULE_COUNTS: PerCpuArray<Count> = PerCpuArray::with_max_entries(MAX_SLOTS, 0);
#[map(name = "ROLES")]
static ROLES: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(1024, BPF_F_NO_PREALLOC);
#[map(name = "FLOWS")]
static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(65_536, 0);
#[map(name = "EMBRYOS")]
static EMBRYOS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(65_536, 0);
#[map(name = "FRAGMENTS")]
static FRAGMENTS: LruHashMap<FragmentKey, Datagram> = LruHashMap::with_max_entries(8192, 0);
#[map(name = "WAITING")]
static WAITING: LruHashMap<FragmentKey, Datagrams> = LruHashMap::with_max_entries(1, 0);
#[map(name = "HELD")]
pub(crate) static HELD: LruHashMap<HeldKey, HeldFrame> = LruHashMap::with_max_entries(1, 0);
#[map(name = "HOLDER")]
static HOLDER: PerCpuArray<HeldFrame> = PerCpuArray::with_max_entries(1, 0);
#[map(name = "EXPECTATIONS")]
static EXPECTATIONS: HashMap<ExpectationKey, Expectation> = HashMap::with_max_entries(16_384, 0);
#[map(name = "REQUESTS")]
static REQUESTS: LruHashMap<u64, Transaction> = LruHashMap::with_max_entries(8192, 0);
#[map(name = "TRANSACTIONS")]
static TRANSACTIONS: HashMap<u64, Transaction> = HashMap::with_max_entries(8192, 0);
#[map(name = "PAIRS")]
static PAIRS: LruHashMap<PairKey, Pair> = LruHashMap::with_max_entries(8192, 0);
// What user space has read of a request: for whoever lists sessions, not for the programs.
#[map(name = "LABELS")]
static LABELS: LruHashMap<u64, Label> = LruHashMap::with_max_entries(8192, 0);
#[map(name = "ALIASES")]
static ALIASES: HashMap<AliasKey, Mapped> = HashMap::with_max_entries(1, 0);
#[map(name = "BINDINGS")]
static BINDINGS: HashMap<BindingKey, Binding> = HashMap::with_max_entries(1, 0);
#[map(name = "TRANSLATIONS")]
static TRANSLATIONS: Array<Translation> = Array::with_max_entries(1, 0);
// The IPv4 addresses of interfaces that masquerade, which the loader keeps.
#[map(name = "ADDRESSES")]
static ADDRESSES: HashMap<u32, u32> = HashMap::with_max_entries(64, 0);
#[map(name = "COUNTERS")]
static COUNTS: PerCpuArray<Count> = PerCpuArray::with_max_entries(COUNTERS, 0);
#[map(name = "EVENTS")]
pub(crate) static EVENTS: PerfEventByteArray = PerfEventByteArray::new(0);
#[map(name = "SCRATCH")]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "LOOKUP")]
static LOOKUP: PerCpuArray<bpf_fib_lookup> = PerCpuArray::with_max_entries(1, 0);
#[map(name = "REPLY")]
static REPLY: PerCpuArray<Reply> = PerCpuArray::with_max_entries(1, 0);

const BPF_F_NO_PREALLOC: u32 = 1;
const BPF_NOEXIST: u64 = 1;

/// Slots of rules: twice the places, so that a new rule need not take the slot of one just gone.
const MAX_SLOTS: u32 = 2 * MAX_PLACES as u32;

/// What is too large for the stack of 512 bytes, and how many events this CPU may still send.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) packet: Packet,
    pub(crate) decision: Decision,
    pub(crate) crossing: Crossing,
    pub(crate) classes: Classes,
    pub(crate) event: Event,
    pub(crate) text: Text,
    /// The text before it was written anew.
    pub(crate) before: Text,
    pub(crate) message: Message,
    pub(crate) second: u64,
    pub(crate) sent: u64,
    /// The bucket of answers.
    pub(crate) answers: u64,
}

/// Returns the settings, of which there is always one entry.
#[inline(always)]
pub(crate) fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Returns this CPU's scratch space.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the entry belongs to this CPU, a program of a network hook is neither preempted nor
    // nested on its CPU, and no step holds its borrow while it calls another.
    Some(unsafe { &mut *scratch })
}

/// A frame that is held.
#[repr(C)]
pub(crate) struct HeldFrame {
    pub(crate) length: u32,
    pub(crate) bytes: [u8; HELD_BYTES],
}

/// Returns the space in which this CPU takes frames up and puts them down.
#[inline(always)]
pub(crate) fn holder() -> Option<&'static mut HeldFrame> {
    let holder = HOLDER.get_ptr_mut(0)?;
    // SAFETY: as for the scratch space.
    Some(unsafe { &mut *holder })
}

/// An answer, and what it answers.
#[repr(C)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) copied: Copied,
}

/// Returns the space for this CPU's question to the routing tables.
#[inline(always)]
pub(crate) fn lookup() -> Option<&'static mut bpf_fib_lookup> {
    let lookup = LOOKUP.get_ptr_mut(0)?;
    // SAFETY: as for the scratch space.
    Some(unsafe { &mut *lookup })
}

/// Returns the space for this CPU's answer.
#[inline(always)]
pub(crate) fn reply() -> Option<&'static mut Reply> {
    let reply = REPLY.get_ptr_mut(0)?;
    // SAFETY: as for the scratch space.
    Some(unsafe { &mut *reply })
}

/// Returns what sources are translated to.
#[inline(always)]
pub(crate) fn bindings() -> impl Table<BindingKey, Binding> {
    Bindings
}

/// Returns what is expected.
#[inline(always)]
pub(crate) fn expectations() -> impl Table<ExpectationKey, Expectation> {
    Expectations
}

/// The tables of the packet path, in the maps.
pub(crate) struct KernelTables {
    flows: Flows,
    embryos: Embryos,
    fragments: Fragments,
    waiting: Waiting,
    expectations: Expectations,
    requests: Requests,
    transactions: Transactions,
    pairs: Pairs,
    source_buckets: SourceBuckets,
    aliases: Aliases,
    bindings: Bindings,
}

impl KernelTables {
    pub(crate) const fn new() -> Self {
        Self {
            flows: Flows,
            embryos: Embryos,
            fragments: Fragments,
            waiting: Waiting,
            expectations: Expectations,
            requests: Requests,
            transactions: Transactions,
            pairs: Pairs,
            source_buckets: SourceBuckets,
            aliases: Aliases,
            bindings: Bindings,
        }
    }
}

/// Makes a hash map a table; the table itself has no size, so that the map's address stays in the
/// instruction that uses it.
macro_rules! table {
    ($table:ident, $map:ident, $key:ty, $value:ty) => {
        struct $table;

        impl Table<$key, $value> for $table {
            #[inline(always)]
            fn get(&mut self, key: &$key) -> Option<&mut $value> {
                let value = $map.get_ptr_mut(key)?;
                // SAFETY: the kernel keeps an entry's memory while the program runs; another CPU
                // may write it meanwhile, which plain integers bear.
                Some(unsafe { &mut *value })
            }

            #[inline(always)]
            fn insert(&mut self, key: &$key, value: &$value) -> Result<(), Full> {
                $map.insert(key, value, 0).map_err(|_| Full)
            }

            #[inline(always)]
            fn claim(&mut self, key: &$key, value: &$value) -> bool {
                $map.insert(key, value, BPF_NOEXIST).is_ok()
            }

            #[inline(always)]
            fn remove(&mut self, key: &$key) -> bool {
                $map.remove(key).is_ok()
            }
        }
    };
}

table!(Flows, FLOWS, FlowKey, Flow);
table!(Embryos, EMBRYOS, FlowKey, Flow);
table!(Fragments, FRAGMENTS, FragmentKey, Datagram);
table!(Waiting, WAITING, FragmentKey, Datagrams);
table!(Expectations, EXPECTATIONS, ExpectationKey, Expectation);
table!(Requests, REQUESTS, u64, Transaction);
table!(Transactions, TRANSACTIONS, u64, Transaction);
table!(Pairs, PAIRS, PairKey, Pair);
table!(SourceBuckets, SOURCE_BUCKETS, SourceKey, u64);
table!(Aliases, ALIASES, AliasKey, Mapped);
table!(Bindings, BINDINGS, BindingKey, Binding);

impl Tables for KernelTables {
    #[inline(always)]
    fn flows(&mut self) -> &mut impl Table<FlowKey, Flow> {
        &mut self.flows
    }

    #[inline(always)]
    fn embryos(&mut self) -> &mut impl Table<FlowKey, Flow> {
        &mut self.embryos
    }

    #[inline(always)]
    fn fragments(&mut self) -> &mut impl Table<FragmentKey, Datagram> {
        &mut self.fragments
    }

    #[inline(always)]
    fn waiting(&mut self) -> &mut impl Table<FragmentKey, Datagrams> {
        &mut self.waiting
    }

    #[inline(always)]
    fn expectations(&mut self) -> &mut impl Table<ExpectationKey, Expectation> {
        &mut self.expectations
    }

    #[inline(always)]
    fn requests(&mut self) -> &mut impl Table<u64, Transaction> {
        &mut self.requests
    }

    #[inline(always)]
    fn open_transaction(&mut self, id: u64) -> bool {
        let Some(request) = REQUESTS.get_ptr(id) else {
            return false;
        };
        // SAFETY: the kernel keeps an entry's memory while the program runs.
        let request: &Transaction = unsafe { &*request };
        TRANSACTIONS.insert(id, request, 0).is_ok()
    }

    #[inline(always)]
    fn transactions(&mut self) -> &mut impl Table<u64, Transaction> {
        &mut self.transactions
    }

    #[inline(always)]
    fn aliases(&mut self) -> &mut impl Table<AliasKey, Mapped> {
        &mut self.aliases
    }

    #[inline(always)]
    fn bindings(&mut self) -> &mut impl Table<BindingKey, Binding> {
        &mut self.bindings
    }

    #[inline(always)]
    fn translation(&self, number: u16) -> Option<Translation> {
        TRANSLATIONS.get(u32::from(number)).copied()
    }

    #[inline(always)]
    fn address_of(&self, interface: u32) -> Option<u32> {
        // SAFETY: an address is written whole, and read whole.
        unsafe { ADDRESSES.get(interface) }.copied()
    }

    #[inline(always)]
    fn port_outside(
        &mut self,
        key: &ExpectationKey,
        to: Mapped,
        _range: PortRange,
        now: u64,
    ) -> u16 {
        steps::port_outside(u32::from(key.port), u32::from(to.port), now) as u16
    }

    #[inline(always)]
    fn bind_port(
        &mut self,
        _packet: &Packet,
        _crossing: &Crossing,
        _settings: &Settings,
        interface: u32,
        now: u64,
    ) -> Option<u16> {
        u16::try_from(steps::bind_port(interface, now)).ok()
    }

    #[inline(always)]
    fn is_over(&mut self, id: u64, _settings: &Settings, now: u64) -> bool {
        steps::is_over(id, now) == 1
    }

    #[inline(always)]
    fn pairs(&mut self) -> &mut impl Table<PairKey, Pair> {
        &mut self.pairs
    }

    #[inline(always)]
    fn role(&self, addr: Addr) -> u8 {
        let key = Key::new(128, addr.octets());
        ROLES.get(&key).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn first_match(&mut self, _packet: &Packet, query: &Query) -> u32 {
        if steps::classify(query.kind, query.interface, query.output, query.asked) == 0 {
            return u32::MAX;
        }
        steps::search()
    }

    #[inline(always)]
    fn rule(&self, place: u32) -> Option<Rule> {
        RULES.get(place).copied()
    }

    #[inline(always)]
    fn buckets(&mut self, slot: u16) -> Option<&mut Buckets> {
        let buckets = RULE_BUCKETS.get_ptr_mut(u32::from(slot))?;
        // SAFETY: the kernel keeps an entry's memory; another CPU may write it meanwhile, which
        // plain integers bear.
        Some(unsafe { &mut *buckets })
    }

    #[inline(always)]
    fn source_buckets(&mut self) -> &mut impl Table<SourceKey, u64> {
        &mut self.source_buckets
    }

    #[inline(always)]
    fn count_rule(&mut self, slot: u16, bytes: u64) {
        increase(&RULE_COUNTS, u32::from(slot), bytes);
    }

    #[inline(always)]
    fn count_packet(&mut self, reason: u8, bytes: usize) {
        increase(&COUNTS, u32::from(reason), bytes as u64);
    }

    #[inline(always)]
    fn count(&mut self, counter: Counter) {
        increase(&COUNTS, u32::from(counter.number()), 0);
    }
}

#[inline(always)]
fn increase(counts: &PerCpuArray<Count>, index: u32, bytes: u64) {
    if let Some(count) = counts.get_ptr_mut(index) {
        // SAFETY: the entry belongs to this CPU.
        let count = unsafe { &mut *count };
        count.packets = count.packets.wrapping_add(1);
        count.bytes = count.bytes.wrapping_add(bytes);
    }
}

/// The tables of the rules, in the maps.
pub(crate) struct KernelRules;

impl RuleTables for KernelRules {
    #[inline(always)]
    fn direct_class(&self, index: u32) -> u32 {
        let block = CLASSES.get(index / BLOCK as u32);
        block.and_then(|block| block.get(index as usize % BLOCK)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn interface_class(&self, interface: u32) -> u32 {
        // SAFETY: nobody writes the entries while programs use the map.
        let class =
            unsafe { INTERFACES.get(interface).or_else(|| INTERFACES.get(interface & OUTPUT_BIT)) };
        class.copied().unwrap_or(0)
    }

    #[inline(always)]
    fn source_class(&self, addr: Addr) -> u32 {
        SOURCES.get(Key::new(128, addr.octets())).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn destination_class(&self, addr: Addr) -> u32 {
        DESTINATIONS.get(Key::new(128, addr.octets())).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn node_entry(&self, node: u32, bits: u32) -> u32 {
        NODES.get(node).and_then(|node| node.get(bits as usize % NODE)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn vector(&self, class: u32) -> Option<&Vector> {
        VECTORS.get(class)
    }
}
