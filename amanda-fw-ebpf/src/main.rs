//! The BPF programs: each meets a frame at its hook, has it decided, and returns the action.
#![no_std]
#![no_main]

mod answers;
mod checksums;
mod events;
mod hold;
mod maps;
mod packet;
mod rewrite;
mod route;
mod steps;

use amanda_fw_common::connect::MAX_STREAMS;
use amanda_fw_common::datapath::{self, Arrival, Decision, Known};
use amanda_fw_common::frame::Frame;
use amanda_fw_common::rules::Way;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::transaction::Rest;
use amanda_fw_common::verdict::{Counter, Reason, Verdict};
use amanda_fw_common::wire::Link;
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::{debug, trace};

use crate::maps::{KernelTables, Scratch};
use crate::packet::{TcFrame, XdpFrame};

/// Incoming frames, at the driver, in one piece.
#[xdp]
fn xdp_ingress(ctx: XdpContext) -> u32 {
    xdp_action(&ctx, &XdpFrame::whole(&ctx))
}

/// Incoming frames, at the driver, of any size (Linux 5.18).
#[xdp(frags)]
fn xdp_ingress_frags(ctx: XdpContext) -> u32 {
    xdp_action(&ctx, &XdpFrame::in_pieces(&ctx))
}

/// Incoming packets of a device with Ethernet headers.
#[classifier]
fn tc_ingress(ctx: TcContext) -> i32 {
    tc_action(&ctx, Way::In, Link::Ethernet)
}

/// Outgoing packets of a device with Ethernet headers.
#[classifier]
fn tc_egress(ctx: TcContext) -> i32 {
    tc_action(&ctx, Way::Out, Link::Ethernet)
}

/// Incoming packets of a device without a link header.
#[classifier]
fn tc_ingress_raw(ctx: TcContext) -> i32 {
    tc_action(&ctx, Way::In, Link::Raw)
}

/// Outgoing packets of a device without a link header.
#[classifier]
fn tc_egress_raw(ctx: TcContext) -> i32 {
    tc_action(&ctx, Way::Out, Link::Raw)
}

#[inline(always)]
fn xdp_action(ctx: &XdpContext, frame: &XdpFrame<'_>) -> u32 {
    let now = clock();
    let interface = ctx.ingress_ifindex() as u32;
    let arrival = Arrival { way: Way::In, link: Link::Ethernet, interface, from: 0, now };
    let linear = ctx.data_end().wrapping_sub(ctx.data());
    let verify = || checksums::verify_xdp(ctx.as_ptr().cast());
    let verdict = match decide_known(frame, &arrival) {
        Some(Known::Decided) => finish(ctx, frame, &arrival, linear, verify),
        Some(known) => {
            let admitted = steps::admit(Way::In as u32, interface, now);
            if asks_route(&arrival) {
                route::route_xdp(ctx.as_ptr().cast(), interface);
            }
            decide_new(&arrival, admitted, known);
            finish(ctx, frame, &arrival, linear, verify)
        }
        None => Verdict::Drop,
    };
    match verdict {
        Verdict::Accept => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Reject => answers::answer_xdp(ctx.as_ptr().cast(), frame.length() as u32, now),
    }
}

#[inline(always)]
fn tc_action(ctx: &TcContext, way: Way, link: Link) -> i32 {
    // SAFETY: the context is the one that the program was given.
    let (interface, from, mark) = unsafe {
        let skb = ctx.skb.skb;
        ((*skb).ifindex, (*skb).ingress_ifindex, (*skb).mark)
    };
    if mark == answers::MARK {
        return pass_answer(ctx);
    }
    let now = clock();
    let from = if way == Way::Out { from } else { 0 };
    let arrival = Arrival { way, link, interface, from, now };
    let frame = TcFrame::new(ctx);
    let verify = || checksums::verify_tc(ctx.as_ptr().cast());
    let verdict = match decide_known(&frame, &arrival) {
        Some(Known::Decided) => translate(ctx, &frame, &arrival, verify),
        Some(known) => {
            let admitted = steps::admit(way as u32, interface, now);
            if asks_route(&arrival) {
                route::route_tc(ctx.as_ptr().cast(), interface);
            }
            decide_new(&arrival, admitted, known);
            translate(ctx, &frame, &arrival, verify)
        }
        None => Verdict::Drop,
    };
    match verdict {
        // The next program may still drop it: TCX_NEXT, or TC_ACT_UNSPEC of clsact.
        Verdict::Accept => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
        Verdict::Reject => answers::answer_tc(ctx.as_ptr().cast(), way as u32, now),
    }
}

/// Lets an answer of this firewall go on, and takes its mark off.
#[inline(always)]
fn pass_answer(ctx: &TcContext) -> i32 {
    // SAFETY: the context is the one that the program was given.
    unsafe { (*ctx.skb.skb).mark = 0 };
    TC_ACT_UNSPEC
}

#[inline(always)]
fn clock() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
fn asks_route(arrival: &Arrival) -> bool {
    maps::settings().is_some_and(|settings| datapath::asks_route(arrival, settings))
}

/// Decides a packet that belongs to no flow, step by step.
#[inline(always)]
fn decide_new(arrival: &Arrival, admitted: u32, known: Known) {
    let Arrival { way, interface, from, now, .. } = *arrival;
    if admitted == 0 {
        steps::ask_rules(way as u32, interface, from, now);
    }
    steps::begin(way as u32, interface, from, now, u32::from(known == Known::Again));
}

/// Does what is left to do with a packet that is decided, and writes its addresses anew.
#[inline(always)]
fn translate(
    ctx: &TcContext,
    frame: &TcFrame<'_>,
    arrival: &Arrival,
    verify: impl Fn() -> u32,
) -> Verdict {
    let Some(scratch) = maps::scratch() else {
        return Verdict::Drop;
    };
    let accepted = scratch.decision.verdict() == Verdict::Accept;
    if accepted
        && scratch.crossing.asks_source != 0
        && steps::find_source_translation(arrival.interface, arrival.from) == 1
        && steps::bind_source(arrival.interface, arrival.now) == 1
    {
        steps::translate_source(arrival.now);
    }
    let verdict = finish(ctx, frame, arrival, frame.length(), verify);
    let Some(scratch) = maps::scratch() else {
        return Verdict::Drop;
    };
    if scratch.crossing.hold != 0 {
        hold::hold_tc(ctx.skb.skb);
        return Verdict::Drop;
    }
    if scratch.crossing.held != 0
        && verdict == Verdict::Accept
        && hold::release_tc(ctx.skb.skb) == 0
    {
        return Verdict::Drop;
    }
    if scratch.crossing.is_announced == 1 && rewrite::announce_tc(ctx.skb.skb) == 0 {
        return Verdict::Drop;
    }
    if !scratch.crossing.rewrite.is_any() {
        return verdict;
    }
    if verdict != Verdict::Accept {
        // Whoever is told of it hears from the address that it asked.
        scratch.packet.destination = scratch.crossing.rewrite.destination_before(&scratch.packet);
        return verdict;
    }
    if rewrite::rewrite_tc(ctx.skb.skb) == 1 { Verdict::Accept } else { Verdict::Drop }
}

/// Counts a packet that is decided, reads it, and tells of it; each step borrows the scratch space
/// anew.
#[inline(always)]
fn finish<C: EbpfContext, F: Frame>(
    ctx: &C,
    frame: &F,
    arrival: &Arrival,
    linear: usize,
    verify: impl Fn() -> u32,
) -> Verdict {
    let Some((decision, is_counted)) =
        maps::scratch().map(|scratch| (scratch.decision, scratch.crossing.is_decided == 1))
    else {
        return Verdict::Drop;
    };
    let verdict = decision.verdict();
    if is_counted && verdict == Verdict::Accept {
        return verdict;
    }
    let length = frame.length();
    let reason = decision.reason_number();
    trace!(ctx, "{} bytes on interface {}: reason {}", length, arrival.interface, reason);
    KernelTables::new().count_packet(reason, length);
    if decision.is_inspected() {
        inspect(ctx, frame, &decision, arrival, verify);
    }
    if !is_told() {
        return verdict;
    }
    events::emit(ctx, arrival, length, linear);
    verdict
}

/// Decides by headers and flow, on a stack of its own.
#[inline(never)]
fn decide_known<F: Frame>(frame: &F, arrival: &Arrival) -> Option<Known> {
    let (settings, scratch) = (maps::settings()?, maps::scratch()?);
    let mut decision = Decision::new(Reason::PolicyDrop);
    let Scratch { packet, crossing, .. } = scratch;
    let tables = &mut KernelTables::new();
    let known =
        datapath::decide_known(frame, arrival, settings, tables, packet, crossing, &mut decision);
    scratch.decision = decision;
    Some(known)
}

/// Tells whether anybody wants to see the decision, after what was read of the packet.
#[inline(always)]
fn is_told() -> bool {
    maps::scratch()
        .is_some_and(|Scratch { decision, .. }| decision.is_inspected() || decision.is_notable())
}

/// Reads the datagram of a control flow, or a segment of a tape server's, and learns from it.
#[inline(always)]
fn inspect<C: EbpfContext, F: Frame>(
    ctx: &C,
    frame: &F,
    decision: &Decision,
    arrival: &Arrival,
    verify: impl Fn() -> u32,
) {
    const NOTHING: u32 = Rest::Nothing.number() as u32;
    const VERIFY: u32 = Rest::Verify.number() as u32;
    let (way, now) = (arrival.way as u32, arrival.now);
    if let Some(scratch) = maps::scratch() {
        datapath::read_text(frame, &scratch.packet, &mut scratch.text);
    }
    if decision.may_announce() {
        if steps::learn_port(now) == 1 {
            expect(false, now);
        }
    } else if steps::read_header() == 1 {
        steps::read_body();
        let rest = steps::learn(way, now);
        if rest == VERIFY {
            verify();
        }
        if rest != NOTHING && steps::settle(now) == 1 {
            let is_translated = is_translated();
            expect(is_translated, now);
            if is_translated {
                announce(frame);
            }
        }
    }
    if let Some(scratch) = maps::scratch() {
        debug!(ctx, "control flow: transaction {:x}", scratch.event.amanda.transaction);
    }
}

/// Tells whether the initiator of the reply in the scratch space knows its responder by another
/// address.
#[inline(always)]
fn is_translated() -> bool {
    maps::scratch().is_some_and(|scratch| scratch.crossing.responder.is_set())
}

/// Expects the streams of the reply in the scratch space, one by one.
#[inline(always)]
fn expect(is_translated: bool, now: u64) {
    for index in 0..MAX_STREAMS as u32 {
        if is_translated {
            steps::find_outside(index, now);
        }
        steps::expect(index, now);
    }
}

/// Writes a text with other ports, and notes that it is to take the place of the reply's.
#[inline(always)]
fn announce<F: Frame>(frame: &F) {
    if let Some(scratch) = maps::scratch() {
        // It may have been overwritten while the checksum was looked at.
        datapath::read_text(frame, &scratch.packet, &mut scratch.text);
    }
    if steps::announce() == 0 {
        return;
    }
    if let Some(scratch) = maps::scratch() {
        scratch.crossing.is_announced = 1;
    }
    KernelTables::new().count(Counter::RepliesRewritten);
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
