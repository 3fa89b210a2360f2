//! A firewall as others than its loader see it: by its pins.

use std::path::{Path, PathBuf};

use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::rules::Rule;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::transaction::Transaction;
use anyhow::{Result, bail};

use crate::bpffs::PinDirectory;
use crate::cli::Global;
use crate::config::{self, HostAddresses};
use crate::maps::{self, FlowTable, LabelTable, TransactionTable};
use crate::output::session::Session;
use crate::{clock, privileges};

/// The pins of a firewall, and the configuration that may be the one in force.
pub(crate) struct View {
    pins: PinDirectory,
    maps: PathBuf,
    config: Option<PathBuf>,
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
        Ok(Self { maps: pins.maps(), pins, config: global.config.clone() })
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
        maps::read_settings(&self.maps)
    }

    /// Reads the rules in force.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>> {
        maps::read_rules(&self.maps, self.settings()?.rules)
    }

    /// Returns the names of the rules in force: the configuration's, if it makes the same rules.
    pub(crate) fn rule_names(&self) -> Result<Vec<String>> {
        let host = HostAddresses::read()?;
        let compiled = config::load(self.config.as_deref())
            .ok()
            .and_then(|config| config::compile(&config, &host).ok());
        match compiled {
            Some(ruleset) if ruleset.rules == self.rules()? => Ok(ruleset.rule_names),
            _ => Ok(Vec::new()),
        }
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
