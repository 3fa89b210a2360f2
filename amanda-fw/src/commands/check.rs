//! `amanda-fw check`: says what a configuration comes to, or every mistake in it, without root.

use anyhow::Result;

use crate::cli::{CheckArgs, Global};
use crate::config::{self, Config, Host, Mistakes, Ruleset};
use crate::output::check::{self, Report, Service};
use crate::output::json;

/// Runs the command.
pub(crate) fn run(args: &CheckArgs, global: &Global) -> Result<()> {
    if args.schema {
        return global.terminal().print(&json(&config::schema())?);
    }
    if args.services {
        return services(args, global);
    }
    let host = Host::read()?;
    match read(args, global, &host) {
        Ok((config, ruleset)) => tell(args, global, &host, &config, &ruleset),
        Err(error) => {
            // Programs read standard output; people read the error.
            if let Some(mistakes) = error.downcast_ref::<Mistakes>().filter(|_| args.json) {
                global.terminal().print(&json(&Report::of_mistakes(mistakes))?)?;
            }
            Err(error)
        }
    }
}

fn read(args: &CheckArgs, global: &Global, host: &Host) -> Result<(Config, Ruleset)> {
    let config = config::load(args.file.as_deref().or(global.config.as_deref()))?;
    let ruleset = config::compile(&config, host)?;
    Ok((config, ruleset))
}

fn tell(
    args: &CheckArgs,
    global: &Global,
    host: &Host,
    config: &Config,
    ruleset: &Ruleset,
) -> Result<()> {
    let warnings = config::warnings(config, host);
    let mut terminal = global.terminal();
    if args.json {
        return terminal.print(&json(&Report::new(ruleset, host, &warnings))?);
    }
    let warnings = warnings.render(terminal.has_color());
    terminal.print(&format!("{warnings}{}", check::text(config.name(), ruleset, host)))
}

fn services(args: &CheckArgs, global: &Global) -> Result<()> {
    let services = config::services();
    let text = if args.json {
        let service = |&(name, ports)| Service { name, ports };
        json(&services.iter().map(service).collect::<Vec<_>>())?
    } else {
        check::services_text(services)
    };
    global.terminal().print(&text)
}
