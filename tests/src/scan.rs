//! Port scans: what a stranger on the same LAN finds open.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    netns::Namespace,
    process::{Child, run},
};

/// The longest that a scan of every port may take; dropped probes are the slow ones.
pub const SCAN_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest that one echo may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// All ports, in nmap's notation.
pub const ALL_PORTS: &str = "1-65535";

/// A transport whose ports can be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A SYN to each port.
    Tcp,
    /// A datagram to each port, with a payload where nmap knows one.
    Udp,
}

/// What nmap says of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedPort {
    /// The port.
    pub number: u16,
    /// nmap's word: `open`, `closed`, `filtered`, `open|filtered`.
    pub state: String,
}

/// Starts scanning `ports` of `address` (IPv4 or IPv6) from a namespace.
pub fn start(from: &Namespace, transport: Transport, address: &str, ports: &str) -> Result<Child> {
    resolve(from, address)?;
    Child::spawn(&mut nmap(from, transport, address, ports))
}

/// Has the neighbour's link address found, lest the first probes be lost while it is asked for;
/// whether the echo is answered does not matter.
fn resolve(from: &Namespace, address: &str) -> Result<()> {
    let mut ping = from.command(Path::new("ping"));
    run(ping.args(["-c", "1", "-W", "1", address]), RESOLVE_TIMEOUT).map(drop)
}

/// Waits for a scan, and returns the ports that nmap lists one by one.
pub fn finish(scan: Child) -> Result<Vec<ScannedPort>> {
    let finished = scan.finish(SCAN_TIMEOUT)?.require_success().context("scan ports")?;
    parse(&finished.stdout)
}

/// Scans to the end, and returns the ports that nmap lists one by one.
pub fn scan(
    from: &Namespace,
    transport: Transport,
    address: &str,
    ports: &str,
) -> Result<Vec<ScannedPort>> {
    finish(start(from, transport, address, ports)?)
}

/// Returns the ports that answered.
#[must_use]
pub fn open(ports: &[ScannedPort]) -> Vec<u16> {
    ports.iter().filter(|port| port.state == "open").map(|port| port.number).collect()
}

fn nmap(from: &Namespace, transport: Transport, address: &str, ports: &str) -> Command {
    let mut command = from.command(Path::new("nmap"));
    command.args(["-n", "-Pn", "-T5", "--min-rate", "10000", "--max-retries", "2", "-oG", "-"]);
    command.arg(match transport {
        Transport::Tcp => "-sS",
        Transport::Udp => "-sU",
    });
    if address.contains(':') {
        command.arg("-6");
    }
    command.args(["-p", ports, address]);
    command
}

/// Reads nmap's greppable form, `Host: 10.0.0.1 () Ports: 22/open/tcp//ssh///, 23/...`, where a tab
/// ends the list.
fn parse(output: &str) -> Result<Vec<ScannedPort>> {
    let lists = output.lines().filter_map(listed);
    // The list is empty when all ports are alike.
    lists.flat_map(|list| list.split(", ")).filter(|entry| !entry.is_empty()).map(port).collect()
}

fn listed(line: &str) -> Option<&str> {
    let (_, list) = line.split_once("Ports: ")?;
    Some(list.split('\t').next().unwrap_or(list))
}

fn port(entry: &str) -> Result<ScannedPort> {
    let mut fields = entry.split('/');
    let number = fields.next().unwrap_or_default().trim();
    let number = number.parse().with_context(|| format!("read nmap's port {entry:?}"))?;
    Ok(ScannedPort { number, state: fields.next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: &[(u16, &str)]) {
        let ports = parse(output).expect("nmap's output can be read");
        let ports: Vec<_> = ports.iter().map(|port| (port.number, port.state.as_str())).collect();
        assert_eq!(ports, expected, "{output}");
    }

    #[test]
    fn a_list_names_ports_and_states() {
        check(
            "Host: 10.84.0.1 ()\tPorts: 9/open/tcp//discard///, 22/filtered/tcp//ssh///\tIgnored State: closed (65533)\n",
            &[(9, "open"), (22, "filtered")],
        );
    }

    #[test]
    fn ports_that_are_all_alike_are_not_listed() {
        check("Host: 10.84.0.1 ()\tPorts: \tIgnored State: filtered (65535)\n", &[]);
        check("Host: 10.84.0.1 ()\tStatus: Up\n", &[]);
    }
}
