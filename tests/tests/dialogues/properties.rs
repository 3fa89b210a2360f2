//! Properties of every frame, random or nearly real.

use std::sync::OnceLock;

use amanda_fw_common::expect::ExpectationKey;
use amanda_fw_common::fragment::FragmentKey;
use amanda_fw_common::header::PacketType;
use amanda_fw_common::rules::{Way, role};
use amanda_fw_common::tables::Table;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{self, Link, Packet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::capture::{self, BSD, BSDTCP, BSDUDP, CLIENT, Captured, SERVER};
use crate::host::Host;

/// A change to a real frame.
#[derive(Clone, Debug)]
enum Mutation {
    /// A byte becomes another.
    Byte(Index, u8),
    /// The frame ends early.
    Cut(Index),
    /// Bytes follow it.
    Append(Vec<u8>),
    /// Bytes stand twice.
    Repeat(Index, Index),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_decided(
        frames in vec(vec(any::<u8>(), 0..200), 1..20),
        raw in any::<bool>(),
        incoming in any::<bool>(),
    ) {
        let mut host = Host::new();
        let link = if raw { Link::Raw } else { Link::Ethernet };
        for frame in frames {
            check(&mut host, link, way(incoming), &frame)?;
        }
    }

    #[test]
    fn random_packets_of_either_family_are_decided(
        bodies in vec((any::<bool>(), vec(any::<u8>(), 0..200)), 1..20),
        incoming in any::<bool>(),
    ) {
        let mut host = Host::new();
        for (v6, body) in bodies {
            check(&mut host, Link::Raw, way(incoming), &plausible(v6, body))?;
        }
    }

    #[test]
    fn changed_frames_of_a_real_dump_are_decided(
        progress in any::<Index>(),
        changes in vec((any::<Index>(), vec(mutation(), 0..4), any::<bool>()), 1..20),
    ) {
        let captured = captured();
        let mut host = middle_of(&captured[..=progress.index(captured.len())]);
        for (index, mutations, incoming) in changes {
            let frame = &captured[index.index(captured.len())].frame;
            let frame = mutations.iter().fold(frame.clone(), mutate);
            check(&mut host, Link::Ethernet, way(incoming), &frame)?;
        }
    }
}

/// Shows a frame to a firewall, and checks that it is let through for a reason that exists.
fn check(host: &mut Host, link: Link, way: Way, frame: &[u8]) -> Result<(), TestCaseError> {
    let mut before = host.clone();
    let outcome = host.meets_on(link, way, frame);
    let mut packet = Packet::default();
    let parsed = wire::parse(frame, link, &mut packet);
    let reason = outcome.reason();
    prop_assert_eq!(parsed.is_err(), is_of_headers(reason));
    if reason == Reason::Established {
        prop_assert!(before.flow(&packet).is_some(), "no flow of {:?}", packet);
    }
    if reason == Reason::Expected {
        prop_assert!(takes_expectation(&mut before, host, &packet), "unexpected: {:?}", packet);
    }
    if reason == Reason::Fragment {
        prop_assert!(follows_fragment(&mut before, &packet), "no first fragment: {:?}", packet);
    }
    let opened = host.tables.expectations.len() > before.tables.expectations.len();
    let announced = outcome.inspection.is_some_and(|i| i.packet_type == PacketType::Rep.number());
    prop_assert!(!opened || announced, "opened by {:?}", outcome);
    prop_assert!(outcome.is_accepted() || !opened, "opened by a dropped packet");
    Ok(())
}

/// Tells whether a reason rests on the headers alone.
fn is_of_headers(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotIp
            | Reason::MalformedIp
            | Reason::MalformedTransport
            | Reason::TinyFragment
            | Reason::Ipv6Extensions
            | Reason::TcpFlags
    )
}

fn takes_expectation(before: &mut Host, after: &mut Host, packet: &Packet) -> bool {
    let (source, destination) = (packet.source, packet.destination);
    let key = ExpectationKey::new(source.addr, destination.addr, destination.port);
    let was = before.tables.expectations.get(&key).is_some();
    was && after.tables.expectations.get(&key).is_none() && packet.tcp.is_open()
}

fn follows_fragment(before: &mut Host, packet: &Packet) -> bool {
    let key = FragmentKey {
        source: packet.source.addr,
        destination: packet.destination.addr,
        id: packet.id,
        protocol: u32::from(packet.protocol),
    };
    before.tables.fragments.get(&key).is_some()
}

/// Returns the client after so much of a dump.
fn middle_of(captured: &[Captured]) -> Host {
    let mut host = Host::new();
    host.knows(SERVER, role::SERVER);
    host.knows(CLIENT, role::CLIENT);
    for Captured { frame, .. } in captured {
        let from_client = frame.get(26..30) == Some(&[10, 101, 2, 2]);
        host.meets(way(!from_client), frame);
    }
    host
}

fn captured() -> &'static [Captured] {
    static CAPTURED: OnceLock<Vec<Captured>> = OnceLock::new();
    CAPTURED.get_or_init(|| [BSD, BSDUDP, BSDTCP].into_iter().flat_map(capture::read).collect())
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        8 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        1 => any::<Index>().prop_map(Mutation::Cut),
        1 => vec(any::<u8>(), 1..50).prop_map(Mutation::Append),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(mut frame: Vec<u8>, mutation: &Mutation) -> Vec<u8> {
    if frame.is_empty() {
        return frame;
    }
    let length = frame.len();
    match mutation {
        // The headers and the first line are where bytes matter.
        Mutation::Byte(at, byte) => frame[at.index(length.min(200))] = *byte,
        Mutation::Cut(at) => frame.truncate(at.index(length)),
        Mutation::Append(bytes) => frame.extend(bytes),
        Mutation::Repeat(a, b) => {
            let (a, b) = (a.index(length), b.index(length));
            let twice = frame[a.min(b)..a.max(b)].to_vec();
            frame.splice(a.max(b)..a.max(b), twice);
        }
    }
    frame
}

/// Gives random bytes a version, and lengths and a protocol that take them past the first checks.
fn plausible(v6: bool, body: Vec<u8>) -> Vec<u8> {
    const PROTOCOLS: [u8; 8] = [0, 1, 6, 17, 43, 44, 58, 60];
    let mut packet = vec![0; if v6 { 40 } else { 20 }];
    packet.extend(body);
    let length = u16::try_from(packet.len()).expect("a small packet");
    let chosen = packet.last().map_or(0, |&byte| usize::from(byte) % PROTOCOLS.len());
    if v6 {
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(length - 40).to_be_bytes());
        packet[6] = PROTOCOLS[chosen];
    } else {
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[9] = PROTOCOLS[chosen];
    }
    packet
}

fn way(incoming: bool) -> Way {
    if incoming { Way::In } else { Way::Out }
}
