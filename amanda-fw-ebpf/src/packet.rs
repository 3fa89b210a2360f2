//! The only place that touches packet memory.

use amanda_fw_common::frame::{Frame, MAX_OFFSET};
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_skb_pull_data, bpf_xdp_get_buff_len};
use aya_ebpf::programs::{TcContext, XdpContext};

/// What is copied ends before this offset: 1536 bytes, 8 behind a header at MAX_OFFSET at the most.
const MAX_COPY_OFFSET: usize = 4095;

/// Bytes of an skb that must lie in its linear part for the headers to be read directly.
const LINEAR: u32 = 256;

/// A frame met by XDP.
pub(crate) struct XdpFrame<'a> {
    ctx: &'a XdpContext,
    length: usize,
}

/// A frame met by TC.
pub(crate) struct TcFrame<'a> {
    ctx: &'a TcContext,
}

impl<'a> XdpFrame<'a> {
    /// Takes a frame in one piece.
    #[inline(always)]
    pub(crate) fn whole(ctx: &'a XdpContext) -> Self {
        Self { ctx, length: ctx.data_end().wrapping_sub(ctx.data()) }
    }

    /// Takes a frame that may have more pieces (Linux 5.18).
    #[inline(always)]
    pub(crate) fn in_pieces(ctx: &'a XdpContext) -> Self {
        // SAFETY: the context is the one that the program was given.
        let length = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast::<xdp_md>()) };
        Self { ctx, length: length as usize }
    }
}

impl<'a> TcFrame<'a> {
    /// Takes an skb, and has its headers put where they can be read.
    #[inline(always)]
    pub(crate) fn new(ctx: &'a TcContext) -> Self {
        let wanted = ctx.len().min(LINEAR);
        if ctx.data_end().wrapping_sub(ctx.data()) < wanted as usize {
            // SAFETY: the context is the one that the program was given. Where it fails, reading
            // fails too, and the packet is malformed.
            unsafe { bpf_skb_pull_data(ctx.as_ptr().cast::<__sk_buff>(), wanted) };
        }
        Self { ctx }
    }
}

/// Reads from packet memory between two addresses that the kernel gave.
#[inline(always)]
fn read<const N: usize>(start: usize, end: usize, at: usize) -> Option<[u8; N]> {
    if at > MAX_OFFSET {
        return None;
    }
    let first = start.wrapping_add(at);
    if first.wrapping_add(N) > end {
        return None;
    }
    // SAFETY: the verifier has seen both bounds checked; bytes have no alignment.
    Some(unsafe { *(first as *const [u8; N]) })
}

/// Reads eight bytes at an offset that the headers have bounded already; the mask tells the
/// verifier, who would lose a comparison on the way to the loop.
#[inline(always)]
fn read_masked(start: usize, end: usize, at: usize) -> Option<[u8; 8]> {
    let first = start.wrapping_add(at & MAX_COPY_OFFSET);
    if first.wrapping_add(8) > end {
        return None;
    }
    // SAFETY: the verifier has seen both bounds checked; bytes have no alignment.
    Some(unsafe { *(first as *const [u8; 8]) })
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        read(self.ctx.data(), self.ctx.data_end(), at)
    }

    /// Copies word by word: XDP has had a helper for it only since 5.18.
    #[inline(always)]
    fn copy<const WORDS: usize>(&self, at: usize, length: usize, words: &mut [u64; WORDS]) {
        let (start, end) = (self.ctx.data(), self.ctx.data_end());
        let length = length.min((WORDS - 1) * 8);
        let whole = length / 8;
        for (index, word) in words.iter_mut().take(WORDS - 1).enumerate() {
            if index >= whole {
                break;
            }
            let Some(bytes) = read_masked(start, end, at.wrapping_add(index * 8)) else {
                return;
            };
            *word = u64::from_ne_bytes(bytes);
        }
        // The bytes of the last word are the end of eight that the headers before make safe.
        let tail = length % 8;
        let last = read_masked(start, end, at.wrapping_add(length).wrapping_sub(8));
        if let (Some(bytes), Some(word), 1..) = (last, words.get_mut(whole), tail) {
            *word = (u64::from_le_bytes(bytes) >> (64 - tail * 8)).to_le();
        }
    }
}

impl Frame for TcFrame<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.ctx.len() as usize
    }

    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        read(self.ctx.data(), self.ctx.data_end(), at)
    }

    #[inline(always)]
    fn copy<const WORDS: usize>(&self, at: usize, length: usize, words: &mut [u64; WORDS]) {
        if length == 0 {
            return;
        }
        // A mask is the bound that the verifier can see: from 1 to a power of two.
        let length = (length.wrapping_sub(1) & ((WORDS - 1) * 8 - 1)) + 1;
        // SAFETY: `words` holds so many bytes and one word more; the helper checks the packet.
        unsafe {
            bpf_skb_load_bytes(
                self.ctx.as_ptr().cast_const(),
                at as u32,
                words.as_mut_ptr().cast(),
                length as u32,
            );
        }
    }
}
