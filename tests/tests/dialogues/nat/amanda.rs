//! Amanda's conversations across translated addresses.

use amanda_fw_common::rules::role;
use amanda_fw_common::verdict::{Counter, Reason};
use amanda_fw_tests::frames::{ACK, FIN_ACK, Packet, SYN, SYN_ACK, UDP, tcp};

use crate::exchange::{AMANDAD, Exchange, THREE_PORTS, THREE_STREAMS};
use crate::gateway::{
    GATEWAY, Gateway, INSIDE, INSIDER, NEIGHBOUR, OTHER, OUTSIDE, REMOTE, masquerade, ports,
    source_of,
};
use crate::host::{endpoint, seconds};

/// The port of the gateway that leads to the amandad of a second host inside.
const SECOND_PORT: u16 = 10180;

/// One transaction, by what its ends are inside and outside.
#[derive(Clone, Copy, Debug)]
struct Across {
    inside: Exchange,
    outside: Exchange,
    /// Whether the initiator is inside.
    begins_inside: bool,
}

impl Across {
    /// A host inside asks one outside, from a port that is kept.
    fn outwards(port: u16) -> Self {
        let responder = endpoint(REMOTE, AMANDAD);
        let from = |address| Exchange { initiator: endpoint(address, port), responder, ..base() };
        Self { inside: from(INSIDER), outside: from(GATEWAY), begins_inside: true }
    }

    /// A host outside asks one inside, by a port of the gateway.
    fn inwards(port: u16, address: &str, gateway_port: u16) -> Self {
        let to = |responder| Exchange { initiator: endpoint(REMOTE, port), responder, ..base() };
        Self {
            inside: to(endpoint(address, AMANDAD)),
            outside: to(endpoint(GATEWAY, gateway_port)),
            begins_inside: false,
        }
    }

    fn next(self) -> Self {
        Self { inside: self.inside.next(), outside: self.outside.next(), ..self }
    }

    /// Sends a packet of the initiator, which must arrive as the other side knows it.
    #[track_caller]
    fn asks(&self, gateway: &mut Gateway, packet: impl Fn(&Exchange) -> Packet) {
        self.carries(gateway, self.begins_inside, packet);
    }

    /// Sends a packet of the responder, which must arrive as the other side knows it.
    #[track_caller]
    fn answers(&self, gateway: &mut Gateway, packet: impl Fn(&Exchange) -> Packet) {
        self.carries(gateway, !self.begins_inside, packet);
    }

    #[track_caller]
    fn carries(
        &self,
        gateway: &mut Gateway,
        is_from_inside: bool,
        packet: impl Fn(&Exchange) -> Packet,
    ) {
        let (inside, outside) = (packet(&self.inside), packet(&self.outside));
        if is_from_inside {
            assert_eq!(gateway.leaves(&inside), outside);
        } else {
            assert_eq!(gateway.enters(&outside), inside);
        }
    }

    /// Takes the exchange as far as the initiator's ACK of the reply, which nothing changes.
    #[track_caller]
    fn run(&self, gateway: &mut Gateway, service: &str, body: &str) {
        self.asks(gateway, |exchange| exchange.request(service));
        self.answers(gateway, Exchange::receipt);
        self.answers(gateway, |exchange| exchange.reply(body));
        self.asks(gateway, Exchange::thanks);
    }

    /// Takes it as far as the reply of a responder inside, which is changed.
    #[track_caller]
    fn run_changed(&self, gateway: &mut Gateway, service: &str, (said, heard): (&str, &str)) {
        self.asks(gateway, |exchange| exchange.request(service));
        self.answers(gateway, Exchange::receipt);
        self.replies(gateway, (said, heard));
    }

    /// Sends the reply of a responder inside, of which the initiator hears something else.
    #[track_caller]
    fn replies(&self, gateway: &mut Gateway, (said, heard): (&str, &str)) {
        assert_eq!(gateway.leaves(&self.inside.reply(said)), self.outside.reply(heard));
    }

    /// Backs up on three streams, whose ports are open until each is connected to.
    #[track_caller]
    fn dumps(&self, gateway: &mut Gateway) {
        self.run(gateway, "sendbackup", THREE_STREAMS);
        assert_eq!(gateway.host.open_ports(), THREE_PORTS);
        self.streams(gateway);
        assert!(gateway.host.open_ports().is_empty());
    }

    /// Connects to each of three ports, which both sides know by one number.
    #[track_caller]
    fn streams(&self, gateway: &mut Gateway) {
        for port in THREE_PORTS {
            self.stream(gateway, (port, port));
        }
    }

    /// Opens a stream by the port that each side knows, lets data through, and closes it.
    #[track_caller]
    fn stream(&self, gateway: &mut Gateway, (inside, outside): (u16, u16)) {
        const FROM: u16 = 50_000;
        let port = |exchange: &Exchange| {
            if exchange.responder == self.inside.responder { inside } else { outside }
        };
        let there = |flags| move |e: &Exchange| e.stream(FROM, port(e), flags);
        let back = |flags| move |e: &Exchange| e.stream_answer(FROM, port(e), flags);
        self.asks(gateway, there(SYN));
        self.answers(gateway, back(SYN_ACK));
        self.asks(gateway, there(ACK));
        self.answers(gateway, back(ACK));
        self.answers(gateway, back(FIN_ACK));
        self.asks(gateway, there(FIN_ACK));
    }
}

#[test]
fn a_server_behind_masquerade_backs_up_a_client_outside() {
    let mut gateway = masquerading();
    gateway.host.knows(INSIDER, role::SERVER);
    gateway.host.knows(REMOTE, role::CLIENT);
    let backup = Across::outwards(850);
    backup.dumps(&mut gateway);
}

#[test]
fn a_server_whose_port_is_taken_asks_from_another_privileged_one() {
    let mut gateway = masquerading();
    for server in [INSIDER, NEIGHBOUR] {
        gateway.host.knows(server, role::SERVER);
    }
    gateway.host.knows(REMOTE, role::CLIENT);
    let from = |address| Exchange {
        initiator: endpoint(address, 850),
        responder: endpoint(REMOTE, AMANDAD),
        ..base()
    };
    gateway.leaves(&from(NEIGHBOUR).request("sendbackup"));
    let inside = from(INSIDER);
    let initiator = source_of(&gateway.leaves(&inside.request("sendbackup")));
    assert!((512..1024).contains(&initiator.port()) && initiator.port() != 850, "{initiator}");
    let outside = Exchange { initiator, ..inside };
    assert_eq!(gateway.enters(&outside.reply(THREE_STREAMS)), inside.reply(THREE_STREAMS));
    let stream = inside.stream(50_000, 11001, SYN);
    assert_eq!(gateway.leaves(&stream), outside.stream(50_000, 11001, SYN));
    // The other server has asked for nothing yet that was answered.
    gateway.drops(&from(NEIGHBOUR).stream(50_000, 11001, SYN), INSIDE, Reason::PolicyDrop);
}

#[test]
fn a_client_behind_a_port_of_the_gateway_is_backed_up_from_outside() {
    let mut gateway = leading_to_clients();
    let backup = Across::inwards(850, INSIDER, AMANDAD);
    backup.dumps(&mut gateway);
}

#[test]
fn a_stream_to_a_client_inside_is_open_to_its_server_alone_and_once() {
    let mut gateway = leading_to_clients();
    let backup = Across::inwards(850, INSIDER, AMANDAD);
    backup.run(&mut gateway, "sendbackup", THREE_STREAMS);
    let to = endpoint(GATEWAY, 11001);
    gateway.drops(&tcp(endpoint(OTHER, 50_000), to, SYN), OUTSIDE, Reason::PolicyDrop);
    gateway.drops(&tcp(endpoint(REMOTE, 700), to, SYN), OUTSIDE, Reason::PolicyDrop);
    // The address inside was never announced.
    let direct = tcp(endpoint(REMOTE, 50_000), endpoint(INSIDER, 11001), SYN);
    gateway.drops(&direct, OUTSIDE, Reason::PolicyDrop);
    gateway.check(&tcp(endpoint(REMOTE, 50_000), to, SYN), OUTSIDE, Reason::Expected);
    gateway.drops(&tcp(endpoint(REMOTE, 50_001), to, SYN), OUTSIDE, Reason::PolicyDrop);
}

#[test]
fn nobody_but_a_server_reaches_amandad_by_the_port_of_the_gateway() {
    let mut gateway = leading_to_clients();
    let to = endpoint(GATEWAY, AMANDAD);
    let asks = |initiator| Exchange { initiator, responder: to, ..base() }.request("sendbackup");
    gateway.drops(&asks(endpoint(OTHER, 850)), OUTSIDE, Reason::PolicyDrop);
    gateway.drops(&asks(endpoint(REMOTE, 40_000)), OUTSIDE, Reason::PolicyDrop);
    gateway.check(&asks(endpoint(REMOTE, 850)), OUTSIDE, Reason::Control);
}

#[test]
fn two_clients_behind_one_address_may_announce_one_port() {
    let (mut gateway, first, second) = clashing();
    assert_eq!(gateway.host.open_ports(), [11001, 11002, 11003, 11004, 11005, 11006]);
    for (inside, outside) in [(11001, 11002), (11003, 11005), (11004, 11006)] {
        second.stream(&mut gateway, (inside, outside));
    }
    first.streams(&mut gateway);
}

#[test]
fn a_repeated_reply_says_the_same_ports() {
    let (mut gateway, first, second) = clashing();
    gateway.wait(seconds(10));
    second.replies(&mut gateway, CHANGED);
    // Nor does it matter that the ports are free by then.
    first.streams(&mut gateway);
    second.replies(&mut gateway, CHANGED);
    assert_eq!(gateway.host.open_ports(), [11002, 11005, 11006]);
    second.stream(&mut gateway, (11001, 11002));
    second.replies(&mut gateway, CHANGED);
    assert_eq!(gateway.host.open_ports(), [11005, 11006]);
}

#[test]
fn a_client_that_announces_a_port_again_keeps_it() {
    let mut gateway = leading_to_clients();
    let backup = Across::inwards(850, INSIDER, AMANDAD);
    backup.run(&mut gateway, "sendbackup", THREE_STREAMS);
    let other = Across::inwards(851, INSIDER, AMANDAD);
    other.run(&mut gateway, "sendbackup", THREE_STREAMS);
    assert_eq!(gateway.host.open_ports(), THREE_PORTS);
}

#[test]
fn a_changed_port_has_as_many_digits_and_ids_stay_what_they_are() {
    // The kernel's helper turns the one line into `DATA 59100 .. INDEX 1200`, the ids of the other
    // one into others.
    for (said, heard) in [
        (
            "CONNECT DATA 9999 MESG 12003 INDEX 12004\n",
            "CONNECT DATA 1024 MESG 12003 INDEX 12004\n",
        ),
        (
            "CONNECT DATA 12001 MESG 499997 INDEX 499996\n",
            "CONNECT DATA 12002 MESG 499997 INDEX 499996\n",
        ),
        ("CONNECT DATA 65535 MESG 12003 INDEX -1\n", "CONNECT DATA 10000 MESG 12003 INDEX -1\n"),
    ] {
        let mut gateway = leading_to_clients();
        let held = said.split(' ').nth(2).expect("a port");
        let first = Across::inwards(850, INSIDER, AMANDAD);
        let line = format!("CONNECT DATA {held} MESG 12100 INDEX -1\n");
        first.run(&mut gateway, "sendbackup", &line);
        let second = Across::inwards(851, NEIGHBOUR, SECOND_PORT);
        second.run_changed(&mut gateway, "sendbackup", (said, heard));
        let port = |line: &str| line.split(' ').nth(2).and_then(|port| port.parse().ok());
        let (inside, outside) = (port(said).expect("a port"), port(heard).expect("a port"));
        second.stream(&mut gateway, (inside, outside));
    }
}

#[test]
fn what_follows_the_line_stays() {
    let mut gateway = leading_to_clients();
    let first = Across::inwards(850, INSIDER, AMANDAD);
    first.run(&mut gateway, "sendbackup", THREE_STREAMS);
    let second = Across::inwards(851, NEIGHBOUR, SECOND_PORT);
    let rest = "OPTIONS features=ffffffff9efefbfffffffffffffff3fffbf71f;\n".repeat(8);
    let (said, heard) = CHANGED;
    for extra in ["", "x"] {
        let (said, heard) = (format!("{said}{rest}{extra}"), format!("{heard}{rest}{extra}"));
        let second = if extra.is_empty() { second } else { second.next() };
        second.run_changed(&mut gateway, "sendbackup", (&said, &heard));
    }
}

#[test]
fn a_line_in_the_first_of_several_fragments_is_changed() {
    let mut gateway = leading_to_clients();
    let first = Across::inwards(850, INSIDER, AMANDAD);
    first.run(&mut gateway, "sendbackup", THREE_STREAMS);
    let second = Across::inwards(851, NEIGHBOUR, SECOND_PORT);
    second.asks(&mut gateway, |exchange| exchange.request("sendbackup"));
    let (said, heard) = CHANGED;
    let long = "x".repeat(3000);
    let said = second.inside.reply(&format!("{said}{long}")).fragments(7, 1480);
    let heard = second.outside.reply(&format!("{heard}{long}")).fragments(7, 1480);
    for (said, heard) in said.iter().zip(heard) {
        assert_eq!(gateway.leaves(said), heard);
    }
}

#[test]
fn a_reply_whose_port_has_no_other_is_delivered_as_it_is() {
    let mut gateway = leading_to_clients();
    (gateway.host.settings.stream_low, gateway.host.settings.stream_high) = (11001, 11004);
    let first = Across::inwards(850, INSIDER, AMANDAD);
    let line = "CONNECT DATA 11001 MESG 11002 INDEX 11003 STATE 11004\n";
    first.run(&mut gateway, "sendbackup", line);
    let second = Across::inwards(851, NEIGHBOUR, SECOND_PORT);
    second.run(&mut gateway, "sendbackup", THREE_STREAMS);
    assert_eq!(gateway.host.counted(Counter::RefusedClash), 3);
    first.stream(&mut gateway, (11001, 11001));
}

#[test]
fn a_client_behind_masquerade_recovers_from_a_server_outside() {
    let mut gateway = masquerading();
    gateway.host.knows(INSIDER, role::CLIENT);
    gateway.host.knows(REMOTE, role::SERVER);
    let index = Across::outwards(858);
    index.run(&mut gateway, "amindexd", "CONNECT MESG 50056\n\n");
    index.stream(&mut gateway, (50_056, 50_056));
    let tape = index.next();
    tape.run(&mut gateway, "amidxtaped", "CONNECT CTL 50008 DATA 50009 STATE 50010\n\n");
    for port in [50_008, 50_009, 50_010] {
        tape.stream(&mut gateway, (port, port));
    }
}

#[test]
fn a_client_outside_recovers_from_a_server_behind_a_port_of_the_gateway() {
    let mut gateway = leading_to(role::CLIENT, role::SERVER);
    let index = Across::inwards(858, INSIDER, AMANDAD);
    index.run(&mut gateway, "amindexd", "CONNECT MESG 50056\n\n");
    index.stream(&mut gateway, (50_056, 50_056));
    let tape = index.next();
    tape.run(&mut gateway, "amidxtaped", "CONNECT CTL 50008 DATA 50009\n\n");
    for port in [50_008, 50_009] {
        tape.stream(&mut gateway, (port, port));
    }
}

#[test]
fn replies_of_hosts_that_are_not_amandas_are_not_read() {
    let mut gateway = masquerading();
    gateway.accept_to(INSIDER, UDP);
    gateway.translate_destination(UDP, ports(AMANDAD, AMANDAD), INSIDER, AMANDAD);
    let backup = Across::inwards(850, INSIDER, AMANDAD);
    backup.run(&mut gateway, "sendbackup", THREE_STREAMS);
    assert!(gateway.host.open_ports().is_empty());
    assert_eq!(gateway.host.counted(Counter::Requests), 0);
}

#[test]
fn a_silent_request_keeps_its_address_for_hours() {
    let mut gateway = masquerading();
    gateway.host.knows(INSIDER, role::SERVER);
    gateway.host.knows(REMOTE, role::CLIENT);
    let estimate = Across::outwards(850);
    estimate.asks(&mut gateway, |exchange| exchange.request("sendsize"));
    estimate.answers(&mut gateway, Exchange::receipt);
    gateway.wait(seconds(5 * 3600));
    estimate.answers(&mut gateway, |exchange| exchange.reply("/home 0 SIZE 12\n"));
}

/// What a second client says, and what the server hears, where another one has announced the same.
const CHANGED: (&str, &str) = (THREE_STREAMS, "CONNECT DATA 11002 MESG 11005 INDEX 11006\n");

/// Returns two clients behind one address that have announced the same ports.
#[track_caller]
fn clashing() -> (Gateway, Across, Across) {
    let mut gateway = leading_to_clients();
    let first = Across::inwards(850, INSIDER, AMANDAD);
    first.run(&mut gateway, "sendbackup", THREE_STREAMS);
    let second = Across::inwards(851, NEIGHBOUR, SECOND_PORT);
    second.run_changed(&mut gateway, "sendbackup", CHANGED);
    (gateway, first, second)
}

/// Returns a gateway that forwards nothing but what is Amanda's, and masquerades.
fn masquerading() -> Gateway {
    let mut gateway = Gateway::closed();
    gateway.translate_source(masquerade());
    gateway
}

/// Returns a gateway of which two ports lead to the amandad of two clients inside, whose server is
/// outside.
fn leading_to_clients() -> Gateway {
    leading_to(role::SERVER, role::CLIENT)
}

/// Returns a gateway of which two ports lead to amandad inside, for what hosts are to Amanda.
fn leading_to(outside: u8, inside: u8) -> Gateway {
    let mut gateway = masquerading();
    gateway.host.knows(REMOTE, outside);
    for (port, address) in [(AMANDAD, INSIDER), (SECOND_PORT, NEIGHBOUR)] {
        gateway.translate_destination(UDP, ports(port, port), address, AMANDAD);
        gateway.host.knows(address, inside);
    }
    gateway
}

fn base() -> Exchange {
    Exchange::backup(850)
}
