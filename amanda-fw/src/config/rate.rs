//! How often something may happen: `"10/s"`, or a table with a burst.

use amanda_fw_common::rules::Rate;
use toml::de::DeValue;

use super::keys;
use super::mistake::Mistake;
use super::scalar::{number, text};
use super::section::{Read, Section, Value, wrong_type};

const SECOND: u64 = 1_000_000_000;

/// The units that a rate may have, in nanoseconds.
pub(super) const UNITS: [(&str, u64); 4] =
    [("s", SECOND), ("min", 60 * SECOND), ("h", 3600 * SECOND), ("day", 86_400 * SECOND)];

/// The most occurrences in a unit: more than a CPU sees packets in a second.
pub(super) const MOST: u64 = 100_000_000;

/// How many may come at once where nothing is said of it (iptables' limit match has 5 too).
pub(super) const BURST: u32 = 5;

/// The largest burst: at one a day it fills 64 bits of nanoseconds to a third.
pub(super) const MOST_AT_ONCE: u32 = 65_535;

/// So many occurrences in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Often {
    count: u64,
    period: u64,
}

impl Often {
    /// How often a rule logs unless it says so.
    pub(super) const LOG: Self = Self { count: 10, period: SECOND };

    /// Adds how many may come at once.
    pub(super) fn with_burst(self, burst: u32) -> Rate {
        Rate::new(self.count, self.period, u64::from(burst))
    }
}

/// Reads a limit: a rate, or a table with a rate and a burst.
pub(super) fn limit(value: &Value<'_>) -> Read<Rate> {
    if let DeValue::String(_) = value.get_ref() {
        return Ok(often(value)?.with_burst(BURST));
    }
    let DeValue::Table(table) = value.get_ref() else {
        let wanted = "a rate such as \"10/s\", or a table with `rate` and `burst`";
        return Err(wrong_type(value, wanted));
    };
    let mut section = Section::new("the limit", value.span(), &keys::LIMIT, table);
    let rate = section.require("rate", often);
    let burst = section.read("burst", |value| number(value, 1, MOST_AT_ONCE)).unwrap_or(BURST);
    // Where there is no rate, the section does not finish.
    section.finish(rate.map_or(Rate::UNLIMITED, |rate| rate.with_burst(burst)))
}

/// Reads a rate: `"10/s"`, `"3/min"`.
pub(super) fn often(value: &Value<'_>) -> Read<Often> {
    let text = text(value)?;
    parse(text).ok_or_else(|| {
        let message = format!("\"{text}\" is no rate from 1 to {MOST} in a time");
        vec![Mistake::new(value.span(), message).way_out(way_out(text))]
    })
}

fn parse(text: &str) -> Option<Often> {
    let (count, unit) = text.split_once('/')?;
    let count = count.parse().ok().filter(|count| (1..=MOST).contains(count))?;
    let &(_, period) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Often { count, period })
}

fn way_out(text: &str) -> String {
    let unit = match text.split_once('/').map(|(_, unit)| unit) {
        Some("m" | "minute" | "minutes") => "min",
        Some("sec" | "second" | "seconds") => "s",
        Some("hour" | "hours") => "h",
        Some("d" | "days") => "day",
        _ => return "write \"10/s\", \"10/min\", \"10/h\" or \"10/day\"".to_owned(),
    };
    let count = text.split('/').next().unwrap_or_default();
    format!("write \"{count}/{unit}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(u64, u64)>) {
        assert_eq!(parse(text).map(|rate| (rate.count, rate.period / SECOND)), expected, "{text}");
    }

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        check("10/s", Some((10, 1)));
        check("3/min", Some((3, 60)));
        check("1/h", Some((1, 3600)));
        check("7/day", Some((7, 86_400)));
    }

    #[test]
    fn anything_else_is_no_rate() {
        for text in ["", "10", "/s", "0/s", "-1/s", "1/m", "1.5/s", "100000001/s", "1/s/s"] {
            check(text, None);
        }
    }

    #[test]
    fn the_longest_burst_does_not_overflow() {
        let rate = Often { count: 1, period: 86_400 * SECOND }.with_burst(MOST_AT_ONCE);
        assert_eq!(rate.tolerance / 65_534, rate.interval);
    }
}
