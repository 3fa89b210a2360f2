//! Keeps two loaders from serving one firewall, and two from exchanging its rulesets at once.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const DIRECTORY: &str = "/run/amanda-fw";

/// A right on a pin directory, for as long as the value lives.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the right to serve, or says that another loader has it.
    pub(crate) fn take(pins: &Path) -> Result<Self> {
        let (file, path) = open(pins, "lock")?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another amanda-fw serves {}; stop it first, or name another --bpffs directory",
                pins.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("lock {}", path.display()))
            }
        }
    }

    /// Takes the right to exchange rulesets, once whoever has it is done.
    pub(crate) fn switch(pins: &Path) -> Result<Self> {
        let (file, path) = open(pins, "switch")?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

fn open(pins: &Path, kind: &str) -> Result<(File, PathBuf)> {
    fs::create_dir_all(DIRECTORY).with_context(|| format!("make directory {DIRECTORY}"))?;
    let name = pins.to_string_lossy().replace('%', "%25").replace('/', "%2f");
    let path = Path::new(DIRECTORY).join(format!("{name}.{kind}"));
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    Ok((file, path))
}
