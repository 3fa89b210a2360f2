//! The processes above this one (proc(5)); of what cannot be read, nothing is said.

use std::fs;
use std::iter;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};

/// A process above this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ancestor {
    id: u32,
    name: String,
    parent: u32,
}

/// Lists the processes above this one, the nearest first.
pub(super) fn of_this_process() -> impl Iterator<Item = Ancestor> {
    iter::successors(Ancestor::read(parent_id()), |process| Ancestor::read(process.parent))
}

impl Ancestor {
    /// Reads about a process.
    pub(super) fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(directory(id).join("stat")).ok()?;
        let (name, parent) = parse_stat(&stat)?;
        Some(Self { id, name, parent })
    }

    /// Tells whether it serves an ssh session: `sshd`, since OpenSSH 9.8 `sshd-session`.
    pub(super) fn is_sshd(&self) -> bool {
        ["sshd", "sshd-session"].contains(&self.name.as_str())
    }

    /// Returns a variable of the environment that it was started with.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(directory(self.id).join("environ")).ok()?;
        let mut entries = environment.split(|&byte| byte == 0);
        let value = |entry: &[u8]| {
            let text = String::from_utf8_lossy(entry);
            text.split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value.to_owned())
        };
        entries.find_map(value)
    }

    /// Returns the numbers of the sockets that it holds.
    pub(super) fn socket_inodes(&self) -> Vec<u32> {
        let files = fs::read_dir(directory(self.id).join("fd")).into_iter().flatten().flatten();
        files.filter_map(|file| socket_inode(&fs::read_link(file.path()).ok()?)).collect()
    }
}

fn directory(id: u32) -> PathBuf {
    Path::new("/proc").join(id.to_string())
}

/// Reads the name and the parent; the name stands in parentheses, and may hold some.
fn parse_stat(stat: &str) -> Option<(String, u32)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let parent = tail.split_whitespace().nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent))
}

/// Reads `socket:[INODE]`.
fn socket_inode(link: &Path) -> Option<u32> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn check(stat: &str, expected: Option<(&str, u32)>) {
        let expected = expected.map(|(name, parent)| (name.to_owned(), parent));
        assert_eq!(parse_stat(stat), expected, "{stat}");
    }

    #[test]
    fn a_process_has_a_name_and_a_parent() {
        check("4711 (sshd) S 1 4711 4711 0 -1", Some(("sshd", 1)));
        check("4711 (a) S (b)) R 12 4711", Some(("a) S (b)", 12)));
        check("4711 sshd S 1", None);
    }

    #[test]
    fn the_first_ancestor_is_the_parent_and_the_last_has_none() {
        let ancestors: Vec<Ancestor> = of_this_process().collect();
        assert_eq!(ancestors.first().map(|process| process.id), Some(parent_id()));
        assert_eq!(ancestors.last().map(|process| process.parent), Some(0));
    }

    #[test]
    fn the_sockets_and_the_environment_of_a_process_are_read() {
        let myself = Ancestor::read(std::process::id()).expect("this process");
        let before = myself.socket_inodes().len();
        let _socket = UdpSocket::bind("127.0.0.1:0").expect("a port can be bound");
        assert!(myself.socket_inodes().len() > before);
        assert_eq!(myself.variable("PATH"), std::env::var("PATH").ok());
        assert_eq!(myself.variable("NO_SUCH_VARIABLE"), None);
    }
}
