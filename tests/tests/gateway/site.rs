//! The network with a gateway that amanda-fw runs on.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::{process, sockets, wait};

use crate::network::{FWHOST, INSIDE, Network, OUTSIDE, RHOST, TSHOST_V6, endpoint};

/// Hosts inside may go out under the gateway's address; nothing comes in.
pub(crate) const MASQUERADE: &str = r#"
[hosts]
tshost = "192.168.2.2"
rhost = "2.3.4.5"

[policy]
incoming = "drop"
outgoing = "accept"
forward = "drop"

[[rule]]
name = "inside to outside"
direction = "forward"
in = "eth0"
out = "ppp0"
action = "accept"

[[nat]]
kind = "masquerade"
out = "ppp0"
"#;

/// Ports of the gateway that lead to the server, from wherever they are asked.
pub(crate) const FORWARDED: &str = r#"
[[rule]]
name = "forwarded"
direction = "forward"
protocol = ["tcp", "udp"]
ports = "80:83"
to = "tshost"
action = "accept"

[[nat]]
name = "shifted"
kind = "destination"
protocol = ["tcp", "udp"]
ports = "8080:8083"
destination = "1.2.3.4"
to = "tshost"
to_port = 80
"#;

/// The longest that a short command may take.
const COMMAND: Duration = Duration::from_secs(10);

/// What an attached interface is called on the command line, in the order of attaching.
const INTERFACES: [&str; 2] = [INSIDE, OUTSIDE];

pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) network: Network,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site =
            Self { bench: Bench::new().expect("a bench can be made"), network: Network::new() };
        site.wait_for_the_wires();
        site
    }

    /// Waits until all wires carry packets of both families, before a firewall counts them.
    fn wait_for_the_wires(&self) {
        let Network { tshost, lhost, fwhost, rhost, .. } = &self.network;
        let pairs = [
            (tshost, FWHOST),
            (lhost, FWHOST),
            (fwhost, RHOST),
            (fwhost, TSHOST_V6),
            (rhost, TSHOST_V6),
        ];
        for (from, address) in pairs {
            wait::until("a wire", COMMAND, || Ok(pings(from, address, &[]).then_some(())))
                .expect("a wire comes up");
        }
    }

    /// Attaches amanda-fw to both interfaces of the gateway.
    pub(crate) fn firewall(&self, config: &str) -> Firewall<'_> {
        let fwhost = &self.network.fwhost;
        let attached = Firewall::attach_all(&self.bench, fwhost, &INTERFACES, config);
        attached.unwrap_or_else(|error| panic!("{error:?}\n{config}"))
    }
}

/// Tells whether an address answers a ping with further options.
pub(crate) fn pings(from: &Namespace, address: &str, options: &[&str]) -> bool {
    ping(from, address, options).is_success()
}

/// Sends a ping with further options.
pub(crate) fn ping(from: &Namespace, address: &str, options: &[&str]) -> process::Finished {
    let mut ping = from.enter_net_only("ping");
    ping.args(["-n", "-c", "1", "-W", "1"]).args(options).arg(address);
    process::run(&mut ping, COMMAND).expect("ping can be run")
}

pub(crate) fn listen(host: &Namespace, address: &str, port: u16) -> TcpListener {
    sockets::listen(host, endpoint(address, port)).expect("a port can be listened on")
}

pub(crate) fn bind(host: &Namespace, address: &str, port: u16) -> UdpSocket {
    sockets::bind(host, endpoint(address, port)).expect("a port can be bound")
}

/// Reads how many packets were decided for a reason.
pub(crate) fn packets(firewall: &Firewall<'_>, reason: &str) -> u64 {
    let status = firewall.status(&["--json"]).expect("status answers");
    let status: serde_json::Value = serde_json::from_str(&status).expect("status in JSON");
    let reasons = status["reasons"].as_array().expect("a list of reasons");
    let found = reasons.iter().find(|entry| entry["name"] == reason);
    found.and_then(|entry| entry["packets"].as_u64()).expect("a count of packets")
}
