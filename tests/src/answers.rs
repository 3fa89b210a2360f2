//! Answers to rejected packets, whole: put together as the programs do, and checked by the RFCs.

use amanda_fw_common::answer::{self, Answer, AnswerKind, Copied};
use amanda_fw_common::rules::Rejection;
use amanda_fw_common::wire::Packet;

use crate::frames::{ICMP, ICMPV6, TCP, UDP, checksum};

/// The programs that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// XDP: checksums are complete, and a tag is in the frame.
    Xdp,
    /// TC: a checksum may be left to the device, and a tag is beside the frame.
    Tc,
}

const ETHERNET: usize = 14;
const TAGGED: usize = 18;

/// Puts the answer to a frame together; nothing where it gets none.
#[must_use]
pub fn assemble(
    frame: &[u8],
    packet: &Packet,
    rejection: Rejection,
    layer: Layer,
) -> Option<Vec<u8>> {
    const NOW: u64 = 1;
    let (mut answer, mut copied) = (Answer::NONE, Copied::EMPTY);
    if !answer::is_due(packet, rejection, &mut 0, NOW) {
        return None;
    }
    copied.read(frame, packet);
    if !answer.write(&copied, packet, rejection, layer == Layer::Tc) {
        return None;
    }
    let quoted = &frame[packet.network..][..answer.quoted as usize];
    let (ip, rest): (&[u8], &[u8]) = match answer.kind()? {
        AnswerKind::Reset4 => (&answer.ipv4, &answer.tcp),
        AnswerKind::Reset6 => (&answer.ipv6, &answer.tcp),
        AnswerKind::Icmp4 => (&answer.ipv4, &answer.icmp),
        AnswerKind::Icmp6 => (&answer.ipv6, &answer.icmp),
    };
    Some([&link(&frame[..packet.network], layer)?, ip, rest, quoted].concat())
}

/// Returns the link header of the answer.
fn link(header: &[u8], layer: Layer) -> Option<Vec<u8>> {
    match (header.len(), layer) {
        (0, Layer::Tc) => return Some(Vec::new()),
        (ETHERNET, _) | (TAGGED, Layer::Xdp) => {}
        _ => return None,
    }
    let is_for_many = header[0] & 1 != 0;
    (!is_for_many).then(|| [&header[6..12], &header[..6], &header[12..]].concat())
}

/// Checks an answer to a frame whose packet begins at an offset, by the letter of the RFCs.
///
/// Where the checksum of the frame was left to the device, that of the answer is, too.
///
/// # Panics
///
/// Where a byte is not what it must be.
#[track_caller]
pub fn check(frame: &[u8], network: usize, answer: &[u8], is_partial: bool) {
    if network > 0 {
        assert_eq!(answer[..6], frame[6..12], "to whom the frame goes");
        assert_eq!(answer[6..12], frame[..6], "whom it comes from");
        assert_eq!(answer[12..network], frame[12..network], "tags and ethertype");
    }
    let (asked, answer) = (Ip::read(&frame[network..]), Ip::read(&answer[network..]));
    assert!(!answer.is_v4 || checksum(&answer.bytes[..20]) == 0, "checksum of the IPv4 header");
    assert_eq!(answer.bytes.len(), answer.length, "the length that the header says");
    assert_eq!(answer.source, asked.destination, "whom the packet comes from");
    assert_eq!(answer.destination, asked.source, "to whom the packet goes");
    assert_eq!(answer.limit, 64, "hop limit");
    match answer.protocol {
        TCP => check_reset(&asked, &answer, is_partial),
        ICMP | ICMPV6 => check_error(&asked, &answer, is_partial),
        other => panic!("an answer of protocol {other}"),
    }
}

/// An IP packet without options or extension headers.
struct Ip<'a> {
    bytes: &'a [u8],
    is_v4: bool,
    /// What the header says.
    length: usize,
    protocol: u8,
    limit: u8,
    source: &'a [u8],
    destination: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ip<'a> {
    #[track_caller]
    fn read(bytes: &'a [u8]) -> Self {
        let length = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        if bytes[0] == 0x45 {
            Self {
                bytes,
                is_v4: true,
                length: length(2),
                protocol: bytes[9],
                limit: bytes[8],
                source: &bytes[12..16],
                destination: &bytes[16..20],
                payload: &bytes[20..length(2).min(bytes.len())],
            }
        } else {
            assert_eq!(bytes[0] >> 4, 6, "an answer to IPv4 options");
            Self {
                bytes,
                is_v4: false,
                length: 40 + length(4),
                protocol: bytes[6],
                limit: bytes[7],
                source: &bytes[8..24],
                destination: &bytes[24..40],
                payload: &bytes[40..(40 + length(4)).min(bytes.len())],
            }
        }
    }

    fn header(&self) -> usize {
        if self.is_v4 { 20 } else { 40 }
    }

    /// Returns the sum that stands for a checksum which the device completes.
    fn seed(&self) -> u16 {
        !checksum(&self.pseudo_header(self.payload.len()))
    }

    fn pseudo_header(&self, length: usize) -> Vec<u8> {
        let length = u16::try_from(length).expect("a short packet").to_be_bytes();
        [self.source, self.destination, &[0, self.protocol], &length].concat()
    }

    /// Computes the checksum of the payload, which is 0 where it is right.
    fn checksum_of(&self, payload: &[u8]) -> u16 {
        let pseudo = if self.protocol == ICMP { vec![] } else { self.pseudo_header(payload.len()) };
        checksum(&[&pseudo, payload].concat())
    }
}

/// Tells whether the checksum of a packet, cut where its datagram ends, is as if it were left to
/// the device.
#[must_use]
pub fn is_seeded(packet: &[u8]) -> bool {
    let ip = Ip::read(packet);
    let field = match ip.protocol {
        TCP => 16,
        UDP => 6,
        _ => return false,
    };
    ip.payload[field..][..2] == ip.seed().to_be_bytes()
}

/// Checks a reset (RFC 9293, 3.10.7.1: "if the connection does not exist").
#[track_caller]
fn check_reset(asked: &Ip<'_>, answer: &Ip<'_>, is_partial: bool) {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let (segment, reset) = (asked.payload, answer.payload);
    let flags = segment[13];
    let data = segment.len() - usize::from(segment[12] >> 4) * 4;
    let control = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let length = u32::try_from(data).expect("a short segment") + control;
    let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
    let next = sequence.wrapping_add(length).to_be_bytes();
    let mut expected = [&segment[2..4], &segment[..2]].concat();
    if flags & ACK == 0 {
        expected.extend([&[0; 4], &next[..], &[0x50, RST | ACK]].concat());
    } else {
        expected.extend([&segment[8..12], &[0; 4], &[0x50, RST]].concat());
    }
    expected.extend([0, 0]);
    assert_eq!(flags & RST, 0, "an answer to a reset");
    assert_eq!(reset.len(), 20, "length of a reset");
    assert_eq!(reset[..16], expected, "a reset");
    assert_eq!(reset[18..], [0, 0], "urgent pointer of a reset");
    if is_partial {
        assert_eq!(reset[16..18], answer.seed().to_be_bytes(), "seed of a reset");
    } else {
        assert_eq!(answer.checksum_of(reset), 0, "checksum of a reset");
    }
}

/// Checks an ICMP error (RFC 792; RFC 4443, 3.1): length, quotation and checksum.
#[track_caller]
fn check_error(asked: &Ip<'_>, answer: &Ip<'_>, is_partial: bool) {
    const HEADER: usize = 8;
    let most = if asked.is_v4 { 548 } else { 960 };
    let carried = match asked.protocol {
        UDP => usize::from(u16::from_be_bytes([asked.payload[4], asked.payload[5]])),
        _ => asked.payload.len(),
    };
    let quoted = (asked.header() + carried).min(most) / 4 * 4;
    let mut message = answer.payload.to_vec();
    assert_eq!(message.len(), HEADER + quoted, "length of the quotation");
    assert_eq!(message[4..HEADER], [0; 4], "what is unused");
    assert!(message[HEADER..] == asked.bytes[..quoted], "the quotation differs");
    if is_partial {
        complete(&mut message[HEADER + asked.header()..], asked.protocol);
    }
    assert_eq!(answer.checksum_of(&message), 0, "checksum of an ICMP error");
}

/// Completes a transport checksum as a device does, over all that there is.
fn complete(transport: &mut [u8], protocol: u8) {
    let field = if protocol == TCP { 16 } else { 6 };
    let sum = checksum(transport).to_be_bytes();
    transport[field..][..2].copy_from_slice(&sum);
}
