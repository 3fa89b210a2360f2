//! What is open by each authentication, and what a tape server announces to amoldrecover.

use std::net::SocketAddr;

use amanda_fw_common::auth::Auth;
use amanda_fw_common::rules::Way;
use amanda_fw_common::verdict::{Counter, Reason};
use amanda_fw_tests::frames::{ACK, FIN_ACK, Packet, SYN, SYN_ACK, TCP, UDP, tcp, tcp_with, udp};

use crate::exchange::NO_PORTS;
use crate::host::{CLIENT, Host, SERVER, STRANGER, Site, endpoint, seconds};

/// Ports of Amanda's, in the order of the numbers in [`opens`].
const PORTS: [(u8, u16); 6] =
    [(UDP, 10080), (TCP, 22), (TCP, 10080), (TCP, 10081), (TCP, 10082), (TCP, 10083)];

/// A port that only root may connect from, and another one.
const SOURCES: [u16; 2] = [700, 40000];

#[test]
fn each_auth_opens_its_ports_and_no_others() {
    let udp = &[(UDP, 10080, 700)][..];
    let reserved = &[(TCP, 10080, 700)][..];
    let any = |port| [(TCP, port, 700), (TCP, port, 40000)];
    for (auth, expected) in [
        (Auth::Bsd, udp),
        (Auth::BsdUdp, udp),
        (Auth::BsdTcp, reserved),
        (Auth::Ssl, &any(10080)[..]),
        (Auth::Krb5, &any(10082)),
        (Auth::Ssh, &any(22)),
        (Auth::Local, &[]),
    ] {
        assert_eq!(opens(&[auth], SERVER, CLIENT), expected, "{auth} for a backup");
        assert_eq!(opens(&[auth], CLIENT, SERVER), expected, "{auth} for a recovery");
    }
    let all = [udp, &any(10080)].concat();
    assert_eq!(opens(&Auth::DEFAULT, SERVER, CLIENT), all);
}

#[test]
fn classic_recoveries_go_from_clients_to_servers() {
    let expected = [(TCP, 10082, 700), (TCP, 10083, 700)];
    assert_eq!(opens(&[Auth::Classic], CLIENT, SERVER), expected);
    assert_eq!(opens(&[Auth::Classic], SERVER, CLIENT), []);
}

#[test]
fn no_auth_opens_anything_to_a_stranger() {
    assert_eq!(opens(Auth::ALL, STRANGER, CLIENT), []);
    assert_eq!(opens(Auth::ALL, STRANGER, SERVER), []);
}

#[test]
fn a_tape_server_announces_one_port() {
    let (mut site, recovery) = announced();
    assert_eq!(site.open_ports(), [PORT]);
    site.check(&recovery.data(40000, SYN), Reason::PolicyDrop);
    assert_eq!(site.open_ports(), [PORT]);
    site.check(&recovery.data(701, SYN), Reason::Expected);
    assert_eq!(site.open_ports(), NO_PORTS);
    site.passes(&recovery.data_answer(701, SYN_ACK));
    site.check(&recovery.data(702, SYN), Reason::PolicyDrop);
}

#[test]
fn a_repeated_announcement_renews_its_port_until_it_is_used() {
    let (mut site, recovery) = announced();
    site.wait(seconds(50));
    site.passes(&recovery.says(LINE));
    site.wait(seconds(50));
    assert_eq!(site.open_ports(), [PORT]);
    site.check(&recovery.data(701, SYN), Reason::Expected);
    site.passes(&recovery.says(LINE));
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn an_announced_port_is_not_open_for_ever() {
    let (mut site, recovery) = announced();
    site.wait(seconds(61));
    site.check(&recovery.data(701, SYN), Reason::PolicyDrop);
}

#[test]
fn the_first_announcement_of_a_connection_is_its_only_one() {
    let (mut site, recovery) = announced();
    site.passes(&recovery.says("CONNECT 50011\n"));
    assert_eq!(site.open_ports(), [PORT]);
    assert_eq!(site.server.counted(Counter::RepliesUnasked), 1);
}

#[test]
fn the_next_connection_announces_a_port_of_its_own() {
    let (mut site, recovery) = announced();
    site.passes(&recovery.data(701, SYN));
    for packet in recovery.close() {
        site.passes(&packet);
    }
    recovery.open(&mut site);
    site.passes(&recovery.says("CONNECT 50011\n"));
    assert_eq!(site.open_ports(), [50011]);
}

#[test]
fn what_is_no_port_opens_nothing() {
    for (line, ports, syntax) in [
        ("CONNECT 22\n", 1, 0),
        ("CONNECT 10083\n", 1, 0),
        ("CONNECT 65546\n", 1, 0),
        ("CONNECT 2222\nX", 0, 1),
        ("CONNECT 50010\r\n", 0, 0),
        ("CONNECT DATA 1\n", 0, 0),
        ("FEEDME A 222\n", 0, 0),
    ] {
        let mut site = recovering();
        let recovery = Recovery::new(TAPE);
        recovery.open(&mut site);
        site.passes(&recovery.says(line));
        assert_eq!(site.open_ports(), NO_PORTS, "{line:?}");
        let counted =
            [Counter::RefusedPort, Counter::RefusedSyntax].map(|c| site.client.counted(c));
        assert_eq!(counted, [ports, syntax], "{line:?}");
    }
}

#[test]
fn what_the_client_says_opens_nothing() {
    let mut site = recovering();
    let recovery = Recovery::new(TAPE);
    recovery.open(&mut site);
    let Recovery { client, server } = recovery;
    site.passes(&tcp_with(client, server, ACK, LINE.as_bytes()));
    assert_eq!(site.open_ports(), NO_PORTS);
    // It pretends to be the server, to the server.
    let forged = site.server.meets(Way::In, &recovery.says(LINE).ethernet());
    assert!(forged.is_accepted());
    assert_eq!(site.server.open_ports(), NO_PORTS);
}

#[test]
fn a_server_that_has_not_answered_announces_nothing() {
    let mut site = recovering();
    let recovery = Recovery::new(TAPE);
    site.passes(&recovery.asks(SYN));
    site.passes(&recovery.says(LINE));
    assert_eq!(site.server.open_ports(), NO_PORTS);
}

#[test]
fn the_index_announces_nothing_and_neither_does_a_tape_without_the_auth() {
    let mut site = recovering();
    let index = Recovery::new(10082);
    index.open(&mut site);
    site.passes(&index.says(LINE));
    assert_eq!(site.open_ports(), NO_PORTS);

    let mut site = Site::new();
    site.server.accept_in(TCP, Some(TAPE));
    let recovery = Recovery::new(TAPE);
    recovery.open(&mut site);
    site.passes(&recovery.says(LINE));
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn a_silent_tape_connection_stays_while_its_data_move() {
    let (mut site, recovery) = announced();
    site.passes(&recovery.data(701, SYN));
    site.passes(&recovery.data_answer(701, SYN_ACK));
    site.passes(&recovery.data(701, ACK));
    for _ in 0..6 {
        site.wait(seconds(24 * 3600));
        site.passes(&recovery.data_answer(701, ACK));
    }
    site.check(&recovery.says("FEEDME A-01\r\n"), Reason::Established);
}

const TAPE: u16 = 10083;
const PORT: u16 = 50010;
const LINE: &str = "CONNECT 50010\n";

/// A connection of a client's to its server.
#[derive(Clone, Copy)]
struct Recovery {
    client: SocketAddr,
    server: SocketAddr,
}

impl Recovery {
    fn new(port: u16) -> Self {
        Self { client: endpoint(CLIENT, 700), server: endpoint(SERVER, port) }
    }

    fn asks(&self, flags: u8) -> Packet {
        tcp(self.client, self.server, flags)
    }

    fn says(&self, text: &str) -> Packet {
        tcp_with(self.server, self.client, ACK | 8, text.as_bytes())
    }

    /// Goes as far as the server's features, which amoldrecover waits for.
    #[track_caller]
    fn open(&self, site: &mut Site) {
        site.passes(&self.asks(SYN));
        site.passes(&tcp(self.server, self.client, SYN_ACK));
        site.passes(&self.asks(ACK));
        let asked = b"SECURITY USER root\nFEATURES=ffffffff\n";
        site.passes(&tcp_with(self.client, self.server, ACK | 8, asked));
        site.passes(&self.says("ffffffff9efefbfffffffffffffff3fffbf71f"));
    }

    fn close(&self) -> [Packet; 3] {
        let Self { client, server } = *self;
        [tcp(server, client, FIN_ACK), tcp(client, server, FIN_ACK), tcp(server, client, ACK)]
    }

    fn data(&self, source_port: u16, flags: u8) -> Packet {
        tcp(endpoint(CLIENT, source_port), endpoint(SERVER, PORT), flags)
    }

    fn data_answer(&self, source_port: u16, flags: u8) -> Packet {
        tcp(endpoint(SERVER, PORT), endpoint(CLIENT, source_port), flags)
    }
}

fn recovering() -> Site {
    let mut site = Site::new();
    for host in [&mut site.server, &mut site.client] {
        host.settings.open(Auth::Classic.bit());
    }
    site
}

/// Returns a recovery whose server has announced its port.
fn announced() -> (Site, Recovery) {
    let mut site = recovering();
    let recovery = Recovery::new(TAPE);
    recovery.open(&mut site);
    site.passes(&recovery.says(LINE));
    (site, recovery)
}

/// Lists what is open to one host on another, as protocol, port and source port.
fn opens(auths: &[Auth], from: &str, to: &str) -> Vec<(u8, u16, u16)> {
    let mut host = Host::new();
    host.settings.open(Auth::bits(auths));
    let mut open = Vec::new();
    for (protocol, port) in PORTS {
        for source_port in SOURCES {
            let (from, to) = (endpoint(from, source_port), endpoint(to, port));
            let packet = if protocol == UDP { udp(from, to, b"?") } else { tcp(from, to, SYN) };
            let outcome = host.meets(Way::In, &packet.ethernet());
            if outcome.is_accepted() {
                assert_eq!(outcome.reason(), Reason::Control);
                open.push((protocol, port, source_port));
            }
        }
    }
    open
}
