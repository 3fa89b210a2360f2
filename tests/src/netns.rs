//! Network namespaces with names, and the veth pairs between them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    bench::{NAMESPACE_FILES, NAMESPACES, remove_directory, unique_name},
    process::{dying_with_us, run},
};

/// The longest that an `ip` command may take.
const IP_TIMEOUT: Duration = Duration::from_secs(10);

/// A named network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace under a unique name, with its loopback interface up.
    pub fn new(purpose: &str) -> Result<Self> {
        let name = unique_name(purpose);
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Returns the unique name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file that stands for the namespace.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.name)
    }

    /// Writes the file that programs run by [`Namespace::command`] see as `/etc/<file>`.
    pub fn write_etc(&self, file: &str, text: &str) -> Result<()> {
        let directory = Path::new(NAMESPACE_FILES).join(&self.name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("create {}", directory.display()))?;
        let path = directory.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Returns a command that runs `program` in the namespace with its own /sys and /etc files.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = dying_with_us("KILL");
        command.args(["ip", "netns", "exec", &self.name]).arg(program.as_ref());
        command
    }

    /// Returns a command that runs `program` in the namespace with every mount as it is outside,
    /// bpffs among them.
    #[must_use]
    pub fn enter_net_only(&self, program: impl AsRef<Path>) -> Command {
        self.enter_net_only_until("KILL", program)
    }

    /// Returns a command like [`Namespace::enter_net_only`] does, whose program gets `signal` when
    /// this thread dies.
    #[must_use]
    pub fn enter_net_only_until(&self, signal: &str, program: impl AsRef<Path>) -> Command {
        let mut command = dying_with_us(signal);
        command.arg("nsenter").arg(self.net_option()).arg("--").arg(program.as_ref());
        command
    }

    /// Sets a sysctl of the namespace, named by its path below /proc/sys.
    pub fn set_sysctl(&self, path: &str, value: &str) -> Result<()> {
        let mut command = self.enter_net_only("sh");
        command.args(["-c", r#"echo "$2" > "/proc/sys/$1""#, "sh", path, value]);
        run(&mut command, IP_TIMEOUT)?
            .require_success()
            .with_context(|| format!("set sysctl {path}"))?;
        Ok(())
    }

    /// Returns the TCP sockets in a state that `ss` has a name for (`close-wait`), a line each.
    pub fn tcp_sockets(&self, state: &str) -> Result<String> {
        let mut command = self.enter_net_only("ss");
        command.args(["--no-header", "--numeric", "--tcp", "state", state]);
        Ok(run(&mut command, IP_TIMEOUT)?.require_success()?.stdout)
    }

    /// Returns nsenter's option for this namespace.
    pub(crate) fn net_option(&self) -> String {
        format!("--net={}", self.path().display())
    }

    /// Runs `ip` on the namespace.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", self.name.as_str()], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing is left to try when it fails; the next run sweeps.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
        remove_directory(&Path::new(NAMESPACE_FILES).join(&self.name));
    }
}

/// One end of a veth pair.
#[derive(Debug)]
pub struct Port<'a> {
    /// Where the end lives.
    pub namespace: &'a Namespace,
    /// Its name there.
    pub interface: &'a str,
    /// Its addresses with prefix lengths, IPv4 or IPv6.
    pub addresses: &'a [&'a str],
}

/// Joins two namespaces with a veth pair, both ends addressed and up.
pub fn connect(one: &Port<'_>, other: &Port<'_>) -> Result<()> {
    let peer = ["type", "veth", "peer", "name", other.interface, "netns", other.namespace.name()];
    one.namespace.ip(&[&["link", "add", one.interface], &peer[..]].concat())?;
    one.bring_up()?;
    other.bring_up()
}

impl Port<'_> {
    fn bring_up(&self) -> Result<()> {
        for address in self.addresses {
            // Duplicate address detection keeps an IPv6 address unusable for a second.
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            let add = ["address", "add", address, "dev", self.interface];
            self.namespace.ip(&[&add, nodad].concat())?;
        }
        self.namespace.ip(&["link", "set", self.interface, "up"])
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments), IP_TIMEOUT)?
        .require_success()
        .context("configure a network namespace")?;
    Ok(())
}
