//! Boots a kernel under qemu and reads what its /init says on the serial console.

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

/// What one command of the guest printed, and its exit status if it came to an end.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Step {
    pub(super) output: Vec<String>,
    pub(super) status: Option<i32>,
}

/// Boots and returns all that the console showed, which a guest that hangs leaves unfinished.
///
/// Emulation (tcg) needs no rights and no nested virtualisation, and a boot is seconds.
pub(super) fn boot(vmlinuz: &Path, initramfs: &Path, timeout: u64) -> Result<String> {
    let mut qemu = Command::new("timeout");
    qemu.arg("--kill-after=5").arg(timeout.to_string()).arg("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-m", "1G", "-nographic", "-no-reboot", "-nic", "none"]);
    qemu.arg("-kernel").arg(vmlinuz).arg("-initrd").arg(initramfs);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
    let output = qemu.stdin(Stdio::null()).output().context("start timeout and qemu")?;
    if !output.status.success() && output.status.code() != Some(TIMED_OUT) {
        bail!("qemu failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

/// Returns the kernel's own name of its release, if it came as far as /init.
pub(super) fn release(console: &str) -> Option<String> {
    let line = console.lines().find_map(|line| line.strip_prefix(RELEASE))?;
    Some(line.trim().to_owned())
}

/// Returns the guest's commands in order.
pub(super) fn steps(console: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open: Option<Step> = None;
    for line in console.lines() {
        if line == BEGIN {
            steps.extend(open.replace(Step::default()));
        } else if let Some(status) = line.strip_prefix(END) {
            let ended = open.take();
            steps.extend(ended.map(|step| Step { status: status.trim().parse().ok(), ..step }));
        } else if let Some(step) = &mut open {
            step.output.push(line.to_owned());
        }
    }
    steps.extend(open);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_of_the_markers_is_no_output() {
        check("SeaBIOS\n@@begin\na\nb\n@@end 0\nreboot: Power down\n", &[(&["a", "b"], Some(0))]);
    }

    #[test]
    fn every_command_has_its_own_status() {
        check("@@begin\n@@end 1\n@@begin\nx\n@@end 0\n", &[(&[], Some(1)), (&["x"], Some(0))]);
    }

    #[test]
    fn a_command_that_never_ended_has_no_status() {
        check("@@begin\nhalf", &[(&["half"], None)]);
        check("@@begin\n@@end 4x", &[(&[], None)]);
        check("Kernel panic", &[]);
    }

    #[test]
    fn the_release_is_the_kernels_own() {
        assert_eq!(release("x\n@@release 6.1.0-50\n").as_deref(), Some("6.1.0-50"));
        assert_eq!(release("Kernel panic"), None);
    }

    #[track_caller]
    fn check(console: &str, expected: &[(&[&str], Option<i32>)]) {
        let found = steps(console);
        let found: Vec<_> = found
            .iter()
            .map(|step| (step.output.iter().map(String::as_str).collect(), step.status))
            .collect();
        let expected: Vec<(Vec<&str>, _)> =
            expected.iter().map(|(output, status)| (output.to_vec(), *status)).collect();
        assert_eq!(found, expected);
    }
}
