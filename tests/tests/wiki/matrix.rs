//! The packets that both firewalls are asked about: every source with every port and flag.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_tests::frames::{self, ACK, FIN_ACK, Packet, RST, SYN, SYN_ACK};

use crate::site::HOST;

/// Hosts of the page, hosts just inside and outside of its networks, and a stranger.
pub(crate) const SOURCES: [&str; 11] = [
    "192.168.2.2",
    "192.168.2.3",
    "1.2.3.4",
    "2.3.4.5",
    "129.168.0.1",
    "129.168.255.254",
    "129.167.255.254",
    "129.169.0.1",
    "192.167.255.254",
    "192.169.0.1",
    "198.51.100.7",
];

/// Each edge of each range of the page from both sides, and ssh.
const PORTS: [u16; 16] = [
    22, 1099, 1100, 1150, 1151, 10079, 10080, 10081, 10082, 10083, 10084, 49999, 50000, 50050,
    50100, 50101,
];

/// Where probes come from: the page's `--with-udpportrange`, and ports that anybody may have. A
/// kind of packet is added to them, so that no two packets share a flow.
const SOURCE_PORTS: [u16; 2] = [700, 40_000];

/// FIN without ACK, no flag at all, and two that exclude each other: what scanners send.
pub(crate) const IMPOSSIBLE: [u8; 3] = [FIN_ACK & !ACK, 0, SYN | (FIN_ACK & !ACK)];

const FLAGS: [u8; 8] =
    [SYN, ACK, RST, FIN_ACK, SYN_ACK, IMPOSSIBLE[0], IMPOSSIBLE[1], IMPOSSIBLE[2]];

/// One packet, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) source: &'static str,
    pub(crate) source_port: u16,
    pub(crate) port: u16,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A TCP segment with these flags.
    Tcp(u8),
    Udp,
    /// An echo request, which has no ports.
    Ping,
}

/// Lists every probe.
pub(crate) fn probes() -> Vec<Probe> {
    let kinds: Vec<Kind> = FLAGS.map(Kind::Tcp).into_iter().chain([Kind::Udp]).collect();
    let mut probes = Vec::new();
    for source in SOURCES {
        for port in PORTS {
            for first in SOURCE_PORTS {
                let numbered = (first..).zip(&kinds);
                probes.extend(numbered.map(|(source_port, &kind)| Probe {
                    source,
                    source_port,
                    port,
                    kind,
                }));
            }
        }
        probes.push(Probe { source, source_port: 0, port: 0, kind: Kind::Ping });
    }
    probes
}

impl Probe {
    /// Makes the packet; the number makes it unlike all others.
    pub(crate) fn packet(&self, number: u16) -> Packet {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (source, host) = (address(self.source), address(HOST));
        let from = SocketAddr::new(source, self.source_port);
        let to = SocketAddr::new(host, self.port);
        let data = number.to_be_bytes();
        match self.kind {
            Kind::Tcp(flags) => frames::tcp_with(from, to, flags, &data),
            Kind::Udp => frames::udp(from, to, &data),
            Kind::Ping => frames::echo(source, host, number),
        }
    }
}
