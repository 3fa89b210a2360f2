//! `detach`: takes the firewall off.

use anyhow::{Result, bail};

use crate::bpffs::PinDirectory;
use crate::cli::{DetachArgs, Global};
use crate::lock::Lock;
use crate::{firewall, privileges};

/// Runs the command.
pub(crate) fn run(args: &DetachArgs, global: &Global) -> Result<()> {
    privileges::check()?;
    let pins = PinDirectory::new(&global.bpffs);
    let _lock = Lock::switch(&global.bpffs)?;
    let attached: Vec<String> = pins.interfaces()?.into_iter().map(|(name, _)| name).collect();
    if let Some(unknown) = args.interfaces.iter().find(|name| !attached.contains(name)) {
        bail!("{unknown} has no amanda-fw attached; `amanda-fw status` lists those that have");
    }
    let named = if args.interfaces.is_empty() { &attached } else { &args.interfaces };
    let mut terminal = global.terminal();
    if attached.is_empty() {
        terminal.print("nothing is attached")?;
    }
    for name in named {
        firewall::detach(&pins, name)?;
        terminal.print(&format!("detached {name}"))?;
    }
    if pins.exists() {
        pins.remove_if_unused()?;
    }
    Ok(())
}
