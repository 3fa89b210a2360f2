//! A reload that fails, meets another one, or is killed: all of it is in force, or none.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::kernel;
use amanda_fw_tests::netns::{Port, connect};
use amanda_fw_tests::process;
use amanda_fw_tests::random::splitmix64;
use amanda_fw_tests::sockets::Connection;
use serde_json::Value;

use crate::operator::{
    NOTICE, REFUSE, attach, check_open, end, json, loader, packets, refuse, reload, rule, run_alone,
};
use crate::site::{HOST, INTERFACE, Site, endpoint};

/// The second interface, and the host's address there.
const SECOND: &str = "eth1";
const SECOND_HOST: &str = "10.95.0.1";

/// Another firewall, which is in the way of XDP and of nothing else.
const OPEN: &str = "[policy]\nincoming = \"accept\"\noutgoing = \"accept\"\n";

/// How often a reload is killed.
const KILLS: u32 = 20;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_interface_that_fails_leaves_all_others_as_they_were() {
    for (before, after) in [("tc", "xdp"), ("xdp", "tc"), ("xdp", "xdp-generic"), ("xdp", "xdp")] {
        check_rolled_back(before, after);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_attach_that_fails_leaves_the_interfaces_before_as_they_were() {
    let site = two_wires();
    let (old, new) = (rule("old", 2001), rule("new", 2002));
    let loader = loader(&site, &format!("{REFUSE}{old}"));
    drop(attach(&loader, &["--mode", "tc", INTERFACE]));
    let other = self::loader(&site, OPEN);
    let stranger = attach(&other, &["--mode", "xdp", SECOND]);
    let before = programs(&site, INTERFACE);
    loader.write_config(&format!("{REFUSE}{new}")).expect("it can be written");
    let attached = loader.run(&["attach", "--mode", "xdp", INTERFACE, SECOND]);
    let attached = attached.expect("amanda-fw can be run");
    assert!(!attached.is_success() && attached.stderr.contains(SECOND), "{attached}");
    check_old(&site, &loader, &[(INTERFACE, "tc")]);
    assert_eq!(programs(&site, INTERFACE), before, "programs of {INTERFACE}");
    end(stranger);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn two_reloads_at_once_come_one_after_the_other() {
    let site = Site::new();
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &[INTERFACE]);
    loader.write_config(&format!("{REFUSE}{}", rule("a", 2001))).expect("it can be written");
    for _ in 0..5 {
        let reloads = [(); 4].map(|()| loader.start(&["reload"]).expect("it can be started"));
        for reload in reloads {
            let finished = reload.finish(NOTICE).expect("amanda-fw ends");
            assert!(finished.is_success(), "{finished}");
        }
    }
    check_rulesets(&loader, &["21"]);
    check_open(&site, &[(2001, true), (2002, false)]);
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_killed_reload_leaves_a_firewall_that_the_next_one_takes_over() {
    let site = two_wires();
    let both = rule("both", 2001);
    let configs = [2002, 2003].map(|port| format!("{REFUSE}{}{both}", rule("one", port)));
    let loader = loader(&site, &configs[1]);
    let child = attach(&loader, &[INTERFACE, SECOND]);
    let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 2001));
    let connection = connection.expect("a rule lets it in");
    let began = Instant::now();
    reload(&loader, &configs[0]);
    let whole = began.elapsed();
    let mut state = 1;
    let mut killed = 0;
    for (number, config) in (0..KILLS).zip(configs.iter().rev().cycle()) {
        loader.write_config(config).expect("it can be written");
        let mut reload = loader.start(&["reload"]).expect("it can be started");
        thread::sleep(random_part(whole, &mut state));
        killed += u32::from(reload.ended().expect("it can be asked").is_none());
        // Its guard sends SIGKILL.
        drop(reload);
        check_whole(&site, &connection);
        if number % 4 == 3 {
            run_alone(&loader, &["reload"]);
            check_whole(&site, &connection);
            let status = json(&loader, &["status"]);
            check_rulesets(&loader, &[&status["ruleset"]["generation"].to_string()]);
        }
    }
    assert!(killed > KILLS / 2, "only {killed} of {KILLS} reloads were still running");
    // The loader has not noticed anything that it would end for.
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_interface_that_has_gone_is_forgotten() {
    let site = two_wires();
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &[INTERFACE, SECOND]);
    ip(&site, &["link", "delete", SECOND]);
    reload(&loader, &format!("{REFUSE}{}", rule("a", 2001)));
    check_attached(&loader, &[(INTERFACE, "tc")]);
    check_open(&site, &[(2001, true), (2002, false)]);
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_interface_that_has_come_again_is_attached_again() {
    for mode in ["tc", "xdp"] {
        let site = two_wires();
        let loader = loader(&site, REFUSE);
        let child = attach(&loader, &["--mode", mode, INTERFACE, SECOND]);
        ip(&site, &["link", "delete", SECOND]);
        second_wire(&site);
        assert!(is_second_open(&site, 2001), "the new device has no programs yet");
        reload(&loader, &format!("{REFUSE}{}", rule("a", 2001)));
        check_attached(&loader, &[(INTERFACE, mode), (SECOND, mode)]);
        assert!(is_second_open(&site, 2001) && !is_second_open(&site, 2002), "{mode}");
        check_open(&site, &[(2001, true), (2002, false)]);
        end(child);
    }
}

/// Has a reload fail at the second of two interfaces, which both change their mode.
#[track_caller]
fn check_rolled_back(before: &str, after: &str) {
    let site = two_wires();
    let (old, new) = (rule("old", 2001), rule("new", 2002));
    let loader = loader(&site, &format!("{REFUSE}{old}{}", modes(before, "tc")));
    let child = attach(&loader, &[INTERFACE, SECOND]);
    let other = self::loader(&site, OPEN);
    let stranger = attach(&other, &["--mode", "xdp", SECOND]);
    let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 2001));
    let connection = connection.expect("the old rule lets it in");
    let attached = [INTERFACE, SECOND].map(|interface| programs(&site, interface));
    loader.write_config(&format!("{REFUSE}{new}{}", modes(after, "xdp"))).expect("written");
    refuse(&loader, &["reload"], 1, &[SECOND, "XDP program already"]);
    let now = [INTERFACE, SECOND].map(|interface| programs(&site, interface));
    assert_eq!(now, attached, "programs, {before} to {after}");
    check_old(&site, &loader, &[(INTERFACE, before), (SECOND, "tc")]);
    assert!(is_second_open(&site, 2001) && !is_second_open(&site, 2002), "{before} to {after}");
    connection.exchange().expect("a flow goes on");
    assert!(packets(&loader, "old") >= Some(2), "what the old rule has counted");
    end(stranger);
    run_alone(&loader, &["reload"]);
    check_attached(&loader, &[(INTERFACE, after), (SECOND, "xdp")]);
    check_open(&site, &[(2001, false), (2002, true)]);
    connection.exchange().expect("a flow goes on");
    end(child);
}

/// Checks that the first ruleset is in force, by its own programs.
#[track_caller]
fn check_old(site: &Site, loader: &Loader<'_>, attached: &[(&str, &str)]) {
    check_rulesets(loader, &["1"]);
    check_attached(loader, attached);
    check_open(site, &[(2001, true), (2002, false)]);
}

/// Checks that a killed reload has not opened, closed or cut anything.
#[track_caller]
fn check_whole(site: &Site, connection: &Connection) {
    check_open(site, &[(2001, true), (2004, false)]);
    assert!(is_second_open(site, 2001) && !is_second_open(site, 2004), "{SECOND}");
    let one_or_the_other = [2002, 2003].map(|port| crate::operator::is_open(site, port));
    assert_ne!(one_or_the_other[0], one_or_the_other[1], "rules of both configs");
    connection.exchange().expect("a flow goes on");
}

#[track_caller]
fn check_rulesets(loader: &Loader<'_>, expected: &[&str]) {
    let entries = fs::read_dir(loader.pins().join("rulesets")).expect("rulesets are kept");
    let names: Vec<_> = entries.map(|entry| entry.expect("a ruleset").file_name()).collect();
    assert_eq!(names, expected, "rulesets that are kept");
}

/// Checks which interfaces are attached, each with its mode.
#[track_caller]
fn check_attached(loader: &Loader<'_>, expected: &[(&str, &str)]) {
    let status = json(loader, &["status"]);
    let attached = status["interfaces"].as_array().expect("a list");
    let found: Vec<_> = attached
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap_or(""), entry["mode"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(found, expected, "{status}");
}

/// Adds a second wire between the host and its peer.
fn second_wire(site: &Site) {
    let port = |namespace, addresses| Port { namespace, interface: SECOND, addresses };
    connect(&port(&site.host, &["10.95.0.1/24"]), &port(&site.peer, &["10.95.0.2/24"]))
        .expect("namespaces can be connected");
}

fn two_wires() -> Site {
    let site = Site::new();
    second_wire(&site);
    site
}

fn is_second_open(site: &Site, port: u16) -> bool {
    Connection::open(&site.peer, &site.host, endpoint(SECOND_HOST, port)).is_ok()
}

/// Chooses the modes of both interfaces.
fn modes(first: &str, second: &str) -> String {
    format!(
        "\n[interfaces.{INTERFACE}]\nmode = \"{first}\"\n\n[interfaces.{SECOND}]\nmode = \"{second}\"\n"
    )
}

/// Describes the programs that an interface's packets meet, each by its number.
fn programs(site: &Site, interface: &str) -> (Option<Vec<u32>>, Value) {
    let links: Value = serde_json::from_str(&ip(site, &["-j", "link", "show", "dev", interface]))
        .expect("links in JSON");
    let tcx = kernel::tcx_ids(&site.host, interface).expect("the programs can be listed");
    (tcx, links[0]["xdp"].clone())
}

fn ip(site: &Site, arguments: &[&str]) -> String {
    let mut ip = site.host.enter_net_only("ip");
    let finished = process::run(ip.args(arguments), NOTICE).expect("ip can be run");
    assert!(finished.is_success(), "{finished}");
    finished.stdout
}

/// Returns a part of a time.
fn random_part(whole: Duration, state: &mut u64) -> Duration {
    whole.mul_f64((splitmix64(state) % 1000) as f64 / 1000.0)
}
