//! A rule as it is in force, with what it leaves open said as `any`.

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::{Action, Rate, Rejection, State, Way};
use amanda_fw_common::ruleset::{ANY_PORT, Interfaces, Places, Protocol, Protocols};
use serde::Serialize;

use crate::config::{Host, RuleEntry, display_network, icmp_type_name, protocol_name};
use crate::output::table::{Column, table};

/// What a field says that every packet fits.
pub(super) const ANY: &str = "any";

/// What a field says that no packet fits.
const NONE: &str = "none";

/// All of a family, as it is written.
const ALL_V4: &str = "0.0.0.0/0";
const ALL_V6: &str = "::/0";

/// The networks of one field that are shown; more are counted.
const SHOWN: usize = 4;

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RuleLine {
    /// Its line in the file, from 1; 0 where it is written nowhere.
    pub(crate) line: usize,
    /// What people call it.
    pub(crate) name: String,
    /// Which way a packet goes.
    pub(crate) direction: &'static str,
    /// Which interfaces it crosses.
    pub(crate) interface: String,
    /// Which interfaces it comes by where it goes through the host.
    #[serde(rename = "in")]
    pub(crate) input: String,
    /// Which interfaces it leaves by there.
    #[serde(rename = "out")]
    pub(crate) output: String,
    /// Its protocols, with their types in ICMP.
    pub(crate) protocol: String,
    /// Where it comes from.
    pub(crate) from: String,
    /// Where it goes.
    pub(crate) to: String,
    /// Its source ports.
    pub(crate) source_ports: String,
    /// Its destination ports.
    pub(crate) ports: String,
    /// What it is to connection tracking.
    pub(crate) state: String,
    /// What happens to it.
    pub(crate) action: &'static str,
    /// How its sender is told, where not in the usual way.
    pub(crate) reject_with: Option<&'static str>,
    /// How many new flows are let in.
    pub(crate) limit: Option<String>,
    /// How many new flows of one source are let in.
    pub(crate) limit_per_source: Option<String>,
    /// How often it is logged.
    pub(crate) log_rate: Option<String>,
    /// What each line of the log begins with.
    pub(crate) log_prefix: Option<String>,
}

impl RuleLine {
    /// Describes a rule on a machine.
    pub(crate) fn new(entry: &RuleEntry, host: &Host) -> Self {
        let RuleEntry { name, spec, translation: _, log_prefix, line } = entry;
        let rule = spec.rule;
        let crossed = interfaces(&spec.interfaces, host);
        let any = || ANY.to_owned();
        let (interface, input) =
            if spec.way == Way::Forward { (any(), crossed) } else { (crossed, any()) };
        let rejection = Rejection::from_number(rule.rejection);
        Self {
            line: *line,
            name: name.escape_debug().to_string(),
            direction: spec.way.name(),
            interface,
            input,
            output: interfaces(&spec.outputs, host),
            protocol: protocols(&spec.protocols),
            from: places(&spec.sources),
            to: places(&spec.destinations),
            source_ports: ports(&spec.source_ports),
            ports: ports(&spec.destination_ports),
            state: states(&spec.states),
            action: Action::from_number(rule.action).map_or("unknown", Action::name),
            reject_with: rejection.filter(|r| *r != Rejection::Default).map(Rejection::name),
            limit: rate(rule.limit),
            limit_per_source: rate(rule.limit_per_source),
            log_rate: rate(rule.log_rate).filter(|_| rule.logs == 1),
            log_prefix: log_prefix.clone(),
        }
    }

    /// Writes which packets fit, in words.
    pub(crate) fn matches(&self) -> String {
        let fields = [
            ("interface ", &self.interface),
            ("in ", &self.input),
            ("out ", &self.output),
            ("", &self.protocol),
            ("from ", &self.from),
            ("source port ", &self.source_ports),
            ("to ", &self.to),
            ("port ", &self.ports),
            ("state ", &self.state),
        ];
        let said = fields.into_iter().filter(|(_, value)| *value != ANY);
        joined(said.map(|(name, value)| format!("{name}{value}")).collect(), ANY)
    }

    /// Writes the action with everything that goes with it.
    fn what(&self) -> String {
        let per_source = self.limit_per_source.as_ref().map(|rate| format!("{rate} per source"));
        let prefix = self.log_prefix.as_ref().map(|prefix| format!("{prefix:?}"));
        let mut words = vec![self.action.to_owned()];
        words.extend(self.reject_with.map(|with| format!("with {with}")));
        words.extend(self.limit.as_ref().map(|rate| format!("limit {rate}")));
        words.extend(per_source.map(|rate| format!("limit {rate}")));
        if self.log_rate.is_some() && self.action != Action::Log.name() {
            words.push("log".to_owned());
        }
        words.extend(prefix);
        words.join(" ")
    }

    fn cells(&self) -> Vec<String> {
        vec![
            line_cell(self.line),
            self.name.clone(),
            self.direction.to_owned(),
            self.interface.clone(),
            self.input.clone(),
            self.output.clone(),
            self.protocol.clone(),
            self.from.clone(),
            self.to.clone(),
            self.source_ports.clone(),
            self.ports.clone(),
            self.state.clone(),
            self.what(),
        ]
    }
}

const COLUMNS: [Column; 13] = [
    Column::Right("LINE"),
    Column::Left("NAME"),
    Column::Left("DIR"),
    Column::Left("INTERFACE"),
    Column::Left("IN"),
    Column::Left("OUT"),
    Column::Left("PROTO"),
    Column::Left("FROM"),
    Column::Left("TO"),
    Column::Left("SPORT"),
    Column::Left("PORT"),
    Column::Left("STATE"),
    Column::Left("ACTION"),
];

/// Writes rules in columns, without those in which every rule leaves everything open.
pub(crate) fn text(rules: &[RuleLine]) -> String {
    without_open(&COLUMNS, &rules.iter().map(RuleLine::cells).collect::<Vec<_>>())
}

/// Writes rows in columns, without those in which every row says `any`.
pub(super) fn without_open(columns: &[Column], rows: &[Vec<String>]) -> String {
    let says = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|c| c != ANY));
    let shown: Vec<usize> = (0..columns.len()).filter(|&column| says(column)).collect();
    let columns: Vec<Column> =
        shown.iter().filter_map(|&column| columns.get(column).copied()).collect();
    let cells = |row: &Vec<String>| -> Vec<String> {
        shown.iter().filter_map(|&column| row.get(column).cloned()).collect()
    };
    table(0, &columns, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// Writes a line of the file, or that there is none.
pub(super) fn line_cell(line: usize) -> String {
    if line == 0 { "-".to_owned() } else { line.to_string() }
}

/// Writes the names of interfaces.
pub(super) fn interfaces(interfaces: &Interfaces, host: &Host) -> String {
    let names = |indexes: &[u32], mark: &str| -> Vec<String> {
        let is_one = |index: &u32| indexes.contains(index);
        let known = host.interfaces.iter().filter(|(_, index)| is_one(index));
        known.map(|(name, _)| format!("{mark}{name}")).collect()
    };
    match interfaces {
        Interfaces::Any => ANY.to_owned(),
        Interfaces::Only(indexes) => joined(names(indexes, ""), NONE),
        Interfaces::Except(indexes) => joined(names(indexes, "!"), ANY),
    }
}

/// Writes the names of protocols, with their types in ICMP.
pub(super) fn protocols(protocols: &Protocols) -> String {
    let Protocols::Only(only) = protocols else { return ANY.to_owned() };
    let is_absent = |number: &u8| !only.iter().any(|protocol| protocol.number == *number);
    let absent: Vec<u8> = (0..=u8::MAX).filter(is_absent).collect();
    if absent.len() < only.len() {
        let names = absent.iter().map(|&number| format!("!{}", protocol_text(number)));
        return joined(names.collect(), ANY);
    }
    joined(only.iter().map(protocol).collect(), NONE)
}

fn protocol(protocol: &Protocol) -> String {
    let Protocol { number, icmp_type } = *protocol;
    let Some(icmp_type) = icmp_type else { return protocol_text(number) };
    let name = icmp_type_name(number, icmp_type).map(str::to_owned);
    let name = name.unwrap_or_else(|| format!("type {icmp_type}"));
    format!("{} {name}", protocol_text(number))
}

fn protocol_text(number: u8) -> String {
    protocol_name(number).map_or_else(|| format!("protocol {number}"), str::to_owned)
}

/// Writes networks, and those that are excluded.
pub(super) fn places(places: &Places) -> String {
    let Places { within, except } = places;
    let (mut within, mut except) = (names(within), names(except));
    let any = [ANY.to_owned()];
    // All of IPv6 is everything but all of IPv4.
    if let (true, Some(v4)) = (within == any, except.iter().position(|name| name == ALL_V4)) {
        except.remove(v4);
        within = vec![ALL_V6.to_owned()];
    }
    if within == any && !except.is_empty() {
        within.clear();
    }
    let except: Vec<String> = except.iter().map(|name| format!("!{name}")).collect();
    joined([shown(within), shown(except)].concat(), NONE)
}

fn names(networks: &[Network]) -> Vec<String> {
    networks.iter().map(display_network).collect()
}

fn shown(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    names.into_iter().chain((more > 0).then(|| format!("and {more} more"))).collect()
}

/// Writes ranges of ports.
pub(super) fn ports(ranges: &[PortRange]) -> String {
    if ranges == [ANY_PORT] {
        return ANY.to_owned();
    }
    let range = |&PortRange { low, high }: &PortRange| match low == high {
        true => low.to_string(),
        false => format!("{low}:{high}"),
    };
    joined(ranges.iter().map(range).collect(), NONE)
}

fn states(states: &[State]) -> String {
    if states.contains(&State::New) && states.contains(&State::Invalid) {
        return ANY.to_owned();
    }
    joined(states.iter().map(ToString::to_string).collect(), NONE)
}

/// Writes words with blanks between them, or something else where there are none.
pub(super) fn joined(words: Vec<String>, otherwise: &str) -> String {
    if words.is_empty() { otherwise.to_owned() } else { words.join(" ") }
}

/// Writes a rate in the smallest unit in which it is a whole number.
fn rate(rate: Rate) -> Option<String> {
    const SECOND: u64 = 1_000_000_000;
    const UNITS: [(&str, u64); 4] =
        [("s", SECOND), ("min", 60 * SECOND), ("h", 3600 * SECOND), ("day", 86_400 * SECOND)];
    let Rate { interval, tolerance } = rate;
    let count = |period: u64| period.checked_div(interval);
    // An interval is rounded down: by less than a nanosecond for each occurrence.
    let is_whole = |period: u64| count(period).is_some_and(|n| n > 0 && period % interval < n);
    let burst = tolerance.checked_div(interval)?.saturating_add(1);
    let unit = UNITS.iter().find(|(_, period)| is_whole(*period));
    let often = unit.map(|(name, period)| format!("{}/{name}", count(*period).unwrap_or(0)));
    Some(format!("{} burst {burst}", often.unwrap_or_else(|| format!("every {interval} ns"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(count: u64, period: u64, burst: u64, expected: Option<&str>) {
        assert_eq!(rate(Rate::new(count, period, burst)).as_deref(), expected);
    }

    #[test]
    fn a_rate_reads_as_it_was_written() {
        const SECOND: u64 = 1_000_000_000;
        check(10, SECOND, 5, Some("10/s burst 5"));
        check(90, 60 * SECOND, 1, Some("90/min burst 1"));
        check(7, 86_400 * SECOND, 2, Some("7/day burst 2"));
        check(60, 60 * SECOND, 5, Some("1/s burst 5"));
        assert_eq!(rate(Rate::UNLIMITED), None);
    }
}
