//! Reclaims what translated flows have left behind.

use std::collections::HashSet;
use std::mem;
use std::path::Path;

use amanda_fw_common::nat::{AliasKey, BindingKey, Mapped};
use anyhow::Result;

use super::uses::Uses;
use crate::maps::{self, AliasTable, BindingTable, FlowTable};
use crate::nat;

/// The tables of translation for the time of a sweep: a reload may exchange them.
pub(super) struct Translations {
    aliases: AliasTable,
    bindings: BindingTable,
}

impl Translations {
    /// Opens the tables.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        Ok(Self {
            aliases: AliasTable::open(directory, maps::ALIASES)?,
            bindings: BindingTable::open(directory, maps::BINDINGS)?,
        })
    }

    /// Removes the bindings that no flow has, both ends together.
    pub(super) fn sweep_bindings(&mut self, uses: &Uses, now: u64) {
        let over: Vec<(BindingKey, BindingKey)> = self
            .bindings
            .entries()
            .map(|(key, binding)| (nat::ends(&key, &binding), binding.seen))
            .filter(|((_, outside), given)| uses.is_over(outside, *given, now))
            .map(|(ends, _)| ends)
            .collect();
        for (inside, outside) in over {
            // The inside's entry is the one that each new flow renews, and goes first, so that what is
            // free outside has no owner.
            let bound = self.bindings.get(&inside).filter(|b| b.other == outside.endpoint());
            if bound.is_some_and(|binding| !uses.is_over(&outside, binding.seen, now)) {
                continue;
            }
            if bound.is_some() {
                self.bindings.remove(&inside);
            }
            if self.bindings.get(&outside).is_some_and(|b| b.other == inside.endpoint()) {
                self.bindings.remove(&outside);
            }
        }
    }

    /// Removes the aliases whose flow is gone, of those that were in doubt at the sweep before, and
    /// returns those that are in doubt now: an alias is there a moment before its flow.
    pub(super) fn sweep_aliases(
        &mut self,
        uses: &Uses,
        flows: [&FlowTable; 2],
        mut doubtful: HashSet<AliasKey>,
    ) -> HashSet<AliasKey> {
        let before = mem::take(&mut doubtful);
        let bindings = &self.bindings;
        self.aliases.remove_if(|key, inside| {
            if key.is_any_port() {
                return !is_bound(bindings, key, *inside);
            }
            if uses.has_alias(key) {
                return false;
            }
            if before.contains(key) {
                return !has_flow(flows, key, *inside);
            }
            doubtful.insert(*key);
            false
        });
        doubtful
    }
}

/// Tells whether the destination of an alias is still bound to the endpoint inside.
fn is_bound(bindings: &BindingTable, alias: &AliasKey, inside: Mapped) -> bool {
    let outside = BindingKey::outside(alias.protocol(), alias.destination());
    bindings.get(&outside).is_some_and(|binding| binding.other == inside)
}

/// Tells whether there is a flow now whose packets come in by an alias.
fn has_flow(flows: [&FlowTable; 2], alias: &AliasKey, inside: Mapped) -> bool {
    let key = nat::flow_key(alias, inside);
    let found = flows.into_iter().filter_map(|table| table.get(&key));
    found.into_iter().any(|flow| nat::aliases(&key, &flow).any(|other| other == *alias))
}
