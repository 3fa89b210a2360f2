//! `amanda-fw status`: shows what is going on, without loading a program or changing a map.

use amanda_fw_common::settings::Settings;
use anyhow::Result;

use crate::cli::{Global, StatusArgs};
use crate::output::opening;
use crate::output::status::{self, Fill, Interface, Policy, Ruleset, Snapshot};
use crate::view::View;
use crate::{clock, device, firewall, maps, output};

/// Runs the command.
pub(crate) fn run(args: &StatusArgs, global: &Global) -> Result<()> {
    let snapshot = snapshot(&View::open(global)?)?;
    let text = if args.json { output::json(&snapshot)? } else { snapshot.text() };
    global.terminal().print(&text)
}

fn snapshot(view: &View) -> Result<Snapshot> {
    let (counts, settings) = (maps::read_counts(view.maps())?, view.settings()?);
    let interface = |(name, pins): (String, Vec<String>)| Interface {
        index: device::index_of(&name),
        mode: firewall::mode_of(&pins),
        name,
    };
    Ok(Snapshot {
        interfaces: view.interfaces()?.into_iter().map(interface).collect(),
        ruleset: Ruleset::new(view.generation()?, view.config()?, &settings, clock::monotonic()),
        policy: Policy::of(&view.rules()?),
        openings: opening::rows(&settings.openings),
        tables: fills(view, &settings)?,
        reasons: status::reasons(&counts),
        occurrences: status::occurrences(&counts),
        sessions: view.sessions()?,
    })
}

fn fills(view: &View, settings: &Settings) -> Result<Vec<Fill>> {
    let of_translation: &[&str] = if settings.translates() { &maps::NAT_TABLES } else { &[] };
    let fill = |name: &&str| {
        Ok(Fill {
            name: name.to_lowercase(),
            entries: maps::count(view.maps(), name)?,
            capacity: maps::capacity(view.maps(), name)?.into(),
        })
    };
    maps::TABLES.iter().chain(of_translation).map(fill).collect()
}
