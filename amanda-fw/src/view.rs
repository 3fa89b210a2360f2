//! A firewall as others than its loader see it: by its pins.

use std::path::{Path, PathBuf};

use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::transaction::Transaction;
use anyhow::{Result, bail};

use crate::bpffs::PinDirectory;
use crate::cli::Global;
use crate::maps::{self, FlowTable, LabelTable, TransactionTable, ruleset};
use crate::output::session::Session;
use crate::rule_names::RuleNames;
use crate::{clock, privileges};

/// The pins of a firewall.
pub(crate) struct View {
    pins: PinDirectory,
    maps: PathBuf,
}

impl View {
    /// Opens a firewall that is attached, or says that there is none.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        privileges::check()?;
        let pins = PinDirectory::new(&global.bpffs);
        if !pins.exists() {
            bail!(
                "no firewall is attached ({} is empty); `amanda-fw attach IFACE` attaches one",
                global.bpffs.display()
            );
        }
        Ok(Self { maps: pins.maps(), pins })
    }

    /// Returns the directory of the maps.
    pub(crate) fn maps(&self) -> &Path {
        &self.maps
    }

    /// Lists the interfaces with the names of their pins.
    pub(crate) fn interfaces(&self) -> Result<Vec<(String, Vec<String>)>> {
        self.pins.interfaces()
    }

    /// Reads the settings in force.
    pub(crate) fn settings(&self) -> Result<Settings> {
        self.pins.read_ruleset(ruleset::read_settings)
    }

    /// Returns the number of the ruleset in force.
    pub(crate) fn generation(&self) -> Result<u64> {
        Ok(self.pins.generation()?.unwrap_or_default())
    }

    /// Returns the configuration file that is in force, nothing for the built-in defaults.
    pub(crate) fn config(&self) -> Result<Option<PathBuf>> {
        self.pins.config()
    }

    /// Reads what people call the rules in force, by place.
    pub(crate) fn rules(&self) -> Result<Vec<RuleInfo>> {
        self.pins.read_ruleset(ruleset::read_infos)
    }

    /// Returns the names of the rules in force.
    pub(crate) fn rule_names(&self) -> Result<RuleNames> {
        Ok(RuleNames::new(&self.rules()?))
    }

    /// Returns the pin directory.
    pub(crate) fn pins(&self) -> &PinDirectory {
        &self.pins
    }

    /// Lists the flows that are not silent for too long.
    pub(crate) fn flows(&self) -> Result<Vec<(FlowKey, Flow)>> {
        let (settings, now) = (self.settings()?, clock::monotonic());
        let mut flows = Vec::new();
        for name in [maps::FLOWS, maps::EMBRYOS] {
            let table = FlowTable::open(&self.maps, name)?;
            flows.extend(table.entries().filter(|(key, flow)| {
                !flow.is_expired(key.protocol(), &settings.timeouts, now) || flow.transaction != 0
            }));
        }
        Ok(flows)
    }

    /// Lists the sessions, the oldest first.
    pub(crate) fn sessions(&self) -> Result<Vec<Session>> {
        let (mut flows, settings, now) = (self.flows()?, self.settings()?, clock::monotonic());
        flows.retain(|(_, flow)| flow.transaction != 0);
        let mut entries: Vec<(u64, Transaction)> = Vec::new();
        for name in [maps::TRANSACTIONS, maps::REQUESTS] {
            let table = TransactionTable::open(&self.maps, name)?;
            entries.extend(table.entries().filter(|(_, t)| !t.is_expired(&settings, now)));
        }
        entries.sort_by_key(|(_, transaction)| transaction.opened);
        let labels = LabelTable::open(&self.maps, maps::LABELS)?;
        let session = |(id, transaction)| {
            let about = labels.get(&id).map(|label| label.text().to_owned());
            Session { about, ..Session::from(id, &transaction, flows.iter().copied(), now) }
        };
        Ok(entries.into_iter().map(session).collect())
    }
}
