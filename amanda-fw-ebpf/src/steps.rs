//! The steps of the packet path that need no frame, as global functions.
//!
//! The verifier checks a global function once, for any argument, and not again for each path that
//! leads to it (Linux 5.6). It knows no pointers there before 5.12, so that what a step reads and
//! writes lies in the scratch space.

use amanda_fw_common::datapath;
use amanda_fw_common::rules::{self, Way};
use amanda_fw_common::tables::Tables;
use amanda_fw_common::transaction::Inspection;
use amanda_fw_common::verdict::Counter;

use crate::maps::{self, KernelTables, RULES, Scratch};

/// Decides the packet in the scratch space, which belongs to no flow.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn decide_new(way: u32, now: u64, again: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let mut tables = KernelTables::new();
    let (packet, decision) = (&scratch.packet, &mut scratch.decision);
    datapath::decide_new(packet, to_way(way), now, again != 0, settings, &mut tables, decision);
    1
}

/// Finds the rule for the packet in the scratch space: its number and, as lowest bit, whether it
/// accepts; 0 for none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn first_match(way: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let packet = &scratch.packet;
    let found = rules::first_match(|i| RULES.get(i), settings.rules, packet, to_way(way));
    found.map_or(0, |m| (u32::from(m.number) << 1) | u32::from(m.accept))
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

#[inline(always)]
fn to_way(way: u32) -> Way {
    if way == Way::In as u32 { Way::In } else { Way::Out }
}
