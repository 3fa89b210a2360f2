//! `cargo xtask kernels`: shows the BPF object to the verifiers of other kernels, under qemu.

mod archive;
mod boot;
mod initramfs;
mod mirrors;
mod outcome;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::{process, workspace};
use initramfs::Guest;
use outcome::Outcome;

/// The probe is linked static for the guests, which have no C library.
const PROBE: &str = "verifier-probe";
const PROBE_TARGET: &str = "x86_64-unknown-linux-gnu";

/// What a run needs beside cargo: the program and the Debian package that has it.
const TOOLS: [(&str, &str); 3] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("cpio", "cpio")];

/// A kernel of the matrix and the Debian suites that have it, best first.
struct Kernel {
    name: &'static str,
    suites: &'static [&'static str],
}

/// Debian 11 to 13 and the development kernel; 5.10 is the oldest that is supported.
const KERNELS: [Kernel; 4] = [
    Kernel { name: "5.10", suites: &["bullseye-security", "bullseye"] },
    Kernel { name: "6.1", suites: &["bookworm", "bookworm-security"] },
    Kernel { name: "6.12", suites: &["trixie", "bookworm-backports"] },
    Kernel { name: archive::NEWEST, suites: &["sid"] },
];

/// The options of `cargo xtask kernels`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernels to boot [default: all]
    #[arg(value_name = "VERSION", value_parser = KERNELS.map(|kernel| kernel.name))]
    versions: Vec<String>,
    /// BPF object [default: the one that build-ebpf makes]
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    /// Program to load; repeatable [default: all]
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// Verify twice more for the instruction count on every kernel, states and stack depth
    #[arg(long)]
    stats: bool,
    /// Static verifier-probe that is built already
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// Seconds that a kernel has for its verdict
    #[arg(long, default_value_t = 600)]
    timeout: u64,
    /// Fetch the newest packages although kernels of these versions are here
    #[arg(long)]
    refresh: bool,
}

/// Loads the BPF object in each kernel and fails unless all that can be had accept it.
pub(crate) fn run(args: &Args) -> Result<()> {
    check_tools()?;
    let object = args.object.clone().unwrap_or_else(default_object);
    ensure!(object.is_file(), "no BPF object at {}: run build-ebpf first", object.display());
    let probe = args.probe.clone().map_or_else(build_probe, Ok)?;
    let folder = folder().join(format!("run-{}", std::process::id()));
    let initramfs = guest(args, &object, &probe)?.pack(&folder)?;
    let outcomes = selected(&args.versions)
        .map(|kernel| Ok((kernel.name, judge(kernel, &initramfs, args)?)))
        .collect::<Result<Vec<_>>>();
    std::fs::remove_dir_all(&folder).context("remove the initramfs")?;
    outcome::report(&outcomes?)
}

fn folder() -> PathBuf {
    workspace::target().join("kernels")
}

fn default_object() -> PathBuf {
    workspace::target().join("bpf").join("amanda-fw-ebpf")
}

fn selected(versions: &[String]) -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().filter(|kernel| {
        versions.is_empty() || versions.iter().any(|version| version == kernel.name)
    })
}

fn check_tools() -> Result<()> {
    let missing = TOOLS.iter().filter(|(program, _)| find_program(program).is_none());
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    ensure!(packages.is_empty(), "install these packages first: {}", packages.join(" "));
    Ok(())
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Builds for an explicit target, so that build scripts and macros are not linked static too.
fn build_probe() -> Result<PathBuf> {
    let target_dir = folder().join("build");
    let mut cargo = process::host_cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "amanda-fw-tests", "--bin", PROBE]);
    cargo.args(["--target", PROBE_TARGET, "--config", "profile.release.strip=true"]);
    cargo.arg("--target-dir").arg(&target_dir);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::run(&mut cargo).context("build the static verifier-probe")?;
    Ok(target_dir.join(PROBE_TARGET).join("release").join(PROBE))
}

fn guest(args: &Args, object: &Path, probe: &Path) -> Result<Guest> {
    let busybox = find_program("busybox").context("find busybox")?;
    Ok(Guest {
        files: vec![
            (busybox, "bin/busybox"),
            (probe.to_owned(), "bin/verifier-probe"),
            (object.to_owned(), "object"),
        ],
        commands: vec![probe_command(args)],
    })
}

fn probe_command(args: &Args) -> String {
    let option = if args.stats { "--stats " } else { "" };
    format!("verifier-probe {option}/object {}", args.programs.join(" ")).trim_end().to_owned()
}

/// Boots one kernel, which prints what its verifier says.
fn judge(kernel: &Kernel, initramfs: &Path, args: &Args) -> Result<Outcome> {
    let vmlinuz = match archive::vmlinuz(kernel, &folder(), args.refresh) {
        Ok(vmlinuz) => vmlinuz,
        Err(cause) => return Ok(Outcome::skipped(&cause)),
    };
    println!("== kernel {}", kernel.name);
    let start = Instant::now();
    let console = boot::boot(&vmlinuz, initramfs, args.timeout)?;
    let elapsed = start.elapsed();
    let outcome = Outcome::read(&console, elapsed);
    if matches!(outcome, Outcome::Silent { .. }) {
        console.other.iter().for_each(|line| println!("console: {line}"));
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_version_selects_every_kernel() {
        assert_eq!(selected(&[]).count(), KERNELS.len());
        let names: Vec<&str> = selected(&["6.1".to_owned()]).map(|kernel| kernel.name).collect();
        assert_eq!(names, ["6.1"]);
    }
}
