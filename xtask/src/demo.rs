//! `cargo xtask demo`: from a fresh machine to the firewall at work.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{build_ebpf, process, setup, workspace};

const PLAN: &str = "\
This demo
  1. installs the Debian packages that are missing (each is named before it is),
  2. builds the BPF object, amanda-fw and the demo, all into target/,
  3. runs a backup and a recovery across the firewall, in network namespaces that it removes again.
";

/// Prepares the machine and becomes the demo, whose exit status is then this process's own.
pub(crate) fn run() -> Result<ExitCode> {
    if !process::is_root() {
        bail!("the demo makes network namespaces and loads BPF programs: run it as root");
    }
    println!("{PLAN}");
    setup::install_missing()?;
    build_ebpf::run()?;
    process::run(process::host_crates("build").arg("--bins"))?;
    let demo = workspace::host_debug().join("amanda-fw-demo");
    // It replaces this process, so that Ctrl-C reaches it alone and waits for its cleaning up.
    let error = Command::new(&demo).current_dir(workspace::root()).exec();
    Err(error).with_context(|| format!("start {}", demo.display()))
}
