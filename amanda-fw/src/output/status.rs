//! What is going on: interfaces, tables, counters and sessions at one moment.

use amanda_fw_common::settings::Settings;
use amanda_fw_common::verdict::{Count, Counter, Reason, Verdict};
use serde::Serialize;

use super::session::Session;
use super::table::{Column, table};
use super::units;

/// Everything that `status` shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Snapshot {
    /// Where the firewall is attached.
    pub(crate) interfaces: Vec<Interface>,
    /// What happens to packets that nothing else decides.
    pub(crate) policy: Policy,
    /// How full the tables are.
    pub(crate) tables: Vec<Fill>,
    /// Packets by what decided them.
    pub(crate) reasons: Vec<ReasonCount>,
    /// What else was counted.
    pub(crate) occurrences: Vec<Occurrence>,
    /// The sessions under way.
    pub(crate) sessions: Vec<Session>,
}

/// One interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Interface {
    /// Its name.
    pub(crate) name: String,
    /// Its index, nothing where the interface has gone.
    pub(crate) index: Option<u32>,
    /// Where incoming packets are met.
    pub(crate) mode: String,
}

/// What happens to packets that nothing else decides.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Policy {
    /// What happens to packets that come in.
    pub(crate) incoming: &'static str,
    /// What happens to packets that go out.
    pub(crate) outgoing: &'static str,
}

impl Policy {
    /// Reads the policy out of the settings in force.
    pub(crate) fn of(settings: &Settings) -> Self {
        let name = |accept| if accept == 1 { Verdict::Accept } else { Verdict::Drop }.name();
        Self { incoming: name(settings.accept_incoming), outgoing: name(settings.accept_outgoing) }
    }
}

/// How full a table is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fill {
    /// The table's name.
    pub(crate) name: String,
    /// How many entries it has.
    pub(crate) entries: u64,
    /// How many it has room for.
    pub(crate) capacity: u64,
}

/// Packets that one reason decided.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ReasonCount {
    /// The reason's name.
    pub(crate) name: &'static str,
    /// The reason's number, which stays.
    pub(crate) number: u8,
    /// What happened to the packets.
    pub(crate) verdict: &'static str,
    /// How many there were.
    pub(crate) packets: u64,
    /// How many bytes they had.
    pub(crate) bytes: u64,
}

/// Something else that was counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Occurrence {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its number, which stays.
    pub(crate) number: u8,
    /// How often it occurred.
    pub(crate) count: u64,
}

/// Names the counts of all reasons, from the counters by number.
pub(crate) fn reasons(counts: &[Count]) -> Vec<ReasonCount> {
    let of = |reason: &Reason| {
        let Count { packets, bytes } = count_of(counts, reason.number());
        let verdict = reason.verdict().name();
        ReasonCount { name: reason.name(), number: reason.number(), verdict, packets, bytes }
    };
    Reason::ALL.iter().map(of).collect()
}

/// Names the counts of all occurrences, from the counters by number.
pub(crate) fn occurrences(counts: &[Count]) -> Vec<Occurrence> {
    let of = |counter: &Counter| {
        let count = count_of(counts, counter.number()).packets;
        Occurrence { name: counter.name(), number: counter.number(), count }
    };
    Counter::ALL.iter().map(of).collect()
}

fn count_of(counts: &[Count], number: u8) -> Count {
    counts.get(usize::from(number)).copied().unwrap_or_default()
}

impl Snapshot {
    /// Writes the snapshot for people: a section for each topic, zeros left out.
    pub(crate) fn text(&self) -> String {
        let Self { interfaces, policy, tables, reasons, occurrences, sessions } = self;
        let Policy { incoming, outgoing } = policy;
        let sections = [
            section("Interfaces", &interfaces_text(interfaces), "attached to none"),
            section("Policy", &format!("  incoming {incoming}, outgoing {outgoing}\n"), ""),
            section("Tables", &tables_text(tables), "none"),
            section("Accepted", &reasons_text(reasons, Verdict::Accept), "nothing yet"),
            section("Dropped", &reasons_text(reasons, Verdict::Drop), "nothing yet"),
            section("Amanda and events", &occurrences_text(occurrences), "nothing yet"),
            section("Sessions", &sessions_text(sessions), "none"),
        ];
        sections.join("\n")
    }
}

fn section(title: &str, body: &str, empty: &str) -> String {
    if body.is_empty() { format!("{title}\n  {empty}\n") } else { format!("{title}\n{body}") }
}

fn interfaces_text(interfaces: &[Interface]) -> String {
    let row = |Interface { name, index, mode }: &Interface| {
        let index = index.map_or("gone".to_owned(), |index| format!("index {index}"));
        vec![name.clone(), index, mode.clone()]
    };
    let rows: Vec<_> = interfaces.iter().map(row).collect();
    table(2, &[Column::Left(""), Column::Left(""), Column::Left("")], &rows)
}

fn tables_text(tables: &[Fill]) -> String {
    let row = |Fill { name, entries, capacity }: &Fill| {
        let percent = entries.saturating_mul(100).checked_div(*capacity).unwrap_or(0);
        vec![name.clone(), entries.to_string(), format!("of {capacity}"), format!("{percent}%")]
    };
    let rows: Vec<_> = tables.iter().map(row).collect();
    let columns = [Column::Left(""), Column::Right(""), Column::Left(""), Column::Right("")];
    table(2, &columns, &rows)
}

fn reasons_text(reasons: &[ReasonCount], verdict: Verdict) -> String {
    let counted = reasons.iter().filter(|r| r.verdict == verdict.name() && r.packets > 0);
    let row = |ReasonCount { name, packets, bytes, .. }: &ReasonCount| {
        vec![(*name).to_owned(), format!("{packets} packets"), units::bytes(*bytes)]
    };
    let rows: Vec<_> = counted.map(row).collect();
    table(2, &[Column::Left(""), Column::Right(""), Column::Right("")], &rows)
}

fn occurrences_text(occurrences: &[Occurrence]) -> String {
    let counted = occurrences.iter().filter(|occurrence| occurrence.count > 0);
    let rows: Vec<_> = counted.map(|o| vec![o.name.to_owned(), o.count.to_string()]).collect();
    table(2, &[Column::Left(""), Column::Right("")], &rows)
}

fn sessions_text(sessions: &[Session]) -> String {
    sessions.iter().map(|session| session.text(2)).collect()
}

#[cfg(test)]
mod tests;
