//! Translated addresses and ports on their way into a packet, with its checksums (RFC 1624, RFC 3022,
//! 4.2). XDP has no part in it: the checksums of its packets may be left to a device.

use amanda_fw_common::frame::Frame;
use amanda_fw_common::nat::{Rewrite, Rewritten};
use amanda_fw_common::text::TEXT_LENGTH;
use amanda_fw_common::wire::{
    PROTOCOL_DCCP, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE,
};
use aya_ebpf::bindings::{__sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR};
use aya_ebpf::helpers::generated::{
    bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_load_bytes, bpf_skb_store_bytes,
};
use aya_ebpf::programs::TcContext;

use crate::maps::{self, Scratch};
use crate::packet::TcFrame;

/// Offset of the checksum in a UDP header.
const UDP_CHECKSUM: u32 = 6;

/// Offsets in an IPv4 header.
const CHECKSUM: u32 = 10;
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;

/// Where the fields of a transport header are that change with an endpoint.
struct Fields {
    checksum: u32,
    source: u32,
    destination: u32,
    /// Whether the checksum covers the addresses.
    has_pseudo_header: bool,
    /// Whether a checksum of 0 stands for none.
    may_be_none: bool,
}

impl Fields {
    #[inline(always)]
    fn of(protocol: u8) -> Option<Self> {
        let ports = |checksum, may_be_none| Self {
            checksum,
            source: 0,
            destination: 2,
            has_pseudo_header: true,
            may_be_none,
        };
        match protocol {
            PROTOCOL_TCP => Some(ports(16, false)),
            PROTOCOL_UDP => Some(ports(6, true)),
            PROTOCOL_UDPLITE | PROTOCOL_DCCP => Some(ports(6, false)),
            PROTOCOL_ICMP => Some(Self {
                checksum: 2,
                source: 4,
                destination: 4,
                has_pseudo_header: false,
                may_be_none: false,
            }),
            _ => None,
        }
    }
}

/// Writes what the scratch space says into the packet that TC met; 0 where that failed.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn rewrite_tc(ctx: *mut __sk_buff) -> u32 {
    let Some(scratch) = maps::scratch() else {
        return 0;
    };
    let rewrite = scratch.crossing.rewrite;
    let (network, transport) = (scratch.packet.network as u32, scratch.packet.transport as u32);
    let skb = Skb(ctx);
    let done = if rewrite.is_error == 1 {
        skb.rewrite_error(&rewrite, network, transport)
    } else {
        skb.rewrite_packet(&rewrite, network)
    };
    u32::from(done.is_some())
}

/// Writes the text in the scratch space over the one that the datagram begins with; 0 where that
/// failed.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn announce_tc(ctx: *mut __sk_buff) -> u32 {
    let Some(scratch) = maps::scratch() else {
        return 0;
    };
    u32::from(Skb(ctx).announce(scratch).is_some())
}

struct Skb(*mut __sk_buff);

impl Skb {
    #[inline(always)]
    fn rewrite_packet(&self, rewrite: &Rewrite, network: u32) -> Option<()> {
        let Rewrite { before, after, transport, .. } = *rewrite;
        let is_source = rewrite.side() == Rewritten::Source;
        if rewrite.address_alone == 0 {
            let fields = Fields::of(rewrite.protocol)?;
            let checksum = transport + fields.checksum;
            let none = if fields.may_be_none { u64::from(BPF_F_MARK_MANGLED_0) } else { 0 };
            if fields.has_pseudo_header {
                let flags = none | u64::from(BPF_F_PSEUDO_HDR);
                self.mend_transport(checksum, before.addr.to_be(), after.addr.to_be(), flags | 4)?;
            }
            if before.port != after.port {
                let (from, to) = (before.port.to_be().into(), after.port.to_be().into());
                self.mend_transport(checksum, from, to, none | 2)?;
                let at = if is_source { fields.source } else { fields.destination };
                self.store(transport + at, &after.port.to_be_bytes())?;
            }
        }
        let at = if is_source { SOURCE } else { DESTINATION };
        self.address(network, at, before.addr, after.addr)
    }

    /// Writes a text over another one of its length.
    #[inline(always)]
    fn announce(&self, scratch: &mut Scratch) -> Option<()> {
        let Scratch { packet, text, before, .. } = scratch;
        let length = packet.end.saturating_sub(packet.payload()).min(TEXT_LENGTH);
        let ctx = TcContext::new(self.0);
        TcFrame::new(&ctx).copy(packet.payload(), length, before.cleared_words());
        let difference = text.sum().minus(before.sum());
        let at = packet.transport as u32 + UDP_CHECKSUM;
        self.mend_transport(at, 0, difference.to_be().into(), u64::from(BPF_F_MARK_MANGLED_0))?;
        // A mask is the bound that the verifier can see.
        let length = ((length.wrapping_sub(1) & (TEXT_LENGTH - 1)) + 1) as u32;
        let from = text.as_bytes().as_ptr().cast();
        // SAFETY: the text has so many bytes, and the helper checks the packet.
        let stored =
            unsafe { bpf_skb_store_bytes(self.0, packet.payload() as u32, from, length, 0) };
        (stored == 0).then_some(())
    }

    /// Writes an ICMP error, and what it quotes, whose checksums the error's own covers: those of
    /// an IP header and of an ICMP query make up for what they cover.
    #[inline(always)]
    fn rewrite_error(&self, rewrite: &Rewrite, network: u32, icmp: u32) -> Option<()> {
        let Rewrite { before, after, outer, .. } = *rewrite;
        let is_source = rewrite.side() == Rewritten::Source;
        let (outer_at, quoted_at) =
            if is_source { (SOURCE, DESTINATION) } else { (DESTINATION, SOURCE) };
        let quoted = icmp + 8;
        if rewrite.address_alone == 0 {
            self.rewrite_quoted(rewrite, icmp)?;
        }
        self.address(quoted, quoted_at, before.addr, after.addr)?;
        self.address(network, outer_at, outer, after.addr)
    }

    #[inline(always)]
    fn rewrite_quoted(&self, rewrite: &Rewrite, icmp: u32) -> Option<()> {
        let Rewrite { before, after, transport, .. } = *rewrite;
        let fields = Fields::of(rewrite.protocol)?;
        let is_source = rewrite.side() == Rewritten::Source;
        // The quoted packet goes the other way than the error.
        let at = if is_source { fields.destination } else { fields.source };
        let (from, to) = (u64::from(before.port.to_be()), u64::from(after.port.to_be()));
        let outer = icmp + 2;
        if rewrite.protocol == PROTOCOL_UDP || rewrite.protocol == PROTOCOL_ICMP {
            // Its checksum is among the eight bytes that every error quotes (RFC 792).
            let old = self.read(transport + fields.checksum)?;
            if old != 0 || !fields.may_be_none {
                let checksum = transport + fields.checksum;
                if fields.has_pseudo_header {
                    let (from, to) = (before.addr.to_be(), after.addr.to_be());
                    self.mend(checksum, from.into(), to.into(), 4)?;
                }
                self.mend(checksum, from, to, 2)?;
                let new = self.read(checksum)?;
                self.mend(outer, u64::from(old), u64::from(new), 2)?;
            }
        }
        self.mend(outer, from, to, 2)?;
        self.store(transport + at, &after.port.to_be_bytes())
    }

    /// Writes an address into an IPv4 header.
    #[inline(always)]
    fn address(&self, header: u32, at: u32, before: u32, after: u32) -> Option<()> {
        let (from, to) = (u64::from(before.to_be()), u64::from(after.to_be()));
        // SAFETY: the context is the one that the program was given, and the helper checks the
        // packet.
        let mended = unsafe { bpf_l3_csum_replace(self.0, header + CHECKSUM, from, to, 4) };
        if mended != 0 {
            return None;
        }
        self.store(header + at, &after.to_be_bytes())
    }

    /// Mends a checksum, of which a device may have to compute the rest.
    #[inline(always)]
    fn mend_transport(&self, at: u32, from: u32, to: u32, flags: u64) -> Option<()> {
        // SAFETY: as above.
        let mended =
            unsafe { bpf_l4_csum_replace(self.0, at, u64::from(from), u64::from(to), flags) };
        (mended == 0).then_some(())
    }

    /// Mends a checksum of what is quoted, as that of an IP header is: it is nobody's to compute.
    #[inline(always)]
    fn mend(&self, at: u32, from: u64, to: u64, size: u64) -> Option<()> {
        // SAFETY: as above.
        (unsafe { bpf_l3_csum_replace(self.0, at, from, to, size) } == 0).then_some(())
    }

    /// Reads a field as it lies in memory.
    #[inline(always)]
    fn read(&self, at: u32) -> Option<u16> {
        let mut bytes = [0_u8; 2];
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: as above; there is room for two bytes.
        let read = unsafe { bpf_skb_load_bytes(self.0.cast_const().cast(), at, to, 2) };
        (read == 0).then_some(u16::from_ne_bytes(bytes))
    }

    #[inline(always)]
    fn store<const N: usize>(&self, at: u32, bytes: &[u8; N]) -> Option<()> {
        // SAFETY: as above.
        let stored = unsafe { bpf_skb_store_bytes(self.0, at, bytes.as_ptr().cast(), N as u32, 0) };
        (stored == 0).then_some(())
    }
}
