//! `reload`: applies the changed configuration at once and whole.

use std::path::Path;

use anyhow::{Result, bail};

use crate::bpffs::PinDirectory;
use crate::cli::{Global, ReloadArgs};
use crate::config::{self, Host, Ruleset};
use crate::firewall::{self, Placement};
use crate::lock::Lock;
use crate::maps::{self, ruleset};
use crate::switch::{Switch, Switched};
use crate::view::View;
use crate::{clock, device, ended, lockout, privileges};

/// Runs the command.
pub(crate) fn run(args: &ReloadArgs, global: &Global) -> Result<()> {
    let view = View::open(global)?;
    let runtime = super::runtime()?;
    privileges::raise_memlock();
    let named = global.config.as_deref();
    let guard = if args.force { Guard::Warns } else { Guard::Refuses };
    let line = runtime.block_on(reload(global, view.pins(), [named, None], guard))?;
    global.terminal().print(&line)
}

/// What becomes of a ruleset that would lock the ssh session of this terminal out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It is refused.
    Refuses,
    /// It is warned of.
    Warns,
    /// Nobody looks: the loader may have been started by whoever has long gone.
    Off,
}

/// Puts a configuration in force on every interface that has the firewall; says what it did.
///
/// It is the one that is `named`, or else the one in force, or else the `usual` one.
pub(crate) async fn reload(
    global: &Global,
    pins: &PinDirectory,
    [named, usual]: [Option<&Path>; 2],
    guard: Guard,
) -> Result<String> {
    let _lock = Lock::switch(&global.bpffs)?;
    let before = ruleset::read_settings(&pins.ruleset()?)?;
    if before.is_unconfirmed(clock::monotonic()) {
        bail!(
            "the firewall was not confirmed in time, and everything passes; \
             `amanda-fw attach` attaches anew"
        );
    }
    let in_force = pins.config()?;
    let config = config::load(named.or(in_force.as_deref()).or(usual))?;
    let host = Host::read()?;
    let mut ruleset = config::compile(&config, &host)?;
    let attached = pins.interfaces()?;
    let interfaces: Vec<u32> =
        attached.iter().filter_map(|(name, _)| device::index_of(name)).collect();
    if guard != Guard::Off
        && let Some(lock_out) = lockout::find(&interfaces, &ruleset).await?
    {
        if guard == Guard::Refuses {
            bail!(lock_out.refusal(config.name(), "reload with --force"));
        }
        global.terminal().print(&format!("warning: {lock_out}"))?;
    }
    // Whoever has to confirm the firewall still has to.
    ruleset.settings.confirm_by = before.confirm_by;
    let (config, ruleset, host) = (&config, &ruleset, &host);
    let (log_level, colors_errors) = (global.log_level(), global.colors_errors());
    let switch = Switch { pins, config, ruleset, host, log_level, colors_errors };
    let Switched { placements, changes, .. } = switch.run(&[], None, || Ok(())).await?;
    let ended = ended::end_flows(pins, config, ruleset)?;
    let resized = if is_resized(pins, ruleset)? { RESIZED } else { "" };
    let changes = changes.iter().filter(|change| change.is_of_known());
    let changes: String = changes.map(|change| format!("\n{}", change.text())).collect();
    Ok(format!("{}{changes}{resized}", line(config.name(), &placements, ended)))
}

/// What a reload cannot do.
const RESIZED: &str = "\nwarning: [limits] has changed, and the tables keep their sizes until \
                       `amanda-fw detach` and `attach`";

/// Tells whether the tables have other sizes than the configuration wants.
fn is_resized(pins: &PinDirectory, ruleset: &Ruleset) -> Result<bool> {
    for (name, entries) in firewall::sizes(ruleset) {
        let is_used = ruleset.settings.translates() || !maps::NAT_TABLES.contains(&name);
        if is_used && maps::capacity(&pins.maps(), name)? != entries {
            return Ok(true);
        }
    }
    Ok(false)
}

fn line(name: &str, placements: &[Placement], ended: usize) -> String {
    let on: Vec<String> =
        placements.iter().map(|(device, mode)| format!("{} ({mode})", device.name)).collect();
    let ended = match ended {
        0 => String::new(),
        1 => ", ended 1 flow that it no longer allows".to_owned(),
        count => format!(", ended {count} flows that it no longer allows"),
    };
    format!("reloaded {name} on {}{ended}", on.join(", "))
}
