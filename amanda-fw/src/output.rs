//! What people and programs read: lines of decisions, tables, reports, JSON.

pub(crate) mod check;
pub(crate) mod conntrack;
pub(crate) mod event;
pub(crate) mod explanation;
pub(crate) mod list;
pub(crate) mod log_line;
pub(crate) mod opening;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod terminal;
pub(crate) mod wall_clock;

mod table;
mod units;

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes a value as JSON, for programs to read.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).context("write JSON")
}
