//! Writes the inputs that fuzzing begins with to `corpus/`, a folder for each target.

use std::fs;
use std::path::Path;

use amanda_fw_fuzz::seeds::{self, Seed};
use anyhow::{Context, Result};

fn main() -> Result<()> {
    write("parser", seeds::parser())?;
    write("packet_path", seeds::packet_path())
}

fn write(target: &str, seeds: Vec<Seed>) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for Seed { name, bytes } in seeds.into_iter().chain(seeds::crashers(target)) {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
