//! The directory in the BPF file system where the firewall lives while no loader runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};

/// Where Linux mounts the BPF file system by convention.
const CONVENTION: &str = "/sys/fs/bpf";

/// BPF_FS_MAGIC (include/uapi/linux/magic.h).
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// The directory of one firewall: its maps, and for each interface its links.
#[derive(Clone, Debug)]
pub(crate) struct PinDirectory {
    root: PathBuf,
}

impl PinDirectory {
    /// Names the directory; nothing is touched.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory of the maps.
    pub(crate) fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Returns the directory of an interface's links.
    pub(crate) fn interface(&self, name: &str) -> PathBuf {
        self.links().join(encode(name))
    }

    /// Tells whether a firewall lives here.
    pub(crate) fn exists(&self) -> bool {
        self.maps().is_dir()
    }

    /// Makes the directories, on a BPF file system that is mounted where that is usual.
    pub(crate) fn create(&self) -> Result<()> {
        let parent = self.root.parent().context("find the parent of the pin directory")?;
        if !is_bpffs(parent) {
            self.mount(parent)?;
        }
        for directory in [self.maps(), self.links()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("make directory {}", directory.display()))?;
        }
        Ok(())
    }

    fn mount(&self, parent: &Path) -> Result<()> {
        if parent != Path::new(CONVENTION) {
            bail!(
                "{} is on no BPF file system; mount one: mount -t bpf bpf {}",
                self.root.display(),
                parent.display()
            );
        }
        mount("bpf", parent, "bpf", MountFlags::empty(), None)
            .with_context(|| format!("mount the BPF file system on {CONVENTION}"))
    }

    /// Makes the directory of an interface's links.
    pub(crate) fn create_interface(&self, name: &str) -> Result<PathBuf> {
        let directory = self.interface(name);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("make directory {}", directory.display()))
            }
            _ => Ok(directory),
        }
    }

    /// Lists the interfaces that have links, with the names of their pins.
    pub(crate) fn interfaces(&self) -> Result<Vec<(String, Vec<String>)>> {
        let mut interfaces = Vec::new();
        for name in list(&self.links())? {
            let pins = list(&self.links().join(&name))?;
            interfaces.push((decode(&name), pins));
        }
        interfaces.sort();
        Ok(interfaces)
    }

    /// Removes the directories when no interface is left, and the maps with them.
    pub(crate) fn remove_if_unused(&self) -> Result<bool> {
        if !self.interfaces()?.is_empty() {
            return Ok(false);
        }
        self.remove_rulesets()?;
        for directory in [self.maps(), self.links()] {
            for name in list(&directory)? {
                let path = directory.join(name);
                fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
            }
            remove_dir(&directory)?;
        }
        remove_dir(&self.root)?;
        Ok(true)
    }
}

/// Removes a directory; that it is gone already is no error.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove directory {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Lists the names in a directory; one that is not there holds none.
pub(crate) fn list(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", directory.display()))?,
    };
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.with_context(|| format!("list {}", directory.display()))?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.f_type == BPF_FS_MAGIC)
}

/// Writes an interface's name without the dots that the BPF file system refuses.
fn encode(name: &str) -> String {
    name.replace('%', "%25").replace('.', "%2e")
}

fn decode(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_name_survives_its_pin() {
        for name in ["eth0", "eth0.10", "a%2e", "%", "x.y.z"] {
            assert!(!encode(name).contains('.'), "{name}");
            assert_eq!(decode(&encode(name)), name);
        }
    }
}
