//! The helper in the kernel, on a router between two namespaces that say what a case has.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use amanda_fw_tests::{
    frames,
    netns::{self, Namespace, Port},
    probes::Probes,
    process::{run, run_fed},
    sockets::{bind, inside},
    wait,
};
use anyhow::{Context, Result, ensure};
use tokio::{net::TcpSocket, runtime, time::timeout};

use crate::case::{Case, Effects, FLOWS, Step};
use crate::firewall;

/// The port that amandad listens on.
pub(crate) const AMANDAD: u16 = 10080;

/// Who asks, by either family's address.
pub(crate) const INITIATOR: [&str; 2] = ["10.0.1.1", "fd00:1::1"];
/// Who answers.
pub(crate) const RESPONDER: [&str; 2] = ["10.0.2.1", "fd00:2::1"];
/// Another host on the initiator's side.
pub(crate) const STRANGER: [&str; 2] = ["10.0.1.9", "fd00:1::9"];

/// The router's addresses towards the two.
const ROUTER: [[&str; 2]; 2] = [["10.0.1.254", "fd00:1::254"], ["10.0.2.254", "fd00:2::254"]];

/// The router's firewall: new flows to amandad only, and what the helper expects.
const RULESET: &str = "
table inet oracle {
  ct helper control {
    type \"amanda\" protocol udp;
  }
  chain watch {
    type filter hook prerouting priority filter;
    udp dport 10080 ct helper set \"control\"
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    meta l4proto ipv6-icmp accept
    udp dport 10080 accept
  }
}
";

/// The longest that a packet is waited for: on one machine, a long time.
const PATIENCE: Duration = Duration::from_millis(500);

/// The longest that a command may take.
const COMMAND: Duration = Duration::from_secs(20);

/// The largest datagram.
const DATAGRAM: usize = 1 << 16;

/// Two hosts, and the helper on the router between them.
pub(crate) struct Helper {
    initiator: Namespace,
    router: Namespace,
    families: [Sockets; 2],
    /// Sends fragments of the responder's own making.
    responder_raw: Probes,
    // Holds the address that the sockets of the responder are bound to.
    _responder: Namespace,
}

struct Sockets {
    flows: [UdpSocket; FLOWS.len()],
    amandad: UdpSocket,
}

impl Helper {
    /// Sets up the hosts and the router.
    pub(crate) fn new() -> Result<Self> {
        let router = Namespace::new("router")?;
        for forwarding in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            router.set_sysctl(forwarding, "1")?;
        }
        let initiator = host(&router, "initiator", &[INITIATOR, STRANGER], ROUTER[0])?;
        let responder = host(&router, "responder", &[RESPONDER], ROUTER[1])?;
        let families =
            [Sockets::open(&initiator, &responder, 0)?, Sockets::open(&initiator, &responder, 1)?];
        let responder_raw = Probes::open(&responder, &initiator, &[])?;
        let helper = Self { initiator, router, families, responder_raw, _responder: responder };
        helper.wait_for_the_way()?;
        let mut nft = helper.router.enter_net_only("nft");
        run_fed(nft.args(["-f", "-"]), RULESET, COMMAND)?
            .require_success()
            .context("load the helper's ruleset")?;
        Ok(helper)
    }

    /// Waits until packets cross the router, which knows its neighbours then.
    fn wait_for_the_way(&self) -> Result<()> {
        const ANY: u16 = 11000;
        for family in [0, 1] {
            let (from, to) = (end(INITIATOR[family], ANY)?, end(RESPONDER[family], ANY)?);
            wait::until("the way through the router", COMMAND, || {
                Ok(self.reaches(from, to)?.then_some(()))
            })?;
        }
        Ok(())
    }

    /// Plays a case, and forgets it.
    pub(crate) fn play(&self, case: &Case) -> Result<Effects> {
        let mut effects = Effects::default();
        for (index, step) in case.steps.iter().enumerate() {
            if !self.carries(case.ipv6, step).with_context(|| format!("take step {index}"))? {
                effects.lost.insert(index);
            }
        }
        effects.open.extend(self.expected_ports(case.ipv6)?);
        Ok(effects)
    }

    /// Plays a step, and tells whether its packet arrives.
    fn carries(&self, ipv6: bool, step: &Step) -> Result<bool> {
        let family = usize::from(ipv6);
        let Sockets { flows, amandad } = &self.families[family];
        let socket = |flow: &u16| {
            let place = FLOWS.iter().position(|port| port == flow).context("find a flow")?;
            Ok::<_, anyhow::Error>(&flows[place])
        };
        match step {
            Step::Asks(flow, text) => delivers(socket(flow)?, amandad, text),
            Step::Answers(flow, text) => delivers(amandad, socket(flow)?, text),
            Step::Connects(from, to) => {
                self.reaches(end(INITIATOR[family], *from)?, end(RESPONDER[family], *to)?)
            }
            Step::Intrudes(from, to) => {
                self.reaches(end(STRANGER[family], *from)?, end(RESPONDER[family], *to)?)
            }
            Step::AnswersBackwards(flow, text) => {
                let to = socket(flow)?.local_addr().context("ask for a socket's address")?;
                let datagram = frames::udp(end(RESPONDER[family], AMANDAD)?, to, text);
                for piece in firewall::pieces(&datagram).iter().rev() {
                    self.responder_raw.send(piece)?;
                }
                arrives(socket(flow)?, text)
            }
            Step::Silence(seconds) => self.forget(ipv6, *seconds).map(|()| true),
        }
    }

    /// Makes netfilter forget the flows that it would not remember after a silence.
    ///
    /// The others keep the time that they have: it is set anew by the packet that follows.
    fn forget(&self, ipv6: bool, seconds: u64) -> Result<()> {
        let family = family_name(ipv6);
        let listed = self.conntrack(&["-L", "-p", "udp", "-f", family])?;
        for line in listed.lines() {
            let entry = Entry::read(line)?;
            if entry.left > seconds {
                continue;
            }
            let ports = ["--orig-port-src", entry.from, "--orig-port-dst", entry.to];
            self.conntrack(&[&["-D", "-p", "udp", "-f", family], &ports[..]].concat())?;
        }
        Ok(())
    }

    /// Returns what conntrack(8) prints about the router.
    fn conntrack(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.router.enter_net_only("conntrack");
        let finished = run(command.args(arguments), COMMAND)?.require_success()?;
        Ok(finished.stdout)
    }

    /// Tells whether a connection reaches the responder, where nobody listens.
    fn reaches(&self, from: SocketAddr, to: SocketAddr) -> Result<bool> {
        let connect = async || {
            let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let socket = socket.context("make a socket")?;
            socket.set_reuseaddr(true).context("share a port")?;
            socket.bind(from).with_context(|| format!("bind to {from}"))?;
            match timeout(PATIENCE, socket.connect(to)).await {
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
                Ok(Err(error)) => Err(error).with_context(|| format!("connect to {to}")),
                Ok(Ok(_)) => unreachable!("nobody listens"),
                Err(_) => Ok(false),
            }
        };
        inside(&self.initiator, || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("make a runtime")?.block_on(connect())
        })
    }

    /// Lists the ports that the helper expects connections to, and makes netfilter forget all flows.
    fn expected_ports(&self, ipv6: bool) -> Result<Vec<u16>> {
        let listed = self.conntrack(&["-L", "expect", "-f", family_name(ipv6)])?;
        self.conntrack(&["-F"])?;
        listed.lines().map(port).collect()
    }
}

impl Sockets {
    fn open(initiator: &Namespace, responder: &Namespace, family: usize) -> Result<Self> {
        let flow = |port| bound(initiator, end(INITIATOR[family], port)?);
        let amandad = bound(responder, end(RESPONDER[family], AMANDAD)?)?;
        Ok(Self { flows: [flow(FLOWS[0])?, flow(FLOWS[1])?], amandad })
    }
}

/// Makes a host on a wire of its own to the router.
fn host(
    router: &Namespace,
    name: &str,
    addresses: &[[&str; 2]],
    gateways: [&str; 2],
) -> Result<Namespace> {
    let host = Namespace::new(name)?;
    let own: Vec<String> = addresses.iter().copied().flatten().map(on_the_wire).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let routers = gateways.map(on_the_wire);
    netns::connect(
        &Port { namespace: &host, interface: "eth0", addresses: &own },
        &Port { namespace: router, interface: name, addresses: &[&routers[0], &routers[1]] },
    )?;
    for gateway in gateways {
        let mut command = host.enter_net_only("ip");
        run(command.args(["route", "add", "default", "via", gateway]), COMMAND)?
            .require_success()
            .context("route by way of the router")?;
    }
    Ok(host)
}

/// Returns the address with the length of its wire's prefix.
fn on_the_wire(address: &str) -> String {
    let length = if address.contains(':') { 64 } else { 24 };
    format!("{address}/{length}")
}

fn bound(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket> {
    let socket = bind(namespace, address)?;
    socket.set_read_timeout(Some(PATIENCE)).context("limit a read")?;
    Ok(socket)
}

/// Tells whether a datagram goes from one socket to another.
fn delivers(from: &UdpSocket, to: &UdpSocket, text: &[u8]) -> Result<bool> {
    let address = to.local_addr().context("ask for a socket's address")?;
    from.send_to(text, address).context("send a datagram")?;
    arrives(to, text)
}

/// Tells whether a datagram comes to a socket.
fn arrives(to: &UdpSocket, text: &[u8]) -> Result<bool> {
    let mut received = vec![0; DATAGRAM];
    match to.recv(&mut received) {
        Ok(length) => {
            ensure!(received[..length] == *text, "another datagram arrived");
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error).context("receive a datagram"),
    }
}

/// A flow that netfilter remembers.
struct Entry<'a> {
    /// For how many seconds it still does.
    left: u64,
    /// The port that its first packet came from.
    from: &'a str,
    /// The port that its first packet went to.
    to: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads `udp      17 29 src=10.0.1.1 dst=10.0.2.1 sport=601 dport=10080 src=..`.
    fn read(line: &'a str) -> Result<Self> {
        let word = |start| line.split_whitespace().find_map(|word| word.strip_prefix(start));
        let left = line.split_whitespace().nth(2).and_then(|seconds| seconds.parse().ok());
        let found = left.zip(word("sport=")).zip(word("dport="));
        let ((left, from), to) = found.with_context(|| format!("read the flow {line:?}"))?;
        Ok(Self { left, from, to })
    }
}

fn family_name(ipv6: bool) -> &'static str {
    if ipv6 { "ipv6" } else { "ipv4" }
}

/// Reads the port of `179 proto=6 src=10.0.1.1 dst=10.0.2.1 sport=0 dport=11001 mask-src=..`.
fn port(line: &str) -> Result<u16> {
    let port = line.split(' ').find_map(|word| word.strip_prefix("dport="));
    let port = port.with_context(|| format!("find the port of {line:?}"))?;
    port.parse().with_context(|| format!("read the port of {line:?}"))
}

fn end(address: &str, port: u16) -> Result<SocketAddr> {
    let address: IpAddr = address.parse().context("read an address")?;
    Ok(SocketAddr::new(address, port))
}
