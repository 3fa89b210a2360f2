//! Packs a guest's file system: busybox, some files, and an /init that runs a list of commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::boot;
use crate::process;

/// What a guest has beside its kernel.
pub(super) struct Guest {
    /// Files of this machine and their paths in the guest; one is `bin/busybox`.
    pub(super) files: Vec<(PathBuf, &'static str)>,
    /// Lines for the guest's shell, each run in a shell of its own.
    pub(super) commands: Vec<String>,
}

impl Guest {
    /// Packs the guest into an archive in `folder`, and returns its path.
    pub(super) fn pack(&self, folder: &Path) -> Result<PathBuf> {
        let root = folder.join("root");
        for (file, name) in &self.files {
            install(file, &root.join(name))?;
        }
        let init = root.join("init");
        fs::write(&init, init_script(&self.commands)).context("write the guest's /init")?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))
            .context("make the guest's /init executable")?;
        archive(&root, &folder.join("initramfs.cpio"))
    }
}

fn install(file: &Path, place: &Path) -> Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).context("create the guest's folders")?;
    }
    fs::copy(file, place).with_context(|| format!("copy {} for the guest", file.display()))?;
    Ok(())
}

fn archive(root: &Path, archive: &Path) -> Result<PathBuf> {
    let mut shell = Command::new("sh");
    shell.current_dir(root).args(["-c", "find . | cpio --quiet -o -H newc > \"$0\""]).arg(archive);
    process::run(&mut shell).context("pack the initramfs")?;
    Ok(archive.to_owned())
}

/// The memory limit is for kernels before 5.11, which charge BPF maps to it.
const PROLOGUE: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /run /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
echo 1 > /proc/sys/net/core/bpf_jit_enable
ulimit -l unlimited
";

fn init_script(commands: &[String]) -> String {
    let mut script = PROLOGUE.to_owned();
    script += &format!("echo; echo \"{} $(uname -r)\"\n", boot::RELEASE);
    for command in commands {
        script += &format!("echo {}\n( {command}\n) 2>&1\n", boot::BEGIN);
        script += &format!("echo \"{} $?\"\n", boot::END);
    }
    script + "poweroff -f\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_runs_between_markers() {
        let script = init_script(&["true".to_owned(), "exit 3".to_owned()]);
        let (_, commands) = script.split_once("uname -r)\"\n").expect("a line with the release");
        assert_eq!(
            commands,
            "echo @@begin\n( true\n) 2>&1\necho \"@@end $?\"\n\
             echo @@begin\n( exit 3\n) 2>&1\necho \"@@end $?\"\npoweroff -f\n"
        );
    }
}
