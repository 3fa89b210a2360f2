//! Finds or installs the bpf-linker whose LLVM reads the compiler's bitcode.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The version that the BPF crate is built and tested with.
const VERSION: &str = "0.13.0";

/// Returns a bpf-linker for bitcode of LLVM `major`, and installs one where none is.
///
/// The one in `target/tools` comes first. The one on PATH is taken where there is no LLVM to
/// build against: the project's released binaries bring an LLVM of their own.
pub(crate) fn find_or_install(major: u32) -> Result<PathBuf> {
    let root = workspace::target().join(format!("tools/bpf-linker-llvm{major}"));
    let linker = root.join("bin/bpf-linker");
    if linker.exists() && is_recorded(&root) {
        return Ok(linker);
    }
    let llvm = Path::new("/usr/lib").join(format!("llvm-{major}"));
    let has_llvm = llvm.join("bin/llvm-config").exists();
    if !has_llvm && let Some(linker) = on_path() {
        println!("bpf-linker: {}, from PATH", linker.display());
        return Ok(linker);
    }
    install(major, has_llvm.then_some(&llvm), &root)?;
    Ok(linker)
}

/// Reports whether cargo recorded an installation of [`VERSION`] under `root`.
fn is_recorded(root: &Path) -> bool {
    let package = format!("\"bpf-linker {VERSION} ");
    fs::read_to_string(root.join(".crates.toml")).is_ok_and(|record| record.contains(&package))
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join("bpf-linker")).find(|linker| linker.is_file())
}

fn install(major: u32, llvm: Option<&Path>, root: &Path) -> Result<()> {
    println!("bpf-linker: installing {VERSION} for LLVM {major} into {}", root.display());
    process::run(&mut install_command(major, llvm, root)).with_context(|| ways_out(major))
}

/// Builds with the outer cargo: the linker is a program of the host.
fn install_command(major: u32, llvm: Option<&Path>, root: &Path) -> Command {
    let mut command = process::host_cargo();
    command.args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force"]);
    command.args(["--no-default-features", "--features"]).arg(format!("llvm-{major}"));
    command.arg("--root").arg(root);
    if let Some(llvm) = llvm {
        command.env("LLVM_PREFIX", llvm);
    }
    command
}

fn ways_out(major: u32) -> String {
    format!(
        "install bpf-linker {VERSION} for LLVM {major}; one of these helps
  with rustup:  put a bpf-linker from its release page on PATH, or run: cargo binstall bpf-linker
  on Debian:    cargo xtask setup
         or:    apt-get update && apt-get install -y --no-install-recommends llvm-{major}-dev
the cause"
    )
}
