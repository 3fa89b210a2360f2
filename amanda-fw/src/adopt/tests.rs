//! Connections of every state, and the flows that they become.

use amanda_fw_common::flow::FlowState;

use super::*;

const OWN: &str = "192.0.2.1";

fn socket(local: &str, peer: &str, state: TcpState) -> TcpSocket {
    let address = |text: &str| text.parse().expect("an address and a port");
    TcpSocket { local: address(local), peer: address(peer), state, inode: 1 }
}

fn found(sockets: &[TcpSocket]) -> Vec<Connection> {
    connections(sockets, &[OWN.parse().expect("an address")])
}

/// Checks who has opened a connection beside a listener at port 22, and how far its flow is.
#[track_caller]
fn check(local: &str, state: TcpState, from: &str, expected: FlowState) {
    let listener = socket("[::]:22", "[::]:0", TcpState::Listening);
    let sockets = [listener, socket(local, "198.51.100.7:40000", state)];
    let [connection] = found(&sockets)[..] else { panic!("one connection") };
    let (key, flow) = connection.flow(7);
    let (originator, _) = flow.ends(&key);
    assert_eq!((originator.to_string().as_str(), flow.state()), (from, expected));
    assert_eq!((flow.seen, flow.started), (7, 7));
    assert!(flow.is_routed() && !flow.source.is_set());
}

#[test]
fn the_peer_opened_what_somebody_listens_for() {
    check("192.0.2.1:22", TcpState::Established, "198.51.100.7:40000", FlowState::Established);
    check("192.0.2.1:23", TcpState::Established, "192.0.2.1:23", FlowState::Established);
}

#[test]
fn a_handshake_goes_on_where_it_was() {
    check("192.0.2.1:50000", TcpState::SynSent, "192.0.2.1:50000", FlowState::New);
    check("192.0.2.1:22", TcpState::SynReceived, "198.51.100.7:40000", FlowState::Replied);
}

#[test]
fn an_end_is_remembered() {
    for (local, from) in
        [("192.0.2.1:22", "198.51.100.7:40000"), ("192.0.2.1:50000", "192.0.2.1:50000")]
    {
        check(local, TcpState::FinWait, from, FlowState::HalfClosed);
        check(local, TcpState::CloseWait, from, FlowState::HalfClosed);
        check(local, TcpState::Closing, from, FlowState::TimeWait);
    }
}

#[test]
fn the_other_end_is_still_awaited() {
    let half = |state| socket("192.0.2.1:50000", "198.51.100.7:40000", state);
    let after_fin = |state, direction| {
        let (_, mut flow) = found(&[half(state)])[0].flow(7);
        flow.advance(direction, Some(FIN_ACK), 0, 7);
        flow.state()
    };
    let (original, reply) = (Direction::Original, Direction::Reply);
    assert_eq!(after_fin(TcpState::FinWait, original), FlowState::HalfClosed);
    assert_eq!(after_fin(TcpState::FinWait, reply), FlowState::TimeWait);
    assert_eq!(after_fin(TcpState::CloseWait, reply), FlowState::HalfClosed);
    assert_eq!(after_fin(TcpState::CloseWait, original), FlowState::TimeWait);
}

#[test]
fn what_stays_on_the_host_is_left_out() {
    let open = |local, peer| socket(local, peer, TcpState::Established);
    let sockets = [
        open("127.0.0.1:5000", "127.0.0.1:22"),
        open("[::1]:5000", "[::1]:22"),
        open("192.0.2.1:5000", "192.0.2.1:22"),
        socket("0.0.0.0:22", "0.0.0.0:0", TcpState::Listening),
    ];
    assert_eq!(found(&sockets), []);
}

#[test]
fn the_report_counts() {
    assert_eq!(report(0, 0), None);
    assert_eq!(report(1, 0).as_deref(), Some("adopted 1 open TCP connection"));
    assert_eq!(report(3, 0).as_deref(), Some("adopted 3 open TCP connections"));
    let full = report(2, 1).expect("something to say");
    assert!(full.starts_with("adopted 2 open TCP connections; 1 found no room"), "{full}");
}
