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

/// Returns the names of the interfaces that are asked about, the second one of a packet through the
/// host, and which way the packet goes.
fn place(args: &ExplainArgs) -> ([Option<&str>; 2], Way) {
    match (args.incoming.as_deref(), args.outgoing.as_deref()) {
        (Some(input), Some(output)) => ([Some(input), Some(output)], Way::Forward),
        (None, Some(output)) => ([Some(output), None], Way::Out),
        (input, None) => ([input, None], Way::In),
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
    let (names, way) = place(args);
    let index = |name: Option<&str>| {
        let Some(name) = name else { return Ok(0) };
        let index = host.interfaces.get(name).copied();
        index.with_context(|| format!("no interface is called {name}; `ip link` lists them"))
    };
    let [input, output] = names.map(index);
    let packet = Packet::read(&words(args), way, [input?, output?])?;
    let explanation = explain::by_config(&packet, &ruleset)?;
    // The slot of a rule is its place here.
    let infos = slots::by_place(&ruleset.rules, &host);
    let openings = &ruleset.settings.openings;
    Ok(Answer::new(&packet, names, &explanation, openings, |slot| rule(&infos, slot)))
}

fn online(args: &ExplainArgs, global: &Global) -> Result<Answer> {
    let view = View::open(global)?;
    privileges::raise_memlock();
    let ([name, output], way) = place(args);
    if output.is_some() {
        bail!(
            "the routes of this host say where a packet leaves: leave --out out, or add --offline"
        );
    }
    let device = device(&view, name)?;
    let packet = Packet::read(&words(args), way, [device.index, 0])?;
    let infos = view.rules()?;
    let explanation = explain::by_programs(&packet, &device, view.pins(), &infos)?;
    let openings = view.settings()?.openings;
    let names = [Some(device.name.as_str()), None];
    Ok(Answer::new(&packet, names, &explanation, &openings, |slot| rule(&infos, slot)))
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
