//! `[policy]`: what happens to packets that nothing else decides.

use toml::de::DeTable;

use super::mistake::{Mistake, Span};
use super::scalar::{choice, text};
use super::section::{Read, Section, Value};

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Action {
    /// It goes on.
    Accept,
    /// It is gone.
    Drop,
}

impl Action {
    /// Reads an action.
    pub(super) fn read(value: &Value<'_>) -> Read<Self> {
        if text(value)? == "reject" {
            let message = "\"reject\" is not available in this version";
            return Err(vec![Mistake::new(value.span(), message).way_out("write \"drop\"")]);
        }
        choice(value)
    }
}

/// What happens to packets that nothing else decides, by direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What happens to packets that come in.
    pub(crate) incoming: Action,
    /// What happens to packets that go out.
    pub(crate) outgoing: Action,
}

impl Default for Policy {
    fn default() -> Self {
        Self { incoming: Action::Drop, outgoing: Action::Accept }
    }
}

impl Policy {
    /// Reads the section.
    pub(super) fn read(span: Span, table: &DeTable<'_>) -> Read<Self> {
        let mut section = Section::new("[policy]", span, table);
        let default = Self::default();
        let incoming = section.read("incoming", Action::read).unwrap_or(default.incoming);
        let outgoing = section.read("outgoing", Action::read).unwrap_or(default.outgoing);
        section.refuse("log");
        section.finish(Self { incoming, outgoing })
    }
}
