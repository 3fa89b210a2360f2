//! The commands, one to a file.

pub(crate) mod attach;
pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod detach;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod reload;
pub(crate) mod status;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

/// Starts what netlink and signals are waited for in.
fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("start the runtime")
}
