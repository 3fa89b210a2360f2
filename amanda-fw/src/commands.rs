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
