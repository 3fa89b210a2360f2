//! Frames for tests, built layer by layer with the lengths and checksums that a host would send.
//!
//! [`tcp`], [`udp`], [`echo`] and [`icmp`] make a [`Packet`]; its fields may then be changed, and
//! [`Packet::fragments`], [`Packet::bytes`], [`Packet::ethernet`] and [`Packet::tagged`] put
//! it on a wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// The flags of a TCP segment that asks for a connection.
pub const SYN: u8 = 0x02;
/// The flags of the answer to it.
pub const SYN_ACK: u8 = 0x12;
/// The flags of a segment in the middle of a connection.
pub const ACK: u8 = 0x10;
/// The flags of a side's last segment.
pub const FIN_ACK: u8 = 0x11;
/// The flags of a reset.
pub const RST: u8 = 0x04;

/// The hop-by-hop options of IPv6.
pub const HOP_BY_HOP: u8 = 0;
/// The routing header of IPv6.
pub const ROUTING: u8 = 43;
/// The fragment header of IPv6.
pub const FRAGMENT: u8 = 44;
/// The authentication header (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// The destination options of IPv6.
pub const DESTINATION: u8 = 60;

/// The ethertype of an 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// The ethertype of an 802.1ad tag.
pub const QINQ: u16 = 0x88a8;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const TTL: u8 = 64;

/// An IP packet: what its header says, and the payload behind the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sends it.
    pub source: IpAddr,
    /// Who receives it; of the source's family.
    pub destination: IpAddr,
    /// The protocol of the payload.
    pub protocol: u8,
    /// The transport header and what follows it.
    pub payload: Vec<u8>,
    /// The identification of a datagram in fragments.
    pub id: u32,
    /// Which fragment it is, of a datagram that is not whole.
    pub fragment: Option<Fragment>,
    /// The types of the IPv6 extension headers before the payload, and before a fragment header.
    pub extensions: Vec<u8>,
}

/// A fragment's place in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where its bytes begin, in bytes: a multiple of 8.
    pub offset: u16,
    /// Whether others follow it.
    pub more: bool,
}

/// Makes a TCP segment without data.
#[must_use]
pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: u8) -> Packet {
    tcp_with(source, destination, flags, &[])
}

/// Makes a TCP segment.
#[must_use]
pub fn tcp_with(source: SocketAddr, destination: SocketAddr, flags: u8, data: &[u8]) -> Packet {
    const OFFSET_OF_20: u8 = 5 << 4;
    const WINDOW: [u8; 2] = [0xfa, 0xf0];
    let mut payload = ports(source, destination);
    payload.extend([0, 0, 0, 1, 0, 0, 0, 1, OFFSET_OF_20, flags]);
    payload.extend(WINDOW);
    payload.extend([0; 4]);
    payload.extend(data);
    Packet::new(source.ip(), destination.ip(), TCP, payload).with_checksum(16)
}

/// Makes a UDP datagram.
#[must_use]
pub fn udp(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Packet {
    let mut payload = ports(source, destination);
    payload.extend(length_of(8 + data.len()));
    payload.extend([0; 2]);
    payload.extend(data);
    Packet::new(source.ip(), destination.ip(), UDP, payload).with_checksum(6)
}

/// Makes the request of an ICMP echo.
#[must_use]
pub fn echo(source: IpAddr, destination: IpAddr, identifier: u16) -> Packet {
    let (icmp_type, _) = echo_types(source);
    icmp(source, destination, [icmp_type, 0], &rest_of_echo(identifier))
}

/// Makes the reply of an ICMP echo.
#[must_use]
pub fn echo_reply(source: IpAddr, destination: IpAddr, identifier: u16) -> Packet {
    let (_, icmp_type) = echo_types(source);
    icmp(source, destination, [icmp_type, 0], &rest_of_echo(identifier))
}

/// Makes a "port unreachable" that quotes a packet's header and the first 8 bytes behind it.
#[must_use]
pub fn unreachable(source: IpAddr, destination: IpAddr, quoted: &Packet) -> Packet {
    let type_and_code = if source.is_ipv4() { [3, 3] } else { [1, 4] };
    let mut body = vec![0; 4];
    let header = quoted.header();
    body.extend(&header);
    body.extend(quoted.payload.iter().take(8));
    icmp(source, destination, type_and_code, &body)
}

/// Makes an ICMP message of the sender's family; the body begins behind the checksum.
#[must_use]
pub fn icmp(source: IpAddr, destination: IpAddr, type_and_code: [u8; 2], body: &[u8]) -> Packet {
    let protocol = if source.is_ipv4() { ICMP } else { ICMPV6 };
    let mut payload = type_and_code.to_vec();
    payload.extend([0; 2]);
    payload.extend(body);
    Packet::new(source, destination, protocol, payload).with_checksum(2)
}

impl Packet {
    /// Makes a whole packet without extension headers.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, payload: Vec<u8>) -> Self {
        let (id, fragment, extensions) = (0, None, Vec::new());
        Self { source, destination, protocol, payload, id, fragment, extensions }
    }

    /// Puts IPv6 extension headers of so many types before the payload.
    #[must_use]
    pub fn extended(self, extensions: &[u8]) -> Self {
        Self { extensions: extensions.to_vec(), ..self }
    }

    /// Makes it a fragment of a larger datagram, which it is not cut from.
    #[must_use]
    pub fn as_fragment(self, id: u32, offset: u16, more: bool) -> Self {
        Self { id, fragment: Some(Fragment { offset, more }), ..self }
    }

    /// Cuts the packet into fragments whose payloads have so many bytes, a multiple of 8.
    #[must_use]
    pub fn fragments(&self, id: u32, size: u16) -> Vec<Self> {
        let count = self.payload.len().div_ceil(size.into());
        let cut = |(offset, (index, bytes)): (u16, (usize, &[u8]))| {
            let whole = Self { payload: bytes.to_vec(), ..self.clone() };
            whole.as_fragment(id, offset, index + 1 < count)
        };
        let offsets = (0..=u16::MAX).step_by(size.into());
        offsets.zip(self.payload.chunks(size.into()).enumerate()).map(cut).collect()
    }

    /// Leaves the checksum of a segment or datagram to the device, as Linux does: what stands there
    /// is the sum of the pseudo header.
    #[must_use]
    pub fn left_to_device(mut self) -> Self {
        let at = if self.protocol == TCP { 16 } else { 6 };
        let seed = !checksum(&self.pseudo_header());
        self.payload[at..at + 2].copy_from_slice(&seed.to_be_bytes());
        self
    }

    /// Returns the packet, as a device without a link header carries it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.header(), self.payload.clone()].concat()
    }

    /// Returns the packet in an Ethernet frame.
    #[must_use]
    pub fn ethernet(&self) -> Vec<u8> {
        self.tagged(&[])
    }

    /// Returns the packet in an Ethernet frame with tags of these ethertypes, the outer one first.
    #[must_use]
    pub fn tagged(&self, tags: &[u16]) -> Vec<u8> {
        const NETWORK: [u8; 2] = [0, 7];
        let mut frame = MACS.to_vec();
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend(NETWORK);
        }
        let ethertype = if self.source.is_ipv4() { IPV4 } else { IPV6 };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(self.bytes());
        frame
    }

    /// Returns the IPv4 packet in an Ethernet frame, with so many words of options (1 to 10).
    #[must_use]
    pub fn with_options(&self, words: u8) -> Vec<u8> {
        const NO_OPERATION: u8 = 1;
        const HEADER: usize = 20;
        let options = vec![NO_OPERATION; usize::from(words) * 4];
        let frame = self.ethernet();
        let (link, packet) = frame.split_at(frame.len() - self.bytes().len());
        let mut header = [&packet[..HEADER], &options].concat();
        header[0] += words;
        header[2..4].copy_from_slice(&length_of(packet.len() + options.len()));
        header[10..12].fill(0);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [link, &header, &packet[HEADER..]].concat()
    }

    /// Computes the checksum over payload and pseudo header anew, and writes it into the payload.
    #[must_use]
    pub fn with_checksum(mut self, at: usize) -> Self {
        self.payload[at..at + 2].fill(0);
        let sum = match self.protocol {
            ICMP => checksum(&self.payload),
            _ => checksum(&[self.pseudo_header(), self.payload.clone()].concat()),
        };
        // A datagram without a checksum says 0, so a sum of 0 is sent as its other form (RFC 768).
        let sum = if sum == 0 && self.protocol == UDP { u16::MAX } else { sum };
        self.payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self
    }

    fn pseudo_header(&self) -> Vec<u8> {
        let mut header = addresses(self.source, self.destination);
        header.extend([0, self.protocol]);
        header.extend(length_of(self.payload.len()));
        header
    }

    fn header(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.ipv4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.ipv6(source, destination),
            (source, destination) => panic!("{source} and {destination} are of two families"),
        }
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        const VERSION_AND_LENGTH: u8 = 0x45;
        const DONT_FRAGMENT: u16 = 0x4000;
        const MORE_FRAGMENTS: u16 = 0x2000;
        let place = self.fragment.map_or(DONT_FRAGMENT, |fragment| {
            let more = if fragment.more { MORE_FRAGMENTS } else { 0 };
            (fragment.offset / 8) | more
        });
        let id = u16::try_from(self.id).expect("an identification of IPv4 has 16 bits");
        let mut header = vec![VERSION_AND_LENGTH, 0];
        header.extend(length_of(20 + self.payload.len()));
        header.extend(id.to_be_bytes());
        header.extend(place.to_be_bytes());
        header.extend([TTL, self.protocol, 0, 0]);
        header.extend(source.octets());
        header.extend(destination.octets());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        const VERSION: u8 = 0x60;
        let (first, chain) = self.chain();
        let mut header = vec![VERSION, 0, 0, 0];
        header.extend(length_of(chain.len() + self.payload.len()));
        header.extend([first, TTL]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header.extend(chain);
        header
    }

    /// Returns the extension headers, and the type of the first of them.
    fn chain(&self) -> (u8, Vec<u8>) {
        let mut types = self.extensions.clone();
        types.extend(self.fragment.map(|_| FRAGMENT));
        let mut next = self.protocol;
        let mut headers = Vec::new();
        for extension in types.into_iter().rev() {
            headers.push(self.extension(extension, next));
            next = extension;
        }
        headers.reverse();
        (next, headers.concat())
    }

    fn extension(&self, extension: u8, next: u8) -> Vec<u8> {
        const PADDING_OF_4: [u8; 6] = [1, 4, 0, 0, 0, 0];
        match extension {
            FRAGMENT => self.fragment_header(next),
            // 16 bytes are 4 units of 4, of which 2 are not counted (RFC 4302, 2.2).
            AUTHENTICATION => [vec![next, 2], vec![0; 14]].concat(),
            ROUTING => vec![next, 0, 0, 0, 0, 0, 0, 0],
            _ => [vec![next, 0], PADDING_OF_4.to_vec()].concat(),
        }
    }

    fn fragment_header(&self, next: u8) -> Vec<u8> {
        let whole = Fragment { offset: 0, more: false };
        let Fragment { offset, more } = self.fragment.unwrap_or(whole);
        let mut header = vec![next, 0];
        header.extend((offset | u16::from(more)).to_be_bytes());
        header.extend(self.id.to_be_bytes());
        header
    }
}

/// Computes the Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| match *pair {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(high) << 8,
        _ => 0,
    };
    let mut sum: u64 = bytes.chunks(2).map(word).sum();
    while sum > u64::from(u16::MAX) {
        sum = (sum >> 16) + (sum & u64::from(u16::MAX));
    }
    !u16::try_from(sum).expect("the carries are folded")
}

fn ports(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat()
}

fn addresses(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    [source, destination]
        .iter()
        .flat_map(|address| match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        })
        .collect()
}

fn length_of(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a packet has at most 65535 bytes").to_be_bytes()
}

fn echo_types(address: IpAddr) -> (u8, u8) {
    if address.is_ipv4() { (8, 0) } else { (128, 129) }
}

fn rest_of_echo(identifier: u16) -> Vec<u8> {
    const SEQUENCE: u16 = 1;
    let mut rest = [identifier.to_be_bytes(), SEQUENCE.to_be_bytes()].concat();
    rest.extend(b"12345678");
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_that_of_the_rfc() {
        // RFC 1071, 3: the sum is 0xddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn headers_and_segments_sum_to_nothing() {
        for (a, b) in [("10.0.0.1:850", "10.0.0.2:10080"), ("[fd00::1]:850", "[fd00::2]:10080")] {
            let (a, b) = (endpoint(a), endpoint(b));
            for packet in [tcp_with(a, b, ACK, b"odd"), udp(a, b, b"even")] {
                let covered = [packet.pseudo_header(), packet.payload.clone()].concat();
                assert_eq!(checksum(&covered), 0, "{packet:?}");
            }
        }
        let packet = udp(endpoint("10.0.0.1:850"), endpoint("10.0.0.2:10080"), b"x");
        assert_eq!(checksum(&packet.bytes()[..20]), 0);
    }

    #[test]
    fn a_real_frame_is_built_again() {
        // The receipt of a reply to a Debian host; a device would fill in the UDP checksum.
        let text = b"Amanda 3.5 ACK HANDLE 000-00000000 SEQ 1795180617\n";
        let (a, b) = (endpoint("10.101.1.2:850"), endpoint("10.101.2.2:10080"));
        let built = Packet { id: 0x09fb, ..udp(a, b, text) }.bytes();
        let header = [
            0x45, 0x00, 0x00, 0x4e, 0x09, 0xfb, 0x40, 0x00, 0x40, 0x11, 0x18, 0xd7, 0x0a, 0x65,
            0x01, 0x02, 0x0a, 0x65, 0x02, 0x02, 0x03, 0x52, 0x27, 0x60, 0x00, 0x3a,
        ];
        assert_eq!(built[..26], header);
        assert_eq!(built[28..], *text);
    }

    #[test]
    fn fragments_make_the_whole_again() {
        let whole = udp(endpoint("[fd00::1]:850"), endpoint("[fd00::2]:10080"), &[7; 40]);
        let fragments = whole.fragments(9, 16);
        let places: Vec<_> = fragments.iter().filter_map(|f| f.fragment).collect();
        let place = |offset, more| Fragment { offset, more };
        assert_eq!(places, [place(0, true), place(16, true), place(32, false)]);
        assert_eq!(
            fragments.iter().flat_map(|f| f.payload.clone()).collect::<Vec<_>>(),
            whole.payload
        );
    }

    #[test]
    fn extension_headers_name_the_next_one() {
        let packet = udp(endpoint("[fd00::1]:1"), endpoint("[fd00::2]:2"), b"")
            .extended(&[HOP_BY_HOP, AUTHENTICATION])
            .as_fragment(5, 8, true);
        let bytes = packet.bytes();
        assert_eq!([bytes[6], bytes[40], bytes[48], bytes[64]], [0, AUTHENTICATION, FRAGMENT, UDP]);
        assert_eq!(bytes[66..72], [0, 9, 0, 0, 0, 5]);
        assert_eq!(bytes.len(), 40 + 8 + 16 + 8 + 8);
    }

    fn endpoint(text: &str) -> SocketAddr {
        text.parse().expect("an address and a port")
    }
}
