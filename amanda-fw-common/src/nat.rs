//! Network address translation of IPv4 (RFC 3022): what a flow's ends are known as outside.
//!
//! Between the hooks a packet has its inside addresses: its destination is translated when it
//! comes in, its source when it goes out. Rules, flows and streams never see anything else.

use core::num::NonZero;

use bytemuck::{Pod, Zeroable};

use crate::addr::{Addr, Endpoint};
use crate::fragment::FragmentKey;
use crate::numbered::numbered;
use crate::wire::{
    PROTOCOL_DCCP, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE, Packet,
};

numbered! {
    /// What a rule of translation does.
    pub enum TranslationKind: u8 {
        /// It exempts packets from the rules of translation behind it.
        None = 0 "none",
        /// It gives the source an address of a range.
        Source = 1 "source",
        /// It gives the source the address of the interface that the packet leaves by.
        Masquerade = 2 "masquerade",
        /// It gives the destination another address.
        Destination = 3 "destination",
    }
}

numbered! {
    /// Who may send to an endpoint that a source was translated to (RFC 4787, 5).
    pub enum Filtering: u8 {
        /// Whom the source has sent to, from the port that it has sent to.
        AddressAndPort = 0 "address-and-port-dependent",
        /// Whom the source has sent to.
        Address = 1 "address-dependent",
        /// Anybody.
        Endpoint = 2 "endpoint-independent",
    }
}

/// What a rule of translation translates to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Translation {
    /// The first address, as a number.
    pub first: u32,
    /// The last address.
    pub last: u32,
    /// The first port, 0 where ports are kept if they can be.
    pub first_port: u16,
    /// The last port.
    pub last_port: u16,
    /// The port that becomes the first one, where destinations are shifted.
    pub matched_port: u16,
    /// Number of the [`TranslationKind`].
    pub kind: u8,
    /// Number of the [`Filtering`].
    pub filtering: u8,
}

impl Translation {
    /// Returns what it does.
    #[inline(always)]
    pub fn kind(&self) -> TranslationKind {
        TranslationKind::from_number(self.kind).unwrap_or(TranslationKind::None)
    }

    /// Returns the address for a source: always the same one for the same source (RFC 4787,
    /// REQ-2).
    #[inline(always)]
    pub fn address_for(&self, inside: u32) -> u32 {
        let size = NonZero::<u32>::MIN.saturating_add(self.last.saturating_sub(self.first));
        self.first.wrapping_add((mix(u64::from(inside)) as u32) % size)
    }

    /// Returns the endpoint for a destination.
    #[inline(always)]
    pub fn destination_for(&self, port: u16) -> Mapped {
        let port = if self.first_port == 0 {
            port
        } else {
            self.first_port.wrapping_add(port.wrapping_sub(self.matched_port))
        };
        Mapped::new(self.first, port)
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
#[inline(always)]
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// An endpoint that stands for another one, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Mapped {
    /// The address, as a number.
    pub addr: u32,
    /// The port, or the identifier of ICMP.
    pub port: u16,
    is_set: u16,
}

impl Mapped {
    /// No endpoint.
    pub const NONE: Self = Self { addr: 0, port: 0, is_set: 0 };

    /// Takes an endpoint.
    #[inline(always)]
    pub const fn new(addr: u32, port: u16) -> Self {
        Self { addr, port, is_set: 1 }
    }

    /// Takes an endpoint, which is none where it is not of IPv4.
    #[inline(always)]
    pub fn of(endpoint: Endpoint) -> Self {
        match endpoint.addr.v4_bits() {
            Some(addr) => Self::new(addr, endpoint.port),
            None => Self::NONE,
        }
    }

    /// Tells whether there is one.
    #[inline(always)]
    pub const fn is_set(&self) -> bool {
        self.is_set != 0
    }

    /// Returns the endpoint.
    #[inline(always)]
    pub const fn endpoint(&self) -> Endpoint {
        Endpoint { addr: Addr::v4(self.addr.to_be_bytes()), port: self.port }
    }
}

/// Marks the key of packets from any port.
const ANY_PORT_BIT: u32 = 1 << 31;

/// The addresses of a packet that comes in, as its sender wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct AliasKey {
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
    protocol: u32,
}

impl AliasKey {
    /// Makes the key of packets between two endpoints of IPv4.
    #[inline(always)]
    pub fn new(protocol: u8, source: Mapped, destination: Mapped) -> Self {
        // Both ends of an ICMP query have one identifier.
        let is_icmp = protocol == PROTOCOL_ICMP;
        Self {
            source: source.addr,
            destination: destination.addr,
            source_port: if is_icmp { destination.port } else { source.port },
            destination_port: destination.port,
            protocol: u32::from(protocol),
        }
    }

    /// Makes the key of packets from any port of an address.
    #[inline(always)]
    pub const fn of_address(protocol: u8, source: u32, destination: Mapped) -> Self {
        Self {
            source,
            destination: destination.addr,
            source_port: 0,
            destination_port: destination.port,
            protocol: protocol as u32 | ANY_PORT_BIT,
        }
    }

    /// Tells whether it is the key of packets from any port.
    pub fn is_any_port(&self) -> bool {
        self.protocol & ANY_PORT_BIT != 0
    }

    /// Returns where packets come from.
    pub fn source(&self) -> Mapped {
        Mapped::new(self.source, self.source_port)
    }

    /// Returns where packets go before they are translated.
    pub fn destination(&self) -> Mapped {
        Mapped::new(self.destination, self.destination_port)
    }

    /// Returns the IP protocol.
    pub fn protocol(&self) -> u8 {
        self.protocol as u8
    }
}

numbered! {
    /// Which end of a binding a key names.
    pub enum Side: u8 {
        /// What is translated.
        Inside = 0 "inside",
        /// What it is translated to.
        Outside = 1 "outside",
    }
}

/// One end of a binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct BindingKey {
    addr: u32,
    /// The address outside, where the key is of the inside: one endpoint may have one binding
    /// for each.
    outside: u32,
    port: u16,
    protocol: u8,
    side: u8,
}

impl BindingKey {
    /// Makes the key of an endpoint inside, bound to an address outside.
    #[inline(always)]
    pub const fn inside(protocol: u8, inside: Mapped, outside: u32) -> Self {
        let side = Side::Inside.number();
        Self { addr: inside.addr, outside, port: inside.port, protocol, side }
    }

    /// Makes the key of an endpoint outside.
    #[inline(always)]
    pub const fn outside(protocol: u8, outside: Mapped) -> Self {
        let side = Side::Outside.number();
        Self { addr: outside.addr, outside: 0, port: outside.port, protocol, side }
    }

    /// Returns the endpoint.
    pub const fn endpoint(&self) -> Mapped {
        Mapped::new(self.addr, self.port)
    }

    /// Returns which end it names.
    pub fn side(&self) -> Side {
        Side::from_number(self.side).unwrap_or(Side::Inside)
    }

    /// Returns the IP protocol.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }
}

/// The other end of a binding: one endpoint inside has one outside, whomever it talks to
/// (RFC 4787, REQ-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Binding {
    /// Monotonic time at which a flow last began that has it, in nanoseconds.
    pub seen: u64,
    /// The endpoint.
    pub other: Mapped,
    /// Index of the interface outside.
    pub interface: u32,
    /// Number of the [`Filtering`].
    pub filtering: u8,
    pad: [u8; 3],
}

impl Binding {
    /// Makes a binding.
    #[inline(always)]
    pub const fn new(other: Mapped, interface: u32, filtering: u8, now: u64) -> Self {
        Self { seen: now, other, interface, filtering, pad: [0; 3] }
    }
}

numbered! {
    /// Which address of a packet is written anew.
    pub enum Rewritten: u8 {
        /// None.
        None = 0 "none",
        /// The source.
        Source = 1 "source",
        /// The destination.
        Destination = 2 "destination",
    }
}

/// What is written anew in a packet before it goes on.
///
/// In an ICMP error the quoted packet's opposite address is written anew as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Rewrite {
    /// The endpoint that stands there.
    pub before: Mapped,
    /// The endpoint that takes its place.
    pub after: Mapped,
    /// The address that stands in the header of an ICMP error.
    pub outer: u32,
    /// Number of what is [`Rewritten`].
    side: u8,
    /// 1 where there are no ports: later fragments, protocols without.
    pub address_alone: u8,
    /// 1 for an ICMP error.
    pub is_error: u8,
    /// The protocol of the packet, or of the one that an ICMP error quotes.
    pub protocol: u8,
    /// Offset of the transport header of the packet, or of the quoted one, in the frame, in bytes.
    pub transport: u32,
}

impl Rewrite {
    /// Nothing is written anew.
    pub const NONE: Self = Self {
        before: Mapped::NONE,
        after: Mapped::NONE,
        outer: 0,
        side: 0,
        address_alone: 0,
        is_error: 0,
        protocol: 0,
        transport: 0,
    };

    /// Replaces an endpoint of a packet, and notes it.
    #[inline(always)]
    pub fn endpoint(&mut self, packet: &mut Packet, side: Rewritten, after: Mapped) {
        let (place, peer) = match side {
            Rewritten::Source => (&mut packet.source, &mut packet.destination),
            Rewritten::Destination | Rewritten::None => {
                (&mut packet.destination, &mut packet.source)
            }
        };
        self.before = Mapped::of(*place);
        self.after = after;
        self.side = side.number();
        self.address_alone = u8::from(!has_checked_port(packet.protocol));
        self.protocol = packet.protocol;
        self.transport = packet.transport as u32;
        *place = after.endpoint();
        if packet.protocol == PROTOCOL_ICMP {
            peer.port = after.port;
        }
    }

    /// Replaces the address of a later fragment.
    #[inline(always)]
    pub fn address(&mut self, packet: &mut Packet, side: Rewritten, after: u32) {
        let after = Mapped::new(after, 0);
        self.endpoint(packet, side, after);
        self.address_alone = 1;
    }

    /// Notes what replaces the endpoint that an ICMP error quotes, and the error's own address.
    #[inline(always)]
    pub fn error(
        &mut self,
        side: Rewritten,
        outer: u32,
        before: Mapped,
        after: Mapped,
        quoted: &Packet,
    ) {
        *self = Self {
            before,
            after,
            outer,
            side: side.number(),
            address_alone: u8::from(!has_checked_port(quoted.protocol)),
            is_error: 1,
            protocol: quoted.protocol,
            transport: quoted.transport as u32,
        };
    }

    /// Returns what is written anew.
    #[inline(always)]
    pub fn side(&self) -> Rewritten {
        Rewritten::from_number(self.side).unwrap_or(Rewritten::None)
    }

    /// Tells whether anything is.
    #[inline(always)]
    pub const fn is_any(&self) -> bool {
        self.side != 0
    }

    /// Returns the destination that a packet came with.
    #[inline(always)]
    pub fn destination_before(&self, packet: &Packet) -> Endpoint {
        match self.side() {
            Rewritten::Destination if self.is_error == 0 => self.before.endpoint(),
            Rewritten::Destination | Rewritten::Source | Rewritten::None => packet.destination,
        }
    }
}

/// Tells whether a protocol has a port, or an identifier, under a checksum that can be mended
/// (SCTP's cannot).
#[inline(always)]
pub const fn has_checked_port(protocol: u8) -> bool {
    matches!(
        protocol,
        PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_ICMP | PROTOCOL_UDPLITE | PROTOCOL_DCCP
    )
}

/// How many ports are tried before a range counts as exhausted.
pub const PORT_TRIES: u32 = 128;

/// Binds a port to a source: its own, or one of its class (RFC 4787, REQ-3 a) and for UDP of its parity
/// (REQ-4), from anywhere in the range; `claim` tells whether a port was free, and is taken now.
#[inline(always)]
pub fn bind_port(
    protocol: u8,
    inside: Mapped,
    translation: &Translation,
    salt: u64,
    mut claim: impl FnMut(u16) -> bool,
) -> Option<u16> {
    let port = inside.port;
    // What has no port that could be another one is one endpoint of an address.
    if !has_checked_port(protocol) {
        return claim(port).then_some(port);
    }
    let (first, last) = match (translation.first_port, protocol, port) {
        (1.., ..) => (translation.first_port, translation.last_port),
        (0, PROTOCOL_ICMP, _) => (0, u16::MAX),
        // amandad refuses requests from ports above 1023 (bsd-security.c), and Amanda asks from
        // none below 512.
        (0, _, 0..=511) => (1, 511),
        (0, _, 512..=1023) => (512, 1023),
        (0, ..) => (1024, u16::MAX),
    };
    if first <= port && port <= last && claim(port) {
        return Some(port);
    }
    let size = NonZero::<u32>::MIN.saturating_add(u32::from(last.saturating_sub(first)));
    // Of a range of few ports each is tried.
    let keeps_parity = protocol == PROTOCOL_UDP && size.get() > PORT_TRIES;
    let (size, shift, odd) = if keeps_parity {
        let half = NonZero::new(size.get() >> 1).unwrap_or(size);
        (half, 1, port.wrapping_sub(first) & 1)
    } else {
        (size, 0, 0)
    };
    let word = (u64::from(inside.addr) << 16) | u64::from(port);
    let start = mix(word ^ salt) as u32;
    for index in 0..PORT_TRIES {
        let offset = (start.wrapping_add(index) % size) << shift;
        let port = first.wrapping_add(offset as u16).wrapping_add(odd);
        if claim(port) {
            return Some(port);
        }
    }
    None
}

/// What becomes of a packet beside its verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Crossing {
    /// The datagram of which it is the first fragment, where others of it are held.
    pub datagram: FragmentKey,
    /// What is written anew.
    pub rewrite: Rewrite,
    /// What the responder of its flow is known as to the originator.
    pub responder: Mapped,
    /// Index of the interface that it will leave by, 0 where it is for this host.
    pub output: u32,
    /// The endpoint that its source is translated to.
    pub source: Mapped,
    /// The address that its source is translated to, as a number, 0 for none.
    pub outside: u32,
    /// Number of the translation by which it is.
    pub translation: u16,
    /// 1 where the source of its flow is yet to be translated.
    pub asks_source: u8,
    /// 1 where it is on its way through the host, and was decided when it came in.
    pub is_decided: u8,
    /// 1 where the line of the reply that it carries is written anew.
    pub is_announced: u8,
    /// Number, from 1, under which it is held until the first fragment of its datagram comes, else 0.
    pub hold: u8,
    /// How many fragments are held that follow it.
    pub held: u8,
    pad: u8,
    pad_word: u32,
}

impl Crossing {
    /// Nothing beside the verdict.
    pub const NONE: Self = Self {
        datagram: FragmentKey {
            source: Addr::UNSPECIFIED,
            destination: Addr::UNSPECIFIED,
            id: 0,
            protocol: 0,
        },
        rewrite: Rewrite::NONE,
        responder: Mapped::NONE,
        output: 0,
        source: Mapped::NONE,
        outside: 0,
        translation: 0,
        asks_source: 0,
        is_decided: 0,
        is_announced: 0,
        hold: 0,
        held: 0,
        pad: 0,
        pad_word: 0,
    };
}
