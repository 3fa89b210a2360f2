//! Values that are written in a string: times, rates, ports and choices.

use std::time::Duration;

use amanda_fw_common::connect::PortRange;
use clap::ValueEnum;
use toml::de::DeValue;

use super::mistake::Mistake;
use super::section::{Read, Value, did_you_mean, wrong_type};

/// Reads a string.
pub(super) fn text<'t>(value: &'t Value<'t>) -> Read<&'t str> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong_type(value, "a string"));
    };
    Ok(text)
}

/// Reads a whole number from `low` to `high`.
pub(super) fn number(value: &Value<'_>, low: u32, high: u32) -> Read<u32> {
    let DeValue::Integer(integer) = value.get_ref() else {
        return Err(wrong_type(value, "a number"));
    };
    u32::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| complain(value, format!("{integer} is not from {low} to {high}")))
}

/// Reads a port as a number.
pub(super) fn port(value: &Value<'_>) -> Read<u16> {
    number(value, 1, u32::from(u16::MAX)).map(|port| port as u16)
}

/// Reads a range of ports: `22`, `"22"` or `"50000:50100"`.
pub(super) fn ports(value: &Value<'_>) -> Read<PortRange> {
    if let DeValue::Integer(_) = value.get_ref() {
        return port(value).map(|port| PortRange { low: port, high: port });
    }
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong_type(value, "a port or a string such as \"50000:50100\""));
    };
    parse_ports(text).map_err(|message| complain(value, message))
}

fn parse_ports(text: &str) -> Result<PortRange, String> {
    let (low, high) = text.split_once(':').unwrap_or((text, text));
    let port = |digits: &str| digits.parse::<u16>().ok().filter(|&port| port > 0);
    match (port(low), port(high)) {
        (Some(low), Some(high)) if low <= high => Ok(PortRange { low, high }),
        (Some(low), Some(high)) => {
            Err(format!("ports \"{text}\" end before they begin: write \"{high}:{low}\""))
        }
        _ => Err(format!("\"{text}\" is no port and no range of ports such as \"50000:50100\"")),
    }
}

/// Reads a time: `"30s"`, `"6h"`, `"5d"`.
pub(super) fn time(value: &Value<'_>) -> Read<Duration> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong_type(value, "a time such as \"30s\" or \"6h\""));
    };
    let message = || format!("\"{text}\" is no time such as \"30s\", \"5m\", \"6h\", \"5d\"");
    parse_time(text).ok_or_else(|| complain(value, message()))
}

fn parse_time(text: &str) -> Option<Duration> {
    /// Far beyond any use, and far from overflowing nanoseconds in 64 bits.
    const LONGEST: u64 = 365 * 86_400_000;
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_at);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let time = digits.parse::<u64>().ok()?.checked_mul(milliseconds)?;
    (1..=LONGEST).contains(&time).then(|| Duration::from_millis(time))
}

/// Reads a rate: `"1000/s"`.
pub(super) fn rate(value: &Value<'_>) -> Read<u32> {
    let text = text(value)?;
    let rate = text.strip_suffix("/s").and_then(|digits| digits.parse().ok());
    rate.ok_or_else(|| complain(value, format!("\"{text}\" is no rate such as \"1000/s\"")))
}

/// Reads one of the names that an enumeration has.
pub(super) fn choice<T: ValueEnum>(value: &Value<'_>) -> Read<T> {
    let text = text(value)?;
    T::from_str(text, false).map_err(|_| vec![no_choice::<T>(value, text)])
}

fn no_choice<T: ValueEnum>(value: &Value<'_>, text: &str) -> Mistake {
    let choices = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let names: Vec<String> = choices.map(|choice| choice.get_name().to_owned()).collect();
    let known = names.iter().map(String::as_str);
    Mistake::new(value.span(), format!("\"{text}\" is none of {}", names.join(", ")))
        .perhaps(did_you_mean(text, known))
}

/// Makes the mistake that a value is.
pub(super) fn complain(value: &Value<'_>, message: String) -> Vec<Mistake> {
    vec![Mistake::new(value.span(), message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse_time(text), expected.map(Duration::from_millis), "{text:?}");
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        check("250ms", Some(250));
        check("30s", Some(30_000));
        check("5m", Some(300_000));
        check("6h", Some(21_600_000));
        check("5d", Some(432_000_000));
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in ["", "s", "30", "0s", "-1s", "1.5h", "30 s", "6hours", "366d", "99999999999d"] {
            check(text, None);
        }
    }

    #[test]
    fn a_range_of_ports_is_one_port_or_two() {
        assert_eq!(parse_ports("22"), Ok(PortRange { low: 22, high: 22 }));
        assert_eq!(parse_ports("50000:50100"), Ok(PortRange { low: 50000, high: 50100 }));
        for text in ["", "0", "x", "1:", ":1", "1:2:3", "65536", "50100:50000", "ssh"] {
            assert!(parse_ports(text).is_err(), "{text:?}");
        }
    }
}
