//! `cargo xtask demo`: a backup and a recovery across the firewall, told on the terminal.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the story is this program's output"
)]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use amanda_fw_tests::{
    amanda::{
        CLIENT, CLIENT_NAME, FILE, Plan, SERVER, SERVER_NAME, STRANGER, Site, client_policy,
        server_policy,
    },
    firewall::Firewall,
    lan::INTERFACE,
    process::Finished,
    scan::{self, Transport},
    wait,
};
use anyhow::{Context, Result, ensure};

/// Dumps beside the one that is held open: enough to overlap, few enough to read.
const DISKS: u32 = 3;
/// Announced ports that the stranger tries: so few that nmap lists each.
const TRIED_PORTS: usize = 16;
/// The longest that a command of Amanda may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let story = tokio::task::spawn_blocking(tell);
    tokio::spawn(stop_on_ctrl_c());
    match story.await.context("tell the story").flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn stop_on_ctrl_c() {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("\nstopping: taking everything down first");
        wait::stop();
    }
}

fn tell() -> Result<()> {
    let started = Instant::now();
    ensure!(rustix::process::geteuid().is_root(), "network namespaces and BPF need root");
    let site = set_up()?;
    let owned = Owned::of(&site);
    let told = backup_and_recovery(&site);
    drop(site);
    told?;
    owned.check_gone()?;
    step("cleaned up: hosts, network, pins and files are gone");
    println!("every step worked, in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn set_up() -> Result<Site> {
    step("three hosts on one network, each in its own namespace");
    let plan = Plan { disk_count: DISKS, gates: 1, ..Plan::default() };
    let site = Site::new(plan).context("set up the hosts")?;
    println!("  {SERVER_NAME} {SERVER}: Amanda's server, with a virtual tape library");
    println!("  {CLIENT_NAME} {CLIENT}: {} disks to back up, amandad on UDP 10080", DISKS + 1);
    println!("  a stranger {STRANGER}");
    Ok(site)
}

fn backup_and_recovery(site: &Site) -> Result<()> {
    let mut walls = Walls::attach(site)?;
    dump(site, &mut walls)?;
    recover(site, &mut walls)?;
    walls.detach()
}

fn dump(site: &Site, walls: &mut Walls<'_>) -> Result<()> {
    step("amdump, with the firewalls' decisions; one dump is held open for a closer look");
    site.close_gate()?;
    let mut amdump = site.start_amdump()?;
    wait::until("the dump that is held open", PATIENCE, || {
        walls.show_events()?;
        ensure!(amdump.ended()?.is_none(), "amdump ended early: {}", site.dump_log()?);
        Ok(site.is_gate_reached()?.then_some(()))
    })?;
    walls.show_status("sendbackup")?;
    refuse_stranger(site)?;
    site.open_gate()?;
    step("the dump goes on");
    wait::until("the end of amdump", PATIENCE, || {
        walls.show_events()?;
        amdump.ended()
    })?;
    let dump = site.finish_amdump(amdump, PATIENCE)?;
    ensure!(dump.finished.is_success(), "{}", dump.account());
    ensure!(dump.success_count() == site.plan.dump_count(), "{}", dump.account());
    println!("  {} of {} disks dumped", dump.success_count(), site.plan.dump_count());
    Ok(())
}

fn refuse_stranger(site: &Site) -> Result<()> {
    step("meanwhile the stranger tries the ports that the client has announced");
    let mut ports = site.announced_ports()?;
    ports.truncate(TRIED_PORTS);
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let found = scan::scan(&site.stranger, Transport::Tcp, CLIENT, &list)?;
    for port in &found {
        println!("  {STRANGER} > {CLIENT}:{} {}", port.number, port.state);
    }
    ensure!(found.len() == ports.len(), "nmap tried {} of {} ports", found.len(), ports.len());
    ensure!(found.iter().all(|port| port.state == "filtered"), "a port answered the stranger");
    Ok(())
}

fn recover(site: &Site, walls: &mut Walls<'_>) -> Result<()> {
    let disk = &site.plan.disks()[0];
    step(&format!("amrecover on {CLIENT_NAME}: {disk}/{FILE}"));
    let recovery = site.amrecover(disk, PATIENCE)?;
    walls.show_events()?;
    let original = site.original(disk)?;
    ensure!(recovery.bytes.as_ref() == Some(&original), "{}", recovery.finished);
    println!("  {} bytes came back, each as it was", original.len());
    walls.show_status("amidxtaped")
}

/// The firewalls of both hosts, and how far their decisions have been shown.
struct Walls<'a> {
    server: Wall<'a>,
    client: Wall<'a>,
}

impl<'a> Walls<'a> {
    fn attach(site: &'a Site) -> Result<Self> {
        step("amanda-fw attached on both: nothing comes in but what Amanda announces");
        let (server, client) = (site.server.network(), site.client.network());
        let attach = |host, network, policy: &str| {
            let firewall = Firewall::attach(site.bench(), network, INTERFACE, policy)?;
            Ok::<_, anyhow::Error>(Wall { host, firewall, shown: 0 })
        };
        let mut walls = Self {
            server: attach(SERVER_NAME, server, &server_policy())?,
            client: attach(CLIENT_NAME, client, &client_policy())?,
        };
        walls.show_events()?;
        Ok(walls)
    }

    fn show_events(&mut self) -> Result<()> {
        self.server.show_events()?;
        self.client.show_events()
    }

    fn show_status(&self, service: &str) -> Result<()> {
        for wall in [&self.server, &self.client] {
            step(&format!("amanda-fw status on {}", wall.host));
            let status = wall.firewall.status(&[])?;
            print!("{status}");
            ensure!(status.contains(service), "status does not show a session of {service}");
        }
        Ok(())
    }

    fn detach(self) -> Result<()> {
        step("amanda-fw detached on both");
        for wall in [self.server, self.client] {
            wall.firewall.detach().and_then(Finished::require_success)?;
        }
        Ok(())
    }
}

struct Wall<'a> {
    host: &'static str,
    firewall: Firewall<'a>,
    shown: u64,
}

impl Wall<'_> {
    fn show_events(&mut self) -> Result<()> {
        for line in self.firewall.events()?.lines_from(&mut self.shown)? {
            println!("  {} | {line}", self.host);
        }
        Ok(())
    }
}

/// What must not outlive the demo.
struct Owned(Vec<std::path::PathBuf>);

impl Owned {
    fn of(site: &Site) -> Self {
        let networks = [site.server.network(), site.client.network(), &site.stranger];
        let namespaces = networks.into_iter().map(amanda_fw_tests::netns::Namespace::path);
        Self(namespaces.chain([site.bench().path("")]).collect())
    }

    fn check_gone(self) -> Result<()> {
        for path in self.0 {
            ensure!(!path.exists(), "{} is still there", path.display());
        }
        Ok(())
    }
}

fn step(title: &str) {
    println!("\n== {title}");
}
