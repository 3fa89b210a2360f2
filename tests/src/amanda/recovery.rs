//! amrecover's dialogue: what an operator types to get one file back.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use super::{CLIENT_NAME, FILE, Site, config::CONFIG};
use crate::process::{Finished, run_fed};

/// Where the client puts recovered files.
const DIRECTORY: &str = "/tmp/recovered";

/// A run of amrecover.
#[derive(Debug)]
pub struct Recovery {
    /// How amrecover ended and what it said.
    pub finished: Finished,
    /// The recovered file, when there is one.
    pub bytes: Option<Vec<u8>>,
}

pub(super) fn run(site: &Site, disk: &str, timeout: Duration) -> Result<Recovery> {
    let root = site.client.root();
    root.create_directory(DIRECTORY)?;
    let recovered = root.outside(DIRECTORY).join(FILE);
    if recovered.exists() {
        fs::remove_file(&recovered).context("remove a file recovered earlier")?;
    }
    let mut amrecover = site.client.command("amrecover");
    let finished = run_fed(amrecover.arg(CONFIG), &dialogue(disk), timeout)?;
    Ok(Recovery { finished, bytes: fs::read(&recovered).ok() })
}

/// Returns the operator's lines; the two `Y` accept the tape and the directory.
fn dialogue(disk: &str) -> String {
    format!(
        "sethost {CLIENT_NAME}\nsetdisk {disk}\nadd {FILE}\nlcd {DIRECTORY}\nextract\nY\nY\nquit\n"
    )
}
