//! amanda-fw in the hands of whoever runs it: commands that succeed, and ones that must not.

use std::time::Duration;

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::process::{Child, Finished};
use amanda_fw_tests::sockets::Connection;
use amanda_fw_tests::wait;
use serde_json::Value;

use crate::site::{HOST, INTERFACE, Site, endpoint};

/// The longest that a loader may take to notice, or to clean up.
pub(crate) const NOTICE: Duration = Duration::from_secs(30);

/// Whoever is kept out is told so at once.
pub(crate) const REFUSE: &str = "[policy]\nincoming = \"reject\"\noutgoing = \"accept\"\n";

/// Lets connections to a TCP port in.
pub(crate) fn rule(name: &str, port: u16) -> String {
    format!(
        "\n[[rule]]\nname = \"{name}\"\nprotocol = \"tcp\"\nports = {port}\naction = \"accept\"\n"
    )
}

pub(crate) fn loader<'a>(site: &'a Site, config: &str) -> Loader<'a> {
    Loader::new(&site.bench, &site.host, config).expect("amanda-fw can be found")
}

#[track_caller]
pub(crate) fn attach(loader: &Loader<'_>, arguments: &[&str]) -> Child {
    loader.attach(arguments).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Attaches, and kills the loader; its guard sends SIGKILL.
#[track_caller]
pub(crate) fn attach_and_kill(loader: &Loader<'_>) {
    drop(attach(loader, &[INTERFACE]));
}

/// Runs a subcommand that must succeed.
#[track_caller]
pub(crate) fn run(loader: &Loader<'_>, arguments: &[&str]) -> Finished {
    let finished = loader.run(arguments).expect("amanda-fw can be run");
    assert!(finished.is_success(), "{finished}");
    finished
}

/// Runs a subcommand that is not told the config, and must succeed.
#[track_caller]
pub(crate) fn run_alone(loader: &Loader<'_>, arguments: &[&str]) -> Finished {
    let child = loader.start(arguments).expect("amanda-fw can be started");
    let finished = child.finish(NOTICE).expect("amanda-fw ends");
    assert!(finished.is_success(), "{finished}");
    finished
}

/// Changes the config, and has it applied.
#[track_caller]
pub(crate) fn reload(loader: &Loader<'_>, config: &str) -> Finished {
    loader.write_config(config).expect("a config can be written");
    run_alone(loader, &["reload"])
}

/// Runs a subcommand that must end with a status, and say some words.
#[track_caller]
pub(crate) fn refuse(loader: &Loader<'_>, arguments: &[&str], status: u8, words: &[&str]) {
    let child = loader.start(arguments).expect("amanda-fw can be started");
    let finished = child.finish(NOTICE).expect("amanda-fw ends");
    let status = format!("exit status: {status}\n");
    for word in words.iter().chain(&[&*status]) {
        assert!(finished.to_string().contains(word), "no {word:?} in: {finished}");
    }
}

/// Ends a loader as Ctrl-C does.
#[track_caller]
pub(crate) fn end(child: Child) {
    let finished = child.interrupt(NOTICE).expect("amanda-fw can be interrupted");
    assert!(finished.is_success(), "{finished}");
}

/// Waits until a loader has said some words.
#[track_caller]
pub(crate) fn wait_for(child: &Child, words: &str) {
    let said = || child.stdout().text();
    let heard = wait::within(NOTICE, || Ok(said()?.contains(words).then_some(())));
    assert!(heard.is_ok_and(|heard| heard.is_some()), "no {words:?} in: {:?}", said());
}

/// Reads what a command writes as JSON.
#[track_caller]
pub(crate) fn json(loader: &Loader<'_>, arguments: &[&str]) -> Value {
    let finished = run_alone(loader, &[arguments, &["--json"]].concat());
    serde_json::from_str(&finished.stdout).expect("JSON")
}

/// Reads which packets a rule has counted, by its name.
#[track_caller]
pub(crate) fn packets(loader: &Loader<'_>, rule: &str) -> Option<u64> {
    let rules = json(loader, &["list", "rules"]);
    let found = rules.as_array().expect("a list").iter().find(|row| row["name"] == rule)?;
    found["packets"].as_u64()
}

/// Tells whether the peer's connection to a port of the host is let in.
pub(crate) fn is_open(site: &Site, port: u16) -> bool {
    Connection::open(&site.peer, &site.host, endpoint(HOST[0], port)).is_ok()
}

#[track_caller]
pub(crate) fn check_open(site: &Site, expected: &[(u16, bool)]) {
    let found: Vec<_> = expected.iter().map(|&(port, _)| (port, is_open(site, port))).collect();
    assert_eq!(found, expected);
}
