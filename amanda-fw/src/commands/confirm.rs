//! `confirm`: keeps a firewall on that was attached with `--confirm`.

use anyhow::{Result, bail};

use crate::bpffs::PinDirectory;
use crate::cli::Global;
use crate::clock;
use crate::lock::Lock;
use crate::maps::ruleset;
use crate::view::View;

/// Runs the command.
pub(crate) fn run(global: &Global) -> Result<()> {
    let view = View::open(global)?;
    let _lock = Lock::switch(&global.bpffs)?;
    let directory = view.pins().ruleset()?;
    let mut settings = ruleset::read_settings(&directory)?;
    let line = match settings.confirm_by {
        0 => "nothing waits to be confirmed",
        // The kernel lets everything pass, and the loader may be taking the firewall off.
        _ if settings.is_unconfirmed(clock::monotonic()) => {
            bail!("too late: everything passes already; `amanda-fw attach` attaches anew")
        }
        _ => "confirmed",
    };
    settings.confirm_by = 0;
    ruleset::write_settings(&directory, &settings)?;
    confirm_next(view.pins())?;
    global.terminal().print(line)
}

/// Confirms a ruleset too that a killed reload has left half in force.
fn confirm_next(pins: &PinDirectory) -> Result<()> {
    let next = pins.next_ruleset();
    let Ok(mut settings) = ruleset::read_settings(&next) else {
        // There is none, or it was not ready for any program.
        return Ok(());
    };
    settings.confirm_by = 0;
    ruleset::write_settings(&next, &settings)
}
