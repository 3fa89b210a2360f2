//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::commands::{attach, check, detach, list, status};
use crate::device::Mode;
use crate::output::terminal::Terminal;

/// A stateful firewall for hosts and gateways that run the Amanda network backup system.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Configuration [default: /etc/amanda-fw/amanda-fw.toml, or else built-in defaults]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where the firewall lives while no loader runs
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        env = "AMANDA_FW_BPFFS",
        default_value = "/sys/fs/bpf/amanda-fw"
    )]
    pub(crate) bpffs: PathBuf,
    /// Show what the BPF programs log; repeat for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: ColorChoice,
}

impl Global {
    /// Takes standard output.
    pub(crate) fn terminal(&self) -> Terminal {
        Terminal::new(self.color)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enforces the configuration on interfaces, and shows decisions until Ctrl-C
    Attach(AttachArgs),
    /// Takes the firewall off all interfaces, or off some
    Detach(DetachArgs),
    /// Shows interfaces, tables, counters and sessions
    Status(StatusArgs),
    /// Lists the entries of a table
    List(ListArgs),
    /// Looks for mistakes in a configuration, and shows what it comes to; needs no root
    Check(CheckArgs),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        match self {
            Self::Attach(args) => attach::run(args, global),
            Self::Detach(args) => detach::run(args, global),
            Self::Status(args) => status::run(args, global),
            Self::List(args) => list::run(args, global),
            Self::Check(args) => check::run(args, global),
        }
    }
}

/// What `attach` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct AttachArgs {
    /// Network interfaces
    #[arg(value_name = "IFACE", required = true)]
    pub(crate) interfaces: Vec<String>,
    /// Where to meet incoming packets [default: as configured, or else auto]
    #[arg(long)]
    pub(crate) mode: Option<Mode>,
    /// Leave the firewall on when this program ends
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What `detach` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct DetachArgs {
    /// Network interfaces [default: all]
    #[arg(value_name = "IFACE")]
    pub(crate) interfaces: Vec<String>,
}

/// What `status` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArgs {
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `list` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListArgs {
    /// The table
    pub(crate) table: ListTable,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListTable {
    /// Tracked connections and conversations
    Flows,
    /// Ports that a reply announced and nobody has connected to yet
    Expectations,
    /// Amanda's transactions with their streams
    Sessions,
    /// The rules in force
    Rules,
}

/// What `check` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration [default: that of --config]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn check(line: &str, is_right: bool) {
        let words = std::iter::once("amanda-fw").chain(line.split_whitespace());
        assert_eq!(Cli::try_parse_from(words).is_ok(), is_right, "{line}");
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_what_the_manual_says() {
        check("attach eth0 eth1 --mode xdp-generic --keep", true);
        check("--config a.toml --bpffs /x --color never -vv attach eth0", true);
        check("detach", true);
        check("detach eth0 --bpffs /x", true);
        check("status --json", true);
        check("list flows --json", true);
        check("list rules", true);
        check("check a.toml", true);
        check("attach", false);
        check("attach eth0 --mode fast", false);
        check("list nat", false);
        check("", false);
    }
}
