//! The rulesets in the pin directory: each has a number, and the highest is in force.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bpffs::{self, PinDirectory};
use crate::maps::ruleset;

/// The directory of a ruleset that is not in force yet.
const NEXT: &str = "next";

impl PinDirectory {
    fn rulesets(&self) -> PathBuf {
        self.root().join("rulesets")
    }

    /// Returns the number of the ruleset in force.
    pub(crate) fn generation(&self) -> Result<Option<u64>> {
        let names = bpffs::list(&self.rulesets())?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).max())
    }

    /// Returns the directory of the ruleset in force.
    pub(crate) fn ruleset(&self) -> Result<PathBuf> {
        self.numbered(self.generation()?)
    }

    fn numbered(&self, number: Option<u64>) -> Result<PathBuf> {
        let number = number.context("find the ruleset in force; `amanda-fw attach` writes one")?;
        Ok(self.rulesets().join(number.to_string()))
    }

    /// Reads something of the ruleset in force, once more where it was exchanged meanwhile.
    pub(crate) fn read_ruleset<T>(&self, read: impl Fn(&Path) -> Result<T>) -> Result<T> {
        loop {
            let number = self.generation()?;
            let found = read(&self.numbered(number)?);
            // A ruleset is removed only once the one after it is there.
            if found.is_ok() || self.generation()? == number {
                return found;
            }
        }
    }

    /// Returns the directory of the ruleset that is being prepared, or that was half in force when
    /// whoever prepared it was killed.
    pub(crate) fn next_ruleset(&self) -> PathBuf {
        self.rulesets().join(NEXT)
    }

    /// Makes an empty directory for the next ruleset.
    pub(crate) fn prepare_ruleset(&self) -> Result<PathBuf> {
        let next = self.next_ruleset();
        remove(next.clone())?;
        fs::create_dir_all(&next).with_context(|| format!("make directory {}", next.display()))?;
        Ok(next)
    }

    /// Forgets the ruleset that was being prepared.
    pub(crate) fn discard_ruleset(&self) -> Result<()> {
        remove(self.next_ruleset())
    }

    /// Returns the configuration file that the ruleset in force was read from.
    pub(crate) fn config(&self) -> Result<Option<PathBuf>> {
        let name = self.read_ruleset(ruleset::read_origin)?;
        Ok((!name.is_empty()).then(|| PathBuf::from(name)))
    }

    /// Puts the next ruleset in force for whoever looks, and removes those before.
    pub(crate) fn enforce_ruleset(&self) -> Result<()> {
        let number = self.generation()?.map_or(1, |number| number.saturating_add(1));
        let directory = self.numbered(Some(number))?;
        fs::rename(self.next_ruleset(), &directory)
            .with_context(|| format!("rename the ruleset to {}", directory.display()))?;
        // What stays goes with the next one: the new one is in force in any case.
        let _ = self.remove_before(number);
        Ok(())
    }

    fn remove_before(&self, number: u64) -> Result<()> {
        for name in bpffs::list(&self.rulesets())? {
            if name.parse().is_ok_and(|other: u64| other < number) {
                remove(self.rulesets().join(name))?;
            }
        }
        Ok(())
    }

    /// Removes every ruleset.
    pub(crate) fn remove_rulesets(&self) -> Result<()> {
        for name in bpffs::list(&self.rulesets())? {
            remove(self.rulesets().join(name))?;
        }
        bpffs::remove_dir(&self.rulesets())
    }
}

fn remove(directory: PathBuf) -> Result<()> {
    for name in bpffs::list(&directory)? {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", path.display()))?;
            }
            _ => {}
        }
    }
    bpffs::remove_dir(&directory)
}
