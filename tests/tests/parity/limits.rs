//! Time that runs out, and tables that are full.

use std::net::SocketAddr;

use amanda_fw_common::memory::{MemoryTable, MemoryTables};
use amanda_fw_common::settings::Timeouts;
use amanda_fw_common::verdict::Reason;
use amanda_fw_tests::frames::{self, ACK, Packet, SYN, SYN_ACK};
use amanda_fw_tests::kernel::Hook;

use crate::pair::{CLIENT, Pair, STRANGER, ip, settings};
use crate::talk::Talk;

const SECOND: u64 = 1_000_000_000;

/// For how long anything may be silent here: less than a machine is up that runs tests.
const SILENCE: u64 = 10 * SECOND;

const THREE: &str = "CONNECT DATA 50002 MESG 50003 INDEX 50004\n";

#[test]
#[ignore = "needs root: BPF"]
fn a_flow_lives_as_long_as_it_may_be_silent() {
    let from = SocketAddr::new(ip(CLIENT[0]), 4000);
    let to = SocketAddr::new(ip(STRANGER[0]), 53);
    for (silence, expected) in [(9, Reason::Established), (11, Reason::PolicyDrop)] {
        let mut pair = impatient();
        pair.meets(Hook::TcEgress, &frames::udp(from, to, b"query"));
        pair.wait(silence * SECOND);
        let answered = pair.meets(Hook::TcIngress, &frames::udp(to, from, b"answer"));
        assert_eq!(answered, Some(expected));
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn an_expectation_lives_as_long_as_it_may() {
    for (silence, expected) in [(9, Reason::Expected), (11, Reason::PolicyDrop)] {
        let (mut pair, talk) = announced();
        pair.wait(silence * SECOND);
        let opened = pair.meets(Hook::Xdp, &talk.stream(50002)[0]);
        assert_eq!(opened, Some(expected));
    }
}

#[test]
#[ignore = "needs root: BPF"]
fn a_silent_stream_lives_while_another_one_moves() {
    let (mut pair, talk) = announced();
    for port in [50002, 50003] {
        for packet in &talk.stream(port)[..5] {
            play(&mut pair, packet, &talk);
        }
    }
    for _ in 0..3 {
        pair.wait(8 * SECOND);
        play(&mut pair, &talk.stream(50002)[3], &talk);
    }
    assert_eq!(play(&mut pair, &talk.stream(50003)[3], &talk), Some(Reason::Established));
    pair.wait(11 * SECOND);
    assert_eq!(play(&mut pair, &talk.stream(50003)[3], &talk), Some(Reason::PolicyDrop));
}

#[test]
#[ignore = "needs root: BPF"]
fn a_transaction_ends_when_its_reply_is_too_late() {
    let talk = Talk::backup(0);
    let mut pair = impatient();
    play(&mut pair, &talk.request("sendbackup"), &talk);
    play(&mut pair, &talk.receipt(), &talk);
    pair.wait(9 * SECOND);
    play(&mut pair, &talk.thanks(), &talk);
    pair.wait(2 * SECOND);
    play(&mut pair, &talk.reply(THREE), &talk);
    play(&mut pair, &talk.request("sendbackup"), &talk);
    play(&mut pair, &talk.reply(THREE), &talk);
}

#[test]
#[ignore = "needs root: BPF"]
fn later_fragments_are_waited_for_no_longer_than_they_may() {
    let from = SocketAddr::new(ip(CLIENT[0]), 4000);
    let to = SocketAddr::new(ip(STRANGER[0]), 53);
    let fragments = frames::udp(from, to, &[0; 64]).fragments(1, 32);
    let mut pair = impatient();
    pair.meets(Hook::TcEgress, &fragments[0]);
    assert_eq!(pair.meets(Hook::TcEgress, &fragments[1]), Some(Reason::Fragment));
    pair.wait(SILENCE);
    assert_eq!(pair.meets(Hook::TcEgress, &fragments[1]), Some(Reason::Fragment));
}

#[test]
#[ignore = "needs root: BPF"]
fn full_tables_take_no_more() {
    let tables = MemoryTables {
        flows: MemoryTable::bounded(4),
        expectations: MemoryTable::bounded(2),
        transactions: MemoryTable::bounded(3),
        ..MemoryTables::default()
    };
    let sizes = [("FLOWS", 4), ("EXPECTATIONS", 2), ("TRANSACTIONS", 3)];
    let mut pair = Pair::sized(tables, &sizes);
    let talk = Talk::backup(0);
    for sequence in 0..5 {
        let talk = Talk { sequence, ..talk };
        for packet in talk.whole("sendbackup", THREE) {
            play(&mut pair, &packet, &talk);
        }
    }
    for port in [50002, 50003, 50004] {
        for packet in &talk.stream(port)[..3] {
            play(&mut pair, packet, &talk);
        }
    }
    for port in 4000..4008 {
        let from = SocketAddr::new(ip(STRANGER[0]), port);
        let to = SocketAddr::new(ip(CLIENT[0]), 22);
        for (hook, packet) in [
            (Hook::TcIngress, frames::tcp(from, to, SYN)),
            (Hook::TcEgress, frames::tcp(to, from, SYN_ACK)),
            (Hook::TcIngress, frames::tcp(from, to, ACK)),
            (Hook::TcEgress, frames::tcp(SocketAddr::new(to.ip(), port), from, SYN)),
        ] {
            pair.meets(hook, &packet);
        }
    }
}

/// Returns a pair that forgets what was silent for ten seconds.
fn impatient() -> Pair {
    let silence = [SILENCE; 8];
    let timeouts =
        Timeouts { tcp: silence, udp: silence, control: silence, icmp: silence, other: silence };
    let mut settings = settings();
    settings.timeouts = timeouts;
    (settings.expectation_timeout, settings.transaction_timeout) = (SILENCE, SILENCE);
    Pair::with(settings)
}

/// Returns such a pair on the client, after a reply that announced three streams.
fn announced() -> (Pair, Talk) {
    let (mut pair, talk) = (impatient(), Talk::backup(0));
    for packet in talk.whole("sendbackup", THREE) {
        play(&mut pair, &packet, &talk);
    }
    (pair, talk)
}

/// Shows the responder's firewall a packet.
fn play(pair: &mut Pair, packet: &Packet, talk: &Talk) -> Option<Reason> {
    let outgoing = packet.source == talk.responder.ip();
    pair.meets(if outgoing { Hook::TcEgress } else { Hook::TcIngress }, packet)
}
