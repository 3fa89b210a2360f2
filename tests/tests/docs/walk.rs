//! One dialogue of a server and a client, step by step, as the client's firewall tells of it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames;
use amanda_fw_tests::lan::{INTERFACE, Lan};
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::probes::Probes;
use amanda_fw_tests::sockets::{self, Connection};
use amanda_fw_tests::{amanda, wait};

use crate::page;

/// The longest that a datagram or a line may take.
const NOTICE: Duration = Duration::from_secs(20);

const AMANDAD: u16 = 10080;
const LINE: &str = "CONNECT DATA 50002 MESG 50003 INDEX 50004 STATE 50005\nOPTIONS features=ff;\n";
const PORTS: [u16; 4] = [50002, 50003, 50004, 50005];

/// What commands have printed, by subcommand; `attach` has printed the decisions.
pub(crate) type Outputs = BTreeMap<String, Vec<String>>;

/// Takes the dialogue to its end, and returns what could be seen meanwhile.
pub(crate) fn outputs() -> Outputs {
    let hosts = Hosts::new();
    let shown = page::blocks(page::AMANDA);
    let config = shown.iter().find(|block| block.language == "toml").expect("a configuration");
    let firewall = Firewall::attach(&hosts.bench, &hosts.client, INTERFACE, config.text)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let mut walk = Walk { hosts: &hosts, firewall, outputs: Outputs::new() };
    walk.backup();
    walk.refusals();
    walk.finish()
}

struct Hosts {
    bench: Bench,
    server: Namespace,
    client: Namespace,
    stranger: Namespace,
    amandad: UdpSocket,
    dumper: UdpSocket,
    _lan: Lan,
}

impl Hosts {
    fn new() -> Self {
        let bench = Bench::new().expect("a bench can be made");
        let mut lan = Lan::new().expect("a bridge can be made");
        let mut host = |name, address: &str| {
            let address = format!("{address}/24");
            lan.plug_in(name, &[&address]).expect("a host can be plugged in")
        };
        let server = host("server", amanda::SERVER);
        let client = host("client", amanda::CLIENT);
        let stranger = host("stranger", amanda::STRANGER);
        let bind = |namespace, address| sockets::bind(namespace, address).expect("a free port");
        let amandad = bind(&client, end(amanda::CLIENT, AMANDAD));
        let dumper = bind(&server, end(amanda::SERVER, 850));
        for socket in [&amandad, &dumper] {
            socket.set_read_timeout(Some(NOTICE)).expect("a time limit");
        }
        Self { bench, server, client, stranger, amandad, dumper, _lan: lan }
    }
}

struct Walk<'a> {
    hosts: &'a Hosts,
    firewall: Firewall<'a>,
    outputs: Outputs,
}

impl Walk<'_> {
    /// A backup that goes as it should, and somebody else who tries its ports.
    fn backup(&mut self) {
        let Hosts { server, client, stranger, .. } = self.hosts;
        let disk = "<dle>\n  <disk>/srv</disk>\n  <level>0</level>\n</dle>\n";
        self.asks(0, "REQ", &format!("{}{disk}", request("sendbackup")));
        self.see(&["list sessions"]);
        self.answers(0, "ACK", "");
        self.see(&["list sessions"]);
        self.answers(0, "REP", LINE);
        self.asks(0, "ACK", "");
        self.see(&["list expectations", "list sessions"]);
        self.see(&[
            "explain tcp 10.84.0.1:50000 10.84.0.2:50002",
            "explain tcp 10.84.0.3:50000 10.84.0.2:50002",
        ]);
        let streams = PORTS.map(|port| end(amanda::CLIENT, port));
        assert!(Connection::open(stranger, client, streams[0]).is_err(), "a stranger got in");
        let streams = streams.map(|to| Connection::open(server, client, to).expect("it is let in"));
        streams.iter().for_each(|stream| stream.exchange().expect("it is open"));
        self.see(&["list flows", "list sessions", "list expectations"]);
        self.answers(0, "REP", LINE);
        let again = end(amanda::CLIENT, PORTS[1]);
        assert!(sockets::connect(server, again).is_err(), "a port took two connections");
        drop(streams);
        self.await_line("STATE closed");
        self.see(&["list sessions"]);
    }

    /// Datagrams that open nothing.
    fn refusals(&mut self) {
        self.answers(7, "REP", LINE);
        self.asks(1, "REQ", &request("sendbackup"));
        self.answers(1, "REP", "CONNECT DATA 22 MESG 50003 INDEX 50004\n");
        self.asks(2, "REQ", &request("noop"));
        self.answers(2, "REP", LINE);
        self.asks(3, "REQ", &request("sendbackup"));
        self.answers(3, "REP", "ERROR [tar: /home/u/CONNECT DATA 22 MESG 3306 : file changed]\n");
        let Hosts { server, client, .. } = self.hosts;
        let (from, to) = (end(amanda::SERVER, 850), end(amanda::CLIENT, AMANDAD));
        let large = frames::udp(from, to, &[b'x'; 3000]).fragments(9, 1448);
        let probes = Probes::open(server, client, &[]).expect("a raw socket can be opened");
        probes.send(&large[1]).expect("a fragment can be sent");
        self.await_line("fragment-without-first");
    }

    /// Returns all that was seen.
    fn finish(mut self) -> Outputs {
        self.await_line("sendbackup 000-00000003");
        self.see(&["list rules", "status"]);
        let decisions = self.firewall.events().and_then(|events| events.text());
        let decisions = decisions.expect("events can be read");
        self.keep("attach", &decisions);
        self.outputs
    }

    /// Sends a datagram from the server.
    fn asks(&self, handle: u32, kind: &str, body: &str) {
        say(&self.hosts.dumper, &self.hosts.amandad, &datagram(handle, kind, body));
    }

    /// Sends a datagram from the client.
    fn answers(&self, handle: u32, kind: &str, body: &str) {
        say(&self.hosts.amandad, &self.hosts.dumper, &datagram(handle, kind, body));
    }

    /// Runs commands, and keeps what they print.
    fn see(&mut self, commands: &[&str]) {
        for command in commands {
            let (subcommand, rest) = command.split_once(' ').unwrap_or((command, ""));
            let arguments: Vec<&str> = rest.split_whitespace().collect();
            let said = self.firewall.ask(subcommand, &arguments);
            let said = said.unwrap_or_else(|error| panic!("{command}: {error:?}"));
            self.keep(command, &said);
        }
    }

    fn keep(&mut self, command: &str, said: &str) {
        let lines = self.outputs.entry(command.to_owned()).or_default();
        lines.extend(said.lines().map(str::to_owned));
    }

    /// Waits until a decision is told.
    fn await_line(&self, words: &str) {
        let is_told = || Ok(self.firewall.events()?.text()?.contains(words).then_some(()));
        wait::until(words, NOTICE, is_told).expect("a decision is told");
    }
}

fn request(service: &str) -> String {
    format!("SECURITY USER backup\nSERVICE {service}\nOPTIONS features=ff;hostname=amclient;\n")
}

fn datagram(handle: u32, kind: &str, body: &str) -> String {
    let sequence = 1_795_180_617 + handle;
    format!("Amanda 3.5 {kind} HANDLE 000-{handle:08x} SEQ {sequence}\n{body}")
}

#[track_caller]
fn say(from: &UdpSocket, to: &UdpSocket, text: &str) {
    let address = to.local_addr().expect("it has an address");
    from.send_to(text.as_bytes(), address).expect("a datagram can be sent");
    let mut heard = [0; 2048];
    let length = to.recv(&mut heard).expect("what is said arrives");
    assert_eq!(&heard[..length], text.as_bytes());
}

fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}
