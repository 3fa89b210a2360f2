//! A host of the bench: network, mounts, processes and name of its own, with inetd as its init.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    bench::Bench,
    netns::Namespace,
    process::{Child, dying_with_us},
    wait,
};

/// Directories of which each host sees a private one.
const DIRECTORIES: [&str; 6] =
    ["/etc/amanda", "/srv", "/tmp", "/var/backups", "/var/lib/amanda", "/var/log/amanda"];

/// Files of which each host sees a private one.
const FILES: [&str; 2] = ["/etc/hosts", "/etc/services"];

/// Where a host's inetd finds its services; below a private directory.
pub const INETD_CONF: &str = "/etc/amanda/inetd.conf";

/// Amanda's user in Debian, with its home directory.
const AMANDA_USER: [&str; 8] = [
    "setpriv",
    "--reuid=backup",
    "--regid=backup",
    "--init-groups",
    "--",
    "env",
    "HOME=/var/backups",
    "LC_ALL=C",
];

/// The longest that inetd may take to open its sockets.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A host's private files, to be filled before it starts.
#[derive(Debug)]
pub struct Root {
    directory: PathBuf,
    // Programs of which the host sees its own, by their paths.
    programs: Vec<&'static str>,
}

impl Root {
    /// Creates empty private directories and files.
    pub fn new(bench: &Bench, name: &str) -> Result<Self> {
        let root = Self { directory: bench.path(name), programs: Vec::new() };
        for directory in DIRECTORIES {
            root.create_directory(directory)?;
        }
        root.make_public("/tmp")?;
        for file in FILES {
            root.write(file, "")?;
        }
        Ok(root)
    }

    /// Returns where the bench finds what the host sees as `inside`.
    #[must_use]
    pub fn outside(&self, inside: &str) -> PathBuf {
        self.directory.join(inside.trim_start_matches('/'))
    }

    /// Creates a directory and its parents.
    pub fn create_directory(&self, inside: &str) -> Result<()> {
        fs::create_dir_all(self.outside(inside))
            .with_context(|| format!("create a host's {inside}"))
    }

    /// Writes a file, after creating its directory.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.outside(inside);
        let parent = path.parent().context("find the directory of a host's file")?;
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))
    }

    /// Writes a program that everybody may run.
    pub fn write_program(&self, inside: &str, content: impl AsRef<[u8]>) -> Result<()> {
        self.write(inside, content)?;
        self.set_mode(inside, 0o755)
    }

    /// Has the host see a program in place of the machine's, and finds room for the real one.
    pub fn wrap_program(
        &mut self,
        inside: &'static str,
        real: &str,
        wrapper: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.write_program(real, fs::read(inside).with_context(|| format!("read {inside}"))?)?;
        self.write_program(inside, wrapper)?;
        self.programs.push(inside);
        Ok(())
    }

    /// Lets everybody make files in a directory.
    pub fn make_public(&self, inside: &str) -> Result<()> {
        self.set_mode(inside, 0o1777)
    }

    /// Lets nobody but its owner read a file.
    pub fn make_private(&self, inside: &str) -> Result<()> {
        self.set_mode(inside, 0o600)
    }

    fn set_mode(&self, inside: &str, mode: u32) -> Result<()> {
        fs::set_permissions(self.outside(inside), fs::Permissions::from_mode(mode))
            .with_context(|| format!("set the mode of a host's {inside}"))
    }

    /// Returns the shell script that becomes the host: mounts, then inetd.
    fn start_script(&self) -> String {
        let bind = |inside: &&str| format!("mount --bind .{inside} {inside}\n");
        // /tmp comes last: the bench's own directory may be below it.
        let (temporary, others): (Vec<&str>, Vec<&str>) =
            DIRECTORIES.into_iter().chain(FILES).partition(|path| *path == "/tmp");
        let binds: String =
            self.programs.iter().chain(&others).chain(&temporary).map(bind).collect();
        // Amanda names its shared memory after process ids, which repeat on every host.
        format!(
            "set -e\n\
             cd \"$1\"\n\
             hostname \"$2\"\n\
             chown -R backup:backup etc/amanda var\n\
             mount -t tmpfs tmpfs /dev/shm\n\
             {binds}\
             cd /\n\
             exec inetd -i {INETD_CONF}\n"
        )
    }
}

/// A running host; its processes, mounts and network go when it is dropped.
#[derive(Debug)]
pub struct Host {
    init: Child,
    network: Namespace,
    root: Root,
}

impl Host {
    /// Starts a host called `name` on `network`, and waits until it listens on `port`.
    pub fn start(name: &str, network: Namespace, root: Root, port: u16) -> Result<Self> {
        let mut command = dying_with_us("KILL");
        command.arg("nsenter").arg(network.net_option()).args(["--", "unshare", "--mount"]);
        command.args(["--uts", "--ipc", "--pid", "--mount-proc", "--fork", "--kill-child", "--"]);
        command.args(["sh", "-c", &root.start_script(), "sh"]).arg(&root.directory).arg(name);
        let init = Child::spawn(&mut command)?;
        let mut host = Self { init, network, root };
        wait::until("inetd's sockets", START_TIMEOUT, || host.is_listening(port))
            .with_context(|| format!("start host {name}"))?;
        Ok(host)
    }

    /// Returns its network namespace.
    #[must_use]
    pub fn network(&self) -> &Namespace {
        &self.network
    }

    /// Returns its private files.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Returns a command that runs `program` on the host as root, in /tmp.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.enter();
        command.arg(program);
        command
    }

    /// Returns a command that runs `program` on the host as Amanda's user, in /tmp.
    #[must_use]
    pub fn command_as_amanda(&self, program: &str) -> Command {
        let mut command = self.enter();
        command.args(AMANDA_USER).arg(program);
        command
    }

    fn enter(&self) -> Command {
        let mut command = dying_with_us("KILL");
        command.arg("nsenter").arg(self.network.net_option());
        for (option, file) in
            [("mount", "mnt"), ("uts", "uts"), ("ipc", "ipc"), ("pid", "pid_for_children")]
        {
            command.arg(format!("--{option}=/proc/{}/ns/{file}", self.init.id()));
        }
        command.args(["--", "env", "--chdir=/tmp"]);
        command
    }

    /// Looks for a socket bound to `port`, and fails when the host has died.
    fn is_listening(&mut self, port: u16) -> Result<Option<()>> {
        if let Some(status) = self.init.ended()? {
            bail!("inetd ended with {status}: {}", self.init.stderr().text()?);
        }
        let bound = ["udp", "tcp"].into_iter().any(|table| self.has_socket(table, port));
        Ok(bound.then_some(()))
    }

    fn has_socket(&self, table: &str, port: u16) -> bool {
        let path = Path::new("/proc").join(self.init.id().to_string()).join("net").join(table);
        // The second word of a line is the local address: hexadecimal, with the port behind a colon.
        let suffix = format!(":{port:04X}");
        fs::read_to_string(path).is_ok_and(|sockets| {
            sockets
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1))
                .any(|local| local.ends_with(&suffix))
        })
    }
}
