//! The ssh session that a terminal belongs to.

use std::env;
use std::net::{IpAddr, SocketAddr};

use super::ancestors::{self, Ancestor};
use crate::sockets::{self, TcpSocket, TcpState};

/// What sshd tells the programs of a session (ssh(1)); sudo takes it from them.
const VARIABLE: &str = "SSH_CONNECTION";

/// An ssh session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SshSession {
    /// Where its user sits.
    pub(crate) peer: SocketAddr,
    /// Where sshd was met.
    pub(crate) local: SocketAddr,
}

impl SshSession {
    /// Finds the session that this process was started in, if there is one.
    pub(crate) fn of_this_terminal() -> Option<Self> {
        let told = env::var(VARIABLE).ok().and_then(|text| Self::parse(&text));
        told.or_else(|| ancestors::of_this_process().find_map(|process| Self::of(&process)))
    }

    /// Finds the session of a process by what it was told, or of sshd by its socket.
    fn of(process: &Ancestor) -> Option<Self> {
        let told = process.variable(VARIABLE).and_then(|text| Self::parse(&text));
        told.or_else(|| process.is_sshd().then(|| Self::by_socket(process)).flatten())
    }

    fn by_socket(process: &Ancestor) -> Option<Self> {
        let inodes = process.socket_inodes();
        let is_its = |socket: &&TcpSocket| {
            socket.state == TcpState::Established && inodes.contains(&socket.inode)
        };
        let sockets = sockets::list().ok()?;
        let found = sockets.iter().find(is_its)?;
        Some(Self { peer: found.peer, local: found.local })
    }

    /// Reads `CLIENT PORT SERVER PORT`.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut end = || Some(SocketAddr::new(ip(words.next()?)?, words.next()?.parse().ok()?));
        Some(Self { peer: end()?, local: end()? })
    }
}

/// Reads an address, IPv4 as itself; the zone of a link-local one is in no packet.
fn ip(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let expected =
            expected.map(|(peer, local)| SshSession { peer: address(peer), local: address(local) });
        assert_eq!(SshSession::parse(text), expected, "{text}");
    }

    #[test]
    fn what_sshd_tells_is_read() {
        check("192.0.2.7 4711 192.0.2.1 22", Some(("192.0.2.7:4711", "192.0.2.1:22")));
        check("2001:db8::7 4711 2001:db8::1 22", Some(("[2001:db8::7]:4711", "[2001:db8::1]:22")));
        check("fe80::7%eth0 4711 fe80::1%eth0 22", Some(("[fe80::7]:4711", "[fe80::1]:22")));
        check("::ffff:192.0.2.7 4711 192.0.2.1 22", Some(("192.0.2.7:4711", "192.0.2.1:22")));
    }

    /// A process has been started a moment before its environment can be read.
    fn wait_for_environment(id: u32) {
        let path = format!("/proc/{id}/environ");
        let is_there = || std::fs::read(&path).is_ok_and(|bytes| !bytes.is_empty());
        for _ in 0..500 {
            if is_there() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{path} stays empty");
    }

    #[test]
    fn a_process_above_tells_what_sudo_took_away() {
        let mut command = Command::new("sleep");
        command.arg("60").env(VARIABLE, "192.0.2.7 4711 192.0.2.1 22");
        let mut told = command.spawn().expect("sleep can be run");
        let mut untold = command.env_remove(VARIABLE).spawn().expect("sleep can be run");
        let found = [&told, &untold].map(|child| {
            wait_for_environment(child.id());
            let process = Ancestor::read(child.id()).expect("it runs");
            SshSession::of(&process).map(|session| session.peer.to_string())
        });
        for child in [&mut told, &mut untold] {
            child.kill().expect("it runs");
            child.wait().expect("it was killed");
        }
        assert_eq!(found, [Some("192.0.2.7:4711".to_owned()), None]);
    }

    #[test]
    fn what_sshd_does_not_know_is_no_session() {
        check("UNKNOWN 65535 UNKNOWN 65535", None);
        check("192.0.2.7 4711 192.0.2.1", None);
        check("", None);
    }
}
