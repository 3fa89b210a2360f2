//! `cargo xtask bench`: what rules and replies cost, beside the peers.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{build_ebpf, process, setup, workspace};

/// The options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Benchmarks to run [default: all]
    #[arg(value_name = "NAME", value_parser = ["rules", "replies"])]
    names: Vec<String>,
}

/// Prepares the machine and becomes the benchmark.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !process::is_root() {
        bail!("the benchmark makes network namespaces and loads BPF programs: run it as root");
    }
    setup::install_missing()?;
    build_ebpf::run()?;
    process::run(process::host_crates("build").args(["--bins", "--release"]))?;
    let bench = workspace::host_release().join("amanda-fw-bench");
    let mut command = Command::new(&bench);
    let error = command.args(&args.names).current_dir(workspace::root()).exec();
    Err(error).with_context(|| format!("start {}", bench.display()))
}
