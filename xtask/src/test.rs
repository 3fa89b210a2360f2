//! `cargo xtask test`: set-up, lints, and every tier of tests, with a table at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::libtest::{self, Counts};
use crate::{build_ebpf, ci, process, setup, workspace};

/// The tests that need no root: those of every crate that are not ignored.
const UNIT: &str = "unit and dialogues";
/// What `--tier` calls [`UNIT`].
const UNIT_SHORT: &str = "unit";
/// Every seed and crasher through the fuzz targets; they are a workspace of their own.
const SEEDS: &str = "seeds";
/// The order of the privileged tiers, from the cheapest to the dearest; others follow.
const ORDER: [&str; 8] =
    ["verifier", "parity", "netns", "gateway", "docs", "wiki", "oracle", "amanda"];
/// The tests of [`LONG_HOST`] that take minutes, and run only when they are asked for.
const LONG: &str = "long";
/// The tier whose module [`LONG`] holds them.
const LONG_HOST: &str = "amanda";
/// How libtest selects them.
const LONG_TESTS: &str = "long::";
const NOT_ASKED: &str = "it takes six minutes; `cargo xtask test --long` runs it as well";
const NOT_ROOT: &str = "it loads BPF programs and makes network namespaces, which takes root";

/// The options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs this tier only; repeatable: unit, seeds, verifier, parity, netns, gateway, docs, wiki,
    /// oracle, amanda, long
    #[arg(long = "tier", value_name = "NAME")]
    tiers: Vec<String>,
    /// Runs the tests that take minutes as well, which are counted as skipped otherwise
    #[arg(long)]
    long: bool,
    /// Leaves the lints out
    #[arg(long)]
    no_lint: bool,
}

/// Prepares the machine, lints, and runs the tiers that `args` selects.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let privileged = privileged_tiers()?;
    let tiers = select(&privileged, &args.tiers)?;
    set_up()?;
    build_ebpf::run()?;
    let failed_lints = if args.no_lint { Vec::new() } else { ci::lint()? };
    let long = args.long || args.tiers.iter().any(|tier| tier == LONG);
    let reports: Vec<Report> =
        tiers.into_iter().map(|tier| report(tier, &privileged, long)).collect();
    summarize(&failed_lints, &reports);
    let failed = !failed_lints.is_empty() || reports.iter().any(|report| report.counts.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Report {
    tier: String,
    counts: Counts,
    seconds: f32,
}

/// Installs what is missing; without root the tiers that need it are skipped in any case.
fn set_up() -> Result<()> {
    if process::is_root() {
        return setup::install_missing();
    }
    println!("setup: left out: not root");
    Ok(())
}

/// Keeps the tiers that `wanted` names, or all when it names none.
fn select(privileged: &[String], wanted: &[String]) -> Result<Vec<String>> {
    let mut tiers = vec![UNIT.to_string(), SEEDS.to_string()];
    tiers.extend_from_slice(privileged);
    tiers.push(LONG.to_string());
    for name in wanted {
        if !tiers.iter().any(|tier| is_called(tier, name)) {
            bail!(
                "no tier is called {name}; there are: {UNIT_SHORT} {SEEDS} {} {LONG}",
                privileged.join(" ")
            );
        }
    }
    tiers.retain(|tier| wanted.is_empty() || wanted.iter().any(|name| is_called(tier, name)));
    Ok(tiers)
}

fn is_called(tier: &str, name: &str) -> bool {
    tier == name || (tier == UNIT && name == UNIT_SHORT)
}

/// Finds the test files that hold ignored tests, in the order in which they run.
fn privileged_tiers() -> Result<Vec<String>> {
    let folder = workspace::root().join("tests/tests");
    let mut tiers = Vec::new();
    for path in entries(&folder)? {
        if has_ignored_tests(&path)? {
            tiers.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    sort(&mut tiers);
    Ok(tiers)
}

/// Lists a folder's entries, of which a missing folder has none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let context = || format!("list {}", folder.display());
    let entries = fs::read_dir(folder).with_context(context)?;
    entries.map(|entry| Ok(entry.with_context(context)?.path())).collect()
}

/// Reports whether `path` is a test file, or the folder of one, with an ignored test.
fn has_ignored_tests(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(path.join("main.rs").exists() && any_has_ignored_tests(&entries(path)?)?);
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Ok(false);
    }
    let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(source.contains("#[ignore"))
}

fn any_has_ignored_tests(paths: &[PathBuf]) -> Result<bool> {
    for path in paths {
        if path.is_file() && has_ignored_tests(path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sorts as [`ORDER`] has it, and what it does not have by name after that.
fn sort(tiers: &mut [String]) {
    tiers.sort_by_key(|tier| {
        let place = ORDER.iter().position(|name| name == tier);
        (place.unwrap_or(ORDER.len()), tier.clone())
    });
}

fn report(tier: String, privileged: &[String], long: bool) -> Report {
    println!("\n== tier: {tier}");
    let start = Instant::now();
    let counts = counts(&tier, privileged, long).unwrap_or_else(|error| {
        println!("{tier}: {error:#}");
        Counts { failed: 1, ..Counts::default() }
    });
    let seconds = start.elapsed().as_secs_f32();
    println!("== tier: {tier}: {seconds:.1} s");
    Report { tier, counts, seconds }
}

fn counts(tier: &str, privileged: &[String], long: bool) -> Result<Counts> {
    if tier == UNIT {
        let privileged: Vec<&str> = privileged.iter().map(String::as_str).collect();
        return run_tests(&mut unit_tests(), &privileged);
    }
    if tier == SEEDS {
        return run_tests(&mut seed_tests(), &[]);
    }
    if !process::is_root() {
        return skip(tier, NOT_ROOT);
    }
    if tier == LONG && !long {
        return skip(tier, NOT_ASKED);
    }
    // The tests start the loader's binary.
    process::run(process::host_crates("build").args(["--bin", "amanda-fw"]))?;
    run_tests(&mut privileged_tests(tier), &[])
}

fn unit_tests() -> Command {
    let mut cargo = process::host_crates("test");
    cargo.arg("--no-fail-fast");
    cargo
}

fn seed_tests() -> Command {
    let mut cargo = process::host_cargo();
    let folder = workspace::root().join("tests/fuzz");
    cargo.args(["test", "--locked", "--no-fail-fast", "--manifest-path"]);
    cargo.arg(folder.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(workspace::target().join("fuzz"));
    cargo
}

fn privileged_tests(tier: &str) -> Command {
    let mut cargo = process::host_crates("test");
    let file = if tier == LONG { LONG_HOST } else { tier };
    cargo.args(["--test", file, "--", "--ignored"]);
    match tier {
        LONG => cargo.arg(LONG_TESTS),
        LONG_HOST => cargo.args(["--skip", LONG_TESTS]),
        _ => &mut cargo,
    };
    cargo
}

/// Runs and counts tests; a run that fails without a failed test, as in compiling, counts as one.
fn run_tests(command: &mut Command, elsewhere: &[&str]) -> Result<Counts> {
    let (output, succeeded) = process::tee(command)?;
    let mut counts = Counts::parse(&output, elsewhere);
    if !succeeded && counts.failed == 0 {
        println!("{} failed without a failed test", process::line(command));
        counts.failed = 1;
    }
    Ok(counts)
}

/// Counts the tests of a tier that does not run, which takes building but not running them.
fn skip(tier: &str, reason: &str) -> Result<Counts> {
    let listing = process::stdout(privileged_tests(tier).arg("--list"))?;
    let skipped = libtest::count_listed(&listing);
    println!("{tier}: skipped: {reason}");
    Ok(Counts { skipped, ..Counts::default() })
}

fn summarize(failed_lints: &[&str], reports: &[Report]) {
    println!("\n{:<20} {:>7} {:>7} {:>8} {:>8}", "tier", "passed", "failed", "skipped", "seconds");
    for Report { tier, counts: Counts { passed, failed, skipped }, seconds } in reports {
        println!("{tier:<20} {passed:>7} {failed:>7} {skipped:>8} {seconds:>8.1}");
    }
    if !failed_lints.is_empty() {
        println!("\nlints that failed: {}", failed_lints.join(", "));
    }
    let Counts { passed, failed, skipped } = reports.iter().map(|report| report.counts).sum();
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_tiers_run_in_their_order_and_others_after_them() {
        let mut tiers = owned(&["zebra", "gateway", "netns", "kernels", "amanda", "verifier"]);
        sort(&mut tiers);
        assert_eq!(tiers, ["verifier", "netns", "gateway", "amanda", "kernels", "zebra"]);
    }

    #[test]
    fn every_tier_runs_when_none_is_named() {
        check(&[], &[UNIT, SEEDS, "parity", "netns", LONG]);
    }

    #[test]
    fn only_the_named_tiers_run() {
        check(&["netns", "unit"], &[UNIT, "netns"]);
    }

    #[test]
    fn a_tier_that_is_not_there_is_named_in_the_error() {
        let error = select(&owned(&["parity"]), &owned(&["partiy"])).expect_err("a misspelt tier");
        assert!(error.to_string().contains("partiy"), "{error}");
    }

    #[track_caller]
    fn check(wanted: &[&str], expected: &[&str]) {
        let tiers = select(&owned(&["parity", "netns"]), &owned(wanted)).expect("known tiers");
        assert_eq!(tiers, expected);
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }
}
