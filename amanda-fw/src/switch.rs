//! Puts a ruleset in force: on every interface that has the firewall, and on new ones.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;

use crate::bpffs::PinDirectory;
use crate::config::{self, Config, Host, Ruleset};
use crate::device::{self, Device, Mode};
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

impl Switch<'_> {
    /// Exchanges everything at once or nothing, and returns where packets are met now.
    ///
    /// What is to be done `before` happens once there are maps, and before any program is met.
    /// Interfaces that have gone are forgotten.
    pub(crate) async fn run(
        &self,
        devices: &[Device],
        mode: Option<Mode>,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<(Firewall, Vec<Placement>)> {
        let placements = self.placements(devices, mode).await?;
        self.warn();
        let switched = self.exchange(&placements, before);
        if switched.is_err() {
            // What failed first is what to report.
            let _ = self.pins.discard_ruleset();
        }
        let (firewall, modes) = switched?;
        let devices = placements.into_iter().map(|(device, _)| device);
        Ok((firewall, devices.zip(modes).collect()))
    }

    /// Tells what the configuration hardly means; that nobody reads it is no error.
    fn warn(&self) {
        let warnings = config::warnings(self.config, self.host).render(self.colors_errors);
        let _ = io::stderr().write_all(warnings.as_bytes());
    }

    fn exchange(
        &self,
        placements: &[Placement],
        before: impl FnOnce() -> Result<()>,
    ) -> Result<(Firewall, Vec<Mode>)> {
        let Self { ruleset, host, log_level, .. } = *self;
        let path = self.config.path();
        let origin = path.as_deref().and_then(Path::to_str).unwrap_or_default();
        let wanted = Wanted { ruleset, host, origin, log_level };
        let mut firewall = Firewall::load(self.pins, &wanted)?;
        before()?;
        let modes = firewall.enforce(placements)?;
        Ok((firewall, modes))
    }

    async fn placements(&self, named: &[Device], mode: Option<Mode>) -> Result<Vec<Placement>> {
        let configured = |name: &str| self.config.modes.get(name).copied();
        let mut placements: Vec<Placement> = named
            .iter()
            .map(|device| (device.clone(), mode.or(configured(&device.name)).unwrap_or_default()))
            .collect();
        for (name, pins) in self.pins.interfaces()? {
            if named.iter().any(|device| device.name == name) {
                continue;
            }
            if device::index_of(&name).is_none() {
                firewall::detach(self.pins, &name)?;
                continue;
            }
            let mode = configured(&name).unwrap_or(firewall::mode(&pins));
            placements.push((device::find(&name).await?, mode));
        }
        Ok(placements)
    }
}
