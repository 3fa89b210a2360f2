//! What amanda-fw costs, beside its peers: new flows under many rules, replies of
//! Amanda, forwarded datagrams.
//!
//! Each firewall stands in namespaces of its own, made anew for each round; a datagram is decided on
//! its sender's own CPU, so that the time of a send holds the decision. Rounds are interleaved, and
//! medians are printed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tables are its output")]

mod forward;
mod replies;
mod rules;

use std::process::ExitCode;
use std::time::Duration;

use amanda_fw_tests::netns::{Namespace, Port, connect};
use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

const HOST: &str = "10.94.0.1";
const PEER: &str = "10.94.0.2";

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("amanda-fw-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmarks of these names, or all.
fn run(wanted: &[String]) -> Result<()> {
    const NAMES: [&str; 3] = ["rules", "replies", "forward"];
    if let Some(name) = wanted.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!("there is no benchmark {name}; there are: {}", NAMES.join(" "));
    }
    let is_wanted = |name| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if is_wanted(NAMES[0]) {
        rules::run()?;
    }
    if is_wanted(NAMES[1]) {
        replies::run()?;
    }
    if is_wanted(NAMES[2]) {
        forward::run()?;
    }
    Ok(())
}

/// Joins the host and a peer of some addresses by a wire.
fn hosts(addresses: &[&str]) -> Result<(Namespace, Namespace)> {
    let (host, peer) = (Namespace::new("host")?, Namespace::new("peer")?);
    let on_the_wire = |address: &&str| format!("{address}/24");
    let (own, others) = (on_the_wire(&HOST), addresses.iter().map(on_the_wire));
    let others: Vec<String> = others.collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let port = |namespace, addresses| Port { namespace, interface: "eth0", addresses };
    connect(&port(&host, &[&own]), &port(&peer, &others))?;
    Ok((host, peer))
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Returns the time that this thread has had, whatever else the machine does: what a datagram costs
/// at its other end is in the time of its sender.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| number.unsigned_abs();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
