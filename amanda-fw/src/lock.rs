//! Keeps two loaders from serving one firewall.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

const DIRECTORY: &str = "/run/amanda-fw";

/// The right to serve a pin directory, for as long as the value lives.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the right, or says that another loader has it.
    pub(crate) fn take(pins: &Path) -> Result<Self> {
        fs::create_dir_all(DIRECTORY).with_context(|| format!("make directory {DIRECTORY}"))?;
        let name = pins.to_string_lossy().replace('%', "%25").replace('/', "%2f");
        let path = Path::new(DIRECTORY).join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
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
}
