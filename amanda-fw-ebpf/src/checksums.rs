//! A look at the checksum of a reply, before it opens ports.

use amanda_fw_common::datapath;
use amanda_fw_common::frame::Frame;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::maps::{self, Scratch};
use crate::packet::{TcFrame, XdpFrame};

/// Has the reply in the scratch space, which TC met, open nothing where its checksum is wrong.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn verify_tc(ctx: *mut __sk_buff) -> u32 {
    verify(&TcFrame::new(&TcContext::new(ctx)), |index| sum_tc(ctx, index))
}

/// Has the reply in the scratch space, which XDP met, open nothing where its checksum is wrong.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn verify_xdp(ctx: *mut xdp_md) -> u32 {
    verify(&XdpFrame::whole(&XdpContext::new(ctx)), |index| sum_xdp(ctx, index))
}

/// Returns the sum of one text of the reply that TC met.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sum_tc(ctx: *mut __sk_buff, index: u32) -> u32 {
    sum(&TcFrame::new(&TcContext::new(ctx)), index)
}

/// Returns the sum of one text of the reply that XDP met.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sum_xdp(ctx: *mut xdp_md, index: u32) -> u32 {
    sum(&XdpFrame::whole(&XdpContext::new(ctx)), index)
}

#[inline(always)]
fn verify<F: Frame>(frame: &F, sum: impl Fn(u32) -> u32) -> u32 {
    let Some(Scratch { packet, crossing, .. }) = maps::scratch().map(|scratch| &*scratch) else {
        return 0;
    };
    let is_sound = datapath::is_sound(frame, packet, crossing, |index| sum(index as u32) as u16);
    if !is_sound && let Some(scratch) = maps::scratch() {
        scratch.message.distrust();
    }
    u32::from(is_sound)
}

#[inline(always)]
fn sum<F: Frame>(frame: &F, index: u32) -> u32 {
    let Some(scratch) = maps::scratch() else {
        return 0;
    };
    u32::from(datapath::sum_text(frame, &scratch.packet, index as usize, &mut scratch.text))
}
