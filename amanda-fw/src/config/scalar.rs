//! Values that are written in a word: times, rates and choices.

use std::time::Duration;

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

/// Reads `true` or `false`.
pub(super) fn boolean(value: &Value<'_>) -> Read<bool> {
    let DeValue::Boolean(boolean) = value.get_ref() else {
        return Err(wrong_type(value, "true or false"));
    };
    Ok(*boolean)
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

/// Reads a time: `"30s"`, `"6h"`, `"5d"`.
pub(super) fn time(value: &Value<'_>) -> Read<Duration> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong_type(value, "a time such as \"30s\" or \"6h\""));
    };
    let message = || format!("\"{text}\" is no time such as \"30s\", \"5m\", \"6h\", \"5d\"");
    parse_time(text).ok_or_else(|| complain(value, message()))
}

/// Reads a time, if a text is one.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
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

/// Reads events in a second: `"1000/s"`.
pub(super) fn event_rate(value: &Value<'_>) -> Read<u32> {
    let text = text(value)?;
    let rate = text.strip_suffix("/s").and_then(|digits| digits.parse().ok());
    rate.ok_or_else(|| complain(value, format!("\"{text}\" is no rate such as \"1000/s\"")))
}

/// Reads one of the names that an enumeration has.
pub(super) fn choice<T: ValueEnum>(value: &Value<'_>) -> Read<T> {
    let variant = |name: &str| T::from_str(name, false).ok();
    one_of(value, &choices::<T>(), variant)
}

/// Lists the names that an enumeration has.
pub(super) fn choices<T: ValueEnum>() -> Vec<String> {
    let choices = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    choices.map(|choice| choice.get_name().to_owned()).collect()
}

/// Reads one of some names.
pub(super) fn one_of<T>(
    value: &Value<'_>,
    names: &[impl AsRef<str>],
    find: impl FnOnce(&str) -> Option<T>,
) -> Read<T> {
    let text = text(value)?;
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let found = if names.contains(&text) { find(text) } else { None };
    found.ok_or_else(|| {
        let message = format!("\"{text}\" is none of {}", names.join(", "));
        vec![Mistake::new(value.span(), message).perhaps(did_you_mean(text, names.into_iter()))]
    })
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
}
