//! A translation as it is in force, with what it leaves open said as `any`.

use std::net::Ipv4Addr;

use amanda_fw_common::nat::{Filtering, Translation, TranslationKind};
use amanda_fw_common::rules::Way;
use serde::Serialize;

use super::rule::{ANY, interfaces, joined, line_cell, places, ports, protocols, without_open};
use crate::config::{Host, RuleEntry};
use crate::output::table::Column;

/// A translation in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NatLine {
    /// Its line in the file, from 1.
    pub(crate) line: usize,
    /// What people call it.
    pub(crate) name: String,
    /// What it does.
    pub(crate) kind: &'static str,
    /// Which interfaces packets come by whose destination it translates.
    #[serde(rename = "in")]
    pub(crate) input: String,
    /// Which interfaces packets leave by whose source it translates.
    #[serde(rename = "out")]
    pub(crate) output: String,
    /// The protocols.
    pub(crate) protocol: String,
    /// Where packets come from.
    pub(crate) from: String,
    /// Where they go before they are translated.
    pub(crate) destination: String,
    /// Their source ports before.
    pub(crate) source_ports: String,
    /// Their destination ports before.
    pub(crate) ports: String,
    /// What the source or the destination becomes.
    pub(crate) becomes: String,
    /// Who may send to what a source has become, where that is not the usual.
    pub(crate) filtering: Option<&'static str>,
}

impl NatLine {
    /// Describes a translation on a machine, if that is what a rule is.
    pub(crate) fn new(entry: &RuleEntry, host: &Host) -> Option<Self> {
        let RuleEntry { name, spec, translation, log_prefix: _, line } = entry;
        let translation = (*translation)?;
        let is_input = spec.way == Way::Prerouting;
        let on =
            |is_there| if is_there { interfaces(&spec.interfaces, host) } else { ANY.to_owned() };
        let filtering = Filtering::from_number(translation.filtering);
        Some(Self {
            line: *line,
            name: name.escape_debug().to_string(),
            kind: translation.kind().name(),
            input: on(is_input),
            output: on(!is_input),
            protocol: protocols(&spec.protocols),
            from: places(&spec.sources),
            destination: places(&spec.destinations),
            source_ports: ports(&spec.source_ports),
            ports: ports(&spec.destination_ports),
            becomes: becomes(&translation),
            filtering: filtering.filter(|f| *f != Filtering::AddressAndPort).map(Filtering::name),
        })
    }

    /// Writes what becomes of which packets, in words.
    pub(super) fn matches(&self) -> String {
        let fields = [
            ("in ", &self.input),
            ("out ", &self.output),
            ("", &self.protocol),
            ("from ", &self.from),
            ("source port ", &self.source_ports),
            ("to ", &self.destination),
            ("port ", &self.ports),
        ];
        let said = fields.into_iter().filter(|(_, value)| *value != ANY);
        let fitting = joined(said.map(|(name, value)| format!("{name}{value}")).collect(), ANY);
        format!("{} for {fitting}", self.what())
    }

    fn what(&self) -> String {
        let filtering = self.filtering.map(|filtering| format!(" filtering {filtering}"));
        format!("{}{}", self.becomes, filtering.unwrap_or_default())
    }

    fn cells(&self) -> Vec<String> {
        vec![
            line_cell(self.line),
            self.name.clone(),
            self.kind.to_owned(),
            self.input.clone(),
            self.output.clone(),
            self.protocol.clone(),
            self.from.clone(),
            self.destination.clone(),
            self.source_ports.clone(),
            self.ports.clone(),
            self.what(),
        ]
    }
}

const COLUMNS: [Column; 11] = [
    Column::Right("LINE"),
    Column::Left("NAME"),
    Column::Left("KIND"),
    Column::Left("IN"),
    Column::Left("OUT"),
    Column::Left("PROTO"),
    Column::Left("FROM"),
    Column::Left("DESTINATION"),
    Column::Left("SPORT"),
    Column::Left("PORT"),
    Column::Left("BECOMES"),
];

/// Writes translations in columns, without those in which every one leaves everything open.
pub(super) fn text(lines: &[NatLine]) -> String {
    without_open(&COLUMNS, &lines.iter().map(NatLine::cells).collect::<Vec<_>>())
}

/// Writes what an address becomes, and its port.
fn becomes(translation: &Translation) -> String {
    let Translation { first, last, first_port, last_port, .. } = *translation;
    let [low, high] = [first, last].map(Ipv4Addr::from);
    let range = if low == high { low.to_string() } else { format!("{low}-{high}") };
    let ports = match (first_port, last_port) {
        (0, _) => String::new(),
        (low, high) if low == high => format!(" port {low}"),
        (low, high) => format!(" ports {low}:{high}"),
    };
    match translation.kind() {
        TranslationKind::None => "no translation".to_owned(),
        TranslationKind::Masquerade => format!("source interface's{ports}"),
        TranslationKind::Source => format!("source {range}{ports}"),
        TranslationKind::Destination => format!("destination {range}{ports}"),
    }
}
