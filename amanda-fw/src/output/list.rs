//! The tables' entries, a row each.

mod nat_row;
mod rule_row;

use amanda_fw_common::addr::Endpoint;
use amanda_fw_common::auth::Openings;
use amanda_fw_common::connect::Stream;
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::verdict::Reason;
use serde::Serialize;

pub(crate) use nat_row::NatTables;
pub(crate) use rule_row::RuleRow;

use nat_row::outside;

use super::event::protocol;
use super::opening;
use super::session::{Session, hex};
use super::table::{Column, table};
use super::units;
use crate::rule_names::RuleNames;

/// An entry that people read in columns.
pub(crate) trait Row {
    /// The titles of the columns.
    const COLUMNS: &'static [Column];

    /// Returns the cells, one to a column.
    fn cells(&self) -> Vec<String>;

    /// Returns the cells of the line below, if there is one.
    fn cells_under(&self) -> Option<Vec<String>> {
        None
    }
}

/// Writes rows under their titles, or says that there are none.
pub(crate) fn text<R: Row>(rows: &[R]) -> String {
    indented(0, rows)
}

fn indented<R: Row>(indent: usize, rows: &[R]) -> String {
    if rows.is_empty() {
        return format!("{}none\n", " ".repeat(indent));
    }
    let lines = rows.iter().flat_map(|row| [Some(row.cells()), row.cells_under()]);
    table(indent, R::COLUMNS, &lines.flatten().collect::<Vec<_>>())
}

/// Writes sessions, or says that there are none.
pub(crate) fn sessions_text(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "none\n".to_owned();
    }
    sessions.iter().map(|session| session.text(0)).collect()
}

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FlowRow {
    /// The protocol's name.
    pub(crate) protocol: String,
    /// The originator.
    pub(crate) source: String,
    /// The other end.
    pub(crate) destination: String,
    /// What the originator is known as to the other end, if it is translated.
    pub(crate) source_outside: Option<String>,
    /// What the other end is known as to the originator, if it is translated.
    pub(crate) destination_outside: Option<String>,
    /// How far the flow has come.
    pub(crate) state: &'static str,
    /// Seconds since the first packet.
    pub(crate) age_seconds: u64,
    /// Seconds since the last packet.
    pub(crate) silent_seconds: u64,
    /// What let the flow in.
    pub(crate) reason: &'static str,
    /// The auths that need it, where Amanda does.
    pub(crate) auth: Vec<&'static str>,
    /// The rule that did, if one did.
    pub(crate) rule: Option<String>,
    /// The stream that the flow is, if it is one.
    pub(crate) stream: Option<&'static str>,
    /// Identifier of the stream's transaction, in hexadecimal digits.
    pub(crate) transaction: Option<String>,
    /// Bytes from the originator, counted for streams alone.
    pub(crate) bytes_original: u64,
    /// Bytes towards the originator, counted for streams alone.
    pub(crate) bytes_reply: u64,
}

impl FlowRow {
    /// Describes a flow.
    pub(crate) fn new(
        key: &FlowKey,
        flow: &Flow,
        rule_names: &RuleNames,
        openings: &Openings,
        now: u64,
    ) -> Self {
        let (source, destination) = flow.ends(key);
        let is_amanda = flow.reason == Reason::Control.number();
        let auth = if is_amanda {
            opening::auths(openings, key.protocol(), source.port, destination.port)
        } else {
            Vec::new()
        };
        Self {
            auth,
            protocol: protocol(key.protocol()),
            source: end(source),
            destination: end(destination),
            source_outside: outside(flow.source),
            destination_outside: outside(flow.destination),
            state: flow.state().name(),
            age_seconds: units::elapsed_seconds(flow.started, now),
            silent_seconds: units::elapsed_seconds(flow.seen, now),
            reason: Reason::from_number(flow.reason).map_or("unknown", Reason::name),
            rule: rule_names.describe(flow.rule),
            stream: Stream::from_number(flow.stream).map(Stream::name),
            transaction: (flow.transaction != 0).then(|| hex(flow.transaction)),
            bytes_original: flow.bytes_original,
            bytes_reply: flow.bytes_reply,
        }
    }

    fn why(&self) -> String {
        match (&self.rule, self.stream) {
            (Some(rule), _) => rule.clone(),
            (None, Some(stream)) => format!("{} {stream}", self.reason),
            (None, None) if self.auth.is_empty() => self.reason.to_owned(),
            (None, None) => format!("{} {}", self.reason, self.auth.join(" ")),
        }
    }
}

/// Writes one end of a flow; a protocol without ports has none.
pub(super) fn end(endpoint: Endpoint) -> String {
    if endpoint.port == 0 { endpoint.addr.to_string() } else { endpoint.to_string() }
}

impl Row for FlowRow {
    const COLUMNS: &'static [Column] = &[
        Column::Left("PROTO"),
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Left("STATE"),
        Column::Right("SILENT"),
        Column::Left("LET IN BY"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.protocol.clone(),
            self.source.clone(),
            self.destination.clone(),
            self.state.to_owned(),
            units::seconds(self.silent_seconds),
            self.why(),
        ]
    }

    fn cells_under(&self) -> Option<Vec<String>> {
        if self.source_outside.is_none() && self.destination_outside.is_none() {
            return None;
        }
        let known_as = |end: &Option<String>| end.clone().unwrap_or_default();
        let (source, destination) = (&self.source_outside, &self.destination_outside);
        Some(vec!["  as".to_owned(), known_as(source), known_as(destination)])
    }
}

/// An expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ExpectationRow {
    /// Who will open the connection.
    pub(crate) initiator: String,
    /// Who announced the port.
    pub(crate) responder: String,
    /// The announced TCP port.
    pub(crate) port: u16,
    /// Who listens, where the initiator knows it by another address and port.
    pub(crate) to: Option<String>,
    /// The stream.
    pub(crate) stream: &'static str,
    /// Seconds until the port closes, 0 where it has.
    pub(crate) expires_seconds: u64,
    /// Identifier of the transaction, in hexadecimal digits.
    pub(crate) transaction: String,
}

impl ExpectationRow {
    /// Describes an expectation.
    pub(crate) fn new(key: &ExpectationKey, expectation: &Expectation, now: u64) -> Self {
        Self {
            initiator: key.initiator.to_string(),
            responder: key.responder.to_string(),
            port: key.port,
            to: outside(expectation.to),
            stream: Stream::from_number(expectation.stream).map_or("unknown", Stream::name),
            expires_seconds: units::elapsed_seconds(now, expectation.expires),
            transaction: hex(expectation.transaction),
        }
    }
}

impl Row for ExpectationRow {
    const COLUMNS: &'static [Column] = &[
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Right("PORT"),
        Column::Left("STREAM"),
        Column::Right("EXPIRES IN"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.initiator.clone(),
            self.responder.clone(),
            self.port.to_string(),
            self.stream.to_owned(),
            units::seconds(self.expires_seconds),
        ]
    }

    fn cells_under(&self) -> Option<Vec<String>> {
        Some(vec!["  is".to_owned(), self.to.clone()?])
    }
}

#[cfg(test)]
mod tests;
