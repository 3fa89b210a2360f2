//! The hosts of a disklist: what each of them is asked, by which auth, on which port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Source;
use super::conf::Conf;
use super::disklist::Disk;
use crate::import::report::Report;

/// The auth of a dumptype that names none (amanda.conf(5), "auth").
const DEFAULT_AUTH: &str = "bsdtcp";

/// IANA's port of the service `amanda`.
pub(super) const CONTROL_PORT: u16 = 10080;

/// How a server and a client prove themselves to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Auth {
    Bsd,
    Bsdudp,
    Bsdtcp,
    Ssl,
    Krb5,
    Ssh,
    Rsh,
    Local,
}

impl Auth {
    /// All of them, with their names in amanda.conf.
    const NAMES: [(Self, &str); 8] = [
        (Self::Bsd, "bsd"),
        (Self::Bsdudp, "bsdudp"),
        (Self::Bsdtcp, "bsdtcp"),
        (Self::Ssl, "ssl"),
        (Self::Krb5, "krb5"),
        (Self::Ssh, "ssh"),
        (Self::Rsh, "rsh"),
        (Self::Local, "local"),
    ];

    fn read(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|&(auth, _)| auth)
    }

    /// Names it as amanda.conf does.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(auth, _)| *auth == self).map_or("", |&(_, name)| name)
    }

    /// Tells whether `[amanda]` opens what it needs.
    pub(super) fn is_opened(self) -> bool {
        !matches!(self, Self::Rsh | Self::Local)
    }

    /// Tells whether it uses Amanda's control port.
    pub(super) fn has_control_port(self) -> bool {
        matches!(self, Self::Bsd | Self::Bsdudp | Self::Bsdtcp | Self::Ssl)
    }

    /// Tells whether its requests are datagrams, and its replies announce ports.
    pub(super) fn announces(self) -> bool {
        matches!(self, Self::Bsd | Self::Bsdudp)
    }

    /// Says what it needs.
    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Bsd => "UDP to the control port, and a TCP stream for each announced port",
            Self::Bsdudp => "UDP to the control port, and one TCP stream",
            Self::Bsdtcp => "one TCP connection to the control port",
            Self::Ssl => "one TCP connection to the control port, encrypted",
            Self::Krb5 => {
                "one TCP connection to k5amanda: 10082, unless /etc/services names another"
            }
            Self::Ssh => "one TCP connection to port 22",
            Self::Rsh => "TCP to port 514, and one connection back for its errors",
            Self::Local => "no network",
        }
    }

    /// Returns the port that needs a rule, outside of `[amanda]`.
    pub(super) fn rule_port(self) -> Option<u32> {
        match self {
            Self::Rsh => Some(514),
            Self::Bsd
            | Self::Bsdudp
            | Self::Bsdtcp
            | Self::Ssl
            | Self::Krb5
            | Self::Ssh
            | Self::Local => None,
        }
    }
}

/// One host of the disklist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) auths: BTreeSet<Auth>,
    /// The ports on which it listens.
    pub(super) ports: BTreeSet<u16>,
    pub(super) addresses: Vec<IpAddr>,
    /// The addresses that the server asks from, where amanda.conf says them.
    pub(super) sources: BTreeSet<String>,
    /// How many disks it has.
    pub(super) disks: usize,
}

impl Client {
    /// Tells whether any of its auths uses Amanda's control port.
    pub(super) fn has_control_port(&self) -> bool {
        self.auths.iter().any(|auth| auth.has_control_port())
    }
}

/// Gathers the disks of each host.
pub(super) fn gather(
    disks: &[Disk],
    conf: &Conf,
    source: &Source<'_>,
    report: &mut Report,
) -> BTreeMap<String, Client> {
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    for disk in disks {
        let Some(auth) = auth(disk, report) else { continue };
        let client = clients.entry(disk.host.clone()).or_insert_with(|| Client {
            addresses: (source.resolve)(&disk.host),
            ..Client::default()
        });
        client.disks += 1;
        client.auths.insert(auth);
        client.ports.extend(port(disk, report));
        let interface = disk.interface.as_deref().unwrap_or("local");
        client.sources.extend(conf.interfaces.get(interface).cloned().flatten());
        match needs_address(&disk.host, auth) && client.addresses.is_empty() {
            true => report.lose(&disk.place, unknown(&disk.host)),
            false => report.carry(&disk.place),
        }
    }
    for disk in disks {
        if let Some(why) = clients.get(&disk.host).and_then(|client| amiss(client, disk, source)) {
            report.lose(&disk.place, why);
        }
    }
    clients
}

/// Says what the draft for a disk's host lacks.
fn amiss(client: &Client, disk: &Disk, source: &Source<'_>) -> Option<String> {
    let is_remote = client.auths.iter().any(|&auth| needs_address(&disk.host, auth));
    let has_port = disk.dumptype.client_port.is_some() && client.has_control_port();
    if client.ports.len() > 1 && has_port && is_remote {
        return Some(format!(
            "{} has several ports as client-port, and [amanda] has room for one",
            disk.host
        ));
    }
    let has_server = !source.server.is_empty() || !client.sources.is_empty();
    let is_asked = is_remote || client.auths.iter().any(|auth| auth.rule_port().is_some());
    (is_asked && !has_server)
        .then(|| "the address of this server is not known: name it by --server".to_owned())
}

fn needs_address(host: &str, auth: Auth) -> bool {
    auth.is_opened() && host != "localhost"
}

fn unknown(host: &str) -> String {
    format!("{host} has no address here: write it under [hosts] and into clients")
}

fn auth(disk: &Disk, report: &mut Report) -> Option<Auth> {
    let Some((name, place)) = &disk.dumptype.auth else { return Auth::read(DEFAULT_AUTH) };
    let auth = Auth::read(name);
    if auth.is_none() {
        report.lose(place, format!("amanda-fw does not know auth \"{name}\""));
        report.lose(&disk.place, format!("its auth \"{name}\" is not known"));
    }
    auth
}

/// Returns the port on which a disk's host listens.
fn port(disk: &Disk, report: &mut Report) -> Option<u16> {
    let Some((name, place)) = &disk.dumptype.client_port else { return Some(CONTROL_PORT) };
    match (name.as_str(), name.parse()) {
        ("amanda", _) => Some(CONTROL_PORT),
        (_, Ok(port)) => Some(port),
        (_, Err(_)) => {
            report.lose(place, format!("which port is {name}? write its number"));
            None
        }
    }
}
