//! Quantities in the units that people think in.

/// Writes a number of bytes.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for &larger in &UNITS[1..] {
        // What would be written as 1024.0 is one of the next unit.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// Writes a time in its two largest units.
pub(super) fn seconds(count: u64) -> String {
    const UNITS: [(u64, &str, u64, &str); 3] =
        [(86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")];
    for (large, large_name, small, small_name) in UNITS {
        if count >= large {
            let rest = count % large / small;
            return match rest {
                0 => format!("{}{large_name}", count / large),
                _ => format!("{}{large_name} {rest}{small_name}", count / large),
            };
        }
    }
    format!("{count}s")
}

/// Writes a time, in milliseconds where it is no whole number of seconds.
pub(super) fn nanoseconds(count: u64) -> String {
    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;
    if count.is_multiple_of(SECOND) {
        seconds(count / SECOND)
    } else {
        format!("{}ms", count / MILLISECOND)
    }
}

/// Returns the whole seconds between two monotonic times in nanoseconds.
pub(super) fn elapsed_seconds(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / 1_000_000_000
}

/// Returns the bytes of a second, between two monotonic times in nanoseconds.
pub(super) fn per_second(bytes: u64, from: u64, to: u64) -> u64 {
    let elapsed = u128::from(to.saturating_sub(from).max(1));
    u64::try_from(u128::from(bytes) * 1_000_000_000 / elapsed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: String, expected: &str) {
        assert_eq!(written, expected);
    }

    #[test]
    fn bytes_have_the_unit_that_keeps_them_short() {
        check(bytes(0), "0 B");
        check(bytes(1023), "1023 B");
        check(bytes(1024), "1.0 KiB");
        check(bytes(1_258_291), "1.2 MiB");
        check(bytes(1024 * 1024 - 1), "1.0 MiB");
        check(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn times_have_two_units_at_most() {
        check(seconds(0), "0s");
        check(seconds(59), "59s");
        check(seconds(60), "1m");
        check(seconds(200), "3m 20s");
        check(seconds(21_600), "6h");
        check(seconds(7500), "2h 5m");
        check(seconds(432_000), "5d");
        check(seconds(450_000), "5d 5h");
    }

    #[test]
    fn a_rate_is_of_seconds_whatever_the_time() {
        assert_eq!(per_second(4096, 0, 2_000_000_000), 2048);
        assert_eq!(per_second(10, 5, 500_000_005), 20);
        assert_eq!(per_second(u64::MAX, 7, 7), u64::MAX);
    }

    #[test]
    fn a_part_of_a_second_is_not_lost() {
        check(nanoseconds(60_000_000_000), "1m");
        check(nanoseconds(250_000_000), "250ms");
        check(nanoseconds(1_500_000_000), "1500ms");
    }
}
