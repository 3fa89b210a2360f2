//! Loads every program of a BPF object and prints the kernel verifier's verdict on each.
//!
//! `cargo xtask kernels` runs it inside other kernels, so it is built static and needs nothing but
//! a BPF object. Kernels before 5.11 charge maps to RLIMIT_MEMLOCK: raise it first (`ulimit -l`).

#![expect(clippy::print_stdout, reason = "the verdicts are this program's output")]

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    programs::{Program, ProgramError},
};

/// Lines of a refusing verifier's log that are printed.
const LOG_TAIL: usize = 40;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(object), None) = (arguments.next(), arguments.next()) else {
        bail!("usage: verifier-probe OBJECT");
    };
    let mut judged = open(&object, VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)?;
    let mut measured = open(&object, VerifierLogLevel::STATS)?;

    let mut names: Vec<String> = judged.programs().map(|(name, _)| name.to_owned()).collect();
    names.sort();
    let mut refused = 0;
    for name in &names {
        refused += usize::from(!probe(name, &mut judged, &mut measured)?);
    }
    println!("{} programs, {refused} refused", names.len());
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open(object: &Path, level: VerifierLogLevel) -> anyhow::Result<Ebpf> {
    EbpfLoader::new()
        .verifier_log_level(level)
        .load_file(object)
        .with_context(|| format!("open {} and create its maps", object.display()))
}

/// Loads one program, prints its line and returns whether the verifier took it.
fn probe(name: &str, judged: &mut Ebpf, measured: &mut Ebpf) -> anyhow::Result<bool> {
    let program = judged.program_mut(name).context("find the program again")?;
    let start = Instant::now();
    let result = load(program);
    let elapsed = start.elapsed();
    if let Err(error) = result {
        print_refusal(name, &error);
        return Ok(false);
    }
    let log = measured.program_mut(name).map(stats_log).transpose()?.unwrap_or_default();
    print_success(name, program, &Stats::parse(&log), elapsed)?;
    Ok(true)
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    if let Program::Xdp(xdp) = program {
        xdp.load()
    } else if let Program::SchedClassifier(classifier) = program {
        classifier.load()
    } else {
        Err(ProgramError::UnexpectedProgramType)
    }
}

fn print_success(
    name: &str,
    program: &Program,
    stats: &Stats,
    elapsed: Duration,
) -> anyhow::Result<()> {
    let info = program.info().with_context(|| format!("ask the kernel about {name}"))?;
    println!(
        "ok     {name} insns={} states={} stack={} xlated={}B jitted={}B load={}ms",
        or_unknown(info.verified_instruction_count().or(stats.instructions)),
        or_unknown(stats.states),
        stats.stack.as_deref().unwrap_or("?"),
        or_unknown(info.size_translated()),
        info.size_jitted(),
        elapsed.as_millis(),
    );
    Ok(())
}

fn or_unknown(number: Option<u32>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn print_refusal(name: &str, error: &ProgramError) {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return println!("REFUSED {name} {error}");
    };
    println!("REFUSED {name} {io_error}");
    for line in tail(&verifier_log.to_string(), LOG_TAIL) {
        println!("       | {line}");
    }
}

fn tail(log: &str, count: usize) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().collect();
    let skipped = lines.len().saturating_sub(count);
    lines.into_iter().skip(skipped).collect()
}

/// Returns the verifier's statistics on a program that it accepts.
///
/// aya shows the log of a failed load alone, and kernels before 5.16 tell the instruction count
/// nowhere else: so no file descriptor is left to the kernel, which notices after verification.
fn stats_log(program: &mut Program) -> anyhow::Result<String> {
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    let result = load(program);
    drop(held);
    match result {
        Err(ProgramError::LoadError { verifier_log, .. }) => Ok(verifier_log.to_string()),
        Ok(()) => Ok(String::new()),
        Err(error) => Err(error).context("load a program for its statistics"),
    }
}

/// What the last lines of a verifier's log count.
#[derive(Debug, Default, PartialEq)]
struct Stats {
    /// Instructions walked, of a million that are allowed.
    instructions: Option<u32>,
    /// Verifier states kept.
    states: Option<u32>,
    /// Stack bytes of the main program and of its subprograms, joined by `+`.
    stack: Option<String>,
}

impl Stats {
    fn parse(log: &str) -> Self {
        let words: Vec<&str> = log.split_whitespace().collect();
        let after = |label: &[&str]| {
            let start = words.windows(label.len()).rposition(|window| window == label)?;
            words.get(start + label.len()).copied()
        };
        Self {
            instructions: after(&["processed"]).and_then(|word| word.parse().ok()),
            states: after(&["total_states"]).and_then(|word| word.parse().ok()),
            stack: after(&["stack", "depth"]).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "0: R1=ctx\nverification time 57 usec\nstack depth 64+24\n\
        processed 1187 insns (limit 1000000) max_states_per_insn 4 total_states 73 peak_states 70 mark_read 9\n";

    #[test]
    fn statistics_are_read_from_a_log() {
        let expected =
            Stats { instructions: Some(1187), states: Some(73), stack: Some("64+24".to_owned()) };
        assert_eq!(Stats::parse(LOG), expected);
    }

    #[test]
    fn a_log_without_statistics_has_none() {
        assert_eq!(Stats::parse(""), Stats::default());
        assert_eq!(Stats::parse("processed"), Stats::default());
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(tail("a\n", 2), ["a"]);
    }
}
