//! Where a packet that came in will go, as the kernel's routing tables have it.

use amanda_fw_common::addr::Addr;
use amanda_fw_common::wire::{PROTOCOL_TCP, PROTOCOL_UDP};
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, bpf_fib_lookup as Lookup, xdp_md};
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::maps;

/// There is a route, and the next hop's address is known.
const FORWARDED: i64 = 0;
/// There is a route, and the next hop's address is not known.
const NO_NEIGHBOUR: i64 = 7;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Notes by which interface the packet in the scratch space, which TC met, will leave.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn route_tc(ctx: *mut __sk_buff, interface: u32) -> u32 {
    route(&TcContext::new(ctx), interface)
}

/// Notes by which interface the packet in the scratch space, which XDP met, will leave.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn route_xdp(ctx: *mut xdp_md, interface: u32) -> u32 {
    route(&XdpContext::new(ctx), interface)
}

#[inline(always)]
fn route<C: EbpfContext>(ctx: &C, interface: u32) -> u32 {
    let (Some(scratch), Some(lookup)) = (maps::scratch(), maps::lookup()) else {
        return 0;
    };
    let packet = &scratch.packet;
    let (source, destination) = (packet.source, packet.destination);
    // SAFETY: zeros are an entry of nothing.
    *lookup = unsafe { core::mem::zeroed() };
    lookup.ifindex = interface;
    lookup.l4_protocol = packet.protocol;
    if matches!(packet.protocol, PROTOCOL_TCP | PROTOCOL_UDP) {
        (lookup.sport, lookup.dport) = (source.port.to_be(), destination.port.to_be());
    }
    if let (Some(from), Some(to)) = (source.addr.v4_bits(), destination.addr.v4_bits()) {
        lookup.family = AF_INET;
        (lookup.__bindgen_anon_3.ipv4_src, lookup.__bindgen_anon_4.ipv4_dst) =
            (from.to_be(), to.to_be());
    } else {
        lookup.family = AF_INET6;
        (lookup.__bindgen_anon_3.ipv6_src, lookup.__bindgen_anon_4.ipv6_dst) =
            (words(source.addr), words(destination.addr));
    }
    let size = size_of::<Lookup>() as i32;
    // SAFETY: the context is the one that the program was given; the entry has the size.
    let found = unsafe { bpf_fib_lookup(ctx.as_ptr(), lookup, size, 0) };
    let is_forwarded = found == FORWARDED || found == NO_NEIGHBOUR;
    scratch.crossing.output = if is_forwarded { lookup.ifindex } else { 0 };
    1
}

#[inline(always)]
fn words(addr: Addr) -> [u32; 4] {
    let [high, low] = addr.words();
    let halves = |word: u64| {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
    };
    let ((a, b), (c, d)) = (halves(high), halves(low));
    [a, b, c, d]
}
