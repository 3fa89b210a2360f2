//! `cargo xtask build-ebpf`: builds the BPF object into `target/bpf/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::toolchain::Toolchain;
use crate::{linker, process, workspace};

/// The package of the BPF programs, its binary, and the file that it becomes.
pub(crate) const PACKAGE: &str = "amanda-fw-ebpf";

/// BPF runs in the byte order of the machine that loads it.
const TARGET: &str =
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// `v2` compares 64 bits: the verifier does not follow packet addresses through the 32-bit
/// comparisons that `v3` makes of them.
const RUSTFLAGS: [&str; 2] = ["-Ctarget-cpu=v2", "-Clink-arg=--btf"];

/// Headers are read a word at a time wherever they lie, which kernels allow on 64-bit x86 and Arm.
const MISALIGNED: &str = "-Ctarget-feature=+allows-misaligned-mem-access";

/// The LLVM since which [`MISALIGNED`] can be asked for.
const MISALIGNED_SINCE: u32 = 22;

/// Builds the BPF object with the toolchain that is there.
pub(crate) fn run() -> Result<()> {
    let Tools { toolchain, llvm, linker } = Tools::find()?;
    println!("BPF toolchain: {toolchain}, LLVM {llvm}");
    let mut cargo = toolchain.cargo();
    for_bpf(cargo.arg("build"), &linker, llvm);
    process::run(&mut cargo).context("build the BPF object")?;
    let object = workspace::target().join("bpf").join(PACKAGE);
    let news = if install(&built(), &object)? { "new" } else { "unchanged" };
    println!("BPF object: {} ({news})", object.display());
    Ok(())
}

/// What the BPF crate is built with.
pub(crate) struct Tools {
    pub(crate) toolchain: Toolchain,
    /// The major version of the toolchain's LLVM, which the linker's has to read.
    pub(crate) llvm: u32,
    pub(crate) linker: PathBuf,
}

impl Tools {
    /// Finds a toolchain and its linker, and installs the linker where there is none.
    pub(crate) fn find() -> Result<Self> {
        let toolchain = Toolchain::find()?;
        let llvm = toolchain.llvm_major()?;
        Ok(Self { toolchain, llvm, linker: linker::find_or_install(llvm)? })
    }
}

/// Completes a command line of cargo for the BPF crate on the BPF target.
///
/// Every such line names the same linker, since cargo builds all of `core` again for another.
pub(crate) fn for_bpf<'a>(cargo: &'a mut Command, linker: &Path, llvm: u32) -> &'a mut Command {
    cargo.current_dir(workspace::root());
    cargo.args(["--package", PACKAGE, "--profile", "bpf"]);
    cargo.args(["--target", TARGET, "-Z", "build-std=core"]);
    // A folder of its own, since an outer cargo holds the lock of the usual one.
    cargo.arg("--target-dir").arg(build_dir());
    let mut flags = RUSTFLAGS.to_vec();
    if llvm >= MISALIGNED_SINCE {
        flags.push(MISALIGNED);
    }
    cargo.env(linker_variable(), linker).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
}

/// Names cargo's variable for the linker of [`TARGET`].
fn linker_variable() -> String {
    format!("CARGO_TARGET_{}_LINKER", TARGET.replace('-', "_").to_uppercase())
}

fn build_dir() -> PathBuf {
    workspace::target().join("bpf-build")
}

fn built() -> PathBuf {
    build_dir().join(TARGET).join("bpf").join(PACKAGE)
}

/// Copies `built` over `object` and reports whether that changed it.
///
/// An equal file keeps its time stamp, so that nothing that includes it is built again.
fn install(built: &Path, object: &Path) -> Result<bool> {
    let bytes = fs::read(built).with_context(|| format!("read {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    replace(object, &bytes).with_context(|| format!("write {}", object.display()))?;
    Ok(true)
}

/// Writes beside `object` and renames, so that a reader never sees half a file.
fn replace(object: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = object.parent() {
        fs::create_dir_all(folder)?;
    }
    let half = object.with_extension("half");
    fs::write(&half, bytes)?;
    fs::rename(&half, object)
}
