//! The commands, one to a file.

pub(crate) mod attach;
pub(crate) mod check;
pub(crate) mod detach;
pub(crate) mod list;
pub(crate) mod status;
