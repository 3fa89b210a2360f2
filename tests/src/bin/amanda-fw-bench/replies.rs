//! What a reply of Amanda costs the host that has asked: amanda-fw beside conntrack and its helper.
//!
//! The peer answers on several control flows from as many addresses. What a firewall adds is the
//! difference to no firewall, of which there are two, to show what the machine's noise is.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use amanda_fw_common::addr::Network;
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::rules::role;
use amanda_fw_common::settings::Settings;
use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames;
use amanda_fw_tests::kernel::{Hook, Kernel, rule_sizes};
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::process::run_fed;
use amanda_fw_tests::sockets;
use anyhow::{Context, Result, anyhow};

use crate::{HOST, PEER, hosts, median, thread_time};

/// How often everything is measured, each time in another order.
const ROUNDS: usize = 7;
/// For how long datagrams are sent at a time.
const SENDING: Duration = Duration::from_millis(300);
/// How many addresses the peer has, of which each has a control flow.
const FLOWS: u8 = 16;
/// Transactions that each flow has between two looks at the clock: less than may be open.
const TRANSACTIONS: u32 = 24;
/// The longest that a command may take.
const COMMAND: Duration = Duration::from_secs(20);
/// How many transactions a program is run on by itself.
const SINGLE_RUNS: u32 = 4000;

const CONTROL: u16 = 10080;
const SOURCE: u16 = 850;

/// What answers say that announce nothing; as long as a CONNECT line.
const SILENT: &str = "OPTIONS features=ffffffff9efefbfffffffffffffff3fffbf71f;\n\
                      OPTIONS features=ffffffff9efefbffffffffffffff;\n";

/// A datagram that is measured.
const CASES: [&str; 4] = ["no CONNECT", "ports known", "ports new", "the request"];

/// A firewall that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    Again,
    Conntrack,
    Helper,
    Tc,
    TcSilent,
    TcTold,
    Xdp,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Again,
        Self::Conntrack,
        Self::Helper,
        Self::Tc,
        Self::TcSilent,
        Self::TcTold,
        Self::Xdp,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "no firewall",
            Self::Again => "no firewall, again",
            Self::Conntrack => "nft conntrack",
            Self::Helper => "nft with the helper",
            Self::Tc => "amanda-fw tc",
            Self::TcSilent => "tc, no events",
            Self::TcTold => "tc, every event",
            Self::Xdp => "amanda-fw xdp",
        }
    }
}

/// What each case takes, in nanoseconds.
type Times = [f64; CASES.len()];

/// Measures every firewall.
pub(crate) fn run() -> Result<()> {
    let mut times = vec![Vec::new(); Kind::ALL.len()];
    for round in 0..ROUNDS {
        for place in 0..Kind::ALL.len() {
            let index = (place * 3 + round) % Kind::ALL.len();
            let kind = Kind::ALL[index];
            let measured = measure(kind).with_context(|| format!("measure {}", kind.name()))?;
            times[index].push(measured);
        }
        eprintln!("round {} of {ROUNDS}", round + 1);
    }
    print!("{}", table(&times));
    for (hook, name) in [(Hook::TcIngress, "tc program alone"), (Hook::Xdp, "xdp program alone")] {
        let alone = alone(hook).with_context(|| format!("run the {name}"))?;
        println!("{}", line(name, &alone));
    }
    Ok(())
}

/// Writes the medians, what each firewall adds, and which part that is of what the helper adds.
fn table(times: &[Vec<Times>]) -> String {
    let medians: Vec<Times> = times.iter().map(|times| medians(times)).collect();
    let place = |kind: Kind| Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0);
    let (none, helper) = (medians[place(Kind::None)], medians[place(Kind::Helper)]);
    let added = |times: &Times| std::array::from_fn(|case| times[case] - none[case]);
    let mut text = String::new();
    let titles = |what: &str| {
        let cases = CASES.map(|case| format!("{case:>13}"));
        format!("{what:<21}{}\n", cases.concat())
    };
    text.push_str(&titles("ns a datagram"));
    for (kind, times) in Kind::ALL.iter().zip(&medians) {
        let _ = writeln!(text, "{}", line(kind.name(), times));
    }
    text.push_str(&titles("added"));
    for (kind, times) in Kind::ALL.iter().zip(&medians).skip(1) {
        let _ = writeln!(text, "{}", line(kind.name(), &added(times)));
    }
    text.push_str(&titles("added, by the helper's"));
    for (kind, times) in Kind::ALL.iter().zip(&medians).skip(1) {
        let (own, whole) = (added(times), added(&helper));
        let parts: Vec<String> =
            own.iter().zip(whole).map(|(own, whole)| format!("{:>13.2}", own / whole)).collect();
        let _ = writeln!(text, "{:<21}{}", kind.name(), parts.concat());
    }
    text
}

fn line(name: &str, times: &Times) -> String {
    format!("{name:<21}{}", times.map(|time| format!("{time:>13.0}")).concat())
}

fn medians(times: &[Times]) -> Times {
    std::array::from_fn(|case| {
        let of_case: Vec<f64> = times.iter().map(|times| times[case]).collect();
        median(&of_case)
    })
}

/// Sets a firewall up, and returns what datagrams cost.
fn measure(kind: Kind) -> Result<Times> {
    let bench = Bench::new()?;
    let addresses: Vec<String> = peers().map(|address| address.to_string()).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (host, peer) = hosts(&addresses)?;
    let nft = |text: &str| {
        run_fed(host.enter_net_only("nft").args(["-f", "-"]), text, COMMAND)?.require_success()
    };
    let attach = |mode, rate| Firewall::attach(&bench, &host, "eth0", &amanda_fw(mode, rate));
    let attached = match kind {
        Kind::None | Kind::Again => None,
        Kind::Conntrack => {
            nft(&netfilter(""))?;
            None
        }
        Kind::Helper => {
            nft(&netfilter(HELPER))?;
            None
        }
        Kind::Tc => Some(attach("tc", "1000/s")?),
        Kind::TcSilent => Some(attach("tc", "0/s")?),
        Kind::TcTold => Some(attach("tc", "1000000/s")?),
        Kind::Xdp => Some(attach("xdp", "1000/s")?),
    };
    let flows = Flows::open(&host, &peer)?;
    let times = flows.times();
    drop(attached);
    times
}

const HELPER: &str = "ct helper control {\ntype \"amanda\" protocol udp;\n}\n\
                      chain watch {\ntype filter hook output priority filter;\n\
                      udp dport 10080 ct helper set \"control\"\n}\n";

/// Lets in what belongs to a flow or is expected, as every page on the helper has it.
fn netfilter(helper: &str) -> String {
    format!(
        "table inet bench {{\n{helper}chain input {{\ntype filter hook input priority filter; \
         policy drop;\nct state established,related accept\nmeta l4proto ipv6-icmp accept\n}}\n}}\n"
    )
}

/// A port that nobody connects to is over at once, so that new ones have room.
fn amanda_fw(mode: &str, rate: &str) -> String {
    format!(
        "[policy]\nincoming = \"drop\"\noutgoing = \"accept\"\n\n[amanda]\nservers = \
         [\"self\"]\nclients = [\"10.94.0.0/24\"]\nexpectation_timeout = \"1ms\"\n\n\
         [interfaces.eth0]\nmode = \"{mode}\"\n\n[events]\nrate = \"{rate}\"\n"
    )
}

fn peers() -> impl Iterator<Item = IpAddr> {
    (0..FLOWS).map(|number| IpAddr::from([10, 94, 0, 2 + number]))
}

/// Control flows, by their ends.
struct Flows(Vec<[UdpSocket; 2]>);

impl Flows {
    fn open(host: &Namespace, peer: &Namespace) -> Result<Self> {
        let open = |(number, address)| {
            let port = SOURCE + number;
            let server = sockets::bind(host, SocketAddr::new(HOST.parse()?, port))?;
            let amandad = sockets::bind(peer, SocketAddr::new(address, CONTROL))?;
            server.connect(SocketAddr::new(address, CONTROL)).context("name a peer")?;
            amandad.connect(SocketAddr::new(HOST.parse()?, port)).context("name the host")?;
            Ok([server, amandad])
        };
        Ok(Self((0..).zip(peers()).map(open).collect::<Result<_>>()?))
    }

    fn times(&self) -> Result<Times> {
        let (server, amandad) = (0, 1);
        // The neighbours are found, the queues are full, and everything is in the caches.
        for number in 0..8 {
            self.send(server, |flow| request(number, flow, "noop"))?;
            self.send(amandad, |flow| reply(number, flow, SILENT))?;
        }
        let silent = self.repeat(|flow| reply(1, flow, SILENT))?;
        self.send(server, |flow| request(100, flow, "sendbackup"))?;
        let known = self.repeat(|flow| reply(100, flow, &connect(0)))?;
        let (mut asked, mut replied, mut count) = (Duration::ZERO, Duration::ZERO, 0);
        let mut number = 1000;
        let started = Instant::now();
        while started.elapsed() < 2 * SENDING {
            let numbers = number..number + TRANSACTIONS;
            let requests =
                self.prepared(numbers.clone(), |number, flow| request(number, flow, "sendbackup"));
            let replies = self.prepared(numbers, |number, flow| {
                reply(number, flow, &connect(number * u32::from(FLOWS) + flow))
            });
            asked += self.timed(server, &requests)?;
            replied += self.timed(amandad, &replies)?;
            count += TRANSACTIONS * u32::from(FLOWS);
            number += TRANSACTIONS;
        }
        let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(count);
        Ok([silent, known, each(replied), each(asked)])
    }

    /// Sends a datagram on each flow.
    fn send(&self, end: usize, text: impl Fn(u32) -> String) -> Result<()> {
        for (flow, ends) in (0..).zip(&self.0) {
            ends[end].send(text(flow).as_bytes()).context("send a datagram")?;
        }
        Ok(())
    }

    /// Answers the same for a while, and returns what a datagram costs.
    fn repeat(&self, text: impl Fn(u32) -> String) -> Result<f64> {
        let texts = self.prepared(0..TRANSACTIONS, |_, flow| text(flow));
        self.timed(1, &texts)?;
        let (started, mut time, mut count) = (Instant::now(), Duration::ZERO, 0);
        while started.elapsed() < SENDING {
            time += self.timed(1, &texts)?;
            count += TRANSACTIONS * u32::from(FLOWS);
        }
        Ok(time.as_secs_f64() * 1e9 / f64::from(count))
    }

    /// Writes datagrams beforehand, each with its flow.
    fn prepared(
        &self,
        numbers: std::ops::Range<u32>,
        text: impl Fn(u32, u32) -> String,
    ) -> Vec<(usize, String)> {
        let flows = 0..self.0.len();
        let of = |number| {
            let text = &text;
            flows.clone().zip(0..).map(move |(place, flow)| (place, text(number, flow)))
        };
        numbers.flat_map(of).collect()
    }

    fn timed(&self, end: usize, texts: &[(usize, String)]) -> Result<Duration> {
        let started = thread_time();
        for (flow, text) in texts {
            self.0[*flow][end].send(text.as_bytes()).context("send a datagram")?;
        }
        Ok(thread_time().saturating_sub(started))
    }
}

/// Runs a program by itself, on the host that has asked (BPF_PROG_TEST_RUN).
///
/// What is done once for a transaction is the mean of single runs, which are dearer: nothing is in
/// the caches.
fn alone(hook: Hook) -> Result<Times> {
    // No event is told: the rings would be measured.
    let mut settings = Settings::default();
    (settings.event_rate, settings.expectation_timeout) = (0, 1_000_000);
    let mut tables = MemoryTables::default();
    tables.set_rules(&[], &mut settings).map_err(|error| anyhow!("{error}"))?;
    let mut kernel = Kernel::load(&rule_sizes(&tables.rules))?;
    let host = |address: &str, role| {
        Ok::<_, anyhow::Error>((Network::new(address.parse::<IpAddr>()?.into(), 128), role))
    };
    let roles = [host(HOST, role::SERVER)?, host(PEER, role::CLIENT)?];
    kernel.configure(&settings, &tables.rules, &roles)?;
    let (host, peer) =
        (SocketAddr::new(HOST.parse()?, SOURCE), SocketAddr::new(PEER.parse()?, CONTROL));
    let asks = |text: String| frames::udp(host, peer, text.as_bytes()).ethernet();
    let answers = |text: String| frames::udp(peer, host, text.as_bytes()).ethernet();
    let ask = |number, service| kernel.run(Hook::TcEgress, &asks(request(number, 0, service)));
    ask(1, "noop")?;
    ask(2, "sendbackup")?;
    let silent = kernel.time(hook, &answers(reply(1, 0, SILENT)))?;
    let known = kernel.time(hook, &answers(reply(2, 0, &connect(0))))?;
    let (mut asked, mut replied) = (Duration::ZERO, Duration::ZERO);
    for number in 1000..1000 + SINGLE_RUNS {
        asked += kernel.time_once(Hook::TcEgress, &asks(request(number, 0, "sendbackup")))?;
        replied += kernel.time_once(hook, &answers(reply(number, 0, &connect(number))))?;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(SINGLE_RUNS);
    Ok([silent.as_secs_f64() * 1e9, known.as_secs_f64() * 1e9, each(replied), each(asked)])
}

fn request(number: u32, flow: u32, service: &str) -> String {
    let body = format!("SECURITY USER backup\nSERVICE {service}\nOPTIONS features=ffff;\n");
    text("REQ", number, flow, &body)
}

fn reply(number: u32, flow: u32, body: &str) -> String {
    text("REP", number, flow, body)
}

fn text(packet_type: &str, number: u32, flow: u32, body: &str) -> String {
    format!("Amanda 3.5 {packet_type} HANDLE 000-{flow:08x} SEQ {}\n{body}", 1_700_000_000 + number)
}

/// Announces ports that are not announced again for long.
fn connect(number: u32) -> String {
    let first = 20_000 + number % 10_000 * 4;
    format!(
        "CONNECT DATA {first} MESG {} INDEX {} STATE {}\n\
         OPTIONS features=ffffffff9efefbfffffffffffffff3fffbf71f;\n",
        first + 1,
        first + 2,
        first + 3
    )
}
