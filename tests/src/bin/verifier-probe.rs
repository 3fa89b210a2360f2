//! Loads the programs of a BPF object and prints the kernel verifier's verdict on each.
//!
//! `cargo xtask kernels` runs it inside other kernels, so it is built static and needs nothing but
//! a BPF object. Kernels before 5.11 charge maps to RLIMIT_MEMLOCK: raise it first (`ulimit -l`).
//! It exits with 1 if a program was refused, with 2 if nothing can be said, and else with 0.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the verdicts are its output")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use aya::programs::{Program, ProgramError};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};

/// Lines of a refusing verifier's log that are printed.
const LOG_TAIL: usize = 40;

/// E2BIG: the verifier walked a million instructions without an end.
const TOO_LARGE: i32 = 7;

/// EMFILE: no file descriptor is left, not even for an accepted program.
const NO_DESCRIPTOR: i32 = 24;

/// EINVAL, among other meanings.
const UNKNOWN_FLAG: i32 = 22;

/// The kernel with the first XDP programs for frames of several pieces.
const XDP_FRAGS: KernelVersion = KernelVersion::new(5, 18, 0);

/// The exit status when there is no verdict, where a refusal is 1.
const NO_VERDICT: u8 = 2;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)).and_then(|args| run(&args)) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("verifier-probe: {error:#}");
            ExitCode::from(NO_VERDICT)
        }
    }
}

fn run(Args { object, programs, stats }: &Args) -> anyhow::Result<ExitCode> {
    // A trace of every instruction makes the verifier several times slower, so it comes second.
    let mut ebpf = open(object, VerifierLogLevel::STATS)?;
    let names = select(ebpf.programs().map(|(name, _)| name), programs)?;
    let (mut accepted, mut refused) = (0, 0);
    for name in &names {
        let program = ebpf.program_mut(name).context("find the program again")?;
        match judge(program, *stats) {
            Ok(verdict) => {
                accepted += 1;
                print_verdict(name, program, &verdict)?;
            }
            Err(error) if is_absent(program, &error) => {
                println!("absent  {name}: this kernel has no XDP for frames of several pieces");
            }
            Err(error) => {
                refused += 1;
                print_refusal(name, &trace(object, name, error)?);
            }
        }
    }
    ensure!(accepted + refused > 0, "no program came as far as the verifier");
    println!("{accepted} of {} programs accepted, {refused} refused", names.len());
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the wanted programs of those that are there, or all, sorted.
fn select<'a>(
    there: impl Iterator<Item = &'a str>,
    wanted: &[String],
) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = there.map(str::to_owned).collect();
    ensure!(!names.is_empty(), "the object has no programs");
    if let Some(name) = wanted.iter().find(|name| !names.contains(name)) {
        bail!("the object has no program {name}");
    }
    names.retain(|name| wanted.is_empty() || wanted.contains(name));
    names.sort();
    Ok(names)
}

/// The command line: `verifier-probe [--stats] OBJECT [PROGRAM...]`.
#[derive(Debug, PartialEq)]
struct Args {
    object: PathBuf,
    /// The programs to load; none for all.
    programs: Vec<String>,
    /// Whether to have accepted programs verified twice more for what the verifier counts.
    stats: bool,
}

impl Args {
    fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (options, mut names): (Vec<_>, Vec<_>) = arguments.partition(|a| a.starts_with("--"));
        let is_known = options.iter().all(|option| option == "--stats");
        if names.is_empty() || !is_known {
            bail!("usage: verifier-probe [--stats] OBJECT [PROGRAM...]");
        }
        let programs = names.split_off(1);
        Ok(Self { object: names.remove(0).into(), programs, stats: !options.is_empty() })
    }
}

fn open(object: &Path, level: VerifierLogLevel) -> anyhow::Result<Ebpf> {
    EbpfLoader::new()
        .verifier_log_level(level)
        .load_file(object)
        .with_context(|| format!("open {} and create its maps", object.display()))
}

/// What is known of an accepted program beside what the kernel tells.
struct Verdict {
    stats: Stats,
    elapsed: Duration,
}

fn judge(program: &mut Program, stats: bool) -> Result<Verdict, ProgramError> {
    let log = if stats { stats_log(program)? } else { String::new() };
    let start = Instant::now();
    load(program)?;
    Ok(Verdict { stats: Stats::parse(&log), elapsed: start.elapsed() })
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

/// Returns the verifier's statistics on a program that it accepts.
///
/// aya shows the log of a failed load alone, and kernels before 5.16 tell the instruction count
/// nowhere else: so no file descriptor is left to the kernel, which notices after verification.
fn stats_log(program: &mut Program) -> Result<String, ProgramError> {
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    let result = load(program);
    drop(held);
    match result {
        Err(ProgramError::LoadError { io_error, verifier_log })
            if io_error.raw_os_error() == Some(NO_DESCRIPTOR) =>
        {
            Ok(verifier_log.to_string())
        }
        other => other.map(|()| String::new()),
    }
}

/// Reports whether an XDP program failed for a flag that the kernel does not know.
///
/// The verifier, which would have logged its statistics, did not see it. The only flag that XDP
/// programs are loaded with (frags) came with kernel 5.18; the firewall has one without it too.
fn is_absent(program: &Program, error: &ProgramError) -> bool {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return false;
    };
    matches!(program, Program::Xdp(_))
        && io_error.raw_os_error() == Some(UNKNOWN_FLAG)
        && verifier_log.to_string().is_empty()
        && KernelVersion::current().is_ok_and(|version| version < XDP_FRAGS)
}

/// Returns the refusal with the instructions that led to it, unless they are too many to tell.
fn trace(object: &Path, name: &str, refusal: ProgramError) -> anyhow::Result<ProgramError> {
    let ProgramError::LoadError { io_error, .. } = &refusal else {
        return Ok(refusal);
    };
    if io_error.raw_os_error() == Some(TOO_LARGE) {
        return Ok(refusal);
    }
    let mut ebpf = open(object, VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)?;
    let program = ebpf.program_mut(name).context("find the refused program again")?;
    Ok(load(program).err().unwrap_or(refusal))
}

fn print_verdict(name: &str, program: &Program, verdict: &Verdict) -> anyhow::Result<()> {
    let Verdict { stats, elapsed } = verdict;
    let info = program.info().with_context(|| format!("ask the kernel about {name}"))?;
    println!(
        "ok      {name} insns={} states={} stack={} xlated={}B jitted={}B load={}ms",
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
    fn programs_may_be_named_after_the_object() {
        let expected =
            Args { object: "object".into(), programs: vec!["xdp_ingress".to_owned()], stats: true };
        assert_eq!(parse("--stats object xdp_ingress").expect("a good command line"), expected);
        assert!(parse("--stat object").is_err());
        assert!(parse("--stats").is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_not_passed_over() {
        let there = || ["b", "a"].into_iter();
        assert_eq!(select(there(), &[]).expect("all"), ["a", "b"]);
        assert_eq!(select(there(), &["b".to_owned()]).expect("one"), ["b"]);
        assert!(select(there(), &["c".to_owned()]).is_err());
        assert!(select([].into_iter(), &[]).is_err());
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(tail("a\n", 2), ["a"]);
    }

    fn parse(line: &str) -> anyhow::Result<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }
}
