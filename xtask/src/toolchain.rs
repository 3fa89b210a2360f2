//! Finds a Rust toolchain that can build `core` for the BPF target.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Debian's packages put the library's source here (rust-web-src, rust-src).
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// The variables by which an outer cargo or rustup would steer an inner one to its own toolchain.
const OUTER_TOOLCHAIN: [&str; 10] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

const NONE_FOUND: &str = "\
no toolchain can build for the BPF target: that takes a compiler that accepts `-Z build-std` and \
the source of its library; install one of these
  with rustup:  rustup toolchain install nightly --component rust-src
  on Debian:    cargo xtask setup
         or:    apt-get update && apt-get install -y --no-install-recommends \
rustc-web cargo-web rust-web-src";

/// A toolchain that takes `-Z build-std=core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The nightly of rustup, with its component rust-src.
    RustupNightly,
    /// Debian's rustc and cargo, with its package of the library's source.
    Debian,
}

impl Toolchain {
    /// Finds the first toolchain that is complete: rustup's nightly, then Debian's.
    pub(crate) fn find() -> Result<Self> {
        if nightly_has_source() {
            return Ok(Self::RustupNightly);
        }
        if debian_is_complete() {
            return Ok(Self::Debian);
        }
        bail!(NONE_FOUND)
    }

    /// Starts a command line of this toolchain's cargo.
    pub(crate) fn cargo(self) -> Command {
        match self {
            Self::RustupNightly => rustup_nightly("cargo"),
            Self::Debian => debian(DEBIAN_CARGO),
        }
    }

    /// Starts a command line of this toolchain's `cargo clippy`.
    pub(crate) fn cargo_clippy(self) -> Command {
        let mut command = match self {
            Self::RustupNightly => rustup_nightly("cargo"),
            // Cargo would look in ~/.cargo/bin first, and start the clippy of rustup's toolchain.
            Self::Debian => debian(DEBIAN_CLIPPY),
        };
        command.arg("clippy");
        command
    }

    /// Asks this toolchain's rustc which LLVM writes its bitcode.
    pub(crate) fn llvm_major(self) -> Result<u32> {
        let mut rustc = match self {
            Self::RustupNightly => rustup_nightly("rustc"),
            Self::Debian => debian(DEBIAN_RUSTC),
        };
        let version = process::stdout(rustc.arg("-vV"))?;
        parse_llvm_major(&version)
            .with_context(|| format!("find the LLVM version in what {self} prints for -vV"))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RustupNightly => "rustup's nightly with rust-src",
            Self::Debian => "Debian's /usr/bin/rustc with the library source in /usr/lib/rustlib",
        })
    }
}

fn rustup_nightly(program: &str) -> Command {
    let mut command = unsteered("rustup");
    // To look whether a nightly is there must not download one.
    command.args(["run", "nightly", program]).env("RUSTUP_AUTO_INSTALL", "0");
    command
}

fn debian(program: &str) -> Command {
    let mut command = unsteered(program);
    command.env("CARGO", DEBIAN_CARGO).env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Starts a command line that is free of the outer cargo's settings.
fn unsteered(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in OUTER_TOOLCHAIN {
        command.env_remove(variable);
    }
    command
}

fn nightly_has_source() -> bool {
    let sysroot = process::stdout(rustup_nightly("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| {
        PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/core").exists()
    })
}

fn debian_is_complete() -> bool {
    let library = Path::new(DEBIAN_LIBRARY).join("core");
    [Path::new(DEBIAN_RUSTC), Path::new(DEBIAN_CARGO), &library].iter().all(|path| path.exists())
}

/// Reads the major number in the line `LLVM version: 22.1.8` of `rustc -vV`.
fn parse_llvm_major(version: &str) -> Option<u32> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_major_is_read_from_a_released_rustc() {
        check("rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n", Some(22));
    }

    #[test]
    fn the_llvm_major_may_stand_without_a_minor() {
        check("LLVM version: 23", Some(23));
    }

    #[test]
    fn a_rustc_without_llvm_has_no_major() {
        check("rustc 1.96.0\nbackend: cranelift\n", None);
        check("LLVM version: unknown\n", None);
    }

    #[track_caller]
    fn check(version: &str, expected: Option<u32>) {
        assert_eq!(parse_llvm_major(version), expected);
    }
}
