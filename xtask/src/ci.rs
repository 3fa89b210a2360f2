//! `cargo xtask ci`: the lints, for the host and for the BPF target alike.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::build_ebpf::{self, Tools};
use crate::process;

/// Builds the BPF object, which the loader's crate embeds, and runs every lint.
pub(crate) fn run() -> Result<ExitCode> {
    build_ebpf::run()?;
    let failed = lint()?;
    if failed.is_empty() {
        println!("lints: all passed");
        return Ok(ExitCode::SUCCESS);
    }
    println!("lints: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Runs every lint, whatever the others say, and names those that failed.
pub(crate) fn lint() -> Result<Vec<&'static str>> {
    let mut failed = Vec::new();
    for (name, mut command) in lints()? {
        println!("\n== lint: {name}");
        if let Err(error) = process::run(&mut command) {
            println!("{name}: {error:#}");
            failed.push(name);
        }
    }
    Ok(failed)
}

fn lints() -> Result<[(&'static str, Command); 4]> {
    Ok([
        ("format", format()),
        ("clippy for the host", clippy_host()),
        ("clippy for BPF", clippy_bpf()?),
        ("documentation", documentation()),
    ])
}

fn format() -> Command {
    let mut cargo = process::host_cargo();
    cargo.args(["fmt", "--all", "--check"]);
    cargo
}

fn clippy_host() -> Command {
    let mut cargo = process::host_crates("clippy");
    cargo.args(["--all-targets", "--", "-D", "warnings"]);
    cargo
}

fn clippy_bpf() -> Result<Command> {
    let tools = Tools::find()?;
    let mut clippy = tools.toolchain.cargo_clippy();
    build_ebpf::for_bpf(&mut clippy, &tools.linker, tools.llvm).args(["--", "-D", "warnings"]);
    Ok(clippy)
}

fn documentation() -> Command {
    let mut cargo = process::host_crates("doc");
    cargo.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
    cargo
}
