//! Wall-clock time of what happened at a monotonic time.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock;

/// A pairing of both clocks, taken at one moment.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    /// Wall-clock time at which the monotonic clock was 0, in nanoseconds since 1970.
    zero: i128,
    zone: TimeZone,
}

impl WallClock {
    /// Reads both clocks; times are written in this machine's time zone.
    pub(crate) fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self::new(wall as i128, clock::monotonic(), TimeZone::system())
    }

    fn new(wall: i128, monotonic: u64, zone: TimeZone) -> Self {
        Self { zero: wall.saturating_sub(i128::from(monotonic)), zone }
    }

    /// Writes the time of day, to the millisecond.
    pub(crate) fn time_of_day(&self, monotonic: u64) -> String {
        let wall = self.zero.saturating_add(i128::from(monotonic));
        let time = Timestamp::from_nanosecond(wall).unwrap_or_default();
        time.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string()
    }

    /// Makes a clock in UTC whose monotonic time began at midnight.
    #[cfg(test)]
    pub(crate) fn from_midnight() -> Self {
        Self::new(0, 0, TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn check(wall: i128, monotonic: u64, event: u64, expected: &str) {
        let clock = WallClock::new(wall, monotonic, TimeZone::UTC);
        assert_eq!(clock.time_of_day(event), expected);
    }

    #[test]
    fn an_event_of_this_moment_has_the_time_of_this_moment() {
        check(1_795_180_265_123_000_000, 77 * SECOND, 77 * SECOND, "13:11:05.123");
    }

    #[test]
    fn an_earlier_event_has_an_earlier_time() {
        check(1_795_180_265_123_000_000, 77 * SECOND, 16 * SECOND, "13:10:04.123");
    }

    #[test]
    fn a_time_is_written_in_the_time_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(WallClock::new(0, 0, zone).time_of_day(0), "02:00:00.000");
    }
}
