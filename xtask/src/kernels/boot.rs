//! Boots a kernel under qemu and reads what its /init says on the serial console.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Marks the line with the kernel's release.
pub(super) const RELEASE: &str = "@@release";
/// Marks the start of a command's output.
pub(super) const BEGIN: &str = "@@begin";
/// Marks the end of a command's output, before its exit status.
pub(super) const END: &str = "@@end";

/// What `timeout` exits with when it had to end its command.
const TIMED_OUT: i32 = 124;

/// Boots, shows what the guest's commands print as it comes, and returns the whole console.
///
/// Emulation (tcg) needs no rights and no nested virtualisation, and a boot is seconds.
pub(super) fn boot(vmlinuz: &Path, initramfs: &Path, timeout: u64) -> Result<Console> {
    let mut qemu = Command::new("timeout");
    qemu.arg("--kill-after=5").arg(timeout.to_string()).arg("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-m", "1G", "-nographic", "-no-reboot", "-nic", "none"]);
    qemu.arg("-kernel").arg(vmlinuz).arg("-initrd").arg(initramfs);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut qemu = qemu.spawn().context("start timeout and qemu")?;
    let serial = qemu.stdout.take().context("open the guest's console")?;
    let console = show(BufReader::new(serial)).context("read the guest's console")?;
    let status = qemu.wait().context("wait for qemu")?;
    if !status.success() && status.code() != Some(TIMED_OUT) {
        bail!("qemu failed ({status})");
    }
    Ok(console)
}

fn show(mut serial: impl BufRead) -> std::io::Result<Console> {
    let mut console = Console::default();
    let mut bytes = Vec::new();
    while serial.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\r', '\n']);
        if console.read(line) {
            println!("{line}");
        }
        bytes.clear();
    }
    Ok(console)
}

/// What came over the serial console.
#[derive(Debug, Default)]
pub(super) struct Console {
    /// The kernel's own name of its release, if it came as far as /init.
    pub(super) release: Option<String>,
    /// The exit statuses of the guest's commands, in order; none for one that did not end.
    pub(super) statuses: Vec<Option<i32>>,
    /// Lines of the firmware, the kernel and others that are no command's output.
    pub(super) other: Vec<String>,
    is_in_command: bool,
}

impl Console {
    /// Takes the next line and reports whether a command printed it.
    fn read(&mut self, line: &str) -> bool {
        if line == BEGIN {
            self.statuses.push(None);
            self.is_in_command = true;
        } else if let Some(status) = line.strip_prefix(END) {
            self.end_command(status.trim().parse().ok());
        } else if let Some(release) = line.strip_prefix(RELEASE) {
            self.release = Some(release.trim().to_owned());
        } else if !self.is_in_command {
            self.other.push(line.to_owned());
        } else {
            return true;
        }
        false
    }

    fn end_command(&mut self, status: Option<i32>) {
        self.is_in_command = false;
        if let Some(last) = self.statuses.last_mut() {
            *last = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_of_the_markers_is_no_output() {
        let mut console = Console::default();
        let lines = ["SeaBIOS", BEGIN, "a", "b", "@@end 0", "reboot: Power down"];
        let printed: Vec<&str> = lines.into_iter().filter(|line| console.read(line)).collect();
        assert_eq!(printed, ["a", "b"]);
        assert_eq!(console.other, ["SeaBIOS", "reboot: Power down"]);
    }

    #[test]
    fn every_command_has_its_own_status() {
        check("@@begin\n@@end 1\n@@begin\nx\n@@end 0\n", None, &[Some(1), Some(0)]);
    }

    #[test]
    fn a_command_that_never_ended_has_no_status() {
        check("@@begin\nhalf", None, &[None]);
        check("@@begin\n@@end 4x", None, &[None]);
        check("Kernel panic", None, &[]);
    }

    #[test]
    fn the_release_is_the_kernels_own() {
        check("SeaBIOS\n@@release 6.1.0-50\n", Some("6.1.0-50"), &[]);
    }

    #[track_caller]
    fn check(text: &str, release: Option<&str>, statuses: &[Option<i32>]) {
        let console = show(text.replace('\n', "\r\n").as_bytes()).expect("read bytes");
        assert_eq!(console.release.as_deref(), release);
        assert_eq!(console.statuses, statuses);
    }
}
