//! The steps of the packet path that need no frame, as global functions.
//!
//! The verifier checks a global function once, for any argument, and not again for each path that
//! leads to it (Linux 5.6). It knows no pointers there before 5.12, so that what a step reads and
//! writes lies in the scratch space.

use amanda_fw_common::addr::Endpoint;
use amanda_fw_common::classic;
use amanda_fw_common::datapath::{self, Arrival, Datagram};
use amanda_fw_common::expect::ExpectationKey;
use amanda_fw_common::message::Message;
use amanda_fw_common::nat::{self, Binding, BindingKey, Mapped};
use amanda_fw_common::rules::{self, Query, Way};
use amanda_fw_common::tables::{Table, Tables};
use amanda_fw_common::transaction::{self, Inspection};
use amanda_fw_common::verdict::Counter;
use amanda_fw_common::wire::Link;

use crate::maps::{self, KernelRules, KernelTables, Scratch};

/// Lets the packet in the scratch space in where Amanda or a translation has it in view; 1 where it
/// did.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn admit(way: u32, interface: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(way, interface, 0, now);
    let Scratch { packet, crossing, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    u32::from(datapath::admit(packet, &arrival, settings, &mut tables, crossing, decision))
}

/// Asks the rules about the packet in the scratch space.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn ask_rules(way: u32, interface: u32, from: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(way, interface, from, now);
    let Scratch { packet, crossing, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::ask_rules(packet, &arrival, settings, &mut tables, crossing, decision);
    1
}

/// Remembers the flow that the packet in the scratch space begins.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn begin(way: u32, interface: u32, from: u32, now: u64, again: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(way, interface, from, now);
    let Scratch { packet, crossing, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::begin(packet, &arrival, again != 0, settings, &mut tables, crossing, decision);
    1
}

/// Finds what the source of the packet in the scratch space is translated to; 1 where it is.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn find_source_translation(interface: u32, from: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(Way::Out as u32, interface, from, 0);
    let Scratch { packet, crossing, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::find_source_translation(packet, &arrival, settings, &mut tables, crossing).into()
}

/// Finds the endpoint outside for the source of the packet in the scratch space; 0 for none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn bind_source(interface: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(Way::Out as u32, interface, 0, now);
    let Scratch { packet, crossing, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::bind_source(packet, &arrival, settings, &mut tables, crossing, decision).into()
}

/// Translates the source of the packet in the scratch space, which leaves.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn translate_source(now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(Way::Out as u32, 0, 0, now);
    let Scratch { packet, crossing, decision, .. } = scratch;
    let mut tables = KernelTables::new();
    datapath::translate_source(packet, &arrival, settings, &mut tables, crossing, decision);
    1
}

/// Puts an arrival together again, but for what the frame began with, which is read already.
#[inline(always)]
fn arrival(way: u32, interface: u32, from: u32, now: u64) -> Arrival {
    let way = if way == Way::In as u32 { Way::In } else { Way::Out };
    Arrival { way, link: Link::Raw, interface, from, now }
}

/// Looks up the classes of the packet in the scratch space, for a class of rules.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn classify(kind: u32, interface: u32, output: u32, asked: u32) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let query = Query { interface, output, kind, asked, fields: settings.rule_fields };
    scratch.classes = rules::classes(&KernelRules, &scratch.packet, &query);
    1
}

/// Finds the place of the first rule of the classes in the scratch space; one behind all places for none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn search() -> u32 {
    let Some(scratch) = maps::scratch() else {
        return u32::MAX;
    };
    rules::search(&KernelRules, &scratch.classes).unwrap_or(u32::MAX)
}

/// Reads the header of the text in the scratch space; 1 where it is Amanda's.
#[unsafe(no_mangle)]
#[inline(never)]
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
#[inline(never)]
pub(crate) extern "C" fn read_body() -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    scratch.message.read_body(&scratch.text, settings.streams());
    1
}

/// Tells by 1 whether a port by which the initiator is to know one that the reply in the scratch space
/// announces stands for nobody else's.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn is_free(port: u32, announced: u32, now: u64) -> u32 {
    let Some(Scratch { packet, crossing, .. }) = maps::scratch() else {
        return 0;
    };
    let Endpoint { addr, .. } = packet.source;
    let to = Mapped::of(Endpoint { addr, port: announced as u16 });
    let outside = crossing.responder.endpoint().addr;
    let key = ExpectationKey::new(packet.destination.addr, outside, port as u16);
    transaction::is_free(&mut maps::expectations(), &key, to, now).into()
}

/// Finds a port by which the initiator can know one that the reply in the scratch space announces, if
/// possible `wanted`; 0 for none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn port_outside(wanted: u32, announced: u32, now: u64) -> u32 {
    let Some(settings) = maps::settings() else {
        return 0;
    };
    let is_free = |port| is_free(u32::from(port), announced, now) == 1;
    transaction::port_outside(wanted as u16, settings.streams(), is_free).into()
}

/// Binds a port of the address outside to the source of the packet in the scratch space, and returns it;
/// above all ports for none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn bind_port(interface: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return u32::MAX;
    };
    let Scratch { packet, crossing, .. } = scratch;
    let (inside, protocol) = (Mapped::of(packet.source), packet.protocol);
    let translation = KernelTables::new().translation(crossing.translation).unwrap_or_default();
    let filtering = u32::from(translation.filtering);
    let claim = |port| claim_port(u32::from(port), interface, filtering, now) == 1;
    let port = nat::bind_port(protocol, inside, &translation, settings.seed, claim);
    port.map_or(u32::MAX, u32::from)
}

/// Binds a port of the address outside to the source of the packet in the scratch space; 0 where it is
/// bound.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn claim_port(port: u32, interface: u32, filtering: u32, now: u64) -> u32 {
    let Some(Scratch { packet, crossing, .. }) = maps::scratch() else {
        return 0;
    };
    let outside = Mapped::new(crossing.outside, port as u16);
    let key = BindingKey::outside(packet.protocol, outside);
    let binding = Binding::new(Mapped::of(packet.source), interface, filtering as u8, now);
    maps::bindings().claim(&key, &binding).into()
}

/// Tells by 1 whether a transaction is over, or not there.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn is_over(id: u64, now: u64) -> u32 {
    let Some(settings) = maps::settings() else {
        return 0;
    };
    let mut tables = KernelTables::new();
    let transaction = tables.transactions().get(&id);
    u32::from(transaction.is_none_or(|transaction| transaction.is_over(settings, now)))
}

/// Learns from the message in the scratch space, and returns the number of what is left to do.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn learn(way: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let arrival = arrival(way, 0, 0, now);
    let Scratch { packet, decision, crossing, message, event, .. } = scratch;
    let (tables, found) = (&mut KernelTables::new(), &mut event.amanda);
    let datagram = Datagram { message, packet, decision, crossing };
    let rest = datapath::learn(datagram, settings, tables, &arrival, found);
    u32::from(rest.number())
}

/// Settles the reply in the scratch space; 1 where its streams are to be expected.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn settle(now: u64) -> u32 {
    let Some(Scratch { message, event, .. }) = maps::scratch() else {
        return 0;
    };
    transaction::settle(message, &mut KernelTables::new(), now, &mut event.amanda);
    u32::from(event.amanda.is_reply)
}

/// Writes the ports into the text in the scratch space that the initiator knows the streams by; 1
/// where any is another than the one that was announced.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn announce() -> u32 {
    let Some(scratch) = maps::scratch() else {
        return 0;
    };
    let Scratch { text, message, event, .. } = scratch;
    u32::from(message.announce(text, &event.amanda.outside))
}

/// Finds by which port the initiator is to know a stream of the reply in the scratch space.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn find_outside(index: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let Scratch { packet, decision, crossing, message, event, .. } = scratch;
    let datagram = Datagram { message, packet, decision, crossing };
    let (tables, found, index) = (&mut KernelTables::new(), &event.amanda, index as usize & 7);
    datapath::find_outside(datagram, index, settings, tables, now, found);
    1
}

/// Expects a stream of the reply in the scratch space.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn expect(index: u32, now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let Scratch { packet, decision, crossing, message, event, .. } = scratch;
    let datagram = Datagram { message, packet, decision, crossing };
    let (tables, found, index) = (&mut KernelTables::new(), &mut event.amanda, index as usize & 7);
    datapath::expect(datagram, index, settings, tables, now, found);
    1
}

/// Learns from the text in the scratch space what a tape server announces; 1 where that is to be
/// expected.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn learn_port(now: u64) -> u32 {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return 0;
    };
    let Scratch { packet, decision, text, message, event, .. } = scratch;
    *message = Message::default();
    let (mut tables, found) = (KernelTables::new(), &mut event.amanda);
    if !classic::learn(text, packet, settings, &mut tables, now, found) {
        decision.announces_nothing();
    }
    u32::from(found.is_reply)
}
