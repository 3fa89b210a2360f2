//! Runs other programs, and names them when they fail.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{build_ebpf, workspace};

/// Reports whether this process has root's effective user id.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Starts a command line of the cargo that runs this, for programs of the host.
pub(crate) fn host_cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace::root());
    cargo
}

/// Starts a command line of cargo's `subcommand` for all crates of the host.
///
/// One crate alone would have its dependencies built again, with fewer features.
pub(crate) fn host_crates(subcommand: &str) -> Command {
    let mut cargo = host_cargo();
    cargo.args([subcommand, "--workspace", "--exclude", build_ebpf::PACKAGE]);
    cargo
}

/// Runs `command` on this terminal, and fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {}", name(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Runs `command` and returns its standard output, and fails unless it exits with 0.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("start {}", name(command)))?;
    if !output.status.success() {
        let cause = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", line(command), output.status, cause.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command`, shows both of its outputs as they come, and returns them in that order.
///
/// The flag beside the text tells whether it exited with 0.
pub(crate) fn tee(command: &mut Command) -> Result<(String, bool)> {
    let (reader, writer) = io::pipe().context("open a pipe")?;
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone().context("share a pipe")?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("start {}", name(command)))?;
    // The command holds the pipe's other end, which would keep the reader waiting for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let text = show(BufReader::new(reader)).context("read the output of a test")?;
    let status = child.wait().with_context(|| format!("wait for {}", name(command)))?;
    Ok((text, status.success()))
}

/// Writes `command` out as one line, for a message.
pub(crate) fn line(command: &Command) -> String {
    command.get_args().fold(name(command), |line, arg| line + " " + &arg.to_string_lossy())
}

fn show(mut reader: impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        print!("{line}");
        text.push_str(&line);
        bytes.clear();
    }
    Ok(text)
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
