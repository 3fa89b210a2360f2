//! amanda-fw under test: attached in a namespace, followed while it runs, detached when dropped.

pub mod loader;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
    time::Duration,
};

use amanda_fw_common::settings::Settings;
use anyhow::{Context, Result, bail};
use aya::maps::{Array, Map, MapData};

use crate::{
    bench::{BPFFS, Bench, remove_directory, unique_name},
    netns::Namespace,
    process::{Capture, Child, Finished, run},
    wait,
};

/// Names the amanda-fw to test, instead of the one beside the running executable.
pub const PROGRAM_VARIABLE: &str = "AMANDA_FW_BIN";

/// Begins the line that says that every program is in place.
const ATTACHED: &str = "attached";

/// The longest that loading and attaching may take on a busy machine.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest that detaching may take.
const DETACH_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that a question may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(20);

/// An attached amanda-fw.
#[derive(Debug)]
pub struct Firewall<'a> {
    program: PathBuf,
    namespace: &'a Namespace,
    config: PathBuf,
    pins: PathBuf,
    // Nothing once detached.
    loader: Option<Child>,
}

impl<'a> Firewall<'a> {
    /// Attaches amanda-fw to an interface of `namespace`, and waits until it enforces `config`.
    pub fn attach(
        bench: &Bench,
        namespace: &'a Namespace,
        interface: &str,
        config: &str,
    ) -> Result<Self> {
        Self::attach_all(bench, namespace, &[interface], config)
    }

    /// Attaches amanda-fw to several interfaces of `namespace`, and waits until it enforces
    /// `config`.
    pub fn attach_all(
        bench: &Bench,
        namespace: &'a Namespace,
        interfaces: &[&str],
        config: &str,
    ) -> Result<Self> {
        mount_bpffs();
        let program = program()?;
        let config_file = bench.path(unique_name("config.toml"));
        fs::write(&config_file, config).context("write a firewall's config")?;
        let pins = Path::new(BPFFS).join(unique_name("pins"));
        let mut command = namespace.enter_net_only_until("INT", &program);
        command.arg("--config").arg(&config_file).arg("--bpffs").arg(&pins);
        let loader = Child::spawn(command.arg("attach").args(interfaces))?;
        let mut firewall =
            Self { program, namespace, config: config_file, pins, loader: Some(loader) };
        wait::until("amanda-fw to attach", ATTACH_TIMEOUT, || firewall.is_attached())
            .with_context(|| format!("attach amanda-fw in {}", namespace.name()))?;
        Ok(firewall)
    }

    /// Returns the decisions streamed so far and to come, a line each.
    pub fn events(&self) -> Result<&Capture> {
        Ok(self.loader.as_ref().context("follow a detached firewall")?.stdout())
    }

    /// Returns everything that the loader has said.
    pub fn account(&self) -> Result<String> {
        let loader = self.loader.as_ref().context("read a detached firewall")?;
        Ok(format!("{}{}", loader.stderr().text()?, loader.stdout().text()?))
    }

    /// Returns what `amanda-fw status` prints, with further options.
    pub fn status(&self, options: &[&str]) -> Result<String> {
        self.ask("status", options)
    }

    /// Returns what a subcommand of amanda-fw prints about this firewall.
    pub fn ask(&self, subcommand: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.arg(subcommand).args(arguments);
        Ok(run(&mut command, STATUS_TIMEOUT)?.require_success()?.stdout)
    }

    /// Changes the config, and has it applied.
    pub fn reload(&self, config: &str) -> Result<String> {
        fs::write(&self.config, config).context("change a firewall's config")?;
        self.ask("reload", &[])
    }

    /// Changes the settings of the first ruleset while they are in force, for what no configuration
    /// says.
    pub fn revise(&self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let pin = self.pins.join("rulesets/1/SETTINGS");
        let data =
            MapData::from_pin(&pin).with_context(|| format!("open map {}", pin.display()))?;
        let mut array = Array::<_, [u8; size_of::<Settings>()]>::try_from(Map::Array(data))
            .context("use the map of the settings")?;
        let mut settings = bytemuck::cast(array.get(&0, 0).context("read the settings")?);
        change(&mut settings);
        array.set(0, bytemuck::cast::<_, [u8; _]>(settings), 0).context("write the settings")
    }

    /// Detaches as Ctrl-C does, and returns how the loader ended.
    pub fn detach(mut self) -> Result<Finished> {
        let loader = self.loader.take().context("detach a firewall again")?;
        loader.interrupt(DETACH_TIMEOUT)
    }

    fn command(&self) -> Command {
        let mut command = self.namespace.enter_net_only(&self.program);
        command.arg("--bpffs").arg(&self.pins);
        command
    }

    /// Looks for the line that says so, and fails when the loader has ended instead.
    fn is_attached(&mut self) -> Result<Option<()>> {
        let loader = self.loader.as_mut().context("wait for a detached firewall")?;
        let ended = loader.ended()?;
        let (stdout, stderr) = (loader.stdout().text()?, loader.stderr().text()?);
        if let Some(status) = ended {
            bail!("amanda-fw ended with {status}: {stderr}{stdout}");
        }
        let attached = stdout.lines().chain(stderr.lines()).any(|line| line.starts_with(ATTACHED));
        Ok(attached.then_some(()))
    }
}

impl Drop for Firewall<'_> {
    fn drop(&mut self) {
        if let Some(loader) = self.loader.take() {
            // A loader that does not listen is killed, and its pins are removed for it.
            let _ = loader.interrupt(DETACH_TIMEOUT);
        }
        remove_directory(&self.pins);
    }
}

/// Finds amanda-fw in the directory that cargo builds this executable in, or above it.
fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os(PROGRAM_VARIABLE) {
        return Ok(program.into());
    }
    let executable = std::env::current_exe().context("find this executable")?;
    let beside = executable.ancestors().skip(1).take(2).map(|path| path.join("amanda-fw"));
    beside.into_iter().find(|path| path.is_file()).with_context(|| {
        format!(
            "find amanda-fw beside {}: run `cargo build`, or name it in {PROGRAM_VARIABLE}",
            executable.display()
        )
    })
}

/// Mounts the BPF file system where it belongs, if nobody has.
fn mount_bpffs() {
    static MOUNTED: Once = Once::new();
    MOUNTED.call_once(|| {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        if !mounts.lines().any(|line| line.split(' ').nth(1) == Some(BPFFS)) {
            // When it fails, amanda-fw says why it cannot pin.
            let _ = Command::new("mount").args(["-t", "bpf", "bpf", BPFFS]).output();
        }
    });
}
