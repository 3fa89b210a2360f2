//! The maps as user space sees them: the only file that names one.

use std::marker::PhantomData;
use std::path::Path;

use amanda_fw_common::event::Event;
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::fragment::{FragmentKey, Fragments};
use amanda_fw_common::label::Label;
use amanda_fw_common::rules::Rule;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::verdict::{COUNTERS, Count};
use anyhow::{Context, Result, bail};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapInfo, PerCpuArray, PerCpuValues};
use bytemuck::Pod;

/// Settings, one entry.
const SETTINGS: &str = "SETTINGS";
/// Entries of rules, in order.
const RULES: &str = "RULES";
/// What networks are to Amanda.
const ROLES: &str = "ROLES";
/// Flows that have proven both ends, or that the host itself began.
pub(crate) const FLOWS: &str = "FLOWS";
/// Flows that an outsider began.
pub(crate) const EMBRYOS: &str = "EMBRYOS";
/// Datagrams whose first fragment was accepted.
pub(crate) const FRAGMENTS: &str = "FRAGMENTS";
/// What is expected.
pub(crate) const EXPECTATIONS: &str = "EXPECTATIONS";
/// The requests that nobody has answered.
pub(crate) const REQUESTS: &str = "REQUESTS";
/// The transactions.
pub(crate) const TRANSACTIONS: &str = "TRANSACTIONS";
/// What user space has read of requests.
pub(crate) const LABELS: &str = "LABELS";
/// Packets and occurrences, per CPU.
const COUNTS: &str = "COUNTERS";
/// The rings that events travel in.
pub(crate) const EVENTS: &str = "EVENTS";

/// The maps that outlive the loader.
pub(crate) const PINNED: [&str; 12] = [
    SETTINGS,
    RULES,
    ROLES,
    FLOWS,
    EMBRYOS,
    FRAGMENTS,
    EXPECTATIONS,
    REQUESTS,
    TRANSACTIONS,
    LABELS,
    COUNTS,
    EVENTS,
];

/// The tables whose fill is shown, in the order in which a person wants them.
pub(crate) const TABLES: [&str; 6] =
    [FLOWS, EMBRYOS, EXPECTATIONS, TRANSACTIONS, REQUESTS, FRAGMENTS];

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
    fn remove(&mut self, key: &K) {
        let _ = self.map.remove(&bytemuck::pod_read_unaligned(bytemuck::bytes_of(key)));
    }
}

/// Reads the settings.
pub(crate) fn read_settings(directory: &Path) -> Result<Settings> {
    let map = Array::<_, [u8; size_of::<Settings>()]>::try_from(open(directory, SETTINGS)?)
        .context("use map SETTINGS: it is another version's")?;
    let bytes = map.get(&0, 0).context("read the settings")?;
    Ok(bytemuck::pod_read_unaligned(&bytes))
}

/// Writes the settings.
pub(crate) fn write_settings(directory: &Path, settings: &Settings) -> Result<()> {
    let mut map = Array::<_, [u8; size_of::<Settings>()]>::try_from(open(directory, SETTINGS)?)
        .context("use map SETTINGS")?;
    map.set(0, bytemuck::cast::<Settings, [u8; size_of::<Settings>()]>(*settings), 0)
        .context("write the settings")
}

/// Reads the first so many entries of rules.
pub(crate) fn read_rules(directory: &Path, count: u32) -> Result<Vec<Rule>> {
    let map = Array::<_, [u8; size_of::<Rule>()]>::try_from(open(directory, RULES)?)
        .context("use map RULES: it is another version's")?;
    let read = |index| {
        let bytes = map.get(&index, 0).with_context(|| format!("read rule entry {index}"))?;
        Ok(bytemuck::pod_read_unaligned(&bytes))
    };
    (0..count).map(read).collect()
}

/// Writes the entries of rules from the first place on.
pub(crate) fn write_rules(directory: &Path, rules: &[Rule]) -> Result<()> {
    let mut map = Array::<_, [u8; size_of::<Rule>()]>::try_from(open(directory, RULES)?)
        .context("use map RULES")?;
    for (index, rule) in (0..).zip(rules) {
        map.set(index, bytemuck::cast::<Rule, [u8; size_of::<Rule>()]>(*rule), 0)
            .with_context(|| format!("write rule entry {index}"))?;
    }
    Ok(())
}

/// Writes what networks are to Amanda, and removes what they no longer are.
pub(crate) fn write_roles(
    directory: &Path,
    roles: &[(amanda_fw_common::addr::Network, u8)],
) -> Result<()> {
    let mut map =
        LpmTrie::<_, [u8; 16], u8>::try_from(open(directory, ROLES)?).context("use map ROLES")?;
    let key = |network: &amanda_fw_common::addr::Network| {
        Key::new(network.prefix(), network.addr().octets())
    };
    for (network, role) in roles {
        map.insert(&key(network), role, 0).context("write a network of [amanda]")?;
    }
    let wanted: Vec<_> = roles.iter().map(|(network, _)| key(network)).collect();
    let is_wanted = |old: &Key<[u8; 16]>| {
        wanted.iter().any(|k| k.prefix_len() == old.prefix_len() && k.data() == old.data())
    };
    let stale: Vec<_> = map.keys().filter_map(Result::ok).filter(|k| !is_wanted(k)).collect();
    for key in stale {
        map.remove(&key).context("remove a network of [amanda]")?;
    }
    Ok(())
}

/// Sums the counters over all CPUs.
pub(crate) fn read_counts(directory: &Path) -> Result<Vec<Count>> {
    let map = PerCpuArray::<_, [u64; 2]>::try_from(open(directory, COUNTS)?)
        .context("use map COUNTERS: it is another version's")?;
    let sum = |values: PerCpuValues<[u64; 2]>| {
        let add = |a: Count, [packets, bytes]: &[u64; 2]| Count {
            packets: a.packets.wrapping_add(*packets),
            bytes: a.bytes.wrapping_add(*bytes),
        };
        values.iter().fold(Count::default(), add)
    };
    let read = |index| Ok(sum(map.get(&index, 0).context("read a counter")?));
    (0..COUNTERS).map(read).collect()
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
