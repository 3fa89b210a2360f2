//! A host with a firewall, and its peer at the other end of a wire.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::process::Command;
use std::time::Duration;

use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::kernel;
use amanda_fw_tests::netns::{Namespace, Port, connect};
use amanda_fw_tests::process::{self, Child};
use amanda_fw_tests::wait;

/// The host's interface, which is attached to, and the peer's.
pub(crate) const INTERFACE: &str = "eth0";

/// The host's addresses, IPv4 and IPv6.
pub(crate) const HOST: [&str; 2] = ["10.94.0.1", "fd00:94::1"];
/// The peer's.
pub(crate) const PEER: [&str; 2] = ["10.94.0.2", "fd00:94::2"];

const HOST_PREFIXES: [&str; 2] = ["10.94.0.1/24", "fd00:94::1/64"];
const PEER_PREFIXES: [&str; 2] = ["10.94.0.2/24", "fd00:94::2/64"];

/// Nothing comes in that the host has not asked for.
pub(crate) const DENY: &str = "[policy]\nincoming = \"drop\"\noutgoing = \"accept\"\n";

/// The longest that a short command may take.
const COMMAND: Duration = Duration::from_secs(10);

pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) host: Namespace,
    pub(crate) peer: Namespace,
}

impl Site {
    pub(crate) fn new() -> Self {
        let bench = Bench::new().expect("a bench can be made");
        let host = Namespace::new("host").expect("a namespace can be made");
        let peer = Namespace::new("peer").expect("a namespace can be made");
        let port = |namespace, addresses| Port { namespace, interface: INTERFACE, addresses };
        connect(&port(&host, &HOST_PREFIXES), &port(&peer, &PEER_PREFIXES))
            .expect("namespaces can be connected");
        let site = Self { bench, host, peer };
        site.wait_for_the_wire();
        site
    }

    /// Waits until both families get through: a device is up a second before IPv6 believes it.
    fn wait_for_the_wire(&self) {
        let is_up = || PEER.iter().all(|address| ping(&self.host, address, ["1", "0.2"]));
        wait::until("the wire", COMMAND, || Ok(is_up().then_some(()))).expect("the wire comes up");
        for namespace in [&self.host, &self.peer] {
            // The neighbours are to be found through the firewall.
            run(namespace.enter_net_only("ip").args(["neigh", "flush", "dev", INTERFACE]));
        }
    }

    /// Gives both ends of the wire another MTU.
    pub(crate) fn set_mtu(&self, mtu: u32) {
        for namespace in [&self.host, &self.peer] {
            let mtu = mtu.to_string();
            run(namespace.enter_net_only("ip").args(["link", "set", INTERFACE, "mtu", &mtu]));
        }
    }

    /// Gives an end of the wire another address.
    pub(crate) fn address(&self, namespace: &Namespace, address: &str) {
        let mut ip = namespace.enter_net_only("ip");
        ip.args(["address", "add", address, "dev", INTERFACE]);
        // IPv4 has no duplicate address detection to leave out.
        ip.args(address.contains(':').then_some("nodad"));
        run(&mut ip);
    }

    /// Lets the host take packets of sources that it has no route to.
    pub(crate) fn trust_sources(&self) {
        for interface in ["all", INTERFACE] {
            let path = format!("net/ipv4/conf/{interface}/rp_filter");
            self.host.set_sysctl(&path, "0").expect("a sysctl can be set");
        }
    }

    /// Returns an address that counts on the wire alone.
    pub(crate) fn link_local(&self, address: &str, port: u16) -> SocketAddr {
        // The first device of a namespace after loopback.
        const INDEX: u32 = 2;
        let address = address.parse().expect("an address of IPv6");
        SocketAddr::V6(SocketAddrV6::new(address, port, 0, INDEX))
    }

    /// Joins the two by another wire.
    pub(crate) fn second_wire(&self, interface: &str, host: &str, peer: &str) {
        let (host, peer) = ([host], [peer]);
        connect(
            &Port { namespace: &self.host, interface, addresses: &host },
            &Port { namespace: &self.peer, interface, addresses: &peer },
        )
        .expect("namespaces can be connected");
    }

    /// Attaches to several interfaces.
    pub(crate) fn attached(&self, config: &str, interfaces: &[&str]) -> (Loader<'_>, Child) {
        let loader = Loader::new(&self.bench, &self.host, config).expect("amanda-fw is there");
        let child = loader.attach(interfaces).unwrap_or_else(|error| panic!("{error:?}"));
        (loader, child)
    }

    pub(crate) fn firewall(&self, config: &str) -> Firewall<'_> {
        let attached = Firewall::attach(&self.bench, &self.host, INTERFACE, config);
        attached.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Describes everything that is attached to the host's interfaces.
    pub(crate) fn attachments(&self) -> String {
        let host = &self.host;
        let links = run(host.enter_net_only("ip").args(["-j", "link", "show"]));
        let programs = run(host.enter_net_only("bpftool").args(["-j", "net", "show"]));
        // Neither of the two knows tcx.
        let tcx = kernel::tcx(host, INTERFACE).expect("the programs can be listed");
        format!("{links}\n{programs}\n{tcx:?}")
    }

    /// Tells whether an address answers to a ping.
    pub(crate) fn answers(&self, from: &Namespace, address: &str) -> bool {
        ping(from, address, ["2", "0.7"])
    }
}

/// Chooses the mode of the interface.
pub(crate) fn in_mode(mode: &str, config: &str) -> String {
    format!("{config}\n[interfaces.{INTERFACE}]\nmode = \"{mode}\"\n")
}

pub(crate) fn endpoint(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port)
}

/// Sends so many pings, and waits so many seconds for the last answer.
fn ping(from: &Namespace, address: &str, [count, patience]: [&str; 2]) -> bool {
    let mut ping = from.enter_net_only("ping");
    ping.args(["-n", "-i", "0.2", "-c", count, "-W", patience, address]);
    process::run(&mut ping, COMMAND).expect("ping can be run").is_success()
}

pub(crate) fn run(command: &mut Command) -> String {
    let finished = process::run(command, COMMAND).and_then(process::Finished::require_success);
    finished.expect("a short command succeeds").stdout
}
