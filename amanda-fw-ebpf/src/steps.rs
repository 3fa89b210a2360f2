//! The steps of the packet path that need no frame, as global functions.
//!
//! The verifier checks a global function once, for any argument, and not again for each path that
//! leads to it (Linux 5.6). It knows no pointers there before 5.12, so that what a step reads and
//! writes lies in the scratch space.

use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::rules::{self, Query, Way};
use amanda_fw_common::tables::Tables;
use amanda_fw_common::transaction::Inspection;
use amanda_fw_common::verdict::Counter;
use amanda_fw_common::wire::Link;

use crate::maps::{self, KernelRules, KernelTables, Scratch};

/// Lets the packet in the scratch space in where Amanda has it in view; 1 where it did.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn admit(now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    // Neither direction nor interface matters here.
    let arrival = arrival(0, 0, now);
    let Scratch { packet, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    u32::from(datapath::admit(packet, &arrival, settings, &mut tables, decision))
}

/// Asks the rules about the packet in the scratch space.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn ask_rules(way: u32, interface: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(way, interface, now);
    let Scratch { packet, decision, .. } = scratch;
    datapath::ask_rules(packet, &arrival, settings, &mut KernelTables::new(), decision);
    1
}

/// Remembers the flow that the packet in the scratch space begins.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn begin(way: u32, interface: u32, now: u64, again: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(way, interface, now);
    let Scratch { packet, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::begin(packet, &arrival, again != 0, settings, &mut tables, decision);
    1
}

/// Puts an arrival together again, but for what the frame began with, which is read already.
#[inline(always)]
fn arrival(way: u32, interface: u32, now: u64) -> Arrival {
    let way = if way == Way::In as u32 { Way::In } else { Way::Out };
    Arrival { way, link: Link::Raw, interface, now }
}

/// Finds the place of the first rule for the packet in the scratch space, of a class of rules;
/// one behind all places for none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn first_match(kind: u32, interface: u32, asked: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return u32::MAX;
    };
    let query = Query { interface, kind, asked, fields: settings.rule_fields };
    rules::first_match(&KernelRules, &scratch.packet, &query).unwrap_or(u32::MAX)
}

/// Reads the header of the text in the scratch space; 1 where it is Amanda's.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn read_header() -> u32 {
    let Some(scratch) = maps::scratch() else {
        return 0;
    };
    let known = scratch.message.read_header(&scratch.text);
    if !known {
        scratch.event.amanda = Inspection::default();
        KernelTables::new().count(Counter::NotAmanda);
    }
    u32::from(known)
}

/// Reads the body of the text in the scratch space.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn read_body() -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    scratch.message.read_body(&scratch.text, settings.streams());
    1
}

/// Learns from the message in the scratch space.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn learn(now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let Scratch { packet, decision, message, event, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::learn(message, packet, decision, settings, &mut tables, now, &mut event.amanda);
    1
}
