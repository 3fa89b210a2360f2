//! The kernel's log, with what netfilter's LOG target writes in namespaces.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use rustix::fs::OFlags;

/// Lets LOG targets of every network namespace write, which is off by default.
const ALL_NAMESPACES: &str = "/proc/sys/net/netfilter/nf_log_all_netns";

/// The longest record.
const LONGEST: usize = 8192;

static OWNER: Mutex<()> = Mutex::new(());

/// Keeps the LOG targets of namespaces silent as far as this process goes, lest many lines of one
/// test push out those of another.
pub fn silence() -> MutexGuard<'static, ()> {
    OWNER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The records of the kernel's log from now on; the sysctl is as it was when this is dropped.
#[derive(Debug)]
pub struct KernelLog {
    records: File,
    before: String,
    // The last field, so that the sysctl is restored before another may set it.
    _owner: MutexGuard<'static, ()>,
}

impl KernelLog {
    /// Follows the log, once nobody else in this process does.
    pub fn follow() -> Result<Self> {
        let owner = silence();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let mut records = options.open("/dev/kmsg").context("open the kernel's log")?;
        records.seek(SeekFrom::End(0)).context("find the end of the kernel's log")?;
        let before = fs::read_to_string(ALL_NAMESPACES).context("read nf_log_all_netns")?;
        fs::write(ALL_NAMESPACES, "1").context("set nf_log_all_netns")?;
        Ok(Self { records, before, _owner: owner })
    }

    /// Returns what has been written since the last question, a line each.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some(record) = self.record()? {
            // `priority,sequence,time,flags;text`, then lines with further fields.
            let first = record.lines().next().unwrap_or_default();
            lines.extend(first.split_once(';').map(|(_, text)| text.to_owned()));
        }
        Ok(lines)
    }

    fn record(&mut self) -> Result<Option<String>> {
        let mut bytes = vec![0; LONGEST];
        match self.records.read(&mut bytes) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&bytes[..length]).into_owned())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            // The next record was written over by newer ones: those follow.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Some(String::new())),
            Err(error) => Err(error).context("read the kernel's log"),
        }
    }
}

impl Drop for KernelLog {
    fn drop(&mut self) {
        // Where this fails, namespaces go on writing into the log: no harm.
        let _ = fs::write(ALL_NAMESPACES, self.before.trim());
    }
}
