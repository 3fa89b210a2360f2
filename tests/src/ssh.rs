//! ssh between namespaces: a server with keys of its own, and sessions that both ends can use.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    bench::{Bench, unique_name},
    netns::Namespace,
    process::{Child, run},
    wait,
};

/// sshd has to be started by its whole path.
const SSHD: &str = "/usr/sbin/sshd";

/// Where Debian's sshd locks its unprivileged part up; nothing may be in it.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// The longest that a server or a session may take to start.
const START: Duration = Duration::from_secs(20);

/// The longest that a line may take from one end of a session to the other: a few repetitions.
const PASSAGE: Duration = Duration::from_secs(5);

/// What a session says when it is open.
const READY: &str = "ready";

/// An sshd in a namespace, ended with all its sessions when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    port: u16,
    user_key: PathBuf,
}

impl Server {
    /// Starts sshd on a port of every address of the namespace, and waits until it listens.
    pub fn start(bench: &Bench, namespace: &Namespace, port: u16) -> Result<Self> {
        fs::create_dir_all(PRIVILEGE_SEPARATION).context("create sshd's empty directory")?;
        let host_key = make_key(bench, "host-key")?;
        let user_key = make_key(bench, "user-key")?;
        let config = bench.path(unique_name("sshd.conf"));
        let authorized = user_key.with_extension("pub");
        fs::write(&config, config_text(port, &host_key, &authorized)).context("configure sshd")?;
        let mut command = namespace.enter_net_only(SSHD);
        let mut process = Child::spawn(command.args(["-D", "-e", "-f"]).arg(&config))?;
        wait::until("sshd to listen", START, || {
            let said = process.stderr().text()?;
            if let Some(status) = process.ended()? {
                bail!("sshd ended with {status}: {said}");
            }
            Ok(said.contains("Server listening on ::").then_some(()))
        })?;
        Ok(Self { process, port, user_key })
    }

    /// Returns a command that runs another one on the server's host, asked for from `from`.
    #[must_use]
    pub fn command(&self, from: &Namespace, address: &str, remote: &str) -> Command {
        let mut command = from.enter_net_only("ssh");
        command.args(["-F", "none", "-i"]).arg(&self.user_key).args(["-p", &self.port.to_string()]);
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=2",
            "LogLevel=ERROR",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-l", "root", address, remote]);
        command
    }

    /// Tells whether a new session can be opened.
    pub fn answers(&self, from: &Namespace, address: &str) -> Result<bool> {
        Ok(run(&mut self.command(from, address, "true"), START)?.is_success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each session has left the server's process group; the server itself goes with its guard.
        for process in descendants(self.process.id()) {
            if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// An open session, silent until one of its ends is told to speak.
#[derive(Debug)]
pub struct Session {
    client: Child,
    // What is appended to it, the server's end says.
    speech: PathBuf,
    lines: u32,
}

impl Session {
    /// Opens a session, and waits until it has fallen silent.
    pub fn open(bench: &Bench, server: &Server, from: &Namespace, address: &str) -> Result<Self> {
        let speech = bench.path(unique_name("speech"));
        fs::write(&speech, format!("{READY}\n")).context("write a session's greeting")?;
        // `cat` takes the shell's number, and `tail` ends with it.
        let remote = format!("tail -n +1 -f --pid=$$ {} & exec cat", speech.display());
        let client = Child::spawn_talking(&mut server.command(from, address, &remote))?;
        let mut session = Self { client, speech, lines: 0 };
        session.wait_for(READY, START)?;
        Ok(session)
    }

    /// Has the server's end speak, and listens at the client's.
    pub fn speak_from_server(&mut self) -> Result<()> {
        let line = self.next_line("server");
        let mut speech = OpenOptions::new().append(true).open(&self.speech)?;
        writeln!(speech, "{line}").context("speak at the server's end")?;
        self.wait_for(&line, PASSAGE)
    }

    /// Has the client's end speak, and listens for the echo.
    pub fn speak_from_client(&mut self) -> Result<()> {
        let line = self.next_line("client");
        self.client.tell(&line)?;
        self.wait_for(&line, PASSAGE)
    }

    fn next_line(&mut self, end: &str) -> String {
        self.lines += 1;
        format!("{end} {}", self.lines)
    }

    fn wait_for(&mut self, line: &str, timeout: Duration) -> Result<()> {
        wait::until(&format!("{line:?} of an ssh session"), timeout, || {
            if let Some(status) = self.client.ended()? {
                bail!("the session ended with {status}: {}", self.client.stderr().text()?);
            }
            let said = self.client.stdout().text()?;
            Ok(said.lines().any(|said| said == line).then_some(()))
        })
    }
}

/// Makes a pair of keys, and returns the path of the private one.
fn make_key(bench: &Bench, purpose: &str) -> Result<PathBuf> {
    let key = bench.path(unique_name(purpose));
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
    run(&mut keygen, START)?.require_success().context("make a key for ssh")?;
    Ok(key)
}

fn config_text(port: u16, host_key: &Path, authorized: &Path) -> String {
    let (host_key, authorized) = (host_key.display(), authorized.display());
    // The bench's directory lies in one that everybody may write to.
    format!(
        "Port {port}\nHostKey {host_key}\nAuthorizedKeysFile {authorized}\nStrictModes no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         UsePAM no\nPidFile none\nUseDNS no\nPrintLastLog no\n"
    )
}

/// Lists the processes below one.
fn descendants(of: u32) -> Vec<u32> {
    let parents = parents();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(id, _)| id));
        next += 1;
    }
    found.split_off(1)
}

/// Lists every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let ids = names.filter_map(|name| name.parse().ok());
    ids.filter_map(|id: u32| Some((id, parent(id)?))).collect()
}

fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold anything; then come the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
