//! A stateful firewall for hosts and gateways that run the Amanda network backup system.

mod addresses;
mod adopt;
mod aging;
mod bpffs;
mod cli;
mod clock;
mod clsact;
mod commands;
mod config;
mod device;
mod ended;
mod events;
mod explain;
mod firewall;
mod import;
mod in_memory;
mod lock;
mod lockout;
mod maps;
mod nat;
mod output;
mod privileges;
mod request;
mod rule_names;
mod rulesets;
mod slots;
mod sockets;
mod switch;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Error;
use clap::Parser;

use cli::Cli;
use config::{Mistakes, Unreadable};

/// The exit status for what the caller wrote wrongly; clap's too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    match command.run(&global) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads standard error, the exit status still tells.
            let _ = io::stderr().write_all(describe(&error, global.colors_errors()).as_bytes());
            exit_code(&error)
        }
    }
}

/// Writes an error, and each of its causes on a line of its own.
fn describe(error: &Error, color: bool) -> String {
    if let Some(mistakes) = error.downcast_ref::<Mistakes>() {
        return mistakes.render(color);
    }
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    text
}

fn exit_code(error: &Error) -> ExitCode {
    let is_config = error.is::<Mistakes>() || error.is::<Unreadable>();
    let is_usage = is_config || error.is::<import::Foreign>();
    if is_usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn check(error: &Error, text: &str, status: ExitCode) {
        assert_eq!(describe(error, false), text);
        assert_eq!(exit_code(error), status);
    }

    #[test]
    fn an_error_is_followed_by_its_causes() {
        let error = anyhow!("no such map").context("open map FLOWS").context("attach eth0");
        let text = "error: attach eth0\n  because: open map FLOWS\n  because: no such map\n";
        check(&error, text, ExitCode::FAILURE);
    }

    #[test]
    fn a_configuration_that_cannot_be_used_has_a_status_of_its_own() {
        let path = std::path::Path::new("/nonexistent/x.toml");
        let error = config::load(Some(path)).expect_err("no such file");
        let text = "error: read the configuration /nonexistent/x.toml\n  \
                    because: No such file or directory (os error 2)\n";
        check(&error, text, ExitCode::from(USAGE));
        let error = import::from_iptables(&[]).expect_err("no input");
        assert_eq!(exit_code(&error), ExitCode::from(USAGE));
    }
}
