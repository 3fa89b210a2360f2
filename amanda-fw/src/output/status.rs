//! What is going on: interfaces, tables, counters and sessions at one moment.

use std::path::PathBuf;

use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::rules::{Action, Way};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::verdict::{Count, Counter, Reason, Verdict};
use serde::Serialize;

use super::list::Row;
use super::opening::OpeningRow;
use super::session::Session;
use super::table::{Column, table};
use super::units;

/// Everything that `status` shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Snapshot {
    /// Where the firewall is attached.
    pub(crate) interfaces: Vec<Interface>,
    /// Which rules are in force.
    pub(crate) ruleset: Ruleset,
    /// What happens to packets that nothing else decides.
    pub(crate) policy: Policy,
    /// What is open between Amanda's hosts.
    pub(crate) openings: Vec<OpeningRow>,
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

/// The rules in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ruleset {
    /// How many have been in force since the firewall was attached.
    pub(crate) generation: u64,
    /// The configuration file, nothing for the built-in defaults.
    pub(crate) config: Option<PathBuf>,
    /// Whether they have to be confirmed.
    pub(crate) confirmation: Confirmation,
    /// Seconds that are left to confirm them.
    pub(crate) confirm_seconds: Option<u64>,
}

/// Whether the firewall has to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confirmation {
    /// It need not be, or it has been.
    None,
    /// It has to be in time.
    Pending,
    /// It was not, and everything passes.
    Missed,
}

impl Ruleset {
    /// Describes the rules of a configuration file at a time.
    pub(crate) fn new(
        generation: u64,
        config: Option<PathBuf>,
        settings: &Settings,
        now: u64,
    ) -> Self {
        let confirmation = match settings.confirm_by {
            0 => Confirmation::None,
            _ if settings.is_unconfirmed(now) => Confirmation::Missed,
            _ => Confirmation::Pending,
        };
        let left = units::elapsed_seconds(now, settings.confirm_by);
        let confirm_seconds = (confirmation == Confirmation::Pending).then_some(left);
        Self { generation, config, confirmation, confirm_seconds }
    }

    fn text(&self) -> String {
        let Self { generation, config, confirmation, confirm_seconds } = self;
        let name = match config {
            Some(path) => path.display().to_string(),
            None => "built-in defaults".to_owned(),
        };
        let left = units::seconds(confirm_seconds.unwrap_or(0));
        let confirm = match confirmation {
            Confirmation::None => String::new(),
            Confirmation::Pending => {
                format!("  everything passes in {left} unless `amanda-fw confirm` comes\n")
            }
            Confirmation::Missed => {
                "  not confirmed in time: EVERYTHING PASSES; `amanda-fw attach` attaches anew\n"
                    .to_owned()
            }
        };
        format!("  number {generation}  {name}\n{confirm}")
    }
}

/// What happens to packets that nothing else decides.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Policy {
    /// What happens to packets that come in.
    pub(crate) incoming: &'static str,
    /// What happens to packets that go out.
    pub(crate) outgoing: &'static str,
    /// What happens to packets that go through the host, if it is a gateway.
    pub(crate) forward: Option<&'static str>,
}

impl Policy {
    /// Reads the policies of all directions, which are the last of their rules.
    pub(crate) fn of(rules: &[RuleInfo]) -> Self {
        let policy = |way: Way| rules.iter().rfind(|info| info.way == way as u8);
        let action = |way| Action::from_number(policy(way)?.action);
        let name = |way| action(way).map_or("unknown", Action::name);
        let forward = action(Way::Forward).map(Action::name);
        Self { incoming: name(Way::In), outgoing: name(Way::Out), forward }
    }

    fn text(&self) -> String {
        let Self { incoming, outgoing, forward } = self;
        let forward = forward.map(|name| format!(", forward {name}")).unwrap_or_default();
        format!("  incoming {incoming}, outgoing {outgoing}{forward}\n")
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
        let Self { interfaces, ruleset, policy, openings, tables, reasons, occurrences, sessions } =
            self;
        let sections = [
            section("Interfaces", &interfaces_text(interfaces), "attached to none"),
            section("Ruleset", &ruleset.text(), ""),
            section("Policy", &policy.text(), ""),
            section("Amanda opens", &openings_text(openings), "nothing"),
            section("Tables", &tables_text(tables), "none"),
            section("Accepted", &reasons_text(reasons, Verdict::Accept), "nothing yet"),
            section("Dropped", &reasons_text(reasons, Verdict::Drop), "nothing yet"),
            section("Rejected", &reasons_text(reasons, Verdict::Reject), "nothing yet"),
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

fn openings_text(openings: &[OpeningRow]) -> String {
    let rows: Vec<_> = openings.iter().map(Row::cells).collect();
    let columns = OpeningRow::COLUMNS;
    if rows.is_empty() { String::new() } else { table(2, columns, &rows) }
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
