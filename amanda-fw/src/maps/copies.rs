//! Copies of a few entries in tables of their own, over which a packet is rehearsed.

use std::path::Path;

use amanda_fw_common::addr::Addr;
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::rules::SourceKey;
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::verdict::Reason;
use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{Array, HashMap, PerCpuArray};
use bytemuck::Pod;

use super::{
    COUNTS, EMBRYOS, EXPECTATIONS, ExpectationTable, FLOWS, FlowTable, REQUESTS, RULE_BUCKETS,
    RULE_COUNTS, SOURCE_BUCKETS, TRANSACTIONS, Table, TransactionTable, open,
};

/// The tables that are written while a packet is decided, and how many entries a copy has.
pub(crate) const SIZES: [(&str, u32); 8] = [
    (FLOWS, 4),
    (EMBRYOS, 64),
    (super::FRAGMENTS, 64),
    (EXPECTATIONS, 4),
    (REQUESTS, 64),
    (TRANSACTIONS, 4),
    (super::PAIRS, 64),
    (SOURCE_BUCKETS, 65_536),
];

type SourceBuckets = Table<SourceKey, u64, { size_of::<SourceKey>() }, { size_of::<u64>() }>;

/// What a packet meets.
pub(crate) struct Met {
    key: FlowKey,
    expected: ExpectationKey,
    is_embryo: bool,
    /// Its flow.
    pub(crate) flow: Option<Flow>,
    /// What it is expected by.
    pub(crate) expectation: Option<Expectation>,
    transactions: Vec<(u64, Transaction)>,
}

impl Met {
    /// Reads the entries of a packet's keys.
    pub(crate) fn read(maps: &Path, key: FlowKey, expected: ExpectationKey) -> Result<Self> {
        let proven = FlowTable::open(maps, FLOWS)?.get(&key);
        let flow = proven.or(FlowTable::open(maps, EMBRYOS)?.get(&key));
        let expectation = ExpectationTable::open(maps, EXPECTATIONS)?.get(&expected);
        let named = [flow.map(|f| f.transaction), expectation.map(|e| e.transaction)];
        let table = TransactionTable::open(maps, TRANSACTIONS)?;
        let found = named.into_iter().flatten().filter_map(|id| Some((id, table.get(&id)?)));
        let (is_embryo, transactions) = (proven.is_none(), found.collect());
        Ok(Self { key, expected, is_embryo, flow, expectation, transactions })
    }
}

/// Writes what a packet meets, and the buckets of rules, into the maps of other programs.
pub(crate) fn write(
    ebpf: &mut Ebpf,
    maps: &Path,
    met: &Met,
    source: Addr,
    slots: &[u16],
) -> Result<()> {
    if let Some(flow) = &met.flow {
        let table = if met.is_embryo { EMBRYOS } else { FLOWS };
        insert::<_, _, { size_of::<FlowKey>() }, { size_of::<Flow>() }>(
            ebpf, table, &met.key, flow,
        )?;
    }
    if let Some(expectation) = &met.expectation {
        insert::<_, _, { size_of::<ExpectationKey>() }, { size_of::<Expectation>() }>(
            ebpf,
            EXPECTATIONS,
            &met.expected,
            expectation,
        )?;
    }
    for (id, transaction) in &met.transactions {
        insert::<_, _, 8, { size_of::<Transaction>() }>(ebpf, TRANSACTIONS, id, transaction)?;
    }
    let of_sources = SourceBuckets::open(maps, SOURCE_BUCKETS)?;
    let buckets = Array::<_, [u64; 2]>::try_from(open(maps, RULE_BUCKETS)?)
        .context("use map RULE_BUCKETS: it is another version's")?;
    for &slot in slots {
        let key = SourceKey { source, slot: slot.into() };
        if let Some(bucket) = of_sources.get(&key) {
            insert::<_, _, { size_of::<SourceKey>() }, 8>(ebpf, SOURCE_BUCKETS, &key, &bucket)?;
        }
        let bucket = buckets.get(&slot.into(), 0).context("read the buckets of a rule")?;
        let map = ebpf.map_mut(RULE_BUCKETS).context("find map RULE_BUCKETS")?;
        Array::<_, [u64; 2]>::try_from(map)?.set(slot.into(), bucket, 0)?;
    }
    Ok(())
}

fn insert<K: Pod, V: Pod, const KEY: usize, const VALUE: usize>(
    ebpf: &mut Ebpf,
    name: &str,
    key: &K,
    value: &V,
) -> Result<()> {
    let map = ebpf.map_mut(name).with_context(|| format!("find map {name}"))?;
    let mut map = HashMap::<_, [u8; KEY], [u8; VALUE]>::try_from(map)?;
    let key: [u8; KEY] = bytemuck::pod_read_unaligned(bytemuck::bytes_of(key));
    let value: [u8; VALUE] = bytemuck::pod_read_unaligned(bytemuck::bytes_of(value));
    map.insert(key, value, 0).with_context(|| format!("copy an entry of {name}"))
}

/// Finds the reason that was counted.
pub(crate) fn reason(ebpf: &mut Ebpf) -> Result<Option<Reason>> {
    for &reason in Reason::ALL {
        if is_counted(ebpf, COUNTS, reason.number().into())? {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

/// Lists the slots of the rules that were counted.
pub(crate) fn fitting(ebpf: &mut Ebpf, slots: &[u16]) -> Result<Vec<u16>> {
    let mut fitting = Vec::new();
    for &slot in slots {
        if is_counted(ebpf, RULE_COUNTS, slot.into())? {
            fitting.push(slot);
        }
    }
    Ok(fitting)
}

fn is_counted(ebpf: &mut Ebpf, name: &str, index: u32) -> Result<bool> {
    let map = ebpf.map(name).with_context(|| format!("find map {name}"))?;
    let counts = PerCpuArray::<_, [u64; 2]>::try_from(map)?;
    let values = counts.get(&index, 0).with_context(|| format!("read a counter of {name}"))?;
    Ok(values.iter().any(|[packets, _]| *packets > 0))
}
