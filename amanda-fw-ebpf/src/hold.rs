//! Fragments that have overtaken the first one of their datagram: held in a map, and sent after it.

use amanda_fw_common::fragment::{HELD_BYTES, HeldKey, MOST_HELD};
use aya_ebpf::bindings::{__sk_buff, BPF_F_INGRESS, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::generated::{
    bpf_clone_redirect, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
};

use crate::maps::{self, HELD, HeldFrame};

/// Holds the fragment in the scratch space, which TC met; 0 where it cannot.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hold_tc(ctx: *mut __sk_buff) -> u32 {
    u32::from(hold(ctx).is_some())
}

#[inline(always)]
fn hold(skb: *mut __sk_buff) -> Option<()> {
    let (scratch, holder) = (maps::scratch()?, maps::holder()?);
    let index = u64::from(scratch.crossing.hold).wrapping_sub(1);
    take_up(skb, holder)?;
    HELD.insert(HeldKey { datagram: scratch.packet.datagram(), index }, &*holder, 0).ok()
}

/// Sends the held fragments after the first one, in the scratch space, which TC met; 0 where that
/// failed.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn release_tc(ctx: *mut __sk_buff) -> u32 {
    u32::from(release(ctx).is_some())
}

/// Turns the first fragment into each of the held ones, which go through the interface once more,
/// and back.
#[inline(always)]
fn release(skb: *mut __sk_buff) -> Option<()> {
    let (scratch, holder) = (maps::scratch()?, maps::holder()?);
    let mut key = HeldKey { datagram: scratch.crossing.datagram, index: 0 };
    take_up(skb, holder)?;
    for index in 0..MOST_HELD {
        if index >= scratch.crossing.held {
            break;
        }
        key.index = u64::from(index);
        // SAFETY: nobody writes the entry of a fragment whose datagram is waited for no longer.
        let Some(held) = (unsafe { HELD.get(key) }) else { continue };
        if put_down(skb, held).is_some() {
            // SAFETY: the context is the one that the program was given.
            unsafe { bpf_clone_redirect(skb, (*skb).ifindex, u64::from(BPF_F_INGRESS)) };
        }
        let _ = HELD.remove(key);
    }
    put_down(skb, holder)
}

/// Copies a frame from an skb.
#[inline(always)]
fn take_up(skb: *mut __sk_buff, holder: &mut HeldFrame) -> Option<()> {
    // SAFETY: the context is the one that the program was given.
    let length = unsafe { (*skb).len };
    if length as usize > HELD_BYTES {
        return None;
    }
    holder.length = length;
    let to = holder.bytes.as_mut_ptr().cast();
    // SAFETY: there is room for so many bytes, and the helper checks the packet.
    let read = unsafe { bpf_skb_load_bytes(skb.cast_const().cast(), 0, to, bounded(length)) };
    (read == 0).then_some(())
}

/// Writes a frame over an skb.
#[inline(always)]
fn put_down(skb: *mut __sk_buff, held: &HeldFrame) -> Option<()> {
    let length = bounded(held.length);
    let (from, flags) = (held.bytes.as_ptr().cast(), u64::from(BPF_F_RECOMPUTE_CSUM));
    // SAFETY: the context is the one that the program was given, the frame has so many bytes, and
    // the helpers check the packet.
    let written = unsafe {
        bpf_skb_change_tail(skb, length, 0) == 0
            && bpf_skb_store_bytes(skb, 0, from, length, flags) == 0
    };
    written.then_some(())
}

/// Bounds a length, from 1 to that of a frame that can be held, as the verifier can see.
#[inline(always)]
fn bounded(length: u32) -> u32 {
    (length.wrapping_sub(1) & (HELD_BYTES as u32 - 1)) + 1
}
