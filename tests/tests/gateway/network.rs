//! The hosts of the wiki: two on a network inside, the gateway, and one outside.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_tests::lan::Lan;
use amanda_fw_tests::netns::{Namespace, Port, connect};

/// The gateway's interface inside, as the others have it.
pub(crate) use amanda_fw_tests::lan::INTERFACE as INSIDE;

/// The gateway's interface outside.
pub(crate) const OUTSIDE: &str = "ppp0";

/// The backup server, inside.
pub(crate) const TSHOST: &str = "192.168.2.2";
/// Its neighbour.
pub(crate) const LHOST: &str = "192.168.2.3";
/// The gateway, as it is known inside.
pub(crate) const FWHOST: &str = "192.168.2.1";
/// The gateway, as it is known outside.
pub(crate) const GATEWAY: &str = "1.2.3.4";
/// The host outside.
pub(crate) const RHOST: &str = "2.3.4.5";

/// The server's IPv6 address.
pub(crate) const TSHOST_V6: &str = "fd00:2::2";
/// The IPv6 address of the host outside.
pub(crate) const RHOST_V6: &str = "fd00:1::5";

/// The hosts, without any firewall.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) tshost: Namespace,
    pub(crate) lhost: Namespace,
    pub(crate) fwhost: Namespace,
    pub(crate) rhost: Namespace,
    // The last to be dropped: what the others stand on.
    pub(crate) _lan: Lan,
}

impl Network {
    pub(crate) fn new() -> Self {
        let mut lan = Lan::new().expect("a bridge can be made");
        let mut plug_in = |name: &str, addresses: &[&str]| {
            lan.plug_in(name, addresses).expect("a host can be plugged in")
        };
        let tshost = plug_in("tshost", &["192.168.2.2/24", "fd00:2::2/64"]);
        let lhost = plug_in("lhost", &["192.168.2.3/24", "fd00:2::3/64"]);
        let fwhost = plug_in("fwhost", &["192.168.2.1/24", "fd00:2::1/64"]);
        let rhost = Namespace::new("rhost").expect("a namespace can be made");
        join(&fwhost, &rhost, INSIDE);
        for host in [&tshost, &lhost] {
            ip(host, &["route", "add", "default", "via", FWHOST]);
            ip(host, &["-6", "route", "add", "default", "via", "fd00:2::1"]);
        }
        Self { tshost, lhost, fwhost, rhost, _lan: lan }
    }
}

/// Two gateways that face each other, with a host behind each.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) hosts: [Namespace; 2],
    pub(crate) gateways: [Namespace; 2],
    // The last to be dropped: what the others stand on.
    pub(crate) _lans: [Lan; 2],
}

impl Pair {
    pub(crate) fn new() -> Self {
        let [near, far] = ["192.168.2", "192.168.3"].map(|network| {
            let mut lan = Lan::new().expect("a bridge can be made");
            let mut plug_in = |name: &str, number: u8| {
                let address = format!("{network}.{number}/24");
                lan.plug_in(name, &[&address]).expect("a host can be plugged in")
            };
            let (host, gateway) = (plug_in("host", 2), plug_in("gateway", 1));
            ip(&host, &["route", "add", "default", "via", &format!("{network}.1")]);
            (host, gateway, lan)
        });
        join(&near.1, &far.1, OUTSIDE);
        forward(&far.1);
        Self { hosts: [near.0, far.0], gateways: [near.1, far.1], _lans: [near.2, far.2] }
    }
}

/// Joins the gateway to an interface outside, over a wire that has no network of its own.
fn join(gateway: &Namespace, outside: &Namespace, interface: &str) {
    let gateway_has = ["1.2.3.4/32", "fd00:1::1/64"];
    let outside_has = ["2.3.4.5/32", "fd00:1::5/64"];
    connect(
        &Port { namespace: gateway, interface: OUTSIDE, addresses: &gateway_has },
        &Port { namespace: outside, interface, addresses: &outside_has },
    )
    .expect("namespaces can be connected");
    ip(gateway, &["route", "add", RHOST, "dev", OUTSIDE]);
    ip(gateway, &["route", "add", "default", "via", RHOST]);
    ip(outside, &["route", "add", GATEWAY, "dev", interface]);
    ip(outside, &["-6", "route", "add", "fd00:2::/64", "via", "fd00:1::1"]);
    forward(gateway);
}

/// Has a host forward packets of both families.
fn forward(gateway: &Namespace) {
    for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        gateway.set_sysctl(path, "1").expect("a sysctl can be set");
    }
}

/// Configures a host's network.
pub(crate) fn ip(host: &Namespace, arguments: &[&str]) {
    host.ip(arguments).expect("a network can be configured");
}

pub(crate) fn endpoint(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port)
}
