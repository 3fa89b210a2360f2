//! A site with real Amanda: a backup server, a client full of files, and a stranger on one LAN.

mod config;
mod policy;
mod recovery;

use std::{
    fs::{self, File},
    io::Read,
    ops::Deref,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};

pub use self::{
    config::CONTROL_SERVICE,
    policy::{client_policy, server_policy},
    recovery::Recovery,
};
use crate::{
    bench::Bench,
    host::{Host, INETD_CONF, Root},
    lan::Lan,
    netns::Namespace,
    process::{Child, Finished, last_lines, run},
};

/// The server's address.
pub const SERVER: &str = "10.84.0.1";
/// The client's address.
pub const CLIENT: &str = "10.84.0.2";
/// The stranger's address.
pub const STRANGER: &str = "10.84.0.3";
/// The server's IPv6 address.
pub const SERVER_V6: &str = "fd84::1";
/// The client's IPv6 address.
pub const CLIENT_V6: &str = "fd84::2";
/// The stranger's IPv6 address.
pub const STRANGER_V6: &str = "fd84::3";
/// The server's name.
pub const SERVER_NAME: &str = "amserver";
/// The client's name.
pub const CLIENT_NAME: &str = "amclient";
/// The name, on every disk, of the file to recover.
pub const FILE: &str = "report.bin";

/// Bytes of [`FILE`] on the first disk.
const BIG_FILE_BYTES: u64 = 3_000_000;
/// Bytes of [`FILE`] on a disk whose gate lets little through: minutes of it.
const DRIPPING_FILE_BYTES: u64 = 10_000_000;
/// Bytes of every other file.
const SMALL_FILE_BYTES: u64 = 20_000;
/// Small files on each disk.
const SMALL_FILES: u32 = 3;
/// Lines of Amanda's own account of a run that a failure shows.
const LOG_LINES: usize = 60;

/// How Amanda authenticates, and so which transport it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// UDP control, one TCP connection a stream.
    Bsd,
    /// UDP control, all streams in one TCP connection.
    BsdUdp,
    /// Everything in one TCP connection.
    BsdTcp,
}

impl Auth {
    fn name(self) -> &'static str {
        match self {
            Self::Bsd => "bsd",
            Self::BsdUdp => "bsdudp",
            Self::BsdTcp => "bsdtcp",
        }
    }

    fn inetd_socket(self) -> &'static str {
        match self {
            Self::Bsd | Self::BsdUdp => "dgram udp wait",
            Self::BsdTcp => "stream tcp nowait",
        }
    }
}

/// What a closed gate does with a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Lets everything pass but the end.
    HoldsEnd,
    /// Lets a block pass now and then.
    Drips,
}

impl Gate {
    fn file_bytes(self) -> u64 {
        match self {
            Self::HoldsEnd => SMALL_FILE_BYTES,
            Self::Drips => DRIPPING_FILE_BYTES,
        }
    }
}

/// What is to be backed up, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Transport of the control dialogue.
    pub auth: Auth,
    /// Whether dumps have an INDEX stream; a recovery needs it.
    pub index: bool,
    /// Disks without a gate.
    pub disk_count: u32,
    /// Whether dumps go through a holding disk, four at a time, or straight to tape one by one.
    pub holding_disk: bool,
    /// Further disks, each with a gate that can hold its dump open.
    pub gates: u32,
    /// What a closed gate does.
    pub gate: Gate,
    /// Whether estimates wait while [`Backup::hold_estimates`] says so.
    pub held_estimates: bool,
    /// Whether the client's restore service works, as Amanda 3.5.1's does not by itself.
    pub mended_restore: bool,
    /// Whether the server takes amoldrecover.
    pub classic: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            auth: Auth::Bsd,
            index: true,
            disk_count: 12,
            holding_disk: true,
            gates: 0,
            gate: Gate::HoldsEnd,
            held_estimates: false,
            mended_restore: false,
            classic: false,
        }
    }
}

impl Plan {
    /// Returns the paths of the disks without a gate.
    #[must_use]
    pub fn disks(&self) -> Vec<String> {
        (1..=self.disk_count).map(|number| format!("/srv/disk{number:02}")).collect()
    }

    /// Returns the paths of the disks with a gate.
    #[must_use]
    pub fn gated_disks(&self) -> Vec<String> {
        (1..=self.gates).map(|number| format!("/srv/gated{number}")).collect()
    }

    /// Returns how many dumps a run makes.
    #[must_use]
    pub fn dump_count(&self) -> usize {
        self.disks().len() + self.gated_disks().len()
    }
}

/// A server, a client and a stranger on one LAN, without any firewall.
#[derive(Debug)]
pub struct Site {
    backup: Backup,
    /// A third host on the LAN that has no business with the two.
    pub stranger: Namespace,
    // The last to be dropped: what the others stand on.
    _lan: Lan,
}

impl Site {
    /// Sets up the hosts and starts amandad's inetd on both.
    pub fn new(plan: Plan) -> Result<Self> {
        let mut lan = Lan::new()?;
        let hosts = format!("{SERVER} {SERVER_NAME}\n{CLIENT} {CLIENT_NAME}\n");
        let mut place = |name, purpose, addresses: &[&str]| -> Result<Place> {
            Ok(Place { name, network: lan.plug_in(purpose, addresses)?, hosts: hosts.clone() })
        };
        let server = place(SERVER_NAME, "server", &[&subnet(SERVER), &subnet_v6(SERVER_V6)])?;
        let client = place(CLIENT_NAME, "client", &[&subnet(CLIENT), &subnet_v6(CLIENT_V6)])?;
        let stranger = lan.plug_in("stranger", &[&subnet(STRANGER), &subnet_v6(STRANGER_V6)])?;
        Ok(Self { backup: Backup::new(plan, server, client, Vec::new())?, stranger, _lan: lan })
    }
}

impl Deref for Site {
    type Target = Backup;

    fn deref(&self) -> &Backup {
        &self.backup
    }
}

/// What a host of Amanda's stands on.
#[derive(Debug)]
pub struct Place {
    /// What it is called.
    pub name: &'static str,
    /// Its network.
    pub network: Namespace,
    /// By which addresses it knows the others and itself: lines of /etc/hosts.
    pub hosts: String,
}

/// A server and what it backs up, wherever they are.
#[derive(Debug)]
pub struct Backup {
    /// The backup server.
    pub server: Host,
    /// The host that is backed up.
    pub client: Host,
    /// Further hosts that are backed up, by their names.
    pub others: Vec<(&'static str, Host)>,
    /// What the hosts were built for.
    pub plan: Plan,
    bench: Bench,
}

impl Backup {
    /// Starts amandad's inetd on all hosts; the server is called [`SERVER_NAME`] and the client
    /// [`CLIENT_NAME`].
    pub fn new(plan: Plan, server: Place, client: Place, others: Vec<Place>) -> Result<Self> {
        let bench = Bench::new()?;
        let clients: Vec<&'static str> =
            [&client].into_iter().chain(&others).map(|place| place.name).collect();
        let server_root = server_root(&bench, &server, &clients, &plan)?;
        let start_client = |place: Place| {
            let root = client_root(&bench, &place, &clients, &plan)?;
            Host::start(place.name, place.network, root, config::CONTROL_PORT)
        };
        let client = start_client(client)?;
        let others = others.into_iter().map(|place| Ok((place.name, start_client(place)?)));
        let others = others.collect::<Result<_>>()?;
        let server = Host::start(server.name, server.network, server_root, config::CONTROL_PORT)?;
        Ok(Self { server, client, others, plan, bench })
    }

    /// Returns the temporary directory of the hosts.
    #[must_use]
    pub fn bench(&self) -> &Bench {
        &self.bench
    }

    /// Runs amcheck on the server.
    pub fn amcheck(&self, timeout: Duration) -> Result<Finished> {
        run(self.server.command_as_amanda("amcheck").arg(config::CONFIG), timeout)
    }

    /// Runs amdump on the server to its end.
    pub fn amdump(&self, timeout: Duration) -> Result<Dump> {
        let amdump = self.start_amdump()?;
        self.finish_amdump(amdump, timeout)
    }

    /// Starts amdump on the server.
    pub fn start_amdump(&self) -> Result<Child> {
        Child::spawn(self.server.command_as_amanda("amdump").arg(config::CONFIG))
    }

    /// Waits for the end of amdump, and collects Amanda's own account of the run.
    pub fn finish_amdump(&self, amdump: Child, timeout: Duration) -> Result<Dump> {
        Ok(Dump { finished: amdump.finish(timeout)?, log: self.dump_log()? })
    }

    /// Returns Amanda's log of the last run so far, empty before the first.
    pub fn dump_log(&self) -> Result<String> {
        read_if_there(self.server.root().outside(config::LOG).join("log"))
    }

    /// Returns the driver's trace of the last run so far, empty before the first.
    pub fn dump_trace(&self) -> Result<String> {
        let directory = self.server.root().outside(config::LOG);
        match fs::exists(directory.join("amdump.1")) {
            Ok(true) => read_if_there(directory.join("amdump.1")),
            _ => read_if_there(directory.join("amdump")),
        }
    }

    /// Makes the next dumps of gated disks stay open until [`Backup::open_gate`].
    pub fn close_gate(&self) -> Result<()> {
        self.client.root().write(config::GATE_CLOSED, "")
    }

    /// Tells whether every gate is holding a dump back.
    pub fn is_gate_reached(&self) -> Result<bool> {
        let directory = self.client.root().outside(config::GATES_REACHED);
        let reached = fs::read_dir(&directory).context("list the gates that hold a dump")?;
        Ok(reached.count() >= self.plan.gated_disks().len())
    }

    /// Lets the dumps of gated disks end.
    pub fn open_gate(&self) -> Result<()> {
        fs::remove_file(self.client.root().outside(config::GATE_CLOSED)).context("open the gate")
    }

    /// Makes the next estimates wait until [`Backup::release_estimates`].
    pub fn hold_estimates(&self) -> Result<()> {
        self.client.root().write(config::ESTIMATES_HELD, "")
    }

    /// Tells whether an estimate waits, or has waited.
    #[must_use]
    pub fn is_estimate_held(&self) -> bool {
        self.client.root().outside(config::ESTIMATE_REACHED).exists()
    }

    /// Lets estimates go on.
    pub fn release_estimates(&self) -> Result<()> {
        let held = self.client.root().outside(config::ESTIMATES_HELD);
        fs::remove_file(held).context("release estimates")
    }

    /// Recovers [`FILE`] of `disk` on the client with amrecover.
    pub fn amrecover(&self, disk: &str, timeout: Duration) -> Result<Recovery> {
        recovery::recover(&self.client, CLIENT_NAME, disk, timeout)
    }

    /// Recovers [`FILE`] of a disk of its own on one of the further hosts.
    pub fn amrecover_on(&self, other: usize, disk: &str, timeout: Duration) -> Result<Recovery> {
        let (name, host) = self.others.get(other).context("recover on a host that is not there")?;
        recovery::recover(host, name, disk, timeout)
    }

    /// Restores `disk` on the server with amfetchdump, and returns [`FILE`] of it.
    pub fn amfetchdump(&self, disk: &str, timeout: Duration) -> Result<Recovery> {
        recovery::fetch(self, disk, timeout)
    }

    /// Restores `disk` on the client with the server's amfetchdump, and returns [`FILE`] of it.
    pub fn amfetchdump_to_client(&self, disk: &str, timeout: Duration) -> Result<Recovery> {
        recovery::fetch_to_client(self, disk, timeout)
    }

    /// Starts what [`Backup::amfetchdump_to_client`] runs.
    pub fn start_amfetchdump_to_client(&self, disk: &str) -> Result<Child> {
        Child::spawn(&mut recovery::fetching_to_client(self, disk))
    }

    /// Returns what the client's restore service has noted so far.
    pub fn restore_debug(&self) -> Result<String> {
        self.client_debug("client/bench", "restore.")
    }

    /// Recovers [`FILE`] of `disk` on the client with amoldrecover.
    pub fn amoldrecover(&self, disk: &str, timeout: Duration) -> Result<Recovery> {
        recovery::run_classic(self, disk, timeout)
    }

    /// Returns the bytes of [`FILE`] on the client's `disk`.
    pub fn original(&self, disk: &str) -> Result<Vec<u8>> {
        original(&self.client, disk)
    }

    /// Returns the bytes of [`FILE`] on a disk of one of the further hosts.
    pub fn original_on(&self, other: usize, disk: &str) -> Result<Vec<u8>> {
        let (_, host) = self.others.get(other).context("read of a host that is not there")?;
        original(host, disk)
    }

    /// Returns every TCP port that the client's amandad has announced so far.
    pub fn announced_ports(&self) -> Result<Vec<u16>> {
        let text = self.amandad_debug()?;
        let mut ports: Vec<u16> = text.lines().flat_map(ports_of_connect_line).collect();
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// Returns everything that the client's amandad has noted so far, one run after the other.
    pub fn amandad_debug(&self) -> Result<String> {
        self.client_debug("amandad", "amandad.")
    }

    fn client_debug(&self, directory: &str, prefix: &str) -> Result<String> {
        let directory = self.client.root().outside("/var/log/amanda").join(directory);
        let mut text = String::new();
        // Nothing has been noted where there is no directory yet.
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let entry = entry.context("list a host's debug files")?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                text += &read_if_there(entry.path())?;
            }
        }
        Ok(text)
    }
}

/// A run of amdump.
#[derive(Debug)]
pub struct Dump {
    /// How amdump ended.
    pub finished: Finished,
    /// Amanda's log of the run.
    pub log: String,
}

impl Dump {
    /// Returns how many disks were dumped.
    #[must_use]
    pub fn success_count(&self) -> usize {
        self.log.lines().filter(|line| line.starts_with("SUCCESS dumper ")).count()
    }

    /// Returns how amdump ended and the end of Amanda's log.
    #[must_use]
    pub fn account(&self) -> String {
        format!("{}\n--- amanda's log\n{}", self.finished, last_lines(&self.log, LOG_LINES))
    }
}

fn original(host: &Host, disk: &str) -> Result<Vec<u8>> {
    let path = host.root().outside(disk).join(FILE);
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

fn server_root(bench: &Bench, place: &Place, clients: &[&str], plan: &Plan) -> Result<Root> {
    let root = common_root(bench, place, clients, plan)?;
    let directory = format!("/etc/amanda/{}", config::CONFIG);
    root.write(&format!("{directory}/amanda.conf"), config::amanda_conf(plan))?;
    root.write(&format!("{directory}/disklist"), config::disklist(clients, plan))?;
    for slot in 1..=config::SLOTS {
        root.create_directory(&format!("{}/slot{slot}", config::TAPES))?;
    }
    root.create_directory(config::HOLDING)?;
    if plan.classic {
        install_tape_server(&root)?;
    }
    Ok(root)
}

fn install_tape_server(root: &Root) -> Result<()> {
    let [original, copy] = config::TAPE_SERVER;
    let text = fs::read_to_string(original).with_context(|| format!("read {original}"))?;
    let main = config::TAPE_SERVER_MAIN;
    let (before, after) = text.split_once(main).context("find amidxtaped's main program")?;
    root.write_program(copy, format!("{before}{}{main}{after}", config::OLD_CLIENT))
}

fn client_root(bench: &Bench, place: &Place, clients: &[&str], plan: &Plan) -> Result<Root> {
    let mut root = common_root(bench, place, clients, plan)?;
    let client_conf = config::amanda_client_conf(plan);
    root.write("/etc/amanda/amanda-client.conf", &client_conf)?;
    root.write(&format!("/etc/amanda/{}/amanda-client.conf", config::CONFIG), &client_conf)?;
    for (number, disk) in plan.disks().iter().enumerate() {
        fill_disk(&root, disk, if number == 0 { BIG_FILE_BYTES } else { SMALL_FILE_BYTES })?;
    }
    for disk in plan.gated_disks() {
        fill_disk(&root, &disk, plan.gate.file_bytes())?;
    }
    root.write_program(config::GATE_PROGRAM, config::gate(plan.gate))?;
    root.create_directory(config::GATES_REACHED)?;
    root.make_public(config::GATES_REACHED)?;
    if plan.held_estimates {
        root.wrap_program(config::GNUTAR, config::REAL_TAR, config::HELD_TAR)?;
    }
    if plan.mended_restore {
        root.wrap_program(config::RESTORE, config::REAL_RESTORE, config::MENDED_RESTORE)?;
    }
    Ok(root)
}

fn common_root(bench: &Bench, place: &Place, clients: &[&str], plan: &Plan) -> Result<Root> {
    let root = Root::new(bench, place.name)?;
    root.write("/etc/hosts", format!("127.0.0.1 localhost\n{}", place.hosts))?;
    root.write("/etc/services", config::services())?;
    root.write(INETD_CONF, config::inetd(plan))?;
    root.write("/var/backups/.amandahosts", config::amandahosts(clients))?;
    root.make_private("/var/backups/.amandahosts")?;
    root.write("/var/lib/amanda/amandates", "")?;
    root.create_directory("/var/lib/amanda/gnutar-lists")?;
    root.create_directory(config::RESTORED)?;
    root.create_directory(config::LOG)?;
    Ok(root)
}

fn fill_disk(root: &Root, disk: &str, file_bytes: u64) -> Result<()> {
    root.write(&format!("{disk}/{FILE}"), random(file_bytes)?)?;
    for number in 1..=SMALL_FILES {
        root.write(&format!("{disk}/small{number}.bin"), random(SMALL_FILE_BYTES)?)?;
    }
    Ok(())
}

fn random(length: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source = File::open("/dev/urandom").context("open /dev/urandom")?;
    source.take(length).read_to_end(&mut bytes).context("read /dev/urandom")?;
    Ok(bytes)
}

fn subnet(address: &str) -> String {
    format!("{address}/24")
}

fn subnet_v6(address: &str) -> String {
    format!("{address}/64")
}

fn read_if_there(path: PathBuf) -> Result<String> {
    if !path.exists() {
        return Ok(String::new());
    }
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads `CONNECT DATA 50002 MESG 50003 ...`; ids of multiplexed streams are no ports.
fn ports_of_connect_line(line: &str) -> Vec<u16> {
    let Some(streams) = line.strip_prefix("CONNECT ") else { return Vec::new() };
    streams.split(' ').filter_map(|word| word.parse().ok()).filter(|port| *port >= 1024).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[u16]) {
        assert_eq!(ports_of_connect_line(line), expected, "{line}");
    }

    #[test]
    fn a_connect_line_names_its_ports() {
        check("CONNECT DATA 50093 MESG 50094 INDEX -1 STATE 50096", &[50093, 50094, 50096]);
    }

    #[test]
    fn multiplexed_streams_and_untranslated_handles_are_no_ports() {
        check("CONNECT DATA 50081 MESG 499999", &[50081]);
        check("CONNECT CTL 150 DATA 151 STATE 152", &[]);
    }
}
