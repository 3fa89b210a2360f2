//! The project's chores: `cargo xtask <command>`, with one file to a command.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its terminal")]

mod bench;
mod build_ebpf;
mod ci;
mod demo;
mod kernels;
mod libtest;
mod linker;
mod process;
mod setup;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The chores of amanda-fw.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the BPF object into target/bpf/, with whichever toolchain is there
    BuildEbpf,
    /// Installs Debian's packages for the BPF object, the demo and the tests
    Setup(setup::Args),
    /// Sets the machine up, builds, and shows the firewall at work in network namespaces
    Demo,
    /// Sets the machine up, builds, lints, and runs every tier of tests
    Test(test::Args),
    /// Measures what rules and Amanda's replies cost, beside iptables, nft and the kernel's helper
    Bench(bench::Args),
    /// Loads the BPF object in other kernels under qemu and prints their verifiers' verdicts
    Kernels(kernels::Args),
    /// Runs the lints: formatting, clippy for the host and for BPF, documentation
    Ci,
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::BuildEbpf => build_ebpf::run().map(|()| ExitCode::SUCCESS),
        Command::Setup(args) => setup::run(args),
        Command::Demo => demo::run(),
        Command::Test(args) => test::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Kernels(args) => kernels::run(args).map(|()| ExitCode::SUCCESS),
        Command::Ci => ci::run(),
    }
}
