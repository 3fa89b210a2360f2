//! A packet decided by the programs in the kernel, over copies of what it would meet in the tables.
//!
//! The programs are loaded once more beside those that enforce: they share the ruleset, which no
//! program writes, and have tables of their own, into which the packet's entries are copied.

use amanda_fw_common::expect::ExpectationKey;
use amanda_fw_common::flow::FlowKey;
use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::rules::Action;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::Link;
use anyhow::{Context, Result};

use super::frame::frame;
use super::{Explanation, Packet};
use crate::bpffs::PinDirectory;
use crate::device::Device;
use crate::firewall::Rehearsal;
use crate::maps::copies::{self, Met};

/// Decides a packet as the programs on a device would now.
pub(crate) fn by_programs(
    packet: &Packet,
    device: &Device,
    pins: &PinDirectory,
    infos: &[RuleInfo],
) -> Result<Explanation> {
    let mut rehearsal = Rehearsal::load(pins, device, packet.way)?;
    let slots: Vec<u16> = infos.iter().map(|info| info.slot).collect();
    let (key, _) = FlowKey::new(packet.protocol, packet.source, packet.destination);
    let (source, destination) = (packet.source.addr, packet.destination);
    let expected = ExpectationKey::new(source, destination.addr, destination.port);
    let met = Met::read(&pins.maps(), key, expected)?;
    copies::write(rehearsal.ebpf(), &pins.maps(), &met, source, &slots)?;
    let link = if device.is_ethernet { Link::Ethernet } else { Link::Raw };
    rehearsal.run(&frame(packet, link), packet.interface)?;
    let reason = copies::reason(rehearsal.ebpf())?.context("the program has counted nothing")?;
    let fitting = copies::fitting(rehearsal.ebpf(), &slots)?;
    let fitting: Vec<&RuleInfo> =
        infos.iter().filter(|info| fitting.contains(&info.slot)).collect();
    let does = |info: &RuleInfo, action: Action| info.action == action.number();
    let translates = |info: &&&RuleInfo| does(info, Action::Translate);
    let slot = |logs: bool| {
        let is_wanted = |info: &&&RuleInfo| !translates(info) && does(info, Action::Log) == logs;
        fitting.iter().find(is_wanted).map_or(0, |info| info.slot)
    };
    let flow = met.flow.filter(|_| reason == Reason::Established).map(|flow| (key, flow));
    let expectation = met.expectation.filter(|_| reason == Reason::Expected);
    Ok(Explanation {
        reason,
        rule: flow.map_or(slot(false), |(_, flow)| flow.rule),
        log: slot(true),
        translations: fitting.iter().filter(translates).map(|info| info.slot).collect(),
        flow,
        expectation: expectation.map(|expectation| (expected, expectation)),
        by: format!("{} over the tables as they are; nothing was changed", rehearsal.name()),
    })
}
