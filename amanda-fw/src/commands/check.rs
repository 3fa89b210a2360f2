//! `amanda-fw check`: says what a configuration comes to, or every mistake in it, without root.

use anyhow::Result;

use crate::cli::{CheckArgs, Global};
use crate::config::{self, HostAddresses};
use crate::output::check;

/// Runs the command.
pub(crate) fn run(args: &CheckArgs, global: &Global) -> Result<()> {
    let config = config::load(args.file.as_deref().or(global.config.as_deref()))?;
    let ruleset = config::compile(&config, &HostAddresses::read()?)?;
    let warnings = config::warnings(&config, &ruleset);
    global.terminal().print(&check::text(config.name(), &ruleset, &warnings))
}
