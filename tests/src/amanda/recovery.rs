//! Recoveries: what an operator types to get one file back.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result};

use super::{
    Backup, CLIENT_NAME, FILE, SERVER_NAME,
    config::{AMANDA_TMPDIR, CONFIG, RESTORED},
};
use crate::host::Host;
use crate::process::{Finished, run, run_fed};

/// Where the client puts recovered files.
const DIRECTORY: &str = "/tmp/recovered";

/// A run of amrecover or amfetchdump.
#[derive(Debug)]
pub struct Recovery {
    /// How it ended and what it said.
    pub finished: Finished,
    /// The recovered file, when there is one.
    pub bytes: Option<Vec<u8>>,
}

/// Recovers a file on a host, of the dumps of a host of that name.
pub(super) fn recover(host: &Host, name: &str, disk: &str, timeout: Duration) -> Result<Recovery> {
    let mut amrecover = host.command("amrecover");
    recover_with(host, amrecover.arg(CONFIG), &dialogue(name, disk), timeout)
}

pub(super) fn run_classic(site: &Backup, disk: &str, timeout: Duration) -> Result<Recovery> {
    let mut amoldrecover = site.client.command("amoldrecover");
    amoldrecover.args(["-C", CONFIG, "-s", SERVER_NAME, "-t", SERVER_NAME]);
    recover_with(&site.client, &mut amoldrecover, &dialogue(CLIENT_NAME, disk), timeout)
}

fn recover_with(
    host: &Host,
    command: &mut Command,
    dialogue: &str,
    timeout: Duration,
) -> Result<Recovery> {
    let root = host.root();
    root.create_directory(DIRECTORY)?;
    let recovered = root.outside(DIRECTORY).join(FILE);
    if recovered.exists() {
        fs::remove_file(&recovered).context("remove a file recovered earlier")?;
    }
    let finished = run_fed(command, dialogue, timeout)?;
    Ok(Recovery { finished, bytes: fs::read(&recovered).ok() })
}

/// Restores a disk on the server, from its own tapes.
pub(super) fn fetch(site: &Backup, disk: &str, timeout: Duration) -> Result<Recovery> {
    let finished = run(&mut fetching(site, "--extract", disk), timeout)?;
    let restored = site.server.root().outside(RESTORED).join(FILE);
    Ok(Recovery { finished, bytes: fs::read(restored).ok() })
}

/// Restores a disk on the client, with the server's amfetchdump.
pub(super) fn fetch_to_client(site: &Backup, disk: &str, timeout: Duration) -> Result<Recovery> {
    let finished = run(&mut fetching_to_client(site, disk), timeout)?;
    // For the program GNUTAR, Amanda 3.5.1 does not heed the directory that it is told.
    let restored = site.client.root().outside(AMANDA_TMPDIR).join(FILE);
    Ok(Recovery { finished, bytes: fs::read(restored).ok() })
}

/// Returns the command of a restore on the client.
pub(super) fn fetching_to_client(site: &Backup, disk: &str) -> Command {
    fetching(site, &format!("--extract-client={CLIENT_NAME}"), disk)
}

fn fetching(site: &Backup, option: &str, disk: &str) -> Command {
    let mut amfetchdump = site.server.command_as_amanda("amfetchdump");
    amfetchdump.args(["-a", option, "--target", RESTORED, CONFIG, CLIENT_NAME]);
    // An expression, which would fit other disks as well.
    amfetchdump.arg(format!("{disk}$"));
    amfetchdump
}

/// Returns the operator's lines; the two `Y` accept the tape and the directory.
fn dialogue(name: &str, disk: &str) -> String {
    format!("sethost {name}\nsetdisk {disk}\nadd {FILE}\nlcd {DIRECTORY}\nextract\nY\nY\nquit\n")
}
