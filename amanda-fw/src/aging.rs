//! Reclaims the entries that the kernel no longer honours.
//!
//! The programs check every entry's age by themselves; what is done here makes room.

mod translations;
mod uses;

use std::collections::HashSet;
use std::mem;

use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::nat::AliasKey;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::transaction::{Transaction, TransactionState};
use anyhow::Result;
use translations::Translations;
use uses::Uses;

use crate::bpffs::PinDirectory;
use crate::maps::{self, ExpectationTable, FlowTable, TransactionTable, ruleset};

/// How long an entry stays after its time, so that none goes that a packet is just renewing.
const GRACE: u64 = 5_000_000_000;

/// How long a transaction stays in sight after its last stream.
const FINISHED: u64 = 60_000_000_000;

/// The tables that are aged.
pub(crate) struct Aging {
    flows: FlowTable,
    embryos: FlowTable,
    expectations: ExpectationTable,
    requests: TransactionTable,
    transactions: TransactionTable,
    uses: Uses,
    doubtful: HashSet<AliasKey>,
    pins: PinDirectory,
}

impl Aging {
    /// Opens the tables.
    pub(crate) fn open(pins: &PinDirectory) -> Result<Self> {
        let directory = pins.maps();
        Ok(Self {
            flows: FlowTable::open(&directory, maps::FLOWS)?,
            embryos: FlowTable::open(&directory, maps::EMBRYOS)?,
            expectations: ExpectationTable::open(&directory, maps::EXPECTATIONS)?,
            requests: TransactionTable::open(&directory, maps::REQUESTS)?,
            transactions: TransactionTable::open(&directory, maps::TRANSACTIONS)?,
            uses: Uses::default(),
            doubtful: HashSet::new(),
            pins: pins.clone(),
        })
    }

    /// Removes what is over at a time.
    pub(crate) fn sweep(&mut self, now: u64) -> Result<()> {
        if self.pins.generation()?.is_none() {
            // The firewall is being taken off.
            return Ok(());
        }
        let settings = self.pins.read_ruleset(ruleset::read_settings)?;
        let translations = Translations::open(&self.pins.maps())?;
        let past = now.saturating_sub(GRACE);
        self.uses.restart(now);
        let live = self.sweep_flows(&settings, past);
        self.expectations.remove_if(|_, expectation| expectation.is_expired(past));
        for table in [&mut self.requests, &mut self.transactions] {
            table.remove_if(|id, t| !live.contains(id) && is_finished(t, &settings, now));
        }
        self.sweep_translations(translations, now);
        Ok(())
    }

    /// Removes what silent flows leave in the tables of translation.
    fn sweep_translations(&mut self, mut translations: Translations, now: u64) {
        translations.sweep_bindings(&self.uses, now);
        // A flow that proves itself meanwhile goes from the first table to the second.
        let flows = [&self.embryos, &self.flows];
        let doubtful = mem::take(&mut self.doubtful);
        self.doubtful = translations.sweep_aliases(&self.uses, flows, doubtful);
    }

    /// Removes silent flows, and returns the transactions of the others.
    fn sweep_flows(&mut self, settings: &Settings, past: u64) -> HashSet<u64> {
        let mut live = HashSet::new();
        let (transactions, uses) = (&self.transactions, &mut self.uses);
        for table in [&mut self.embryos, &mut self.flows] {
            table.remove_if(|key, flow| {
                let over = is_over(key, flow, settings, transactions, past);
                if !over && !flow.is_over() {
                    live.insert(flow.transaction);
                }
                if !over && settings.translates() {
                    uses.note(key, flow);
                }
                over
            });
        }
        live
    }
}

/// Tells whether a flow, and every flow of its transaction, has been silent for too long.
fn is_over(
    key: &FlowKey,
    flow: &Flow,
    settings: &Settings,
    transactions: &TransactionTable,
    past: u64,
) -> bool {
    if !flow.is_expired(key.protocol(), &settings.timeouts, past) {
        return false;
    }
    let seen = transactions.get(&flow.transaction).map_or(0, |t| t.seen);
    past.saturating_sub(seen) > flow.timeout(key.protocol(), &settings.timeouts)
}

/// Tells whether a transaction without a living stream has no more to come.
fn is_finished(transaction: &Transaction, settings: &Settings, now: u64) -> bool {
    let silent = now.saturating_sub(transaction.seen);
    let waiting = transaction.state <= TransactionState::Running.number();
    let kept = if waiting {
        settings.transaction_timeout.max(FINISHED)
    } else {
        settings.expectation_timeout.max(FINISHED)
    };
    transaction.is_expired(settings, now.saturating_sub(GRACE)) || silent > kept
}
