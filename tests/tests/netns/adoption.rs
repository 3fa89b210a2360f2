//! Connections that were open before the firewall: none is cut, whoever speaks next.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::sockets::{self, Connection};
use amanda_fw_tests::wait;

use crate::site::{DENY, HOST, INTERFACE, PEER, Site, endpoint, in_mode};

const RULE: &str = r#"
[[rule]]
name = "numbered"
protocol = "tcp"
action = "accept"
"#;

/// The longest that a segment may take: a few repetitions.
const PASSAGE: Duration = Duration::from_secs(10);

/// Between two connections that are opened while amanda-fw attaches.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest that the loader may take to say what it has done.
const NOTICE: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_idle_connection_survives_when_the_peer_speaks_first() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let connections = both_ways(&site);
        let firewall = site.firewall(&in_mode(mode, DENY));
        for (here, there) in &connections {
            say(there, here);
            say(here, there);
        }
        check_said(&firewall, "adopted 4 open TCP connections");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_idle_connection_survives_when_the_host_speaks_first() {
    let site = Site::new();
    let connections = both_ways(&site);
    let _firewall = site.firewall(DENY);
    for (here, there) in &connections {
        say(here, there);
        say(there, here);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_open_half_of_a_connection_survives() {
    let site = Site::new();
    let connections = both_ways(&site);
    for (here, _) in &connections {
        here.shutdown(Shutdown::Write).expect("a half can be closed");
    }
    let firewall = site.firewall(DENY);
    for (here, there) in &connections {
        say(there, here);
        there.shutdown(Shutdown::Write).expect("the other half can be closed");
        let mut rest = Vec::new();
        let mut here = here;
        here.read_to_end(&mut rest).expect("the end of a connection comes in");
        assert_eq!(rest, b"");
    }
    check_said(&firewall, "adopted 4 open TCP connections");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_end_that_listens_was_asked() {
    let site = Site::new();
    let listener = sockets::listen(&site.host, endpoint("::", 2049)).expect("a port is free");
    let client = sockets::connect(&site.peer, endpoint(HOST[0], 2049)).expect("it listens");
    let _server = listener.accept().expect("somebody asks");
    let _other = Connection::open(&site.host, &site.peer, endpoint(PEER[1], 2050)).expect("open");
    let firewall = site.firewall(DENY);
    let flows = firewall.ask("list", &["flows", "--json"]).expect("flows can be listed");
    let from = client.local_addr().expect("it has an address");
    for words in [
        format!("\"source\": \"{from}\""),
        format!("\"destination\": \"{}:2049\"", HOST[0]),
        format!("\"destination\": \"[{}]:2050\"", PEER[1]),
    ] {
        assert!(flows.contains(&words), "no {words} in {flows}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_connection_that_is_opened_while_attaching_survives() {
    let site = Site::new();
    let address = endpoint(HOST[0], 2049);
    let listener = sockets::listen(&site.host, address).expect("a port is free");
    let (connections, _firewall) = thread::scope(|scope| {
        let opener = scope.spawn(|| open_until_refused(&site.peer, &listener, address));
        let firewall = site.firewall(DENY);
        (opener.join().expect("the peer's thread ends"), firewall)
    });
    assert!(connections.len() > 1, "the peer is quick");
    for (here, there) in &connections {
        say(there, here);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_flow_that_is_tracked_already_stays_as_it_is() {
    let site = Site::new();
    let loader = Loader::new(&site.bench, &site.host, &format!("{DENY}{RULE}")).expect("a loader");
    let attach = || loader.attach(&[INTERFACE]).unwrap_or_else(|error| panic!("{error:?}"));
    let child = attach();
    let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 0)).expect("open");
    connection.exchange().expect("the rule lets it in");
    let let_in_by_rule = || {
        let listed = loader.run(&["list", "flows", "--json"]).expect("it can be run");
        listed.stdout.contains("\"reason\": \"rule\"")
    };
    assert!(let_in_by_rule());
    // Its guard sends SIGKILL.
    drop(child);
    let child = attach();
    connection.exchange().expect("it goes on");
    assert!(let_in_by_rule());
    let said = child.stdout().text().expect("the loader runs");
    assert!(!said.contains("adopted"), "{said}");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_host_without_connections_adopts_none() {
    let site = Site::new();
    let address = endpoint("127.0.0.1", 0);
    let _inside = Connection::open(&site.host, &site.host, address).expect("loopback is up");
    let own = endpoint(HOST[0], 0);
    let _inside = Connection::open(&site.host, &site.host, own).expect("loopback is up");
    let firewall = site.firewall(DENY);
    let flows = firewall.ask("list", &["flows"]).expect("flows can be listed");
    assert_eq!(flows, "none\n");
    assert!(!firewall.account().expect("the loader runs").contains("adopted"));
}

/// Opens connections that the host began and ones that the peer began, over both families; the
/// host's end stands first.
fn both_ways(site: &Site) -> Vec<(TcpStream, TcpStream)> {
    let mut connections = Vec::new();
    for (here, there) in HOST.into_iter().zip(PEER) {
        let open = |from, to, address| {
            Connection::open(from, to, endpoint(address, 0)).expect("nothing stands between")
        };
        let begun = open(&site.host, &site.peer, there);
        connections.push((begun.client, begun.server));
        let taken = open(&site.peer, &site.host, here);
        connections.push((taken.server, taken.client));
    }
    connections
}

/// Opens connections one after another until the firewall stands between; the host's end stands
/// first.
fn open_until_refused(
    from: &Namespace,
    listener: &TcpListener,
    address: SocketAddr,
) -> Vec<(TcpStream, TcpStream)> {
    let mut connections = Vec::new();
    while let Ok(there) = sockets::connect(from, address) {
        let (here, _) = listener.accept().expect("somebody asks");
        here.set_read_timeout(Some(PASSAGE)).expect("a time limit");
        connections.push((here, there));
        thread::sleep(PAUSE);
    }
    connections
}

#[track_caller]
fn say(mut from: &TcpStream, mut to: &TcpStream) {
    let mut heard = [0; 5];
    from.write_all(b"hello").expect("a connection takes bytes");
    to.read_exact(&mut heard).expect("what is said arrives");
    assert_eq!(&heard, b"hello");
}

/// Checks what the loader says after it has said that it is attached.
#[track_caller]
fn check_said(firewall: &Firewall<'_>, words: &str) {
    let said = wait::within(NOTICE, || Ok(firewall.account()?.contains(words).then_some(())));
    assert!(said.is_ok_and(|said| said.is_some()), "no {words:?} in: {:?}", firewall.account());
}
