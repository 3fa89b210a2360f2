//! A packet decided by the host code, from a configuration alone.

use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::wire::{self, Link};
use anyhow::Result;

use super::frame::frame;
use super::{Explanation, Packet};
use crate::config::Ruleset;
use crate::in_memory;

/// Decides a packet that belongs to no flow, as a configuration has it; rules have their places,
/// from 1, for slots.
pub(crate) fn by_config(packet: &Packet, ruleset: &Ruleset) -> Result<Explanation> {
    let (settings, mut tables) = in_memory::compile(ruleset)?;
    let link = Link::Ethernet;
    let arrival = Arrival { way: packet.way, link, interface: packet.interface, now: 0 };
    let bytes = frame(packet, link);
    let mut read = wire::Packet::default();
    let decision = datapath::decide(bytes.as_slice(), &arrival, &settings, &mut tables, &mut read);
    Ok(Explanation {
        reason: decision.reason(),
        rule: decision.rule,
        log: decision.log,
        flow: None,
        expectation: None,
        by: "the configuration alone, for a packet of no flow".to_owned(),
    })
}
