//! Finds the BPF object, which is built for another target, and lends it to the loader.

use std::path::Path;

const OBJECT: &str = "../target/bpf/amanda-fw-ebpf";

fn main() {
    println!("cargo::rerun-if-changed={OBJECT}");
    match Path::new(OBJECT).canonicalize() {
        Ok(path) => println!("cargo::rustc-env=AMANDA_FW_OBJECT={}", path.display()),
        Err(_) => println!(
            "cargo::error=the BPF object is not built yet: run `cargo xtask build-ebpf` first"
        ),
    }
}
