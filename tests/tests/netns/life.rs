//! A firewall's life: attached, left by its loader, taken over, detached.

use std::time::Duration;

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::kernel;
use amanda_fw_tests::process::{self, Child, Finished};
use amanda_fw_tests::sockets::Connection;
use amanda_fw_tests::wait;

use crate::site::{DENY, HOST, INTERFACE, PEER, Site, endpoint, in_mode};

/// The longest that a loader may take to notice, or to clean up.
const NOTICE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn ctrl_c_leaves_nothing_behind() {
    for mode in ["tc", "xdp", "xdp-generic"] {
        let site = Site::new();
        let (loader, before) = (loader(&site, &in_mode(mode, DENY)), site.attachments());
        let child = attach(&loader, &[INTERFACE]);
        assert!(!is_open(&site), "{mode}");
        end(child);
        check_gone(&site, &loader, &before);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_killed_loader_leaves_the_firewall_on() {
    for mode in ["tc", "xdp", "xdp-generic"] {
        let site = Site::new();
        let (loader, before) = (loader(&site, &in_mode(mode, DENY)), site.attachments());
        let child = attach(&loader, &[INTERFACE]);
        let connection = connection(&site);
        kill(child);
        connection.exchange().expect("an open connection goes on");
        assert!(!is_open(&site), "{mode}");
        let status = run(&loader, &["status"]);
        assert!(status.stdout.contains(INTERFACE), "{status}");
        run(&loader, &["detach"]);
        check_gone(&site, &loader, &before);
        connection.exchange().expect("an open connection goes on");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_new_loader_takes_over_with_the_flows() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let (loader, before) = (loader(&site, &in_mode(mode, DENY)), site.attachments());
        let child = attach(&loader, &[INTERFACE]);
        let connection = connection(&site);
        let attached = tcx(&site, INTERFACE);
        kill(child);
        let child = attach(&loader, &[INTERFACE]);
        // The peer's segment comes first: it passes by the flow alone.
        connection.exchange().expect("an open connection goes on");
        assert!(!is_open(&site), "{mode}");
        assert_eq!(tcx(&site, INTERFACE), attached, "{mode}");
        end(child);
        check_gone(&site, &loader, &before);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_new_loader_may_choose_another_mode() {
    let site = Site::new();
    let (loader, before) = (loader(&site, DENY), site.attachments());
    let mut connections = Vec::new();
    for mode in ["tc", "xdp", "tc", "xdp-generic", "tc"] {
        let child = attach(&loader, &["--mode", mode, INTERFACE]);
        let status = run(&loader, &["status", "--json"]);
        assert!(status.stdout.contains(&format!("\"mode\": \"{mode}\"")), "{status}");
        connections.push(connection(&site));
        for connection in &connections {
            connection.exchange().expect("an open connection goes on");
        }
        assert!(!is_open(&site), "{mode}");
        kill(child);
    }
    run(&loader, &["detach"]);
    check_gone(&site, &loader, &before);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_new_loader_may_choose_another_kind_of_xdp() {
    let site = Site::new();
    let (loader, before) = (loader(&site, DENY), site.attachments());
    for mode in ["xdp", "xdp-generic", "xdp"] {
        let child = attach(&loader, &["--mode", mode, INTERFACE]);
        assert!(!is_open(&site), "{mode}");
        kill(child);
    }
    run(&loader, &["detach"]);
    check_gone(&site, &loader, &before);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_take_over_that_fails_leaves_the_firewall_on() {
    let site = Site::new();
    let (loader, other) = (loader(&site, DENY), loader(&site, DENY));
    kill(attach(&loader, &["--mode", "tc", INTERFACE]));
    // A stranger's XDP program, for which the new mode cannot be had.
    let stranger = attach(&other, &["--mode", "xdp", INTERFACE]);
    let refused = loader.run(&["attach", "--mode", "xdp", INTERFACE]).expect("it can be run");
    assert!(!refused.is_success(), "{refused}");
    end(stranger);
    assert!(!is_open(&site), "the firewall of the loader before is off: {refused}");
    run(&loader, &["detach"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_device_without_a_link_header_has_programs_of_its_own() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    let mut add = site.host.enter_net_only("ip");
    add.args(["tuntap", "add", "dev", "tun0", "mode", "tun"]);
    let added = process::run(&mut add, NOTICE).expect("ip can be run");
    assert!(added.is_success(), "{added}");
    let child = attach(&loader, &["tun0"]);
    if let Some(programs) = tcx(&site, "tun0") {
        assert_eq!(programs, ["tc_ingress_raw", "tc_egress_raw"]);
    }
    let refused = loader.run(&["attach", "--mode", "xdp", "tun0"]).expect("it can be run");
    assert!(!refused.is_success(), "{refused}");
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_loader_that_keeps_leaves_the_firewall_on() {
    let site = Site::new();
    let (loader, before) = (loader(&site, DENY), site.attachments());
    end(attach(&loader, &["--keep", INTERFACE]));
    assert!(!is_open(&site));
    let status = run(&loader, &["status"]);
    assert!(status.stdout.contains(INTERFACE), "{status}");
    run(&loader, &["detach", INTERFACE]);
    check_gone(&site, &loader, &before);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_loader_ends_when_another_one_detaches() {
    let site = Site::new();
    let (loader, before) = (loader(&site, DENY), site.attachments());
    let child = attach(&loader, &[INTERFACE]);
    run(&loader, &["detach"]);
    let finished = child.finish(NOTICE).expect("amanda-fw can be waited for");
    assert!(finished.is_success(), "{finished}");
    check_gone(&site, &loader, &before);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn detaching_what_is_not_attached_is_an_error_with_its_name() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    let child = attach(&loader, &[INTERFACE]);
    let finished = loader.run(&["detach", "nowhere0"]).expect("amanda-fw can be run");
    assert!(!finished.is_success() && finished.stderr.contains("nowhere0"), "{finished}");
    assert!(!is_open(&site));
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_new_loader_brings_a_new_config() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    kill(attach(&loader, &[INTERFACE]));
    loader.write_config(&DENY.replace("drop", "accept")).expect("a config can be written");
    let child = attach(&loader, &[INTERFACE]);
    assert!(is_open(&site));
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_firewall_outlives_its_interface() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    let child = attach(&loader, &[INTERFACE]);
    let mut delete = site.host.enter_net_only("ip");
    delete.args(["link", "delete", INTERFACE]);
    let deleted = process::run(&mut delete, NOTICE).expect("ip can be run");
    assert!(deleted.is_success(), "{deleted}");
    run(&loader, &["status"]);
    end(child);
    assert!(!loader.pins().exists(), "{} is left", loader.pins().display());
}

fn loader<'a>(site: &'a Site, config: &str) -> Loader<'a> {
    Loader::new(&site.bench, &site.host, config).expect("amanda-fw can be found")
}

#[track_caller]
fn attach(loader: &Loader<'_>, arguments: &[&str]) -> Child {
    loader.attach(arguments).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Runs a subcommand that must succeed.
#[track_caller]
fn run(loader: &Loader<'_>, arguments: &[&str]) -> Finished {
    let finished = loader.run(arguments).expect("amanda-fw can be run");
    assert!(finished.is_success(), "{finished}");
    finished
}

/// Ends a loader as Ctrl-C does.
#[track_caller]
fn end(child: Child) {
    let finished = child.interrupt(NOTICE).expect("amanda-fw can be interrupted");
    assert!(finished.is_success(), "{finished}");
}

/// Kills a loader; its guard sends SIGKILL.
fn kill(child: Child) {
    drop(child);
}

/// Opens a connection that the host begins.
#[track_caller]
fn connection(site: &Site) -> Connection {
    Connection::open(&site.host, &site.peer, endpoint(PEER[0], 0)).expect("it can be opened")
}

/// Tells whether the peer gets in.
fn is_open(site: &Site) -> bool {
    Connection::open(&site.peer, &site.host, endpoint(HOST[0], 0)).is_ok()
}

#[track_caller]
fn check_gone(site: &Site, loader: &Loader<'_>, before: &str) {
    // The kernel lets a link go a moment after its last pin.
    let gone = wait::within(NOTICE, || Ok((site.attachments() == before).then_some(())));
    assert!(gone.is_ok_and(|gone| gone.is_some()), "{}\nwas {before}", site.attachments());
    assert!(!loader.pins().exists(), "{} is left", loader.pins().display());
    assert!(is_open(site));
}

fn tcx(site: &Site, interface: &str) -> Option<Vec<String>> {
    kernel::tcx(&site.host, interface).expect("the programs can be listed")
}
