//! What a run of the bench owns outside its processes: unique names and one temporary directory.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// Begins every name that the bench gives to something outside its own directory.
const NAME_PREFIX: &str = "afw";

/// Where iproute2 keeps named network namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Where iproute2 looks for files to show inside a network namespace.
pub(crate) const NAMESPACE_FILES: &str = "/etc/netns";

/// Where the kernel's BPF file system belongs.
pub(crate) const BPFFS: &str = "/sys/fs/bpf";

/// Tries at removing a directory in which dying processes may still create files.
const REMOVAL_TRIES: u32 = 50;

/// Returns a name that no other run and no other part of this run has: `afw<pid>-<n>-<purpose>`.
#[must_use]
pub fn unique_name(purpose: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{NAME_PREFIX}{}-{number}-{purpose}", std::process::id())
}

/// Returns how often a test of reloading reloads: a few times, or as often as
/// `AMANDA_FW_RELOADS` says.
#[must_use]
pub fn reloads() -> usize {
    const FEW: usize = 16;
    let wanted = std::env::var("AMANDA_FW_RELOADS").ok();
    wanted.and_then(|number| number.parse().ok()).map_or(FEW, |number: usize| number.max(FEW))
}

/// A temporary directory, removed when dropped.
#[derive(Debug)]
pub struct Bench {
    directory: PathBuf,
}

impl Bench {
    /// Creates the directory, after sweeping away what crashed runs left behind.
    pub fn new() -> Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let directory = std::env::temp_dir().join(unique_name("bench"));
        fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
        // Amanda's user walks through it.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))
            .context("open the bench's directory to other users")?;
        Ok(Self { directory })
    }

    /// Returns the path of `name` in the directory.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        remove_directory(&self.directory);
    }
}

/// Removes a directory and what is in it, as far as that can be done.
pub(crate) fn remove_directory(path: &Path) {
    for _ in 0..REMOVAL_TRIES {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}

/// Removes the namespaces and directories whose names say that the run they belong to is dead.
fn sweep() {
    for name in leftovers(Path::new(NAMESPACES)) {
        // Best effort: another run may be sweeping too.
        let _ = Command::new("ip").args(["netns", "del"]).arg(&name).output();
    }
    let temporary = std::env::temp_dir();
    for directory in [Path::new(NAMESPACE_FILES), Path::new(BPFFS), &temporary] {
        for name in leftovers(directory) {
            remove_directory(&directory.join(name));
        }
    }
}

fn leftovers(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| owner(name).is_some_and(is_dead)).collect()
}

/// Reads the process id out of a name made by [`unique_name`].
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(NAME_PREFIX)?.split_once('-')?.0.parse().ok()
}

fn is_dead(process: u32) -> bool {
    !Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_name_tells_its_owner() {
        assert_eq!(owner(&unique_name("server")), Some(std::process::id()));
    }

    #[test]
    fn a_foreign_name_has_no_owner() {
        for name in ["afw", "afwards-1", "docker0", "afw-1-x"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn the_directory_goes_with_its_guard() {
        let bench = Bench::new().expect("a temporary directory can be made");
        let directory = bench.path("");
        assert!(directory.is_dir());
        drop(bench);
        assert!(!directory.exists());
    }
}
