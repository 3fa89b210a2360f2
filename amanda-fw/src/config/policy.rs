//! `[policy]`: what happens to packets that nothing else decides.

use amanda_fw_common::rules::Action;
use clap::ValueEnum;
use toml::de::DeTable;

use super::effect::{Log, verdict};
use super::keys;
use super::mistake::Span;
use super::scalar::{boolean, choice};
use super::section::{Read, Section, Spans};

/// What happens to packets that nothing else decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What happens to packets that come in.
    pub(crate) incoming: Action,
    /// What happens to packets that go out.
    pub(crate) outgoing: Action,
    /// What happens to packets that go through the host, if anything is said of it.
    pub(crate) forward: Option<Action>,
    /// How what it keeps out is logged, if it is.
    pub(crate) log: Option<Log>,
    /// Whether echo requests come in and neighbour discovery passes.
    pub(crate) icmp: bool,
    /// Whether a reload ends flows that could not begin any more.
    pub(crate) end_flows: bool,
    /// Where the values stand in the text.
    pub(super) spans: Spans,
}

/// What becomes of flows that a changed configuration would not let begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnReload {
    /// They go on, as in netfilter.
    Keep,
    /// They end.
    End,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            incoming: Action::Drop,
            outgoing: Action::Accept,
            forward: None,
            log: None,
            icmp: true,
            end_flows: false,
            spans: Spans::default(),
        }
    }
}

impl Policy {
    /// Reads the section.
    pub(super) fn read(span: Span, table: &DeTable<'_>) -> Read<Self> {
        let mut section = Section::new("[policy]", span, &keys::POLICY, table);
        let default = Self::default();
        let incoming = section.read("incoming", verdict).unwrap_or(default.incoming);
        let outgoing = section.read("outgoing", verdict).unwrap_or(default.outgoing);
        let forward = section.read("forward", verdict);
        let log = section.read("log", Log::read);
        let icmp = section.read("icmp", boolean).unwrap_or(default.icmp);
        let end_flows = section.read("on_reload", choice::<OnReload>) == Some(OnReload::End);
        let spans = section.spans();
        section.finish(Self { incoming, outgoing, forward, log, icmp, end_flows, spans })
    }
}
