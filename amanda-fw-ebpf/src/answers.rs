//! Answers to rejected packets: the packet itself is rewritten and sent back.

use amanda_fw_common::answer::{self, Answer, AnswerKind};
use amanda_fw_common::frame::Frame;
use amanda_fw_common::rules::Way;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::verdict::Counter;
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{
    __sk_buff, BPF_F_INGRESS, BPF_F_RECOMPUTE_CSUM, TC_ACT_SHOT,
    bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, xdp_action, xdp_md,
};
use aya_ebpf::helpers::generated::{
    bpf_redirect, bpf_skb_adjust_room, bpf_skb_change_tail, bpf_skb_store_bytes,
    bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
};
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::maps::{self, KernelTables, Reply};
use crate::packet::{TcFrame, XdpFrame};

/// What marks an answer on its way through the other direction's program.
pub(crate) const MARK: u32 = 0x616d_6677;

const ADDRESSES: usize = 12;
const ETHERNET: usize = 14;
const TAGGED: usize = ETHERNET + 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const ICMP: usize = 8;

/// Answers the packet in the scratch space that TC met, and returns the action.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn answer_tc(ctx: *mut __sk_buff, way: u32, now: u64) -> i32 {
    let ctx = TcContext::new(ctx);
    let sent = match write(&TcFrame::new(&ctx), now, true) {
        Some((answer, network)) => send_skb(&ctx, answer, network),
        None => false,
    };
    count(sent);
    if !sent {
        return TC_ACT_SHOT;
    }
    let flags = if way == Way::Out as u32 { u64::from(BPF_F_INGRESS) } else { 0 };
    // SAFETY: the context is the one that the program was given.
    unsafe {
        (*ctx.skb.skb).mark = MARK;
        bpf_redirect((*ctx.skb.skb).ifindex, flags) as i32
    }
}

/// Answers the packet in the scratch space that XDP met, in a frame of a length, and returns the
/// action.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn answer_xdp(ctx: *mut xdp_md, length: u32, now: u64) -> u32 {
    let ctx = XdpContext::new(ctx);
    let sent = match write(&XdpFrame::whole(&ctx), now, false) {
        Some((answer, network)) => send_frame(&ctx, length, answer, network).is_some(),
        None => false,
    };
    count(sent);
    if sent { xdp_action::XDP_TX } else { xdp_action::XDP_DROP }
}

/// Writes the answer within the rate, and returns it with the offset of the packet.
#[inline(always)]
fn write<F: Frame>(frame: &F, now: u64, may_be_partial: bool) -> Option<(&'static Answer, usize)> {
    let scratch = maps::scratch()?;
    let (packet, rejection) = (&scratch.packet, scratch.decision.rejection());
    if !answer::is_due(packet, rejection, &mut scratch.answers, now) {
        return None;
    }
    let Reply { answer, copied } = maps::reply()?;
    copied.read(frame, packet);
    answer.write(copied, packet, rejection, may_be_partial).then_some((answer, packet.network))
}

fn count(sent: bool) {
    let counter = if sent { Counter::RejectsSent } else { Counter::RejectsSuppressed };
    KernelTables::new().count(counter);
}

/// Turns an skb into the answer; a device without Ethernet header has the packet at offset 0.
#[inline(always)]
fn send_skb(ctx: &TcContext, answer: &Answer, network: usize) -> bool {
    let swapped = TcFrame::new(ctx).read::<ADDRESSES>(0).and_then(swap);
    match (network, swapped) {
        (0, _) => send_headers(ctx, answer, 0),
        (ETHERNET, Some(addresses)) => {
            send_headers(ctx, answer, ETHERNET) && store(ctx, 0, &addresses)
        }
        // Tags are beside the skb, but for inner ones.
        _ => false,
    }
}

#[inline(always)]
fn send_headers(ctx: &TcContext, answer: &Answer, network: usize) -> bool {
    let quoted = answer.quoted as usize & 1023;
    match answer.kind() {
        Some(AnswerKind::Reset4) => {
            let transport = network + IPV4;
            resize_skb(ctx, transport + TCP, 0)
                && store(ctx, network, &answer.ipv4)
                && store(ctx, transport, &answer.tcp)
        }
        Some(AnswerKind::Reset6) => {
            let transport = network + IPV6;
            resize_skb(ctx, transport + TCP, 0)
                && store(ctx, network, &answer.ipv6)
                && store(ctx, transport, &answer.tcp)
        }
        Some(AnswerKind::Icmp4) => {
            resize_skb(ctx, network + quoted, IPV4 + ICMP)
                && store(ctx, network, &answer.ipv4)
                && store(ctx, network + IPV4, &answer.icmp)
        }
        Some(AnswerKind::Icmp6) => {
            resize_skb(ctx, network + quoted, IPV6 + ICMP)
                && store(ctx, network, &answer.ipv6)
                && store(ctx, network + IPV6, &answer.icmp)
        }
        None => false,
    }
}

/// Cuts an skb, and then makes room before its packet.
///
/// The other way round a packet of the MTU's size would be too long before Linux 5.12, and one of
/// UDP segmentation offload is not given room: it is none after the cut.
#[inline(always)]
fn resize_skb(ctx: &TcContext, end: usize, room: usize) -> bool {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: the context is the one that the program was given.
    unsafe {
        bpf_skb_change_tail(skb, end as u32, 0) == 0
            && (room == 0 || bpf_skb_adjust_room(skb, room as i32, BPF_ADJ_ROOM_MAC, 0) == 0)
    }
}

/// Writes into an skb, whose sum over all bytes a device may have computed.
#[inline(always)]
fn store<const N: usize>(ctx: &TcContext, at: usize, bytes: &[u8; N]) -> bool {
    let (skb, from) = (ctx.as_ptr().cast(), bytes.as_ptr().cast());
    // SAFETY: the context is the one that the program was given, and the helper checks the packet.
    unsafe {
        bpf_skb_store_bytes(skb, at as u32, from, N as u32, u64::from(BPF_F_RECOMPUTE_CSUM)) == 0
    }
}

/// Exchanges the addresses of an Ethernet header, unless it is for many.
#[inline(always)]
fn swap(addresses: [u8; ADDRESSES]) -> Option<[u8; ADDRESSES]> {
    const GROUP: u8 = 1;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = addresses;
    (d0 & GROUP == 0).then_some([s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5])
}

/// Turns a frame into the answer.
#[inline(always)]
fn send_frame(ctx: &XdpContext, length: u32, answer: &Answer, network: usize) -> Option<()> {
    if network == ETHERNET {
        rewrite::<ETHERNET>(ctx, length, answer)
    } else if network == TAGGED {
        rewrite::<TAGGED>(ctx, length, answer)
    } else {
        None
    }
}

#[inline(always)]
fn rewrite<const LINK: usize>(ctx: &XdpContext, length: u32, answer: &Answer) -> Option<()> {
    let link = XdpFrame::whole(ctx).read::<LINK>(0)?;
    let swapped = swap(*link.first_chunk()?)?;
    match answer.kind()? {
        AnswerKind::Reset4 => {
            resize(ctx, length, 0, LINK + IPV4 + TCP)?;
            put(ctx, LINK, &answer.ipv4)?;
            put(ctx, LINK + IPV4, &answer.tcp)?;
        }
        AnswerKind::Reset6 => {
            resize(ctx, length, 0, LINK + IPV6 + TCP)?;
            put(ctx, LINK, &answer.ipv6)?;
            put(ctx, LINK + IPV6, &answer.tcp)?;
        }
        AnswerKind::Icmp4 => {
            resize(ctx, length, IPV4 + ICMP, LINK + IPV4 + ICMP + answer.quoted as usize)?;
            put(ctx, LINK, &answer.ipv4)?;
            put(ctx, LINK + IPV4, &answer.icmp)?;
        }
        AnswerKind::Icmp6 => {
            resize(ctx, length, IPV6 + ICMP, LINK + IPV6 + ICMP + answer.quoted as usize)?;
            put(ctx, LINK, &answer.ipv6)?;
            put(ctx, LINK + IPV6, &answer.icmp)?;
        }
    }
    put(ctx, 0, &link)?;
    put(ctx, 0, &swapped)
}

/// Makes room at the front of a frame of some length, and cuts it to another.
#[inline(always)]
fn resize(ctx: &XdpContext, length: u32, room: usize, wanted: usize) -> Option<()> {
    let md: *mut xdp_md = ctx.as_ptr().cast();
    let surplus = length as i32 + room as i32 - wanted as i32;
    // SAFETY: the context is the one that the program was given.
    let resized = unsafe {
        (room == 0 || bpf_xdp_adjust_head(md, -(room as i32)) == 0)
            && bpf_xdp_adjust_tail(md, -surplus) == 0
    };
    resized.then_some(())
}

#[inline(always)]
fn put<const N: usize>(ctx: &XdpContext, at: usize, bytes: &[u8; N]) -> Option<()> {
    let first = ctx.data().wrapping_add(at);
    if first.wrapping_add(N) > ctx.data_end() {
        return None;
    }
    // SAFETY: the verifier has seen both bounds checked; bytes have no alignment.
    unsafe { *(first as *mut [u8; N]) = *bytes };
    Some(())
}
