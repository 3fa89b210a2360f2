//! A host of the page, and one peer that stands for all others: it has every address.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames::{ICMP, Packet, TCP, UDP};
use amanda_fw_tests::netns::{Namespace, Port, connect};
use amanda_fw_tests::probes::Probes;
use amanda_fw_tests::{process, wait};

use crate::matrix::{Probe, SOURCES, probes};

/// The interface of both ends of the wire.
pub(crate) const INTERFACE: &str = "eth0";

/// The host's address.
pub(crate) const HOST: &str = "192.168.2.1";

/// The peer's address that the host sends to whatever is not near.
const GATEWAY: &str = "192.168.2.2";

/// The longest that a short command may take.
const COMMAND: Duration = Duration::from_secs(20);

pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) host: Namespace,
    pub(crate) peer: Namespace,
}

impl Site {
    pub(crate) fn new() -> Self {
        let near = |address: &&str| format!("{address}/24");
        let peers: Vec<String> = SOURCES.iter().map(near).collect();
        let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
        Self::with_addresses(&["192.168.2.1/24"], &peers, GATEWAY)
    }

    pub(crate) fn with_addresses(host_has: &[&str], peer_has: &[&str], gateway: &str) -> Self {
        let bench = Bench::new().expect("a bench can be made");
        let host = Namespace::new("host").expect("a namespace can be made");
        let peer = Namespace::new("peer").expect("a namespace can be made");
        let port = |namespace, addresses| Port { namespace, interface: INTERFACE, addresses };
        connect(&port(&host, host_has), &port(&peer, peer_has)).expect("two ends can be joined");
        for interface in ["all", INTERFACE] {
            let path = format!("net/ipv4/conf/{interface}/rp_filter");
            host.set_sysctl(&path, "0").expect("a sysctl can be set");
        }
        run(host.enter_net_only("ip").args(["route", "add", "default", "via", gateway]));
        let site = Self { bench, host, peer };
        site.wait_for_the_wire(gateway);
        site
    }

    fn wait_for_the_wire(&self, gateway: &str) {
        let is_up = || {
            let mut ping = self.host.enter_net_only("ping");
            let pinged = process::run(ping.args(["-c1", "-W1", gateway]), COMMAND);
            Ok(pinged?.is_success().then_some(()))
        };
        wait::until("the wire", COMMAND, is_up).expect("the wire comes up");
    }

    /// Runs a shell script on the host.
    pub(crate) fn script(&self, script: &str) -> String {
        run(self.host.enter_net_only("sh").args(["-e", "-c", script]))
    }

    pub(crate) fn firewall(&self, config: &str) -> Firewall<'_> {
        let attached = Firewall::attach(&self.bench, &self.host, INTERFACE, config);
        attached.unwrap_or_else(|error| panic!("{error:?}\n{config}"))
    }

    /// Asks which probes get through to the host.
    pub(crate) fn verdicts(&self) -> Vec<(Probe, bool)> {
        let probes = probes();
        let packets: Vec<Packet> = (1..).zip(&probes).map(|(n, probe)| probe.packet(n)).collect();
        let sockets = self.probes(&[TCP, UDP, ICMP]);
        let passed = sockets.pass(&packets).expect("packets can be sent and received");
        probes.into_iter().zip(passed).collect()
    }

    pub(crate) fn probes(&self, protocols: &[u8]) -> Probes {
        Probes::open(&self.peer, &self.host, protocols).expect("raw sockets can be opened")
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn run(command: &mut Command) -> String {
    let finished = process::run(command, COMMAND).and_then(process::Finished::require_success);
    finished.expect("a short command succeeds").stdout
}
