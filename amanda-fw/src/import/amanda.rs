//! Drafts configurations of a backup server and of its clients from a configuration of Amanda.

mod clients;
mod conf;
mod disklist;
mod files;
mod lexer;
mod write;

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Result, bail};

use super::Foreign;
use super::report::Report;
use clients::Client;
use conf::Conf;
use disklist::Disk;
use files::Files;

pub(crate) use files::ReadFile;

/// Where to read from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The configuration's directory.
    pub(crate) directory: &'a str,
    /// Reads a file.
    pub(crate) read: &'a ReadFile<'a>,
    /// Finds the addresses of a host.
    pub(crate) resolve: &'a dyn Fn(&str) -> Vec<IpAddr>,
    /// The addresses of the backup server, as clients see them.
    pub(crate) server: &'a [String],
}

/// A draft for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostDraft {
    /// What its file may be called.
    pub(crate) file: String,
    /// All of it.
    pub(crate) text: String,
}

/// Drafts of the server and of each client, and what became of the lines they are made of.
pub(crate) fn draft(source: &Source<'_>) -> Result<(Vec<HostDraft>, Report)> {
    let mut report = Report::default();
    let mut files = Files::new(source.directory, source.read);
    let (conf, disks) = read(&mut files, &mut report);
    if disks.is_empty() || !conf.is_known {
        bail!(Foreign::new(foreign(source.directory, &conf)));
    }
    let clients = clients::gather(&disks, &conf, source, &mut report);
    Ok((drafts(source, &conf, &clients), report))
}

/// Reads the configuration; what holds for all of a site's stands beside its directory
/// (amanda.conf(5), "Description").
fn read(files: &mut Files<'_>, report: &mut Report) -> (Conf, Vec<Disk>) {
    let mut conf = Conf::default();
    for name in ["../amanda.conf", "amanda.conf"] {
        conf.read(&files.path(name), files, report);
    }
    let diskfile = conf.diskfile.clone().unwrap_or_else(|| "disklist".to_owned());
    let disks = disklist::read(&files.path(&diskfile), &conf, files, report);
    (conf, disks)
}

fn foreign(directory: &str, conf: &Conf) -> String {
    let lack = if conf.is_known { "disklist that names a disk" } else { "amanda.conf" };
    format!(
        "{directory} is no configuration of Amanda, since it has no {lack}: name the directory of \
         one, like /etc/amanda/DailySet1"
    )
}

fn drafts(source: &Source<'_>, conf: &Conf, clients: &BTreeMap<String, Client>) -> Vec<HostDraft> {
    let title = source.directory;
    let server =
        HostDraft { file: "server.toml".to_owned(), text: write::server(title, conf, clients) };
    let remote = clients.iter().filter(|(name, client)| is_other_host(name, client));
    let client = |(name, client): (&String, &Client)| HostDraft {
        file: format!("client-{}.toml", name.replace('/', "_")),
        text: write::client(title, name, client, conf, &addresses(source, client)),
    };
    std::iter::once(server).chain(remote.map(client)).collect()
}

/// Tells whether a host of the disklist is another one than the server itself.
fn is_other_host(name: &str, client: &Client) -> bool {
    let is_loopback =
        !client.addresses.is_empty() && client.addresses.iter().all(IpAddr::is_loopback);
    let is_local = client.auths.iter().all(|auth| *auth == clients::Auth::Local);
    name != "localhost" && !is_loopback && !is_local
}

/// Returns the addresses that a client is asked from.
fn addresses(source: &Source<'_>, client: &Client) -> Vec<String> {
    match client.sources.is_empty() {
        true => source.server.to_vec(),
        false => client.sources.iter().cloned().collect(),
    }
}
