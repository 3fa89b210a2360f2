//! Puts a ruleset in force: on every interface that has the firewall, and on new ones.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, bail};

use crate::addresses::{self, Addresses, Change};
use crate::bpffs::PinDirectory;
use crate::config::{self, Config, Host, Ruleset};
use crate::device::{self, Device, Mode, TC_ALONE};
use crate::firewall::{self, Firewall, Placement, Wanted};

/// What is to be put in force, and where.
pub(crate) struct Switch<'a> {
    /// The pin directory of the firewall.
    pub(crate) pins: &'a PinDirectory,
    /// The configuration.
    pub(crate) config: &'a Config,
    /// What it was compiled to.
    pub(crate) ruleset: &'a Ruleset,
    /// The machine that it was compiled for.
    pub(crate) host: &'a Host,
    /// The level up to which the programs log.
    pub(crate) log_level: u8,
    /// Whether warnings may have colour.
    pub(crate) colors_errors: bool,
}

/// What a switch has come to.
pub(crate) struct Switched {
    /// The programs in force.
    pub(crate) firewall: Firewall,
    /// Where packets are met now.
    pub(crate) placements: Vec<Placement>,
    /// What has changed about the addresses that interfaces lend, since anybody looked.
    pub(crate) changes: Vec<Change>,
}

impl Switch<'_> {
    /// Exchanges everything at once or nothing.
    ///
    /// What is to be done `before` happens once there are maps, and before any program is met.
    /// Interfaces that have gone are forgotten.
    pub(crate) async fn run(
        &self,
        devices: &[Device],
        mode: Option<Mode>,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<Switched> {
        let placements = self.placements(devices, mode).await?;
        let addresses = match self.ruleset.settings.translates() {
            true => Some(Addresses::read().await?),
            false => None,
        };
        self.warn();
        let switched = self.exchange(&placements, addresses.as_ref(), before);
        if switched.is_err() {
            // What failed first is what to report.
            let _ = self.pins.discard_ruleset();
        }
        let (firewall, modes, changes) = switched?;
        let devices = placements.into_iter().map(|(device, _)| device);
        Ok(Switched { firewall, placements: devices.zip(modes).collect(), changes })
    }

    /// Tells what the configuration hardly means; that nobody reads it is no error.
    fn warn(&self) {
        let warnings = config::warnings(self.config, self.host).render(self.colors_errors);
        let _ = io::stderr().write_all(warnings.as_bytes());
    }

    fn exchange(
        &self,
        placements: &[Placement],
        addresses: Option<&Addresses>,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<(Firewall, Vec<Mode>, Vec<Change>)> {
        let Self { ruleset, host, log_level, .. } = *self;
        let path = self.config.path();
        let origin = path.as_deref().and_then(Path::to_str).unwrap_or_default();
        let wanted = Wanted { ruleset, host, origin, log_level };
        let mut firewall = Firewall::load(self.pins, &wanted)?;
        let changes = match addresses {
            Some(addresses) => {
                let attached: BTreeSet<u32> = placements.iter().map(|(d, _)| d.index).collect();
                addresses::update(&self.pins.maps(), &attached, addresses)?
            }
            None => Vec::new(),
        };
        before()?;
        let modes = firewall.enforce(placements)?;
        Ok((firewall, modes, changes))
    }

    async fn placements(&self, named: &[Device], mode: Option<Mode>) -> Result<Vec<Placement>> {
        let translates = self.ruleset.settings.translates();
        if let Some(mode) = mode.filter(|mode| translates && mode.is_xdp()) {
            bail!("--mode {mode} beside [[nat]]: {TC_ALONE}; write --mode tc, or leave it out");
        }
        // What an interface has had before, or would have, gives way to translation.
        let suited = |mode: Mode| if translates { Mode::Tc } else { mode };
        let configured = |name: &str| self.config.modes.get(name).copied();
        let mode_of = |name: &str| suited(mode.or(configured(name)).unwrap_or_default());
        let mut placements: Vec<Placement> =
            named.iter().map(|device| (device.clone(), mode_of(&device.name))).collect();
        for (name, pins) in self.pins.interfaces()? {
            if named.iter().any(|device| device.name == name) {
                continue;
            }
            if device::index_of(&name).is_none() {
                firewall::detach(self.pins, &name)?;
                continue;
            }
            let mode = suited(configured(&name).unwrap_or(firewall::mode(&pins)));
            placements.push((device::find(&name).await?, mode));
        }
        Ok(placements)
    }
}
