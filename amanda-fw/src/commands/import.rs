//! `amanda-fw import`: drafts a configuration from rules of iptables, or from one of Amanda.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::{Global, ImportAmandaArgs, ImportArgs, ImportIptablesArgs, ImportSource};
use crate::import::{self, Foreign, HostDraft, Input, Report};

/// Stands for standard input.
const STDIN: &str = "-";

/// Where the kernel says what this host is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Runs the command.
pub(crate) fn run(args: &ImportArgs, global: &Global) -> Result<()> {
    match &args.source {
        ImportSource::Iptables(args) => iptables(args, global),
        ImportSource::Amanda(args) => amanda(args, global),
    }
}

fn iptables(args: &ImportIptablesArgs, global: &Global) -> Result<()> {
    let inputs: Result<Vec<Input>> = args.files.iter().map(|file| input(file)).collect();
    let (text, report) = import::from_iptables(&inputs?)?;
    match &args.output.output {
        Some(path) => write(path, &text, args.output.force)?,
        None => global.terminal().print(&text)?,
    }
    list(&report)
}

fn amanda(args: &ImportAmandaArgs, global: &Global) -> Result<()> {
    let directory = args.directory.display().to_string();
    let server = match &args.server {
        Some(server) => vec![server.to_string()],
        None => own_addresses(),
    };
    let read = |path: &str| fs::read(path).ok().map(|b| String::from_utf8_lossy(&b).into_owned());
    let source =
        import::Source { directory: &directory, read: &read, resolve: &resolve, server: &server };
    let (drafts, report) = import::from_amanda(&source)?;
    match &args.output.output {
        Some(directory) => write_all(directory, &drafts, args.output.force)?,
        None => global.terminal().print(&joined(&drafts))?,
    }
    list(&report)
}

fn input(file: &Path) -> Result<Input> {
    let name = file.display().to_string();
    let mut bytes = Vec::new();
    let read = match name.as_str() {
        STDIN => io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        _ => fs::read(file).map(|read| bytes = read),
    };
    read.with_context(|| Foreign::new(format!("read {name}")))?;
    let name = if name == STDIN { "standard input".to_owned() } else { name };
    Ok(Input { name, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Asks the resolver for the addresses of a host; none where it has none.
fn resolve(host: &str) -> Vec<IpAddr> {
    let found = (host, 0).to_socket_addrs().into_iter().flatten();
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Returns the addresses that this host's name has for others.
fn own_addresses() -> Vec<String> {
    let name = fs::read_to_string(HOST_NAME).unwrap_or_default();
    let others = resolve(name.trim()).into_iter().filter(|address| !address.is_loopback());
    others.map(|address| address.to_string()).collect()
}

fn joined(drafts: &[HostDraft]) -> String {
    let section =
        |HostDraft { file, text }: &HostDraft| format!("# ===== {file} =====\n\n{text}\n");
    drafts.iter().map(section).collect()
}

fn write_all(directory: &Path, drafts: &[HostDraft], is_forced: bool) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    let paths: Vec<PathBuf> = drafts.iter().map(|draft| directory.join(&draft.file)).collect();
    if let Some(path) = paths.iter().find(|path| !is_forced && path.exists()) {
        bail!("{} exists: name another directory, or say --force", path.display());
    }
    paths.iter().zip(drafts).try_for_each(|(path, draft)| write(path, &draft.text, is_forced))
}

/// Writes a file, over another one only where that is asked for.
fn write(path: &Path, text: &str, is_forced: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match is_forced {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists: name another file, or say --force", path.display())
        }
        opened => opened.with_context(|| format!("open {}", path.display()))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
}

/// Lists what was not carried over.
fn list(report: &Report) -> Result<()> {
    io::stderr().write_all(report.text().as_bytes()).context("write to stderr")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is_forced: bool, expected: &str) {
        let name = format!("amanda-fw-import-{}-{is_forced}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "a long text before").expect("write");
        let written = write(&path, "new", is_forced);
        let found = fs::read_to_string(&path).expect("read");
        fs::remove_file(&path).expect("remove");
        assert_eq!((found.as_str(), written.is_ok()), (expected, is_forced));
    }

    #[test]
    fn a_file_is_written_over_only_by_force() {
        check(false, "a long text before");
        check(true, "new");
    }

    #[test]
    fn drafts_are_all_written_or_none() {
        let directory = std::env::temp_dir().join(format!("amanda-fw-all-{}", std::process::id()));
        let draft = |file: &str| HostDraft { file: file.to_owned(), text: String::new() };
        let drafts = [draft("a.toml"), draft("b.toml")];
        fs::create_dir_all(&directory).expect("make");
        fs::write(directory.join("b.toml"), "before").expect("write");
        let written = write_all(&directory, &drafts, false);
        let is_there = directory.join("a.toml").exists();
        fs::remove_dir_all(&directory).expect("remove");
        assert!(written.is_err() && !is_there);
    }
}
