//! What each authentication opens on a wire, to a server, to a client, and to nobody else.

use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames::{self, Packet, SYN, TCP, UDP};
use amanda_fw_tests::probes::Probes;

use crate::site::{DENY, HOST, PEER, Site, endpoint};

/// Ports of Amanda's, and of services that it must not open.
const TCP_PORTS: [u16; 7] = [22, 80, 514, 10080, 10081, 10082, 10083];
const UDP_PORTS: [u16; 2] = [53, 10080];

/// What is open to a port that only root may use, and to another one, as protocols and ports.
type Open = [&'static [(u8, u16)]; 2];

const NOTHING: Open = [&[], &[]];

/// What each auth opens to a server of the host's, and to a client.
const AUTHS: [(&str, Open, Open); 8] = [
    ("bsd", [&[(UDP, 10080)], &[]], [&[(UDP, 10080)], &[]]),
    ("bsdudp", [&[(UDP, 10080)], &[]], [&[(UDP, 10080)], &[]]),
    ("bsdtcp", [&[(TCP, 10080)], &[]], [&[(TCP, 10080)], &[]]),
    ("ssl", [&[(TCP, 10080)], &[(TCP, 10080)]], [&[(TCP, 10080)], &[(TCP, 10080)]]),
    ("krb5", [&[(TCP, 10082)], &[(TCP, 10082)]], [&[(TCP, 10082)], &[(TCP, 10082)]]),
    ("ssh", [&[(TCP, 22)], &[(TCP, 22)]], [&[(TCP, 22)], &[(TCP, 22)]]),
    ("local", NOTHING, NOTHING),
    ("classic", NOTHING, [&[(TCP, 10082), (TCP, 10083)], &[]]),
];

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn each_auth_opens_its_ports_to_amandas_hosts() {
    let site = Site::new();
    let firewall = site.firewall(DENY);
    let probes = Probes::open(&site.peer, &site.host, &[TCP, UDP]).expect("sockets can be opened");
    let peer = format!("[\"{}\", \"{}\"]", PEER[0], PEER[1]);
    // No two rounds have a source port in common, lest one meets the flows of another.
    let mut rounds = 0..;
    let mut check = |auth: &str, servers: &str, clients: &str, expected: Open| {
        let hosts = format!("servers = {servers}\nclients = {clients}\n");
        let config = format!("{DENY}\n[amanda]\n{hosts}auth = {auth}\n");
        let round = rounds.next().expect("a number");
        check(&firewall, &probes, &config, round, expected);
    };
    for (auth, to_server, to_client) in AUTHS {
        let auth = format!("\"{auth}\"");
        check(&auth, &peer, "\"self\"", to_server);
        check(&auth, "\"self\"", &peer, to_client);
    }
    let all = format!("{:?}", AUTHS.map(|(auth, ..)| auth));
    check(&all, "\"self\"", "\"192.0.2.1\"", NOTHING);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_auths_in_force_are_told() {
    let site = Site::new();
    let amanda =
        "[amanda]\nservers = \"on-link\"\nclients = \"self\"\nauth = [\"krb5\", \"ssh\"]\n";
    let firewall = site.firewall(&format!("{DENY}\n{amanda}"));
    let status = firewall.status(&[]).expect("status answers");
    assert!(status.contains("ssh   servers and clients  tcp    any    22"), "{status}");
    let ends = [endpoint(PEER[0], 40000), endpoint(HOST[0], 22)].map(|end| end.to_string());
    let said = firewall.ask("explain", &["tcp", &ends[0], &ends[1]]).expect("explain answers");
    assert!(said.contains("amanda-control") && said.contains("auth        ssh"), "{said}");
    let probes = Probes::open(&site.peer, &site.host, &[TCP]).expect("sockets can be opened");
    let ssh = frames::tcp(endpoint(PEER[0], 40000), endpoint(HOST[0], 22), SYN);
    assert_eq!(probes.pass(&[ssh]).expect("a packet can be sent"), [true]);
    let flows = firewall.ask("list", &["flows"]).expect("list answers");
    assert!(flows.contains("amanda-control ssh"), "{flows}");
}

/// Puts a configuration in force, and checks what the peer may begin over both families.
#[track_caller]
fn check(firewall: &Firewall<'_>, probes: &Probes, config: &str, round: u16, expected: Open) {
    firewall.reload(config).expect("a reload succeeds");
    let sources = [600 + round, 40_000 + round];
    let tried: Vec<Packet> = HOST
        .into_iter()
        .zip(PEER)
        .flat_map(|(here, there)| sources.map(|port| (here, endpoint(there, port))))
        .flat_map(|(here, from)| {
            let tcp = TCP_PORTS.map(|port| frames::tcp(from, endpoint(here, port), SYN));
            let said = from.port().to_be_bytes();
            let udp = UDP_PORTS.map(|port| frames::udp(from, endpoint(here, port), &said));
            tcp.into_iter().chain(udp)
        })
        .collect();
    let passed = probes.pass(&tried).expect("packets can be sent");
    let passed = tried.iter().zip(passed).filter(|(_, passed)| *passed);
    let mut open: Vec<[u16; 3]> = passed.map(|(packet, _)| ports(packet)).collect();
    open.sort_unstable();
    let of = |(port, open): (u16, &'static [(u8, u16)])| {
        open.iter().flat_map(move |&(protocol, to)| [[port, u16::from(protocol), to]; 2])
    };
    let expected: Vec<[u16; 3]> = sources.into_iter().zip(expected).flat_map(of).collect();
    assert_eq!(open, expected, "source ports, protocols and ports by {config}");
}

/// Returns the source port, the protocol and the port of a packet.
fn ports(packet: &Packet) -> [u16; 3] {
    let port = |at: usize| u16::from_be_bytes([packet.payload[at], packet.payload[at + 1]]);
    [port(0), packet.protocol.into(), port(2)]
}
