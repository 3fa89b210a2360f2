//! From bytes to the addresses, ports and flags of one packet.

use bytemuck::Zeroable;

use crate::addr::{Addr, Endpoint};
use crate::checksum::Sum;
use crate::fragment::FragmentKey;
use crate::frame::Frame;
use crate::verdict::Reason;

/// IP protocol numbers (IANA).
pub const PROTOCOL_ICMP: u8 = 1;
/// TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// DCCP (RFC 4340).
pub const PROTOCOL_DCCP: u8 = 33;
/// ICMP for IPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;
/// SCTP (RFC 9260).
pub const PROTOCOL_SCTP: u8 = 132;
/// UDP-Lite (RFC 3828).
pub const PROTOCOL_UDPLITE: u8 = 136;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// Tags that are passed: one of 802.1ad and one of 802.1Q.
const MAX_VLAN_TAGS: usize = 2;
const ETHERNET_LENGTH: usize = 14;
const VLAN_LENGTH: usize = 4;

const UDP_LENGTH: usize = 8;
const IPV4_LENGTH: usize = 20;
const IPV6_LENGTH: usize = 40;
/// Extension headers that are passed: those of RFC 8200, 4.1, with destination options twice.
const MAX_EXTENSIONS: usize = 6;

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The IP header: tun, ppp, wireguard.
    Raw,
}

/// The flags byte of a TCP header (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
#[repr(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// Tells whether FIN is set.
    #[inline(always)]
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// Tells whether SYN is set.
    #[inline(always)]
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// Tells whether RST is set.
    #[inline(always)]
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// Tells whether the segment answers one that asks for a connection.
    #[inline(always)]
    pub const fn is_open_answer(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN | Self::ACK
    }

    /// Tells whether the segment asks for a connection: SYN, and none of ACK, RST, FIN.
    #[inline(always)]
    pub const fn is_open(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }

    /// Tells whether a connection may have such flags: of SYN, FIN and RST one at most, and ACK
    /// on whatever is none of SYN and RST.
    #[inline(always)]
    pub const fn is_valid(self) -> bool {
        let kind = self.0 & (Self::SYN | Self::FIN | Self::RST);
        match kind {
            Self::SYN | Self::RST => true,
            0 | Self::FIN => self.0 & Self::ACK != 0,
            _ => false,
        }
    }
}

/// Whether a packet is one of several that make a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
#[repr(u8)]
pub enum Fragment {
    /// It is whole.
    #[default]
    Whole = 0,
    /// It is the first of several.
    First,
    /// It is not the first.
    Later,
}

/// What an ICMP message is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
#[repr(u8)]
pub enum Icmp {
    /// The packet is not ICMP.
    #[default]
    None = 0,
    /// An echo request.
    Request,
    /// An echo reply.
    Reply,
    /// An error about a packet that it quotes.
    Error,
    /// Neighbour discovery, multicast listener discovery (RFC 4861, 2710, 3810).
    Neighbour,
    /// Any other message.
    Other,
}

/// The fields of one IP packet that decisions rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
pub struct Packet {
    /// Where it comes from; the port is 0 where there is none.
    pub source: Endpoint,
    /// Where it goes.
    pub destination: Endpoint,
    /// The IP protocol after all extension headers.
    pub protocol: u8,
    /// The flags of a TCP segment, else 0.
    pub tcp: TcpFlags,
    /// The kind of an ICMP message.
    pub icmp: Icmp,
    /// The type of an ICMP message, else 0.
    pub icmp_type: u8,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// The identification of a fragmented datagram.
    pub id: u32,
    /// What a datagram's fragments share beside addresses and identification: in IPv4 the
    /// protocol (RFC 791, 3.2), in IPv6 nothing (RFC 8200, 4.5).
    pub fragment_protocol: u8,
    /// Offset of the IP header in the frame, in bytes.
    pub network: usize,
    /// Offset of the transport header in the frame, in bytes.
    pub transport: usize,
    /// Length of the header of a TCP segment, in bytes; else that of UDP.
    pub header: usize,
    /// Offset of the packet's end in the frame, in bytes.
    pub end: usize,
}

impl Packet {
    /// Forgets what not every packet has.
    #[inline(always)]
    fn forget(&mut self) {
        self.source.port = 0;
        self.destination.port = 0;
        self.tcp = TcpFlags(0);
        self.icmp = Icmp::None;
        self.icmp_type = 0;
        self.fragment = Fragment::Whole;
        self.fragment_protocol = 0;
        self.header = UDP_LENGTH;
    }

    /// Returns the length of the IP payload, in bytes.
    #[inline(always)]
    pub fn length(&self) -> u64 {
        self.end.wrapping_sub(self.transport) as u64
    }

    /// Returns the length of the IP packet, in bytes.
    #[inline(always)]
    pub fn total(&self) -> u64 {
        self.end.wrapping_sub(self.network) as u64
    }

    /// Returns the offset of what follows the header of a segment or of a UDP datagram in the
    /// frame, in bytes.
    #[inline(always)]
    pub fn payload(&self) -> usize {
        self.transport.wrapping_add(self.header)
    }

    /// Returns the length of that, in bytes.
    #[inline(always)]
    pub fn payload_length(&self) -> usize {
        self.end.wrapping_sub(self.payload())
    }

    /// Returns what the fragments of its datagram share.
    #[inline(always)]
    pub fn datagram(&self) -> FragmentKey {
        FragmentKey {
            source: self.source.addr,
            destination: self.destination.addr,
            id: self.id,
            protocol: u32::from(self.fragment_protocol),
        }
    }

    /// Returns the sum of the pseudo-header, which stands for a transport checksum that is left to
    /// the device.
    #[inline(always)]
    pub fn pseudo_header(&self) -> Sum {
        let (a, b) = (self.source.addr, self.destination.addr);
        Sum::ZERO.pseudo_header(a, b, self.protocol, self.length() as u16)
    }

    /// Returns the TCP flags of a segment.
    #[inline(always)]
    pub fn segment(&self) -> Option<TcpFlags> {
        (self.protocol == PROTOCOL_TCP).then_some(self.tcp)
    }
}

/// Reads the headers of a frame; what is not IP is an error that accepts.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, link: Link, packet: &mut Packet) -> Result<(), Reason> {
    let parsed = parse_headers(frame, link, packet);
    if parsed.is_err() {
        *packet = Packet::default();
    }
    parsed
}

#[inline(always)]
fn parse_headers<F: Frame + ?Sized>(
    frame: &F,
    link: Link,
    packet: &mut Packet,
) -> Result<(), Reason> {
    packet.forget();
    let (ethertype, at) = match link {
        Link::Ethernet => ethertype(frame)?,
        Link::Raw => (raw_ethertype(frame)?, 0),
    };
    packet.network = at;
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, at, packet)?,
        ETHERTYPE_IPV6 => ipv6(frame, at, packet)?,
        _ => return Err(Reason::NotIp),
    }
    if packet.fragment == Fragment::Later { Ok(()) } else { transport(frame, packet) }
}

/// Passes the Ethernet header and its VLAN tags.
#[inline(always)]
fn ethertype<F: Frame + ?Sized>(frame: &F) -> Result<(u16, usize), Reason> {
    let mut at = ETHERNET_LENGTH;
    let mut ethertype =
        frame.read::<2>(at.wrapping_sub(2)).map(u16::from_be_bytes).ok_or(Reason::NotIp)?;
    for _ in 0..MAX_VLAN_TAGS {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
            break;
        }
        let tag = frame.read::<4>(at).ok_or(Reason::MalformedIp)?;
        let [_, _, high, low] = tag;
        ethertype = u16::from_be_bytes([high, low]);
        at = at.wrapping_add(VLAN_LENGTH);
    }
    if ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ {
        return Err(Reason::MalformedIp);
    }
    Ok((ethertype, at))
}

/// Tells the family of a frame without a link header by the version in its first byte.
#[inline(always)]
fn raw_ethertype<F: Frame + ?Sized>(frame: &F) -> Result<u16, Reason> {
    let [first, _] = frame.read::<2>(0).ok_or(Reason::MalformedIp)?;
    match first >> 4 {
        4 => Ok(ETHERTYPE_IPV4),
        6 => Ok(ETHERTYPE_IPV6),
        _ => Err(Reason::MalformedIp),
    }
}

/// Reads an IPv4 header (RFC 791, 3.1).
#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, at: usize, packet: &mut Packet) -> Result<(), Reason> {
    let header = frame.read::<IPV4_LENGTH>(at).ok_or(Reason::MalformedIp)?;
    let [first, _, t0, t1, i0, i1, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        header;
    let header_length = usize::from(first & 0x0f).wrapping_mul(4);
    let total = whole_length(frame, at, usize::from(u16::from_be_bytes([t0, t1])));
    let end = at.wrapping_add(total);
    let transport = at.wrapping_add(header_length);
    if first >> 4 != 4 || header_length < IPV4_LENGTH || end < transport || end > frame.length() {
        return Err(Reason::MalformedIp);
    }
    let fragment_bits = u16::from_be_bytes([f0, f1]);
    let offset = fragment_bits & 0x1fff;
    let more = fragment_bits & 0x2000 != 0;
    packet.source.addr = Addr::v4([s0, s1, s2, s3]);
    packet.destination.addr = Addr::v4([d0, d1, d2, d3]);
    packet.protocol = protocol;
    packet.fragment = fragment_place(offset, more, protocol)?;
    packet.id = u32::from(u16::from_be_bytes([i0, i1]));
    packet.fragment_protocol = protocol;
    packet.transport = transport;
    packet.end = end;
    Ok(())
}

/// Tells which of a datagram's fragments a packet is.
#[inline(always)]
fn fragment_place(offset: u16, more: bool, protocol: u8) -> Result<Fragment, Reason> {
    match (offset, more) {
        (0, false) => Ok(Fragment::Whole),
        (0, true) => Ok(Fragment::First),
        // A second fragment that begins within the TCP flags (RFC 3128).
        (1, _) if protocol == PROTOCOL_TCP => Err(Reason::TinyFragment),
        _ => Ok(Fragment::Later),
    }
}

/// Returns a packet's length: large segments on their way through the host may say 0
/// (BIG TCP).
#[inline(always)]
fn whole_length<F: Frame + ?Sized>(frame: &F, at: usize, said: usize) -> usize {
    let rest = frame.length().wrapping_sub(at);
    if said == 0 && rest > usize::from(u16::MAX) { rest } else { said }
}

/// Reads an IPv6 header and passes its extension headers (RFC 8200, 3 and 4).
#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, at: usize, packet: &mut Packet) -> Result<(), Reason> {
    let start = frame.read::<8>(at).ok_or(Reason::MalformedIp)?;
    let [first, _, _, _, l0, l1, next, _] = start;
    let address = |offset: usize| {
        let high = frame.read::<8>(at.wrapping_add(offset)).ok_or(Reason::MalformedIp)?;
        let low = frame.read::<8>(at.wrapping_add(offset).wrapping_add(8));
        Ok::<Addr, Reason>(Addr::v6(high, low.ok_or(Reason::MalformedIp)?))
    };
    let payload = at.wrapping_add(IPV6_LENGTH);
    let length = whole_length(frame, payload, usize::from(u16::from_be_bytes([l0, l1])));
    let end = payload.wrapping_add(length);
    if first >> 4 != 6 || end > frame.length() {
        return Err(Reason::MalformedIp);
    }
    packet.source.addr = address(8)?;
    packet.destination.addr = address(24)?;
    packet.protocol = next;
    packet.transport = payload;
    packet.end = end;
    extensions(frame, packet)
}

/// Passes extension headers up to the transport header, or to the end of a later fragment's.
#[inline(always)]
fn extensions<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    for _ in 0..MAX_EXTENSIONS {
        let unit = match packet.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => 8,
            AUTHENTICATION => 4,
            FRAGMENT => 0,
            _ => return Ok(()),
        };
        let header = frame.read::<8>(packet.transport).ok_or(Reason::MalformedIp)?;
        let [next, length, o0, o1, i0, i1, i2, i3] = header;
        packet.protocol = next;
        if unit == 0 {
            let bits = u16::from_be_bytes([o0, o1]);
            packet.fragment = fragment_place(bits >> 3, bits & 1 != 0, next)?;
            packet.id = u32::from_be_bytes([i0, i1, i2, i3]);
            packet.transport = packet.transport.wrapping_add(8);
            if packet.fragment == Fragment::Later {
                return Ok(());
            }
        } else {
            // RFC 8200, 4.2: units of 8 beyond the first; RFC 4302, 2.2: units of 4 beyond two.
            let rest = usize::from(length).wrapping_mul(unit);
            packet.transport = packet.transport.wrapping_add(8).wrapping_add(rest);
        }
        if packet.transport > packet.end {
            return Err(Reason::MalformedIp);
        }
    }
    match packet.protocol {
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION => {
            Err(Reason::Ipv6Extensions)
        }
        _ => Ok(()),
    }
}

/// Reads what stands first in the transport header.
#[inline(always)]
fn transport<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    const TCP_LENGTH: usize = 20;
    const ICMP_LENGTH: usize = 8;
    // That of DCCP has no less.
    const SCTP_LENGTH: usize = 12;
    let needed = match packet.protocol {
        PROTOCOL_TCP => TCP_LENGTH,
        PROTOCOL_UDP | PROTOCOL_UDPLITE => UDP_LENGTH,
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => ICMP_LENGTH,
        PROTOCOL_SCTP | PROTOCOL_DCCP => SCTP_LENGTH,
        _ => return Ok(()),
    };
    let cut = match packet.fragment {
        Fragment::Whole => Reason::MalformedTransport,
        Fragment::First | Fragment::Later => Reason::TinyFragment,
    };
    if packet.transport.wrapping_add(needed) > packet.end {
        return Err(cut);
    }
    let start = frame.read::<8>(packet.transport).ok_or(Reason::MalformedTransport)?;
    match packet.protocol {
        PROTOCOL_TCP => tcp(frame, packet, start),
        PROTOCOL_UDP => udp(packet, start),
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            icmp(packet, start);
            Ok(())
        }
        _ => {
            ports(packet, start);
            Ok(())
        }
    }
}

#[inline(always)]
fn ports(packet: &mut Packet, start: [u8; 8]) {
    let [s0, s1, d0, d1, ..] = start;
    packet.source.port = u16::from_be_bytes([s0, s1]);
    packet.destination.port = u16::from_be_bytes([d0, d1]);
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, packet: &mut Packet, start: [u8; 8]) -> Result<(), Reason> {
    ports(packet, start);
    let offset = packet.transport.wrapping_add(12);
    let [length, flags] = frame.read::<2>(offset).ok_or(Reason::MalformedTransport)?;
    let header_length = usize::from(length >> 4).wrapping_mul(4);
    let end = packet.transport.wrapping_add(header_length);
    if header_length < 20 || (end > packet.end && packet.fragment == Fragment::Whole) {
        return Err(Reason::MalformedTransport);
    }
    packet.header = header_length;
    packet.tcp = TcpFlags(flags & 0x3f);
    if !packet.tcp.is_valid() {
        return Err(Reason::TcpFlags);
    }
    Ok(())
}

#[inline(always)]
fn udp(packet: &mut Packet, start: [u8; 8]) -> Result<(), Reason> {
    ports(packet, start);
    let [.., l0, l1, _, _] = start;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let carried = packet.end.wrapping_sub(packet.transport);
    // Large datagrams on their way through the host may say 0 (RFC 2675).
    let fits = length >= 8 && (length <= carried || packet.fragment == Fragment::First);
    if fits {
        // What follows a datagram in its packet is never delivered.
        packet.end = packet.end.min(packet.transport.wrapping_add(length));
    }
    if fits || (length == 0 && carried > usize::from(u16::MAX)) {
        Ok(())
    } else {
        Err(Reason::MalformedTransport)
    }
}

#[inline(always)]
fn icmp(packet: &mut Packet, start: [u8; 8]) {
    let [icmp_type, _, _, _, i0, i1, _, _] = start;
    packet.icmp_type = icmp_type;
    packet.icmp = match (packet.protocol, icmp_type) {
        (PROTOCOL_ICMP, 8) | (PROTOCOL_ICMPV6, 128) => Icmp::Request,
        (PROTOCOL_ICMP, 0) | (PROTOCOL_ICMPV6, 129) => Icmp::Reply,
        (PROTOCOL_ICMP, 3 | 4 | 11 | 12) | (PROTOCOL_ICMPV6, 1..=4) => Icmp::Error,
        (PROTOCOL_ICMPV6, 130..=137 | 141..=143 | 148 | 149 | 151..=153) => Icmp::Neighbour,
        _ => Icmp::Other,
    };
    if matches!(packet.icmp, Icmp::Request | Icmp::Reply) {
        let identifier = u16::from_be_bytes([i0, i1]);
        packet.source.port = identifier;
        packet.destination.port = identifier;
    }
}

/// Reads the packet that an ICMP error quotes: as much of it as names its flow.
#[inline(always)]
pub fn quoted<F: Frame + ?Sized>(frame: &F, error: &Packet) -> Option<Packet> {
    let at = error.transport.wrapping_add(8);
    let mut packet = if error.protocol == PROTOCOL_ICMP {
        quoted_ipv4(frame, at)?
    } else {
        quoted_ipv6(frame, at)?
    };
    let start = frame.read::<8>(packet.transport)?;
    match packet.protocol {
        PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_UDPLITE | PROTOCOL_SCTP | PROTOCOL_DCCP => {
            ports(&mut packet, start);
        }
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            icmp(&mut packet, start);
            if matches!(packet.icmp, Icmp::Error) {
                return None;
            }
        }
        _ => {}
    }
    Some(packet)
}

#[inline(always)]
fn quoted_packet(source: Addr, destination: Addr, protocol: u8, transport: usize) -> Packet {
    Packet {
        source: Endpoint { addr: source, port: 0 },
        destination: Endpoint { addr: destination, port: 0 },
        protocol,
        transport,
        ..Packet::default()
    }
}

#[inline(always)]
fn quoted_ipv4<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Packet> {
    let header = frame.read::<IPV4_LENGTH>(at)?;
    let [first, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let later = u16::from_be_bytes([f0, f1]) & 0x1fff != 0;
    if first >> 4 != 4 || first & 0x0f < 5 || later {
        return None;
    }
    let transport = at.wrapping_add(usize::from(first & 0x0f).wrapping_mul(4));
    let (source, destination) = (Addr::v4([s0, s1, s2, s3]), Addr::v4([d0, d1, d2, d3]));
    Some(quoted_packet(source, destination, protocol, transport))
}

#[inline(always)]
fn quoted_ipv6<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Packet> {
    const FRAGMENT: u8 = 44;
    let [first, _, _, _, _, _, next, _] = frame.read::<8>(at)?;
    if first >> 4 != 6 {
        return None;
    }
    let word = |offset: usize| frame.read::<8>(at.wrapping_add(offset));
    let source = Addr::v6(word(8)?, word(16)?);
    let destination = Addr::v6(word(24)?, word(32)?);
    let transport = at.wrapping_add(IPV6_LENGTH);
    if next != FRAGMENT {
        return Some(quoted_packet(source, destination, next, transport));
    }
    let [protocol, _, o0, o1, ..] = frame.read::<8>(transport)?;
    let first_fragment = u16::from_be_bytes([o0, o1]) >> 3 == 0;
    first_fragment.then(|| quoted_packet(source, destination, protocol, transport.wrapping_add(8)))
}
