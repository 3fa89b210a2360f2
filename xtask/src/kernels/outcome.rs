//! What came of each kernel, and the table of it.

use std::time::Duration;

use anyhow::{Result, bail};

use super::boot::Console;

/// What the probe exits with when the kernel refuses something.
const REFUSED: i32 = 1;

/// What came of one kernel.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It took every program.
    Accepted { release: String, elapsed: Duration },
    /// It refused a program, or the probe failed.
    Refused { release: String, elapsed: Duration },
    /// It came up badly or not at all.
    Silent { cause: String },
    /// It cannot be had here.
    Skipped { cause: String },
}

impl Outcome {
    /// Reads what the guest's commands came to.
    pub(super) fn read(console: &Console, elapsed: Duration) -> Self {
        let Some(release) = console.release.clone() else {
            return Self::silent("it did not reach /init");
        };
        let Some(statuses) = console.statuses.iter().copied().collect::<Option<Vec<_>>>() else {
            return Self::silent("it stopped before its last command ended");
        };
        match statuses.into_iter().max() {
            None => Self::silent("it ran nothing"),
            Some(0) => Self::Accepted { release, elapsed },
            Some(REFUSED) => Self::Refused { release, elapsed },
            Some(status) => Self::silent(&format!("a command failed with status {status}")),
        }
    }

    /// Puts a cause of several lines on one.
    pub(super) fn skipped(cause: &anyhow::Error) -> Self {
        let cause = format!("{cause:#}");
        Self::Skipped { cause: cause.lines().map(str::trim).collect::<Vec<_>>().join(" ") }
    }

    fn silent(cause: &str) -> Self {
        Self::Silent { cause: cause.to_owned() }
    }

    fn is_bad(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Silent { .. })
    }
}

/// Prints the table, and fails if a kernel that could be had did not accept.
pub(super) fn report(outcomes: &[(&str, Outcome)]) -> Result<()> {
    println!("\n{:<8}{:<32}{:<10}seconds", "kernel", "release", "verdict");
    for (name, outcome) in outcomes {
        println!("{}", row(name, outcome));
    }
    let bad: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_bad()).map(|(name, _)| *name).collect();
    if !bad.is_empty() {
        bail!("the object was not accepted by: {}", bad.join(", "));
    }
    Ok(())
}

fn row(name: &str, outcome: &Outcome) -> String {
    let tried = |release: &str, verdict: &str, elapsed: &Duration| {
        format!("{name:<8}{release:<32}{verdict:<10}{:.1}", elapsed.as_secs_f64())
    };
    match outcome {
        Outcome::Accepted { release, elapsed } => tried(release, "accepted", elapsed),
        Outcome::Refused { release, elapsed } => tried(release, "refused", elapsed),
        Outcome::Silent { cause } => format!("{name:<8}no verdict: {cause}"),
        Outcome::Skipped { cause } => format!("{name:<8}skipped: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    const ELAPSED: Duration = Duration::from_millis(3_140);

    #[test]
    fn a_kernel_accepts_when_all_its_commands_succeed() {
        check(&[Some(0)], "6.1     6.1.0-50                        accepted  3.1");
        check(&[Some(0), Some(1)], "6.1     6.1.0-50                        refused   3.1");
    }

    #[test]
    fn a_kernel_that_stops_half_way_gave_no_verdict() {
        check(&[Some(0), None], "6.1     no verdict: it stopped before its last command ended");
        check(&[], "6.1     no verdict: it ran nothing");
        check(&[Some(127)], "6.1     no verdict: a command failed with status 127");
        let outcome = Outcome::read(&Console::default(), ELAPSED);
        assert_eq!(row("6.1", &outcome), "6.1     no verdict: it did not reach /init");
    }

    #[test]
    fn a_kernel_that_cannot_be_had_is_skipped_and_no_failure() {
        let skipped = Outcome::skipped(&anyhow!("sid: no\n network"));
        assert_eq!(row("sid", &skipped), "sid     skipped: sid: no network");
        assert!(report(&[("sid", skipped)]).is_ok());
        assert!(report(&[("6.1", Outcome::silent("it ran nothing"))]).is_err());
    }

    #[track_caller]
    fn check(statuses: &[Option<i32>], expected_row: &str) {
        let mut console = Console::default();
        console.release = Some("6.1.0-50".to_owned());
        console.statuses.extend(statuses);
        let outcome = Outcome::read(&console, ELAPSED);
        assert_eq!(row("6.1", &outcome), expected_row);
    }
}
