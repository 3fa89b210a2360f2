//! Drafts of a configuration, from what a host is configured with so far.

mod amanda;
mod draft;
mod iptables;
mod report;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use amanda::{HostDraft, Source, draft as from_amanda};
pub(crate) use iptables::draft as from_iptables;
pub(crate) use report::Report;

use draft::Draft;

/// A text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// What people call it.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// An input of another kind than the command is for.
#[derive(Debug)]
pub(crate) struct Foreign(String);

impl Foreign {
    /// Says what it is, and what is needed instead.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Foreign {}
