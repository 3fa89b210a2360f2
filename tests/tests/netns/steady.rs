//! A hundred reloads under traffic: not one packet of an accepted flow is lost.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use amanda_fw_tests::bench::reloads;
use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::sockets::{self, Connection};

use crate::operator::{REFUSE, attach, end, json, loader, reload, rule};
use crate::site::{HOST, INTERFACE, PEER, Site, endpoint, in_mode};

/// Bytes of a piece of the bulk transfer.
const PIECE: usize = 500_000;

/// Between two probes: far fewer than a socket has room for while its reader waits for a CPU.
const PROBE: Duration = Duration::from_millis(2);

/// Between two tries at opening a connection.
const CALL: Duration = Duration::from_millis(20);

/// The longest that the last probe may take.
const LAST: Duration = Duration::from_secs(5);

const DNS: &str =
    "\n[[rule]]\nname = \"dns\"\nprotocol = \"udp\"\nports = 53\naction = \"accept\"\n";

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn reloads_lose_no_packet_in_tc() {
    check("tc");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn reloads_lose_no_packet_in_xdp() {
    check("xdp");
}

/// Reloads again and again, while TCP and UDP cross the firewall both ways.
#[track_caller]
fn check(mode: &str) {
    let site = Site::new();
    let (bulk, calls) = (rule("bulk", 2001), rule("calls", 2002));
    let configs = [format!("{bulk}{DNS}{calls}"), format!("{}{calls}{DNS}{bulk}", rule("a", 9))]
        .map(|rules| in_mode(mode, &format!("{REFUSE}{rules}")));
    let loader = loader(&site, &configs[0]);
    let child = attach(&loader, &[INTERFACE]);
    let stopped = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        let transfer = scope.spawn(|| transfer(&site, &stopped));
        let probes = scope.spawn(|| probe(&site, &stopped));
        let calls = scope.spawn(|| call(&site, &stopped));
        for config in configs.iter().rev().cycle().take(reloads()) {
            reload(&loader, config);
        }
        stopped.store(true, Ordering::Relaxed);
        [transfer, probes, calls].map(|task| task.join().expect("the traffic goes on"))
    });
    // Each kind of traffic has met many of the reloads.
    assert!(counts.iter().all(|&count| count > reloads()), "{counts:?}");
    check_nothing_refused(&loader);
    let status = json(&loader, &["status"]);
    assert_eq!(status["ruleset"]["generation"], reloads() + 1, "{status}");
    end(child);
}

/// Moves data over one connection, each byte compared; returns how many pieces.
fn transfer(site: &Site, stopped: &AtomicBool) -> usize {
    let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 2001));
    let connection = connection.expect("a rule lets it in");
    let mut pieces = 0;
    while !stopped.load(Ordering::Relaxed) {
        connection.transfer(PIECE).expect("no byte is lost");
        pieces += 1;
    }
    pieces
}

/// Sends numbered datagrams both ways on one flow, and checks that each arrives in its turn;
/// returns how many.
fn probe(site: &Site, stopped: &AtomicBool) -> usize {
    let (here, there) = (endpoint(HOST[0], 53), endpoint(PEER[0], 4000));
    let host = sockets::bind(&site.host, here).expect("a free port");
    let peer = sockets::bind(&site.peer, there).expect("a free port");
    thread::scope(|scope| {
        let asked = scope.spawn(|| hear(&host));
        let answered = scope.spawn(|| hear(&peer));
        let mut number = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            number += 1;
            peer.send_to(&number.to_be_bytes(), here).expect("a datagram can be sent");
            host.send_to(&number.to_be_bytes(), there).expect("a datagram can be sent");
            thread::sleep(PROBE);
        }
        let heard = [asked, answered].map(|task| task.join().expect("datagrams arrive in turn"));
        assert_eq!(heard, [number, number], "datagrams that arrived");
        usize::try_from(number).expect("a number")
    })
}

/// Receives datagrams until none comes, and returns the last number.
fn hear(socket: &UdpSocket) -> u64 {
    socket.set_read_timeout(Some(LAST)).expect("a time limit");
    let (mut last, mut bytes) = (0, [0; 8]);
    while let Ok(8) = socket.recv(&mut bytes) {
        let number = u64::from_be_bytes(bytes);
        assert_eq!(number, last + 1, "a datagram was lost");
        last = number;
    }
    last
}

/// Opens connections that the rules let in, one after another; returns how many.
fn call(site: &Site, stopped: &AtomicBool) -> usize {
    let mut calls = 0;
    while !stopped.load(Ordering::Relaxed) {
        let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 2002));
        connection.expect("a rule lets it in").exchange().expect("it goes on");
        calls += 1;
        thread::sleep(CALL);
    }
    calls
}

/// Checks that no packet was dropped or rejected for any reason.
#[track_caller]
fn check_nothing_refused(loader: &Loader<'_>) {
    let status = json(loader, &["status"]);
    let reasons = status["reasons"].as_array().expect("a list of reasons");
    let refused = reasons.iter().filter(|reason| reason["verdict"] != "accept");
    let refused: Vec<_> = refused.filter(|reason| reason["packets"] != 0).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
