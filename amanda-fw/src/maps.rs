//! The maps as user space sees them: the only place that names one.

pub(crate) mod copies;
pub(crate) mod ruleset;

use std::collections::HashSet;
use std::marker::PhantomData;
use std::path::Path;

use amanda_fw_common::event::Event;
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::fragment::{FragmentKey, Fragments};
use amanda_fw_common::label::Label;
use amanda_fw_common::nat::{AliasKey, Binding, BindingKey, Mapped};
use amanda_fw_common::rules::SourceKey;
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::verdict::{COUNTERS, Count};
use anyhow::{Context, Result, bail};
use aya::maps::{Array, HashMap, Map, MapData, MapError, MapInfo, PerCpuArray, PerCpuValues};
use aya::sys::SyscallError;
use aya::util::nr_cpus;
use bytemuck::Pod;
use rustix::io::Errno;

/// Flows that have proven both ends, or that the host itself began.
pub(crate) const FLOWS: &str = "FLOWS";
/// Flows that an outsider began.
pub(crate) const EMBRYOS: &str = "EMBRYOS";
/// Datagrams whose first fragment was accepted.
pub(crate) const FRAGMENTS: &str = "FRAGMENTS";
/// Datagrams whose first fragment has not come yet.
pub(crate) const WAITING: &str = "WAITING";
/// The fragments that are held until it comes.
pub(crate) const HELD: &str = "HELD";
/// What is expected.
pub(crate) const EXPECTATIONS: &str = "EXPECTATIONS";
/// The requests that nobody has answered.
pub(crate) const REQUESTS: &str = "REQUESTS";
/// The transactions.
pub(crate) const TRANSACTIONS: &str = "TRANSACTIONS";
/// What pairs of hosts have open.
pub(crate) const PAIRS: &str = "PAIRS";
/// What user space has read of requests.
pub(crate) const LABELS: &str = "LABELS";
/// Where packets go that come in with addresses that stand for others.
pub(crate) const ALIASES: &str = "ALIASES";
/// What sources are translated to.
pub(crate) const BINDINGS: &str = "BINDINGS";
/// The addresses of interfaces that masquerade.
pub(crate) const ADDRESSES: &str = "ADDRESSES";
/// Packets and occurrences, per CPU.
const COUNTS: &str = "COUNTERS";
/// The rings that events travel in.
pub(crate) const EVENTS: &str = "EVENTS";

/// Asks that no entry be replaced (include/uapi/linux/bpf.h).
const BPF_NOEXIST: u64 = 1;

/// The buckets of rules, by slot.
const RULE_BUCKETS: &str = "RULE_BUCKETS";
/// The buckets that rules have for sources.
const SOURCE_BUCKETS: &str = "SOURCE_BUCKETS";
/// Packets that fitted rules, per CPU, by slot.
const RULE_COUNTS: &str = "RULE_COUNTERS";

/// The maps that outlive the loader, and every ruleset.
pub(crate) const PINNED: [&str; 16] = [
    FLOWS,
    EMBRYOS,
    FRAGMENTS,
    EXPECTATIONS,
    REQUESTS,
    TRANSACTIONS,
    PAIRS,
    LABELS,
    ALIASES,
    BINDINGS,
    ADDRESSES,
    COUNTS,
    RULE_BUCKETS,
    SOURCE_BUCKETS,
    RULE_COUNTS,
    EVENTS,
];

/// The tables whose fill is shown, in the order in which a person wants them.
pub(crate) const TABLES: [&str; 6] =
    [FLOWS, EMBRYOS, EXPECTATIONS, TRANSACTIONS, REQUESTS, FRAGMENTS];

/// The tables that nobody needs where no address is translated.
pub(crate) const NAT_TABLES: [&str; 2] = [ALIASES, BINDINGS];

/// Opens a pinned map.
pub(crate) fn open(directory: &Path, name: &str) -> Result<Map> {
    let path = directory.join(name);
    let data = MapData::from_pin(&path)
        .with_context(|| format!("open the pinned map {}", path.display()))?;
    Map::from_map_data(data).with_context(|| format!("read the type of map {name}"))
}

/// Returns how many entries a pinned map may have.
pub(crate) fn capacity(directory: &Path, name: &str) -> Result<u32> {
    let info = MapInfo::from_pin(directory.join(name));
    Ok(info.with_context(|| format!("ask the kernel about map {name}"))?.max_entries())
}

/// Counts the entries of a table.
pub(crate) fn count(directory: &Path, name: &str) -> Result<u64> {
    let entries = match name {
        FLOWS | EMBRYOS => FlowTable::open(directory, name)?.count(),
        EXPECTATIONS => ExpectationTable::open(directory, name)?.count(),
        TRANSACTIONS | REQUESTS => TransactionTable::open(directory, name)?.count(),
        FRAGMENTS => FragmentTable::open(directory, name)?.count(),
        ALIASES => AliasTable::open(directory, name)?.count(),
        BINDINGS => BindingTable::open(directory, name)?.count(),
        _ => bail!("{name} is no table"),
    };
    Ok(entries as u64)
}

/// A hash map whose keys and values are plain data.
pub(crate) struct Table<K, V, const KEY: usize, const VALUE: usize> {
    map: HashMap<MapData, [u8; KEY], [u8; VALUE]>,
    entry: PhantomData<(K, V)>,
}

/// The flows.
pub(crate) type FlowTable = Table<FlowKey, Flow, { size_of::<FlowKey>() }, { size_of::<Flow>() }>;
/// The expectations.
pub(crate) type ExpectationTable = Table<
    ExpectationKey,
    Expectation,
    { size_of::<ExpectationKey>() },
    { size_of::<Expectation>() },
>;
/// The transactions.
pub(crate) type TransactionTable =
    Table<u64, Transaction, { size_of::<u64>() }, { size_of::<Transaction>() }>;
/// What user space has read of requests.
pub(crate) type LabelTable = Table<u64, Label, { size_of::<u64>() }, { size_of::<Label>() }>;
/// Where packets go that come in with addresses that stand for others.
pub(crate) type AliasTable =
    Table<AliasKey, Mapped, { size_of::<AliasKey>() }, { size_of::<Mapped>() }>;
/// What sources are translated to.
pub(crate) type BindingTable =
    Table<BindingKey, Binding, { size_of::<BindingKey>() }, { size_of::<Binding>() }>;
/// The addresses of interfaces that masquerade, as numbers, by the interfaces' indexes.
pub(crate) type AddressTable = Table<u32, u32, { size_of::<u32>() }, { size_of::<u32>() }>;
type SourceBucketTable = Table<SourceKey, u64, { size_of::<SourceKey>() }, { size_of::<u64>() }>;
type FragmentTable =
    Table<FragmentKey, Fragments, { size_of::<FragmentKey>() }, { size_of::<Fragments>() }>;

impl<K: Pod, V: Pod, const KEY: usize, const VALUE: usize> Table<K, V, KEY, VALUE> {
    /// Opens the table under its pin.
    pub(crate) fn open(directory: &Path, name: &str) -> Result<Self> {
        let map = HashMap::try_from(open(directory, name)?)
            .with_context(|| format!("use map {name}: it is another version's"))?;
        Ok(Self { map, entry: PhantomData })
    }

    /// Lists the entries; one that changes meanwhile may be missing.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (K, V)> {
        let read = |(key, value): ([u8; KEY], [u8; VALUE])| {
            (bytemuck::pod_read_unaligned(&key), bytemuck::pod_read_unaligned(&value))
        };
        self.map.iter().filter_map(Result::ok).map(read)
    }

    fn count(&self) -> usize {
        self.map.keys().filter(Result::is_ok).count()
    }

    /// Returns an entry.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let value = self.map.get(&bytemuck::pod_read_unaligned(bytemuck::bytes_of(key)), 0);
        value.ok().map(|bytes| bytemuck::pod_read_unaligned(&bytes))
    }

    /// Inserts an entry; one for which there is no room is left out.
    pub(crate) fn insert(&mut self, key: &K, value: &V) {
        let key = bytemuck::pod_read_unaligned::<[u8; KEY]>(bytemuck::bytes_of(key));
        let value = bytemuck::pod_read_unaligned::<[u8; VALUE]>(bytemuck::bytes_of(value));
        let _ = self.map.insert(key, value, 0);
    }

    /// Inserts an entry where there is none (BPF_NOEXIST).
    pub(crate) fn insert_new(&mut self, key: &K, value: &V) -> Result<Insertion> {
        let key = bytemuck::pod_read_unaligned::<[u8; KEY]>(bytemuck::bytes_of(key));
        let value = bytemuck::pod_read_unaligned::<[u8; VALUE]>(bytemuck::bytes_of(value));
        match self.map.insert(key, value, BPF_NOEXIST) {
            Ok(()) => Ok(Insertion::New),
            Err(MapError::SyscallError(error)) if is(&error, &[Errno::EXIST]) => {
                Ok(Insertion::Known)
            }
            // A hash map says the first, one that pushes old entries out the second.
            Err(MapError::SyscallError(error)) if is(&error, &[Errno::TOOBIG, Errno::NOMEM]) => {
                Ok(Insertion::Full)
            }
            Err(error) => Err(error).context("insert an entry"),
        }
    }

    /// Removes the entries that are over, each looked at once more just before it goes.
    pub(crate) fn remove_if(&mut self, mut is_over: impl FnMut(&K, &V) -> bool) {
        let over: Vec<K> =
            self.entries().filter(|(key, value)| is_over(key, value)).map(|(key, _)| key).collect();
        for key in over {
            if self.get(&key).is_some_and(|value| is_over(&key, &value)) {
                self.remove(&key);
            }
        }
    }

    /// Removes an entry; that it is gone already is no error.
    pub(crate) fn remove(&mut self, key: &K) {
        let _ = self.map.remove(&bytemuck::pod_read_unaligned(bytemuck::bytes_of(key)));
    }
}

/// What became of an entry that was to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// It is in the table.
    New,
    /// Another one was there, and stays.
    Known,
    /// There was no room.
    Full,
}

/// Tells whether a system call has failed with one of some errors.
pub(crate) fn is(error: &SyscallError, errors: &[Errno]) -> bool {
    errors.iter().any(|errno| error.io_error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Sums the counters over all CPUs.
pub(crate) fn read_counts(directory: &Path) -> Result<Vec<Count>> {
    let map = counts(directory, COUNTS)?;
    (0..COUNTERS).map(|index| sum(&map, index)).collect()
}

/// Sums what rules have counted over all CPUs, by their slots.
pub(crate) fn read_rule_counts(directory: &Path, slots: &[u16]) -> Result<Vec<Count>> {
    let map = counts(directory, RULE_COUNTS)?;
    slots.iter().map(|&slot| sum(&map, slot.into())).collect()
}

/// Clears what is remembered of rules that were in some slots before.
pub(crate) fn clear_slots(directory: &Path, slots: &[u16]) -> Result<()> {
    let mut buckets = Array::<_, [u64; 2]>::try_from(open(directory, RULE_BUCKETS)?)
        .context("use map RULE_BUCKETS: it is another version's")?;
    let mut counts = counts(directory, RULE_COUNTS)?;
    let cpus = nr_cpus().map_err(|(path, error)| {
        anyhow::Error::from(error).context(format!("read the number of CPUs from {path}"))
    })?;
    for &slot in slots {
        buckets.set(slot.into(), [0; 2], 0).context("clear the buckets of a rule")?;
        let zeros = PerCpuValues::try_from(vec![[0; 2]; cpus]).context("make a counter")?;
        counts.set(slot.into(), zeros, 0).context("clear the counter of a rule")?;
    }
    let cleared: HashSet<u64> = slots.iter().map(|&slot| slot.into()).collect();
    SourceBucketTable::open(directory, SOURCE_BUCKETS)?
        .remove_if(|key, _| cleared.contains(&key.slot));
    Ok(())
}

type Counts = PerCpuArray<MapData, [u64; 2]>;

fn counts(directory: &Path, name: &str) -> Result<Counts> {
    PerCpuArray::try_from(open(directory, name)?)
        .with_context(|| format!("use map {name}: it is another version's"))
}

fn sum(map: &Counts, index: u32) -> Result<Count> {
    let values = map.get(&index, 0).context("read a counter")?;
    let add = |a: Count, [packets, bytes]: &[u64; 2]| Count {
        packets: a.packets.wrapping_add(*packets),
        bytes: a.bytes.wrapping_add(*bytes),
    };
    Ok(values.iter().fold(Count::default(), add))
}

/// Reads a record, and lends the first bytes of its packet.
pub(crate) fn read_event(bytes: &[u8]) -> Result<(Event, &[u8])> {
    let Some((record, packet)) = bytes.split_at_checked(size_of::<Event>()) else {
        bail!("an event of {} bytes is too short", bytes.len());
    };
    let event: Event = bytemuck::pod_read_unaligned(record);
    let captured = packet.len().min(event.captured as usize);
    Ok((event, packet.get(..captured).unwrap_or_default()))
}
