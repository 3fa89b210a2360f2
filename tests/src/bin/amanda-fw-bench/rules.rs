//! What a new flow costs under 1 to 10,000 rules: amanda-fw beside iptables and nft.
//!
//! Each firewall stands in namespaces of its own, made anew for each round; the peer sends UDP
//! datagrams that only the last rule fits, which drops them on the sender's own CPU, so that the
//! time of a send holds the decision. Rounds are interleaved, and medians are printed.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::rules::{Action, Rule, Way};
use amanda_fw_common::ruleset::{Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::Settings;
use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames::{self, UDP};
use amanda_fw_tests::kernel::{Hook, Kernel, rule_sizes};
use amanda_fw_tests::process::run_fed;
use amanda_fw_tests::sockets;
use anyhow::{Context, Result, anyhow};

use crate::{HOST, PEER, hosts, median};

/// How many rules there are.
const COUNTS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
/// How often everything is measured.
const ROUNDS: usize = 7;
/// For how long datagrams are sent at a time.
const SENDING: Duration = Duration::from_millis(400);
/// Datagrams between two looks at the clock.
const BATCH: u32 = 64;
/// The longest that a ruleset may take to load.
const LOADING: Duration = Duration::from_secs(60);

/// The port of the last rule, which the others leave out.
const PORT: u16 = 7;

/// The programs alone, without a way to them (BPF_PROG_TEST_RUN).
const ALONE: [(Hook, &str); 2] =
    [(Hook::TcIngress, "tc program alone"), (Hook::Xdp, "xdp program alone")];

/// A firewall that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Iptables,
    NftLinear,
    NftSet,
    AmandaTc,
    AmandaXdp,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Iptables, Self::NftLinear, Self::NftSet, Self::AmandaTc, Self::AmandaXdp];

    fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::NftLinear => "nft",
            Self::NftSet => "nft, one set",
            Self::AmandaTc => "amanda-fw tc",
            Self::AmandaXdp => "amanda-fw xdp",
        }
    }
}

/// Measures every firewall with every number of rules.
pub(crate) fn run() -> Result<()> {
    let mut times = vec![vec![Vec::new(); COUNTS.len()]; Kind::ALL.len() + ALONE.len()];
    for round in 1..=ROUNDS {
        for (column, &count) in COUNTS.iter().enumerate() {
            let alone = alone(count).with_context(|| format!("run {count} rules"))?;
            for (row, time) in times.iter_mut().skip(Kind::ALL.len()).zip(alone) {
                row[column].push(time);
            }
            for (row, &kind) in Kind::ALL.iter().enumerate() {
                let time = measure(kind, count)
                    .with_context(|| format!("measure {} with {count} rules", kind.name()))?;
                times[row][column].push(time);
            }
        }
        eprintln!("round {round} of {ROUNDS}");
    }
    print!("{}", table(&times));
    Ok(())
}

/// Writes the medians in nanoseconds, and what the step to the most rules costs.
fn table(times: &[Vec<Vec<f64>>]) -> String {
    let names = Kind::ALL.map(Kind::name).into_iter().chain(ALONE.map(|(_, name)| name));
    let mut text = format!("{:<18}", "ns a packet");
    for count in COUNTS {
        let _ = write!(text, "{count:>9}");
    }
    text.push_str("   most : one\n");
    for (name, row) in names.zip(times) {
        let medians: Vec<f64> = row.iter().map(|times| median(times)).collect();
        let _ = write!(text, "{name:<18}");
        for time in &medians {
            let _ = write!(text, "{time:>9.0}");
        }
        let ratio = medians.last().zip(medians.first()).map_or(0.0, |(last, first)| last / first);
        let _ = writeln!(text, "{ratio:>13.2}");
    }
    text
}

/// Loads so many rules, and returns what a datagram costs, in nanoseconds.
fn measure(kind: Kind, count: u32) -> Result<f64> {
    let bench = Bench::new()?;
    let (host, peer) = hosts(&[PEER])?;
    let feed = |program: &str, arguments: &[&str], text: &str| {
        run_fed(host.enter_net_only(program).args(arguments), text, LOADING)?.require_success()
    };
    let mut attached = None;
    match kind {
        Kind::Iptables => {
            feed("iptables-restore", &[], &iptables(count))?;
        }
        Kind::NftLinear => {
            feed("nft", &["-f", "-"], &nft_linear(count))?;
        }
        Kind::NftSet => {
            feed("nft", &["-f", "-"], &nft_set(count))?;
        }
        Kind::AmandaTc | Kind::AmandaXdp => {
            let mode = if kind == Kind::AmandaTc { "tc" } else { "xdp" };
            attached = Some(Firewall::attach(&bench, &host, "eth0", &amanda_fw(count, mode))?);
        }
    }
    let socket = sockets::bind(&peer, SocketAddr::new(PEER.parse()?, 0))?;
    socket.connect(SocketAddr::new(HOST.parse::<IpAddr>()?, PORT)).context("name the host")?;
    let time = send(&socket)?;
    drop(attached);
    Ok(time)
}

/// Returns what the programs take for a packet that the last of so many rules drops.
fn alone(count: u32) -> Result<[f64; 2]> {
    let port = |port| vec![PortRange { low: port, high: port }];
    let only = |source: Ipv4Addr| Places {
        within: vec![Network::new(IpAddr::V4(source).into(), 128)],
        except: Vec::new(),
    };
    let spec = |(source, number): (Ipv4Addr, u16)| RuleSpec {
        protocols: Protocols::Only(vec![Protocol { number: UDP, icmp_type: None }]),
        sources: only(source),
        destination_ports: port(number),
        ..RuleSpec::all(Way::In, Rule::new(Action::Drop, 0))
    };
    let specs: Vec<RuleSpec> = rules(count).map(spec).collect();
    // No decision is told: the rings would be measured.
    let mut settings = Settings::default();
    settings.event_rate = 0;
    let mut tables = MemoryTables::default();
    tables.set_rules(&specs, &mut settings).map_err(|error| anyhow!("{error}"))?;
    let mut kernel = Kernel::load(&rule_sizes(&tables.rules))?;
    kernel.configure(&settings, &tables.rules, &[])?;
    let end = |ip: &str, port| Ok::<_, anyhow::Error>(SocketAddr::new(ip.parse()?, port));
    let frame = frames::udp(end(PEER, 40_000)?, end(HOST, PORT)?, &[0; 18]).ethernet();
    let mut times = [0.0; 2];
    for (time, (hook, _)) in times.iter_mut().zip(ALONE) {
        *time = kernel.time(hook, &frame)?.as_secs_f64() * 1e9;
    }
    Ok(times)
}

/// Sends for a while, and returns what a datagram costs.
fn send(socket: &UdpSocket) -> Result<f64> {
    let mut sent = 0;
    // The neighbour is found, and everything is in the caches.
    for _ in 0..4 * BATCH {
        socket.send(&[0; 18]).context("send a datagram")?;
    }
    let started = Instant::now();
    while started.elapsed() < SENDING {
        for _ in 0..BATCH {
            socket.send(&[0; 18]).context("send a datagram")?;
        }
        sent += BATCH;
    }
    Ok(started.elapsed().as_secs_f64() * 1e9 / f64::from(sent))
}

/// Lists sources and ports of rules that no datagram fits, all around the one that drops, which is
/// the last.
fn rules(count: u32) -> impl Iterator<Item = (Ipv4Addr, u16)> {
    const SENDER: Ipv4Addr = Ipv4Addr::new(10, 94, 0, 2);
    const STEP: u32 = 37;
    let first = SENDER.to_bits() - count / 2 * STEP;
    let others = (0..count).map(move |number| first + number * STEP);
    let others = others.filter(|&source| source != SENDER.to_bits()).take(count as usize - 1);
    let port = |source: u32| 1024 + (source % 60_000) as u16;
    let rules = others.map(move |source| (Ipv4Addr::from_bits(source), port(source)));
    rules.chain([(SENDER, PORT)])
}

fn iptables(count: u32) -> String {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for (source, port) in rules(count) {
        let _ = writeln!(text, "-A INPUT -p udp -s {source} --dport {port} -j DROP");
    }
    text + "COMMIT\n"
}

fn nft_linear(count: u32) -> String {
    let mut text = String::from("table ip bench {\nchain input {\n");
    text.push_str("type filter hook input priority filter; policy accept;\n");
    for (source, port) in rules(count) {
        let _ = writeln!(text, "ip saddr {source} udp dport {port} drop");
    }
    text + "}\n}\n"
}

fn nft_set(count: u32) -> String {
    let elements: Vec<String> =
        rules(count).map(|(source, port)| format!("{source} . {port}-{port}")).collect();
    format!(
        "table ip bench {{\nset dropped {{\ntype ipv4_addr . inet_service; flags interval;\n\
         elements = {{ {} }}\n}}\nchain input {{\ntype filter hook input priority filter; policy \
         accept;\nip saddr . udp dport @dropped drop\n}}\n}}\n",
        elements.join(",\n")
    )
}

fn amanda_fw(count: u32, mode: &str) -> String {
    let mut text = format!(
        "[policy]\nincoming = \"accept\"\n\n[interfaces.eth0]\nmode = \"{mode}\"\n\n\
         [events]\nrate = \"0/s\"\n"
    );
    for (source, port) in rules(count) {
        let _ = write!(
            text,
            "\n[[rule]]\nprotocol = \"udp\"\nfrom = \"{source}\"\nports = {port}\naction = \
             \"drop\"\n"
        );
    }
    text
}
