//! amanda-fw by hand: any subcommand with any options, and any end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{ATTACH_TIMEOUT, ATTACHED, STATUS_TIMEOUT, mount_bpffs, program};
use crate::{
    bench::{BPFFS, Bench, remove_directory, unique_name},
    netns::Namespace,
    process::{Child, Finished, run},
    wait,
};

/// A config and a pin directory, for as many runs of amanda-fw as wanted.
#[derive(Debug)]
pub struct Loader<'a> {
    program: PathBuf,
    namespace: &'a Namespace,
    config: PathBuf,
    pins: PathBuf,
}

impl<'a> Loader<'a> {
    /// Writes the config; nothing is started yet.
    pub fn new(bench: &Bench, namespace: &'a Namespace, config: &str) -> Result<Self> {
        mount_bpffs();
        let file = bench.path(unique_name("config.toml"));
        fs::write(&file, config).context("write a firewall's config")?;
        let pins = Path::new(BPFFS).join(unique_name("pins"));
        Ok(Self { program: program()?, namespace, config: file, pins })
    }

    /// Changes the config for what is started from now on.
    pub fn write_config(&self, config: &str) -> Result<()> {
        fs::write(&self.config, config).context("write a firewall's config")
    }

    /// Returns the file of the config.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Starts a subcommand that is not told the config; dropped, it is killed.
    pub fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.namespace.enter_net_only(&self.program);
        Child::spawn(command.arg("--bpffs").arg(&self.pins).args(arguments))
    }

    /// Starts `amanda-fw attach`, and waits until it enforces; dropped, it is killed.
    pub fn attach(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.namespace.enter_net_only(&self.program);
        let mut child = Child::spawn(self.complete(&mut command).arg("attach").args(arguments))?;
        wait::until("amanda-fw to attach", ATTACH_TIMEOUT, || {
            let ended = child.ended()?;
            let stdout = child.stdout().text()?;
            if let Some(status) = ended {
                bail!("amanda-fw ended with {status}: {}{stdout}", child.stderr().text()?);
            }
            Ok(stdout.lines().any(|line| line.starts_with(ATTACHED)).then_some(()))
        })?;
        Ok(child)
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.namespace.enter_net_only(&self.program);
        run(self.complete(&mut command).args(arguments), STATUS_TIMEOUT)
    }

    /// Runs a subcommand as root without any capability.
    pub fn run_without_capabilities(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.namespace.enter_net_only("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(&self.program);
        run(self.complete(&mut command).args(arguments), STATUS_TIMEOUT)
    }

    /// Writes a command line for a shell elsewhere in the namespace.
    #[must_use]
    pub fn command_line(&self, arguments: &str) -> String {
        let [program, config, pins] =
            [&self.program, &self.config, &self.pins].map(|p| p.display());
        format!("'{program}' --config '{config}' --bpffs '{pins}' {arguments}")
    }

    /// Returns the program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns the directory of the pins.
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    fn complete<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.arg("--config").arg(&self.config).arg("--bpffs").arg(&self.pins)
    }
}

impl Drop for Loader<'_> {
    fn drop(&mut self) {
        // Without its pins, the kernel takes the programs off.
        remove_directory(&self.pins);
    }
}
