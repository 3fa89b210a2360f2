//! Flows and expectations in the layout of conntrack(8), so that what reads its lines reads these.

use amanda_fw_common::addr::{Addr, Endpoint};
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey, FlowState};
use amanda_fw_common::nat::Mapped;
use amanda_fw_common::settings::Timeouts;
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::wire::{
    PROTOCOL_DCCP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE,
};

use super::units;

/// Protocols that conntrack names and that have ports (RFC 9260 for the last one).
const WITH_PORTS: [(u8, &str); 5] = [
    (PROTOCOL_TCP, "tcp"),
    (PROTOCOL_UDP, "udp"),
    (PROTOCOL_UDPLITE, "udplite"),
    (PROTOCOL_DCCP, "dccp"),
    (132, "sctp"),
];

/// Types of an echo and of its answer (RFC 792, RFC 4443).
const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];

/// Writes a flow: as its originator sends, and as the other end answers.
pub(crate) fn flow(key: &FlowKey, flow: &Flow, timeouts: &Timeouts, now: u64) -> String {
    let (originator, responder) = flow.ends(key);
    let protocol = key.protocol();
    let known_as =
        |mapped: Mapped, itself| if mapped.is_set() { mapped.endpoint() } else { itself };
    let there = [originator, known_as(flow.destination, responder)];
    let back = [responder, known_as(flow.source, originator)];
    let ends = flow.seen.saturating_add(flow.timeout(protocol, timeouts));
    let state = if protocol == PROTOCOL_TCP { tcp_state(flow.state()) } else { "" };
    let (unreplied, assured) = match flow.state() {
        FlowState::New => ("[UNREPLIED] ", ""),
        FlowState::Replied => ("", ""),
        FlowState::Established
        | FlowState::HalfClosed
        | FlowState::TimeWait
        | FlowState::Closed => ("", "[ASSURED] "),
    };
    format!(
        "{:<8} {protocol} {} {state}{} {unreplied}{} {assured}mark=0 use=1",
        name(protocol),
        units::elapsed_seconds(now, ends),
        tuple(protocol, there, 0),
        tuple(protocol, back, 1),
    )
}

/// Writes an expectation, and the control flow that announced it where that is still known.
pub(crate) fn expectation(
    key: &ExpectationKey,
    expectation: &Expectation,
    transaction: Option<&Transaction>,
    now: u64,
) -> String {
    let end = |addr, port| Endpoint { addr, port };
    let every_bit = Addr::from([u8::MAX; 16]);
    let mask = if key.initiator.is_v4() { Addr::v4([u8::MAX; 4]) } else { every_bit };
    let master = transaction.map_or_else(String::new, |t| {
        let (initiator, responder) = (t.initiator, t.responder);
        let ends = [end(initiator, t.initiator_port), end(responder, t.responder_port)];
        format!(" {}", named(["master-src", "master-dst"], ends))
    });
    format!(
        "{} proto={PROTOCOL_TCP} {} {}{master} class=0 helper=amanda",
        units::elapsed_seconds(now, expectation.expires),
        named(["src", "dst"], [end(key.initiator, 0), end(key.responder, key.port)]),
        named(["mask-src", "mask-dst"], [end(mask, 0), end(mask, u16::MAX)]),
    )
}

fn name(protocol: u8) -> &'static str {
    let with_ports = WITH_PORTS.iter().find(|(number, _)| *number == protocol);
    match protocol {
        PROTOCOL_ICMP => "icmp",
        PROTOCOL_ICMPV6 => "icmpv6",
        _ => with_ports.map_or("unknown", |(_, name)| name),
    }
}

/// Returns the nearest of conntrack's states, with the blank behind it.
fn tcp_state(state: FlowState) -> &'static str {
    match state {
        FlowState::New => "SYN_SENT ",
        FlowState::Replied => "SYN_RECV ",
        FlowState::Established => "ESTABLISHED ",
        FlowState::HalfClosed => "CLOSE_WAIT ",
        FlowState::TimeWait => "TIME_WAIT ",
        FlowState::Closed => "CLOSE ",
    }
}

/// Writes the packets of one direction, of which the second one has answers.
fn tuple(protocol: u8, [source, destination]: [Endpoint; 2], direction: usize) -> String {
    let types = match protocol {
        PROTOCOL_ICMP => Some(ECHO),
        PROTOCOL_ICMPV6 => Some(ECHO_V6),
        _ => None,
    };
    let addresses = format!("src={} dst={}", source.addr, destination.addr);
    if let Some(icmp_type) = types.and_then(|types| types.get(direction).copied()) {
        // The identifier is the one outside on both ways of an answer.
        format!("{addresses} type={icmp_type} code=0 id={}", destination.port)
    } else if WITH_PORTS.iter().any(|(number, _)| *number == protocol) {
        named(["src", "dst"], [source, destination])
    } else {
        addresses
    }
}

fn named([source_name, destination_name]: [&str; 2], ends: [Endpoint; 2]) -> String {
    let [source, destination] = ends;
    format!(
        "{source_name}={} {destination_name}={} sport={} dport={}",
        source.addr, destination.addr, source.port, destination.port
    )
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::flow::Direction;

    use super::*;
    use crate::nat::tests::{LAN, WAN, forwarded, mapped, masqueraded};

    const SECOND: u64 = 1_000_000_000;

    fn check((key, entry): &(FlowKey, Flow), expected: &str) {
        assert_eq!(flow(key, entry, &Timeouts::default(), 10 * SECOND), expected);
    }

    /// The first lines are those that conntrack 1.4.7 has written of the same flows, but for the time
    /// left.
    #[test]
    fn a_flow_reads_as_conntrack_writes_it() {
        let mut tcp = masqueraded(6, "192.168.0.7:4000", "198.51.100.1:4000");
        tcp.1.pick_up();
        check(
            &tcp,
            "tcp      6 431990 ESTABLISHED src=192.168.0.7 dst=203.0.113.5 sport=4000 dport=53 \
             src=203.0.113.5 dst=198.51.100.1 sport=53 dport=4000 [ASSURED] mark=0 use=1",
        );
        let ends = ["192.168.0.7:4000", "203.0.113.5:53"];
        check(
            &forwarded(17, ends, [LAN, WAN], 0),
            "udp      17 20 src=192.168.0.7 dst=203.0.113.5 sport=4000 dport=53 [UNREPLIED] \
             src=203.0.113.5 dst=192.168.0.7 sport=53 dport=4000 mark=0 use=1",
        );
        let query = ["192.168.0.7:77", "203.0.113.5:77"];
        check(
            &forwarded(1, query, [LAN, WAN], 0),
            "icmp     1 20 src=192.168.0.7 dst=203.0.113.5 type=8 code=0 id=77 [UNREPLIED] \
             src=203.0.113.5 dst=192.168.0.7 type=0 code=0 id=77 mark=0 use=1",
        );
        let bare = ["192.168.0.7:0", "203.0.113.5:0"];
        check(
            &forwarded(99, bare, [LAN, WAN], 0),
            "unknown  99 590 src=192.168.0.7 dst=203.0.113.5 [UNREPLIED] src=203.0.113.5 \
             dst=192.168.0.7 mark=0 use=1",
        );
    }

    #[test]
    fn each_way_has_the_addresses_that_are_on_the_wire_where_it_begins() {
        let ends = ["203.0.113.9:40000", "192.168.0.2:22"];
        let mut both = forwarded(6, ends, [WAN, LAN], 0);
        both.1.destination = mapped("198.51.100.1:2222");
        both.1.route(mapped("192.168.0.1:40001"));
        both.1.advance(Direction::Reply, None, 0, 0);
        check(
            &both,
            "tcp      6 50 SYN_RECV src=203.0.113.9 dst=198.51.100.1 sport=40000 dport=2222 \
             src=192.168.0.2 dst=192.168.0.1 sport=22 dport=40001 mark=0 use=1",
        );
        let mut query = forwarded(1, ["192.168.0.7:9", "203.0.113.5:9"], [LAN, WAN], 0);
        query.1.route(mapped("198.51.100.1:10"));
        check(
            &query,
            "icmp     1 20 src=192.168.0.7 dst=203.0.113.5 type=8 code=0 id=9 [UNREPLIED] \
             src=203.0.113.5 dst=198.51.100.1 type=0 code=0 id=10 mark=0 use=1",
        );
    }

    #[test]
    fn an_expectation_names_the_control_flow_that_announced_it() {
        let (server, client) = (Addr::v4([10, 84, 0, 1]), Addr::v4([10, 84, 0, 2]));
        let key = ExpectationKey::new(server, client, 50_093);
        let expected = Expectation::new(7, 70 * SECOND, 1, 0, Mapped::NONE);
        let mut transaction = Transaction::default();
        (transaction.initiator, transaction.initiator_port) = (server, 850);
        (transaction.responder, transaction.responder_port) = (client, 10_080);
        let line = |transaction| expectation(&key, &expected, transaction, 10 * SECOND);
        let tuple = "60 proto=6 src=10.84.0.1 dst=10.84.0.2 sport=0 dport=50093 \
                     mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535";
        let master = "master-src=10.84.0.1 master-dst=10.84.0.2 sport=850 dport=10080";
        let end = "class=0 helper=amanda";
        assert_eq!(line(Some(&transaction)), format!("{tuple} {master} {end}"));
        assert_eq!(line(None), format!("{tuple} {end}"));
    }
}
