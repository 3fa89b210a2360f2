//! Ports: one, a range, or several but for some.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::ruleset::ANY_PORT;
use toml::de::DeValue;

use super::scalar::{complain, number};
use super::section::{Read, Value, wrong_type};
use super::selection::{Selection, selection};

const WANTED: &str = "a port or a string such as \"50000:50100\"";

/// Reads a port as a number.
pub(super) fn port(value: &Value<'_>) -> Read<u16> {
    number(value, 1, u32::from(u16::MAX)).map(|port| port as u16)
}

/// Reads one range of ports: `22`, `"22"` or `"50000:50100"`.
pub(super) fn range(value: &Value<'_>) -> Read<PortRange> {
    if let DeValue::Integer(_) = value.get_ref() {
        return port(value).map(|port| PortRange { low: port, high: port });
    }
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong_type(value, WANTED));
    };
    parse(text).map_err(|message| complain(value, message))
}

/// Reads ports, in order and without overlaps; nothing is left where all of them are excluded.
pub(super) fn ports(value: &Value<'_>) -> Read<Vec<PortRange>> {
    let read = selection(value, WANTED, |element, text| {
        let range = parse(text).map_err(|message| complain(element, message))?;
        Ok(vec![range])
    })?;
    Ok(resolve(read))
}

fn resolve(Selection { only, except }: Selection<PortRange>) -> Vec<PortRange> {
    let within = if only.is_empty() { vec![ANY_PORT] } else { merged(only) };
    except.iter().fold(within, |left, gone| left.iter().flat_map(|r| without(*r, *gone)).collect())
}

/// Puts ranges in order and joins those that touch.
pub(super) fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_by_key(|range| range.low);
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(range.low) <= u32::from(last.high) + 1 => {
                last.high = last.high.max(range.high);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Returns what is left of a range on both sides of another.
fn without(range: PortRange, gone: PortRange) -> Vec<PortRange> {
    if gone.high < range.low || range.high < gone.low {
        return vec![range];
    }
    let below = gone.low.checked_sub(1).map(|high| PortRange { low: range.low, high });
    let above = gone.high.checked_add(1).map(|low| PortRange { low, high: range.high });
    let sides = [below, above].into_iter().flatten();
    sides.filter(|side| side.low <= side.high).collect()
}

fn parse(text: &str) -> Result<PortRange, String> {
    let (low, high) = text.split_once(':').unwrap_or((text, text));
    let port = |digits: &str| digits.parse::<u16>().ok().filter(|&port| port > 0);
    match (port(low), port(high)) {
        (Some(low), Some(high)) if low <= high => Ok(PortRange { low, high }),
        (Some(low), Some(high)) => {
            Err(format!("ports \"{text}\" end before they begin: write \"{high}:{low}\""))
        }
        _ => Err(not_ports(text)),
    }
}

fn not_ports(text: &str) -> String {
    let list: Vec<&str> = text.split([',', ' ']).filter(|part| !part.is_empty()).collect();
    if list.len() > 1 && list.iter().all(|part| parse(part).is_ok()) {
        let quoted: Vec<String> = list.iter().map(|part| format!("\"{part}\"")).collect();
        return format!("several ports are a list: write [{}]", quoted.join(", "));
    }
    if super::services::find(text).is_some() {
        return format!("\"{text}\" is a service: write service = \"{text}\" and no ports");
    }
    format!("\"{text}\" is no port from 1 to 65535 and no range such as \"50000:50100\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Vec<PortRange> {
        text.split_whitespace().map(|range| parse(range).expect("a range")).collect()
    }

    fn check(only: &str, except: &str, expected: &[(u16, u16)]) {
        let found = resolve(Selection { only: ranges(only), except: ranges(except) });
        let found: Vec<(u16, u16)> = found.iter().map(|range| (range.low, range.high)).collect();
        assert_eq!(found, expected, "{only} but {except}");
    }

    #[test]
    fn a_range_is_one_port_or_two() {
        assert_eq!(parse("22"), Ok(PortRange { low: 22, high: 22 }));
        assert_eq!(parse("50000:50100"), Ok(PortRange { low: 50000, high: 50100 }));
        for text in ["", "0", "x", "1:", ":1", "1:2:3", "65536", "50100:50000", "ssh", "22,80"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        check("80 22 23:30 25:28 31", "", &[(22, 31), (80, 80)]);
        check("65535 65534", "", &[(65534, 65535)]);
    }

    #[test]
    fn what_is_excluded_is_gone_from_all_ports_or_from_those_named() {
        check("", "22", &[(0, 21), (23, 65535)]);
        check("", "1:65535", &[(0, 0)]);
        check("20:30", "22:24 29:40", &[(20, 21), (25, 28)]);
        check("22", "22", &[]);
        check("22", "23", &[(22, 22)]);
    }
}
