//! What a reload does to flows and expectations: nothing, unless the config has it end those that
//! could not begin any more.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::sockets::{self, Connection};
use serde_json::Value;

use crate::operator::{REFUSE, attach, attach_and_kill, check_open, json, loader, reload, rule};
use crate::site::{HOST, INTERFACE, PEER, Site, endpoint};

/// The policy of [`REFUSE`], and flows end that it no longer allows.
const END: &str = "[policy]\nincoming = \"reject\"\noutgoing = \"accept\"\non_reload = \"end\"\n";

/// The server is the peer, the client the host.
const AMANDA: &str = "\n[amanda]\nservers = [\"10.94.0.2\"]\nclients = [\"self\"]\n\
                      control_source_ports = \"512:1023\"\nstream_ports = \"50000:50100\"\n";

pub(crate) const REQUEST: &str = "Amanda 3.5 REQ HANDLE 000-00000000 SEQ 1700000000\n\
                       SECURITY USER backup\nSERVICE sendbackup\nOPTIONS features=ff;\n";
const RECEIPT: &str = "Amanda 3.5 ACK HANDLE 000-00000000 SEQ 1700000000\n";
pub(crate) const REPLY: &str = "Amanda 3.5 REP HANDLE 000-00000000 SEQ 1700000000\n\
                     CONNECT DATA 50001 MESG 50002 INDEX 50003\nOPTIONS features=ff;\n";

/// Lets queries in.
const DNS: &str =
    "\n[[rule]]\nname = \"dns\"\nprotocol = \"udp\"\nports = 53\naction = \"accept\"\n";

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn flows_go_on_that_the_new_rules_do_not_allow() {
    let site = Site::new();
    let loader = loader(&site, &format!("{REFUSE}{}{DNS}", rule("a", 2001)));
    attach_and_kill(&loader);
    let flows = Flows::begin(&site);
    let before = started(&loader);
    for config in [REFUSE.to_owned(), format!("{REFUSE}{}", rule("b", 2002))] {
        reload(&loader, &config);
        flows.check([true, true, true]);
        check_open(&site, &[(2001, false)]);
    }
    assert_eq!(started(&loader), before, "flows");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn flows_end_that_the_new_rules_do_not_allow_where_the_config_says_so() {
    let site = Site::new();
    let (tcp, both) = (rule("a", 2001), format!("{}{DNS}", rule("a", 2001)));
    let loader = loader(&site, &format!("{END}{both}"));
    attach_and_kill(&loader);
    let flows = Flows::begin(&site);
    let said = reload(&loader, &format!("{END}{}{both}", rule("b", 2002)));
    assert!(!said.stdout.contains("ended"), "{said}");
    flows.check([true, true, true]);
    let said = reload(&loader, &format!("{END}{tcp}"));
    assert!(said.stdout.contains("ended 1 flow that"), "{said}");
    flows.check([true, false, true]);
    let said = reload(&loader, END);
    assert!(said.stdout.contains("ended 1 flow that"), "{said}");
    flows.check([false, false, true]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn adopted_connections_end_only_where_no_rule_would_let_them_begin() {
    let site = Site::new();
    // By who listens, the loader knows who has asked.
    let listeners = [2001, 2002]
        .map(|port| sockets::listen(&site.host, endpoint(HOST[0], port)).expect("a free port"));
    let [one, other] = [0, 1].map(|index| taken(&site, &listeners[index]));
    let by_interface = format!("{}interface = \"{INTERFACE}\"\n", rule("a", 2001));
    let elsewhere = format!("{}interface = \"!{INTERFACE}\"\n", rule("b", 2002));
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &[INTERFACE]);
    for connection in [&one, &other] {
        connection.exchange().expect("it is adopted");
    }
    reload(&loader, REFUSE);
    let said = reload(&loader, &format!("{END}{by_interface}{elsewhere}"));
    assert!(said.stdout.contains("ended 1 flow that"), "{said}");
    one.exchange().expect("a rule of the interface lets it in");
    assert!(is_dead(&other), "no rule lets it in");
    drop(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn announced_ports_stay_open_through_a_reload() {
    let site = Site::new();
    let loader = loader(&site, &format!("{REFUSE}{AMANDA}"));
    attach_and_kill(&loader);
    let (from, to) = (endpoint(PEER[0], 850), endpoint(HOST[0], 10080));
    let server = sockets::bind(&site.peer, from).expect("a port can be bound");
    let amandad = sockets::bind(&site.host, to).expect("a port can be bound");
    say(&server, &amandad, REQUEST);
    say(&amandad, &server, RECEIPT);
    say(&amandad, &server, REPLY);
    check_expected(&loader, &[50001, 50002, 50003]);
    reload(&loader, &format!("{END}{AMANDA}{}", rule("a", 2001)));
    check_expected(&loader, &[50001, 50002, 50003]);
    let stream = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 50001));
    let stream = stream.expect("an announced port is open");
    check_expected(&loader, &[50002, 50003]);
    let said = reload(&loader, &format!("{END}{AMANDA}"));
    assert!(!said.stdout.contains("ended"), "{said}");
    stream.exchange().expect("the stream goes on");
    say(&amandad, &server, RECEIPT);
    // Without Amanda no request may come; a stream stays for as long as its session.
    let said = reload(&loader, END);
    assert!(said.stdout.contains("ended 1 flow that"), "{said}");
    stream.exchange().expect("the stream goes on");
}

/// One flow of TCP and one of UDP that the peer began, and one of TCP that the host began.
struct Flows {
    tcp: Connection,
    udp: [UdpSocket; 2],
    own: Connection,
}

impl Flows {
    fn begin(site: &Site) -> Self {
        let open = |from, to, address| Connection::open(from, to, address).expect("it is let in");
        let tcp = open(&site.peer, &site.host, endpoint(HOST[0], 2001));
        let own = open(&site.host, &site.peer, endpoint(PEER[0], 0));
        let client = sockets::bind(&site.peer, endpoint(PEER[0], 4000)).expect("a free port");
        let server = sockets::bind(&site.host, endpoint(HOST[0], 53)).expect("a free port");
        let flows = Self { tcp, udp: [client, server], own };
        flows.check([true, true, true]);
        flows
    }

    /// Checks which of the flows go on.
    #[track_caller]
    fn check(&self, expected: [bool; 3]) {
        let [client, server] = &self.udp;
        let asked = sockets::delivers(client, server, endpoint(HOST[0], 53), 100);
        let asked = asked.expect("a datagram can be sent");
        let answered = |()| sockets::delivers(server, client, endpoint(PEER[0], 4000), 100);
        let udp = asked && answered(()).expect("a datagram can be sent");
        let found = [!is_dead(&self.tcp), udp, !is_dead(&self.own)];
        assert_eq!(found, expected, "tcp, udp, the host's own");
    }
}

/// Opens a connection of the peer's, whose listener stays.
fn taken(site: &Site, listener: &TcpListener) -> Connection {
    let address = listener.local_addr().expect("it has an address");
    let client = sockets::connect(&site.peer, address).expect("nothing stands between");
    let (server, _) = listener.accept().expect("somebody asks");
    for end in [&client, &server] {
        end.set_read_timeout(Some(crate::operator::NOTICE)).expect("a time limit");
    }
    Connection { client, server }
}

/// Has the end that asked for a connection speak first; one that has ended is reset.
fn is_dead(connection: &Connection) -> bool {
    let Connection { client, server } = connection;
    let (mut client, mut server) = (client, server);
    let mut heard = [0; 6];
    let asked = client.write_all(b"hello?").and_then(|()| server.read_exact(&mut heard));
    asked
        .and_then(|()| server.write_all(&heard))
        .and_then(|()| client.read_exact(&mut heard))
        .is_err()
}

#[track_caller]
pub(crate) fn say(from: &UdpSocket, to: &UdpSocket, text: &str) {
    let address = to.local_addr().expect("it has an address");
    from.send_to(text.as_bytes(), address).expect("a datagram can be sent");
    to.set_read_timeout(Some(crate::operator::NOTICE)).expect("a time limit");
    let mut heard = [0; 1024];
    let length = to.recv(&mut heard).expect("what is said arrives");
    assert_eq!(&heard[..length], text.as_bytes());
}

#[track_caller]
pub(crate) fn check_expected(loader: &Loader<'_>, ports: &[u64]) {
    let rows = json(loader, &["list", "expectations"]);
    let rows = rows.as_array().expect("a list");
    let mut found: Vec<_> = rows.iter().filter_map(|row| row["port"].as_u64()).collect();
    found.sort_unstable();
    assert_eq!(found, ports, "ports that are expected");
}

/// Lists the ends of the flows, which keep their order.
fn started(loader: &Loader<'_>) -> Vec<Value> {
    let rows = json(loader, &["list", "flows"]);
    let rows = rows.as_array().expect("a list");
    rows.iter()
        .map(|row| Value::from(vec![row["source"].clone(), row["destination"].clone()]))
        .collect()
}
