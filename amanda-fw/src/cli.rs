//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::commands::{attach, check, confirm, detach, explain, import, list, reload, status};
use crate::config;
use crate::device::Mode;
use crate::output::terminal::{self, Terminal};

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
    /// Returns the level up to which the programs log, in aya-log's numbers.
    pub(crate) fn log_level(&self) -> u8 {
        const NONE: u8 = 0;
        const DEBUG: u8 = 4;
        const TRACE: u8 = 5;
        match self.verbose {
            0 => NONE,
            1 => DEBUG,
            _ => TRACE,
        }
    }

    /// Tells whether errors may have colour.
    pub(crate) fn colors_errors(&self) -> bool {
        terminal::has_color(self.color, &std::io::stderr())
    }

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
    /// Applies the changed configuration at once and whole; flows and expectations stay
    Reload(ReloadArgs),
    /// Keeps the firewall on that was attached with --confirm
    Confirm,
    /// Says what would happen to a packet now, and which rule, flow or expectation says so
    Explain(ExplainArgs),
    /// Takes the firewall off all interfaces, or off some
    Detach(DetachArgs),
    /// Shows interfaces, tables, counters and sessions
    Status(StatusArgs),
    /// Lists the entries of a table
    List(ListArgs),
    /// Looks for mistakes in a configuration, and shows what it comes to; needs no root
    Check(CheckArgs),
    /// Drafts a configuration from rules of iptables, or from a configuration of Amanda
    Import(ImportArgs),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        match self {
            Self::Attach(args) => attach::run(args, global),
            Self::Reload(args) => reload::run(args, global),
            Self::Confirm => confirm::run(global),
            Self::Explain(args) => explain::run(args, global),
            Self::Detach(args) => detach::run(args, global),
            Self::Status(args) => status::run(args, global),
            Self::List(args) => list::run(args, global),
            Self::Check(args) => check::run(args, global),
            Self::Import(args) => import::run(args, global),
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
    /// Take everything off again unless `amanda-fw confirm` comes within a time such as 30s
    #[arg(long, value_name = "TIME", value_parser = config::time)]
    pub(crate) confirm: Option<Duration>,
    /// Attach although you could not connect again by ssh, or open connections may be cut
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `reload` is told.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Reload although you could not connect again by ssh
    #[arg(long)]
    pub(crate) force: bool,
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
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
    /// Write flows or expectations for what reads the lines of another program
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<ListFormat>,
}

/// Whose lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Those of conntrack(8)
    Conntrack,
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
    /// Translated flows, and what sources are bound to
    Nat,
}

/// What `check` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration [default: that of --config]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the JSON schema of configurations, for editors
    #[arg(long, conflicts_with_all = ["file", "services"])]
    pub(crate) schema: bool,
    /// List the services that rules may name
    #[arg(long, conflicts_with = "file")]
    pub(crate) services: bool,
}

/// What `explain` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Name or number of the protocol
    pub(crate) protocol: String,
    /// Where the packet comes from: `10.0.0.1:40000`, `[fd00::1]:40000`, or without ports `10.0.0.1`
    pub(crate) source: String,
    /// Where it goes
    pub(crate) destination: String,
    /// It comes in by an interface [default: the one that the firewall is attached to]
    #[arg(long = "in", value_name = "IFACE")]
    pub(crate) incoming: Option<String>,
    /// It goes out by an interface; with --in and --offline it goes through the host
    #[arg(long = "out", value_name = "IFACE")]
    pub(crate) outgoing: Option<String>,
    /// TCP flags
    #[arg(long, value_name = "FLAGS", default_value = "SYN")]
    pub(crate) flags: String,
    /// Name or number of the ICMP type [default: echo-request]
    #[arg(long, value_name = "TYPE")]
    pub(crate) icmp_type: Option<String>,
    /// Ask the configuration alone, not the firewall that is attached; needs no root
    #[arg(long)]
    pub(crate) offline: bool,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `import` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// What to draft from.
    #[command(subcommand)]
    pub(crate) source: ImportSource,
}

/// What can be imported.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// Output of iptables-save and ip6tables-save, or scripts of iptables commands
    Iptables(ImportIptablesArgs),
    /// amanda.conf and disklist: a draft for the server, and one for each client
    Amanda(ImportAmandaArgs),
}

/// What `import iptables` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportIptablesArgs {
    /// Files of one or of both families; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where to write.
    #[command(flatten)]
    pub(crate) output: ImportOutput,
}

/// What `import amanda` is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportAmandaArgs {
    /// Directory of a configuration, like /etc/amanda/DailySet1
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Address of the backup server, as clients see it [default: what this host's name has]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) server: Option<std::net::IpAddr>,
    /// Where to write.
    #[command(flatten)]
    pub(crate) output: ImportOutput,
}

/// Where `import` writes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportOutput {
    /// File to write, for amanda a directory [default: standard output]
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Write over files that exist
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
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
        check("list nat --json", true);
        check("list flows --output conntrack", true);
        check("list flows --output conntrack --json", false);
        check("list flows --output xml", false);
        check("attach eth0 --confirm 30s", true);
        check("reload --config a.toml --force", true);
        check("confirm", true);
        check("explain tcp 10.0.0.1:1 10.0.0.2:22 --in eth0 --flags SYN,ACK --json", true);
        check("explain icmp 10.0.0.1 10.0.0.2 --icmp-type 8 --offline", true);
        check("explain tcp 10.0.0.1:1", false);
        check("explain tcp 10.0.0.1:1 10.0.0.2:22 --in a --out b", true);
        check("attach eth0 --confirm soon", false);
        check("check a.toml --json", true);
        check("check --schema", true);
        check("check --services --json", true);
        check("attach eth0 --force", true);
        check("import iptables rules.v4 rules.v6 --output a.toml --force", true);
        check("import iptables -", true);
        check("import amanda /etc/amanda/DailySet1 --server 192.0.2.1 --output drafts", true);
        check("import iptables", false);
        check("import iptables - --force", false);
        check("attach", false);
        check("attach eth0 --mode fast", false);
        check("list routes", false);
        check("check a.toml --schema", false);
        check("", false);
    }
}
