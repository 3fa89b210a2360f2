//! Puts back what a switch that failed has exchanged.

use std::path::Path;

use anyhow::{Context, Error, Result};
use aya::programs::{SchedClassifier, TcAttachType, Xdp};
use aya_obj::programs::XdpAttachType;

use super::{
    TC_EGRESS, TC_INGRESS, XDP, XDP_GENERIC, attach_tc, attach_xdp, detach, is_ingress, remove_pin,
    tc_program, xdp_program,
};
use crate::bpffs::{self, PinDirectory};
use crate::clsact;
use crate::device::Device;

/// A device as it was before a switch.
pub(super) struct Saved<'a> {
    device: &'a Device,
    pins: Vec<String>,
}

impl<'a> Saved<'a> {
    /// Notes what is attached to a device.
    pub(super) fn of(pins: &PinDirectory, device: &'a Device) -> Result<Self> {
        Ok(Self { device, pins: bpffs::list(&pins.interface(&device.name))? })
    }

    fn has(&self, is_kind: impl Fn(&str) -> bool) -> bool {
        self.pins.iter().any(|pin| is_kind(pin))
    }

    /// Attaches what was attached before, and then takes off what was not.
    fn put_back(&self, pins: &PinDirectory) -> Result<()> {
        if self.pins.is_empty() {
            return detach(pins, &self.device.name);
        }
        let (before, directory) = (pins.ruleset()?, pins.interface(&self.device.name));
        if self.has(is_tc_egress) {
            self.put_tc_back(&before, &directory, TcAttachType::Egress)?;
        }
        if self.has(is_tc_ingress) {
            self.put_tc_back(&before, &directory, TcAttachType::Ingress)?;
        }
        for (kind, other) in [(XDP, XDP_GENERIC), (XDP_GENERIC, XDP)] {
            if self.has(|pin| pin == kind) {
                // A device has one kind at a time; TC guards it meanwhile, as in the switch.
                remove_pin(&self.device.name, &directory, other)?;
                self.put_xdp_back(&before, &directory, kind)?;
            }
        }
        self.remove_others(&directory)
    }

    fn put_tc_back(&self, before: &Path, directory: &Path, way: TcAttachType) -> Result<()> {
        let program = before.join(tc_program(self.device, way));
        let mut program = SchedClassifier::from_pin(&program)
            .with_context(|| format!("open the pinned program {}", program.display()))?;
        attach_tc(&mut program, self.device, way, directory)
    }

    fn put_xdp_back(&self, before: &Path, directory: &Path, pin: &str) -> Result<()> {
        let program = before.join(xdp_program());
        let mut program = Xdp::from_pin(&program, XdpAttachType::Interface)
            .with_context(|| format!("open the pinned program {}", program.display()))?;
        attach_xdp(&mut program, self.device, directory, pin)
    }

    fn remove_others(&self, directory: &Path) -> Result<()> {
        for pin in bpffs::list(directory)? {
            // A filter of clsact has another name each time.
            let is_known = self.has(|before| {
                before == pin || (clsact::is_ingress(before) && clsact::is_ingress(&pin))
            });
            if is_ingress(&pin) && !is_known {
                remove_pin(&self.device.name, directory, &pin)?;
            }
        }
        Ok(())
    }
}

fn is_tc_ingress(pin: &str) -> bool {
    pin == TC_INGRESS || clsact::is_ingress(pin)
}

fn is_tc_egress(pin: &str) -> bool {
    pin == TC_EGRESS || clsact::is_egress(pin)
}

/// Puts the programs of the ruleset in force back on devices, and takes the firewall off those that
/// had none; returns what failed before, with what fails now.
///
/// A device that cannot be put back keeps the new programs: it is never left without any.
pub(super) fn restore(pins: &PinDirectory, saved: &[Saved<'_>], failed: Error) -> Error {
    saved.iter().fold(failed, |failed, saved| match saved.put_back(pins) {
        Ok(()) => failed,
        Err(error) => failed.context(format!(
            "put {} back under the rules before ({error:#}); it has the new ones, \
             until `amanda-fw reload` succeeds",
            saved.device.name
        )),
    })
}
