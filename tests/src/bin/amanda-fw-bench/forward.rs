//! What a forwarded datagram costs a gateway, with and without translation: amanda-fw beside nft.
//!
//! A host inside sends to one outside, each in a namespace of its own, through a gateway in a third
//! one. What a firewall adds is the difference to no firewall.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::netns::{Namespace, Port, connect};
use amanda_fw_tests::process::run_fed;
use amanda_fw_tests::sockets;
use anyhow::{Context, Result};

use crate::{median, thread_time};

const ROUNDS: usize = 7;
const SENDING: Duration = Duration::from_millis(300);
const COMMAND: Duration = Duration::from_secs(20);
/// Datagrams between two looks at the clock: less than a socket's buffer holds.
const BATCH: u32 = 64;

const INSIDE: &str = "192.168.2.2";
const OUTSIDE: &str = "2.3.4.5";
const PORT: u16 = 9000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    Again,
    Nft,
    NftMasquerade,
    AmandaFw,
    AmandaFwMasquerade,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::None,
        Self::Again,
        Self::Nft,
        Self::NftMasquerade,
        Self::AmandaFw,
        Self::AmandaFwMasquerade,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "no firewall",
            Self::Again => "no firewall, again",
            Self::Nft => "nft conntrack",
            Self::NftMasquerade => "nft masquerade",
            Self::AmandaFw => "amanda-fw",
            Self::AmandaFwMasquerade => "amanda-fw masquerade",
        }
    }
}

/// Measures every firewall.
pub(crate) fn run() -> Result<()> {
    let mut times = vec![Vec::new(); Kind::ALL.len()];
    for round in 0..ROUNDS {
        for place in 0..Kind::ALL.len() {
            let index = (place * 5 + round) % Kind::ALL.len();
            let kind = Kind::ALL[index];
            let measured = measure(kind).with_context(|| format!("measure {}", kind.name()))?;
            times[index].push(measured);
        }
        eprintln!("round {} of {ROUNDS}", round + 1);
    }
    let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
    println!("{:<22}{:>12}{:>8}", "ns a datagram", "whole", "added");
    for (kind, time) in Kind::ALL.iter().zip(&medians) {
        println!("{:<22}{time:>12.0}{:>8.0}", kind.name(), time - medians[0]);
    }
    Ok(())
}

/// Sets a gateway up, and returns what a datagram through it costs.
fn measure(kind: Kind) -> Result<f64> {
    let bench = Bench::new()?;
    let [inside, gateway, outside] =
        [Namespace::new("inside")?, Namespace::new("gateway")?, Namespace::new("outside")?];
    let port = |namespace, interface, addresses| Port { namespace, interface, addresses };
    connect(
        &port(&gateway, "eth1", &["192.168.2.1/24"]),
        &port(&inside, "eth0", &["192.168.2.2/24"]),
    )?;
    connect(&port(&gateway, "ppp0", &["2.3.4.1/24"]), &port(&outside, "eth0", &["2.3.4.5/24"]))?;
    inside.ip(&["route", "add", "default", "via", "192.168.2.1"])?;
    outside.ip(&["route", "add", "default", "via", "2.3.4.1"])?;
    gateway.set_sysctl("net/ipv4/ip_forward", "1")?;
    let nft = |nat: &str| {
        run_fed(gateway.enter_net_only("nft").args(["-f", "-"]), &netfilter(nat), COMMAND)?
            .require_success()
    };
    let attach = |nat| Firewall::attach_all(&bench, &gateway, &["eth1", "ppp0"], &amanda_fw(nat));
    let attached = match kind {
        Kind::None | Kind::Again => None,
        Kind::Nft => {
            nft("")?;
            None
        }
        Kind::NftMasquerade => {
            nft(NFT_MASQUERADE)?;
            None
        }
        Kind::AmandaFw => Some(attach("")?),
        Kind::AmandaFwMasquerade => {
            Some(attach("[[nat]]\nkind = \"masquerade\"\nout = \"ppp0\"\n")?)
        }
    };
    let time = send(&inside, &outside);
    drop(attached);
    time
}

const NFT_MASQUERADE: &str = "chain nat {\ntype nat hook postrouting priority srcnat;\n\
                              oif \"ppp0\" masquerade\n}\n";

fn netfilter(nat: &str) -> String {
    format!(
        "table ip bench {{\n{nat}chain forward {{\ntype filter hook forward priority filter; \
         policy drop;\nct state established,related accept\niif \"eth1\" accept\n}}\n}}\n"
    )
}

fn amanda_fw(nat: &str) -> String {
    format!(
        "[policy]\nincoming = \"drop\"\nforward = \"drop\"\n\n[[rule]]\ndirection = \
         \"forward\"\nin = \"eth1\"\nout = \"ppp0\"\naction = \"accept\"\n\n{nat}"
    )
}

/// Sends datagrams of one flow, and returns what each costs until it lies in the other's socket.
fn send(inside: &Namespace, outside: &Namespace) -> Result<f64> {
    let end = |address: &str, port| {
        Ok::<_, anyhow::Error>(SocketAddr::new(address.parse::<IpAddr>()?, port))
    };
    let client = sockets::bind(inside, end(INSIDE, PORT)?)?;
    let server = sockets::bind(outside, end(OUTSIDE, PORT)?)?;
    client.connect(end(OUTSIDE, PORT)?).context("name the host outside")?;
    server.set_read_timeout(Some(COMMAND)).context("bound the wait")?;
    // Both directions are known, and the neighbours found.
    for _ in 0..4 {
        client.send(&[0; 32]).context("send a datagram")?;
        let (_, from) = server.recv_from(&mut [0; 64]).context("receive a datagram")?;
        server.send_to(&[0; 32], from).context("answer")?;
        client.recv(&mut [0; 64]).context("receive an answer")?;
    }
    let (started, mut time, mut count) = (Instant::now(), Duration::ZERO, 0);
    while started.elapsed() < SENDING {
        time += batch(&client)?;
        for _ in 0..BATCH {
            server.recv(&mut [0; 64]).context("receive a datagram")?;
        }
        count += BATCH;
    }
    Ok(time.as_secs_f64() * 1e9 / f64::from(count))
}

fn batch(client: &UdpSocket) -> Result<Duration> {
    let started = thread_time();
    for _ in 0..BATCH {
        client.send(&[0; 32]).context("send a datagram")?;
    }
    Ok(thread_time().saturating_sub(started))
}
