//! The BPF programs: each meets a frame at its hook, has it decided, and returns the action.
#![no_std]
#![no_main]

mod answers;
mod events;
mod maps;
mod packet;
mod steps;

use amanda_fw_common::datapath::{self, Arrival, Decision, Known};
use amanda_fw_common::frame::Frame;
use amanda_fw_common::rules::Way;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::verdict::{Reason, Verdict};
use amanda_fw_common::wire::Link;
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::{debug, trace};

use crate::maps::KernelTables;
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
    let arrival = Arrival {
        way: Way::In,
        link: Link::Ethernet,
        interface: ctx.ingress_ifindex() as u32,
        now,
    };
    let linear = ctx.data_end().wrapping_sub(ctx.data());
    match decide(ctx, frame, &arrival, linear) {
        Verdict::Accept => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Reject => answers::answer_xdp(ctx.as_ptr().cast(), frame.length() as u32, now),
    }
}

#[inline(always)]
fn tc_action(ctx: &TcContext, way: Way, link: Link) -> i32 {
    // SAFETY: the context is the one that the program was given.
    let (interface, mark) = unsafe { ((*ctx.skb.skb).ifindex, (*ctx.skb.skb).mark) };
    if mark == answers::MARK {
        return pass_answer(ctx);
    }
    let now = clock();
    let arrival = Arrival { way, link, interface, now };
    let frame = TcFrame::new(ctx);
    match decide(ctx, &frame, &arrival, frame.length()) {
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

/// Takes a frame through the packet path, step by step; each step borrows the scratch space anew.
#[inline(always)]
fn decide<C: EbpfContext, F: Frame>(
    ctx: &C,
    frame: &F,
    arrival: &Arrival,
    linear: usize,
) -> Verdict {
    let Arrival { way, interface, now, .. } = *arrival;
    match decide_known(frame, arrival) {
        Some(Known::Decided) => {}
        Some(known @ (Known::New | Known::Again)) => {
            let way = way as u32;
            if steps::admit(now) == 0 {
                steps::ask_rules(way, interface, now);
            }
            steps::begin(way, interface, now, u32::from(known == Known::Again));
        }
        None => return Verdict::Drop,
    }
    let Some(decision) = maps::scratch().map(|scratch| scratch.decision) else {
        return Verdict::Drop;
    };
    let length = frame.length();
    trace!(ctx, "{} bytes on interface {}: reason {}", length, interface, decision.reason_number());
    KernelTables::new().count_packet(decision.reason_number(), length);
    if decision.is_control() {
        inspect(ctx, frame, now);
    } else if !decision.is_notable() {
        return decision.verdict();
    }
    events::emit(ctx, arrival, length, linear);
    decision.verdict()
}

/// Decides by headers and flow, on a stack of its own.
#[inline(never)]
fn decide_known<F: Frame>(frame: &F, arrival: &Arrival) -> Option<Known> {
    let (settings, scratch) = (maps::settings()?, maps::scratch()?);
    let mut decision = Decision::new(Reason::PolicyDrop);
    let (packet, tables) = (&mut scratch.packet, &mut KernelTables::new());
    let known = datapath::decide_known(frame, arrival, settings, tables, packet, &mut decision);
    scratch.decision = decision;
    Some(known)
}

/// Reads the datagram of a control flow, and learns from it.
#[inline(always)]
fn inspect<C: EbpfContext, F: Frame>(ctx: &C, frame: &F, now: u64) {
    if let Some(scratch) = maps::scratch() {
        datapath::read_text(frame, &scratch.packet, &mut scratch.text);
    }
    if steps::read_header() == 1 {
        steps::read_body();
        steps::learn(now);
    }
    if let Some(scratch) = maps::scratch() {
        debug!(ctx, "control flow: transaction {:x}", scratch.event.amanda.transaction);
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
