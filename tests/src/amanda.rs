//! A site with real Amanda: a backup server, a client full of files, and a stranger on one LAN.

mod config;
mod policy;
mod recovery;

use std::{
    fs::{self, File},
    io::Read,
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
    /// Whether one more disk has a gate that can hold its dump open.
    pub gate: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { auth: Auth::Bsd, index: true, disk_count: 12, holding_disk: true, gate: false }
    }
}

impl Plan {
    /// Returns the paths of the disks without a gate.
    #[must_use]
    pub fn disks(&self) -> Vec<String> {
        (1..=self.disk_count).map(|number| format!("/srv/disk{number:02}")).collect()
    }

    /// Returns the path of the disk with a gate.
    #[must_use]
    pub fn gated_disk(&self) -> Option<String> {
        self.gate.then(|| "/srv/gated".to_owned())
    }

    /// Returns how many dumps a run makes.
    #[must_use]
    pub fn dump_count(&self) -> usize {
        self.disks().len() + usize::from(self.gate)
    }
}

/// A server, a client and a stranger on one LAN, without any firewall.
#[derive(Debug)]
pub struct Site {
    /// The backup server.
    pub server: Host,
    /// The host that is backed up.
    pub client: Host,
    /// A third host on the LAN that has no business with the two.
    pub stranger: Namespace,
    /// What the site was built for.
    pub plan: Plan,
    // The last to be dropped: what the others stand on.
    _lan: Lan,
    bench: Bench,
}

impl Site {
    /// Sets up the hosts and starts amandad's inetd on both.
    pub fn new(plan: Plan) -> Result<Self> {
        let bench = Bench::new()?;
        let mut lan = Lan::new()?;
        let server = lan.plug_in("server", &[&subnet(SERVER), &subnet_v6(SERVER_V6)])?;
        let client = lan.plug_in("client", &[&subnet(CLIENT), &subnet_v6(CLIENT_V6)])?;
        let stranger = lan.plug_in("stranger", &[&subnet(STRANGER), &subnet_v6(STRANGER_V6)])?;
        let (server_root, client_root) = (server_root(&bench, &plan)?, client_root(&bench, &plan)?);
        let server = Host::start(SERVER_NAME, server, server_root, config::CONTROL_PORT)?;
        let client = Host::start(CLIENT_NAME, client, client_root, config::CONTROL_PORT)?;
        Ok(Self { server, client, stranger, plan, _lan: lan, bench })
    }

    /// Returns the site's temporary directory.
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

    /// Makes the gated disk's next dump stay open until [`Site::open_gate`].
    pub fn close_gate(&self) -> Result<()> {
        self.client.root().write(config::GATE_CLOSED, "")
    }

    /// Tells whether the gate is holding a dump back.
    #[must_use]
    pub fn is_gate_reached(&self) -> bool {
        self.client.root().outside(config::GATE_REACHED).exists()
    }

    /// Lets the gated disk's dump end.
    pub fn open_gate(&self) -> Result<()> {
        fs::remove_file(self.client.root().outside(config::GATE_CLOSED)).context("open the gate")
    }

    /// Recovers [`FILE`] of `disk` on the client with amrecover.
    pub fn amrecover(&self, disk: &str, timeout: Duration) -> Result<Recovery> {
        recovery::run(self, disk, timeout)
    }

    /// Returns the bytes of [`FILE`] on the client's `disk`.
    pub fn original(&self, disk: &str) -> Result<Vec<u8>> {
        let path = self.client.root().outside(disk).join(FILE);
        fs::read(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Returns every TCP port that the client's amandad has announced so far.
    pub fn announced_ports(&self) -> Result<Vec<u16>> {
        let directory = self.client.root().outside("/var/log/amanda/amandad");
        let mut ports = Vec::new();
        for entry in fs::read_dir(&directory).context("list amandad's debug files")? {
            let text = read_if_there(entry.context("list amandad's debug files")?.path())?;
            ports.extend(text.lines().flat_map(ports_of_connect_line));
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
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

fn server_root(bench: &Bench, plan: &Plan) -> Result<Root> {
    let root = common_root(bench, SERVER_NAME, plan)?;
    let directory = format!("/etc/amanda/{}", config::CONFIG);
    root.write(&format!("{directory}/amanda.conf"), config::amanda_conf(plan))?;
    root.write(&format!("{directory}/disklist"), config::disklist(plan))?;
    for slot in 1..=config::SLOTS {
        root.create_directory(&format!("{}/slot{slot}", config::TAPES))?;
    }
    root.create_directory(config::HOLDING)?;
    Ok(root)
}

fn client_root(bench: &Bench, plan: &Plan) -> Result<Root> {
    let root = common_root(bench, CLIENT_NAME, plan)?;
    let client_conf = config::amanda_client_conf(plan);
    root.write("/etc/amanda/amanda-client.conf", &client_conf)?;
    root.write(&format!("/etc/amanda/{}/amanda-client.conf", config::CONFIG), &client_conf)?;
    for (number, disk) in plan.disks().iter().chain(&plan.gated_disk()).enumerate() {
        fill_disk(&root, disk, if number == 0 { BIG_FILE_BYTES } else { SMALL_FILE_BYTES })?;
    }
    root.write(config::GATE_PROGRAM, config::GATE)?;
    root.make_executable(config::GATE_PROGRAM)?;
    Ok(root)
}

fn common_root(bench: &Bench, name: &str, plan: &Plan) -> Result<Root> {
    let root = Root::new(bench, name)?;
    root.write("/etc/hosts", config::hosts())?;
    root.write("/etc/services", config::services())?;
    root.write(INETD_CONF, config::inetd(plan))?;
    root.write("/var/backups/.amandahosts", config::amandahosts())?;
    root.make_private("/var/backups/.amandahosts")?;
    root.write("/var/lib/amanda/amandates", "")?;
    root.create_directory("/var/lib/amanda/gnutar-lists")?;
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
