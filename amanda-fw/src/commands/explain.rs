//! `explain`: says what would happen to a packet, and changes nothing.

use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::rules::Way;
use anyhow::{Context, Result, bail};

use crate::cli::{ExplainArgs, Global};
use crate::config::{self, Host, Ruleset};
use crate::device::{self, Device};
use crate::explain::{self, Packet, PacketWords};
use crate::output;
use crate::output::explanation::{Answer, RuleAnswer};
use crate::view::View;
use crate::{privileges, slots};

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs, global: &Global) -> Result<()> {
    let answer = if args.offline { offline(args, global) } else { online(args, global) }?;
    let text = if args.json { output::json(&answer)? } else { answer.text() };
    global.terminal().print(&text)
}

/// Returns the name of the interface that is asked about, and which way the packet goes.
fn place(args: &ExplainArgs) -> (Option<&str>, Way) {
    match &args.outgoing {
        Some(name) => (Some(name), Way::Out),
        None => (args.incoming.as_deref(), Way::In),
    }
}

fn words(args: &ExplainArgs) -> PacketWords<'_> {
    PacketWords {
        protocol: &args.protocol,
        source: &args.source,
        destination: &args.destination,
        flags: &args.flags,
        icmp_type: args.icmp_type.as_deref(),
    }
}

fn offline(args: &ExplainArgs, global: &Global) -> Result<Answer> {
    let config = config::load(global.config.as_deref())?;
    let host = Host::read()?;
    let ruleset: Ruleset = config::compile(&config, &host)?;
    let (name, way) = place(args);
    let index = name.map_or(Ok(0), |name| {
        let index = host.interfaces.get(name).copied();
        index.with_context(|| format!("no interface is called {name}; `ip link` lists them"))
    })?;
    let packet = Packet::read(&words(args), way, index)?;
    let explanation = explain::by_config(&packet, &ruleset)?;
    // The slot of a rule is its place here.
    let infos = slots::by_place(&ruleset.rules, &host);
    Ok(Answer::new(&packet, name, &explanation, |slot| rule(&infos, slot)))
}

fn online(args: &ExplainArgs, global: &Global) -> Result<Answer> {
    let view = View::open(global)?;
    privileges::raise_memlock();
    let (name, way) = place(args);
    let device = device(&view, name)?;
    let packet = Packet::read(&words(args), way, device.index)?;
    let infos = view.rules()?;
    let explanation = explain::by_programs(&packet, &device, view.pins(), &infos)?;
    Ok(Answer::new(&packet, Some(&device.name), &explanation, |slot| rule(&infos, slot)))
}

fn rule(infos: &[RuleInfo], slot: u16) -> Option<RuleAnswer> {
    let (number, info) = (1..).zip(infos).find(|(_, info)| info.slot == slot && slot != 0)?;
    Some(RuleAnswer::new(number, info))
}

/// Finds the device that is asked about, or the only one that there is.
fn device(view: &View, name: Option<&str>) -> Result<Device> {
    let attached: Vec<String> = view.interfaces()?.into_iter().map(|(name, _)| name).collect();
    let name = match (name, attached.as_slice()) {
        (Some(name), names) if names.iter().any(|known| known == name) => name,
        (Some(name), names) => bail!(
            "{name} has no amanda-fw attached, which is on {}; --offline asks a configuration",
            names.join(", ")
        ),
        (None, [only]) => only,
        (None, names) => bail!("say which of {} with --in or --out", names.join(", ")),
    };
    let runtime = super::runtime()?;
    runtime.block_on(device::find(name))
}
