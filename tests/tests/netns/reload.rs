//! A changed config, applied without detaching: in force at once and whole, or not at all.

use std::fs;

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::process::Child;
use amanda_fw_tests::sockets::Connection;
use rustix::process::Signal;

use crate::operator::{
    REFUSE, attach, attach_and_kill, check_open, end, is_open, json, loader, packets, refuse,
    reload, rule, run, run_alone, wait_for,
};
use crate::site::{DENY, HOST, INTERFACE, Site, endpoint, in_mode};

/// Two mistakes.
const MISTAKEN: &str = "[policy]\nincomming = \"drop\"\n\n[[rule]]\naction = \"acept\"\n";

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_changed_config_is_in_force_beside_a_living_loader() {
    check_reloads(|loader| Some(attach(loader, &[INTERFACE])));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_changed_config_is_in_force_without_the_loader() {
    check_reloads(|loader| {
        attach_and_kill(loader);
        None
    });
    check_reloads(|loader| {
        end(attach(loader, &["--keep", INTERFACE]));
        None
    });
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_hangup_reloads() {
    let site = Site::new();
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &[INTERFACE]);
    loader.write_config(&format!("{REFUSE}{}", rule("a", 2001))).expect("it can be written");
    child.signal(Signal::HUP).expect("the loader runs");
    wait_for(&child, "reloaded ");
    check_open(&site, &[(2001, true), (2002, false)]);
    loader.write_config(MISTAKEN).expect("it can be written");
    child.signal(Signal::HUP).expect("the loader runs");
    wait_for(&child, "nothing has changed");
    let said = child.stdout().text().expect("the loader runs");
    assert!(said.contains("incomming") && said.contains("acept"), "{said}");
    check_open(&site, &[(2001, true), (2002, false)]);
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_hangup_applies_the_config_in_force() {
    let site = Site::new();
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &[INTERFACE]);
    let other = site.bench.path("other.toml");
    let other_name = other.to_str().expect("a path");
    fs::write(&other, REFUSE).expect("it can be written");
    run_alone(&loader, &["reload", "--config", other_name]);
    fs::write(&other, format!("{REFUSE}{}", rule("a", 2001))).expect("it can be written");
    child.signal(Signal::HUP).expect("the loader runs");
    wait_for(&child, &format!("reloaded {other_name}"));
    check_open(&site, &[(2001, true)]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn attaching_again_brings_the_changed_config() {
    let site = Site::new();
    let loader = loader(&site, &format!("{REFUSE}{}", rule("a", 2001)));
    attach_and_kill(&loader);
    let config = format!("{REFUSE}{}", rule("b", 2002));
    loader.write_config(&config).expect("it can be written");
    check_open(&site, &[(2001, true), (2002, false)]);
    let child = attach(&loader, &[INTERFACE]);
    check_open(&site, &[(2001, false), (2002, true)]);
    check_generation(&loader, 2);
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_loader_names_the_rules_that_another_process_brings() {
    let site = Site::new();
    let loader = loader(&site, &format!("{REFUSE}{}", rule("a", 2001)));
    let child = attach(&loader, &[INTERFACE]);
    for number in 0..5 {
        let name = format!("rule {number}");
        reload(&loader, &format!("{REFUSE}{}{}", rule("a", 2001), rule(&name, 2002)));
        check_open(&site, &[(2001, true), (2002, true)]);
        wait_for(&child, &format!("rule {name:?}"));
    }
    let said = child.stdout().text().expect("the loader runs");
    assert!(!said.contains("which is gone"), "{said}");
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_file_that_cannot_be_used_changes_nothing() {
    let site = Site::new();
    let loader = loader(&site, &format!("{REFUSE}{}", rule("a", 2001)));
    attach_and_kill(&loader);
    let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 2001));
    let connection = connection.expect("the rule lets it in");
    let before = json(&loader, &["list", "rules"]);
    loader.write_config(MISTAKEN).expect("it can be written");
    refuse(&loader, &["reload"], 2, &["incomming", "acept"]);
    fs::remove_file(loader.config()).expect("it is there");
    refuse(&loader, &["reload"], 2, &[loader.config().to_str().expect("a path")]);
    assert_eq!(json(&loader, &["list", "rules"]), before);
    connection.exchange().expect("it goes on");
    check_open(&site, &[(2001, true), (2002, false)]);
    check_generation(&loader, 1);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn without_a_firewall_there_is_nothing_to_reload() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    refuse(&loader, &["reload"], 1, &["no firewall is attached", "amanda-fw attach"]);
    attach_and_kill(&loader);
    run(&loader, &["detach"]);
    refuse(&loader, &["reload"], 1, &["no firewall is attached", "amanda-fw attach"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn status_says_which_rules_are_in_force() {
    let site = Site::new();
    let loader = loader(&site, &format!("{REFUSE}{}", rule("a", 2001)));
    attach_and_kill(&loader);
    let file = loader.config().to_str().expect("a path");
    let status = run_alone(&loader, &["status"]);
    assert!(status.stdout.contains(&format!("number 1  {file}")), "{status}");
    let other = site.bench.path("other.toml");
    let other = other.to_str().expect("a path");
    fs::write(other, format!("{DENY}{}", rule("b", 2002))).expect("it can be written");
    run_alone(&loader, &["reload", "--config", other]);
    let status = json(&loader, &["status"]);
    assert_eq!(
        (&status["ruleset"]["generation"], &status["ruleset"]["config"]),
        (&2.into(), &other.into())
    );
    let rules = run_alone(&loader, &["list", "rules"]);
    for words in ["b ", "tcp", "2002", "policy incoming"] {
        assert!(rules.stdout.contains(words), "no {words:?} in {rules}");
    }
    assert!(!rules.stdout.contains("2001"), "{rules}");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_counts_on_while_it_does_not_change() {
    let site = Site::new();
    let [a, b] = [rule("a", 2001), rule("b", 2002)];
    let loader = loader(&site, &format!("{REFUSE}{a}{b}"));
    let child = attach(&loader, &[INTERFACE]);
    check_open(&site, &[(2001, true), (2001, true), (2002, true)]);
    let counted = || ["a", "b", "c"].map(|name| packets(&loader, name));
    assert_eq!(counted(), [Some(2), Some(1), None]);
    // Another place, and a place between the others.
    reload(&loader, &format!("{REFUSE}{b}{}{a}", rule("c", 2003)));
    assert_eq!(counted(), [Some(2), Some(1), Some(0)]);
    check_open(&site, &[(2001, true), (2003, true)]);
    reload(&loader, &format!("{REFUSE}{a}{}", rule("b", 2004)));
    assert_eq!(counted(), [Some(3), Some(0), None]);
    check_open(&site, &[(2004, true)]);
    // Back again, it is another one, also where its slot comes again.
    for _ in 0..3 {
        reload(&loader, &format!("{REFUSE}{a}{b}"));
        assert_eq!(counted(), [Some(3), Some(0), None]);
        check_open(&site, &[(2002, true)]);
        reload(&loader, &format!("{REFUSE}{a}"));
    }
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_s_limit_outlives_a_reload() {
    for limit in ["limit", "limit_per_source"] {
        let site = Site::new();
        let limited = |burst: u32| {
            format!("{}{limit} = {{ rate = \"1/day\", burst = {burst} }}\n", rule("limited", 2001))
        };
        let loader = loader(&site, &format!("{REFUSE}{}", limited(2)));
        attach_and_kill(&loader);
        check_open(&site, &[(2001, true), (2001, true), (2001, false)]);
        reload(&loader, &format!("{REFUSE}{}{}", rule("other", 2002), limited(2)));
        check_open(&site, &[(2001, false), (2002, true)]);
        reload(&loader, &format!("{REFUSE}{}", limited(1)));
        check_open(&site, &[(2001, true), (2001, false)]);
        // The second time, its slot comes again; its buckets do not.
        for _ in 0..2 {
            reload(&loader, REFUSE);
            reload(&loader, &format!("{REFUSE}{}", limited(1)));
            check_open(&site, &[(2001, true), (2001, false)]);
        }
    }
}

/// Adds a rule, removes one, and changes the policy.
#[track_caller]
fn check_reloads(bring_up: impl Fn(&Loader<'_>) -> Option<Child>) {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let config = |text: &str| in_mode(mode, text);
        let [a, b, c] = [rule("a", 2001), rule("b", 2002), rule("c", 2003)];
        let loader = loader(&site, &config(&format!("{REFUSE}{a}{b}")));
        let child = bring_up(&loader);
        check_open(&site, &[(2001, true), (2002, true), (2003, false)]);
        let said = reload(&loader, &config(&format!("{REFUSE}{b}{c}")));
        assert!(said.stdout.contains(&format!("on {INTERFACE} ({mode})")), "{said}");
        check_open(&site, &[(2001, false), (2002, true), (2003, true)]);
        reload(&loader, &config(&REFUSE.replace("reject", "accept")));
        check_open(&site, &[(2001, true), (2004, true)]);
        reload(&loader, &config(DENY));
        assert!(!is_open(&site, 2001), "{mode}");
        check_generation(&loader, 4);
        match child {
            Some(child) => end(child),
            None => drop(run(&loader, &["detach"])),
        }
        assert!(!loader.pins().exists(), "{} is left", loader.pins().display());
    }
}

#[track_caller]
fn check_generation(loader: &Loader<'_>, expected: u64) {
    let status = json(loader, &["status"]);
    assert_eq!(status["ruleset"]["generation"], expected, "{status}");
    let names: Vec<_> = fs::read_dir(loader.pins().join("rulesets"))
        .expect("rulesets are kept")
        .map(|entry| entry.expect("a ruleset").file_name())
        .collect();
    assert_eq!(names, [expected.to_string().as_str()], "rulesets that are kept");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn tables_keep_their_sizes_and_a_reload_says_so() {
    let site = Site::new();
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &[INTERFACE]);
    let warning = "warning: [limits] has changed";
    let same = reload(&loader, &format!("{REFUSE}{}", rule("ssh", 22))).to_string();
    assert!(!same.contains(warning), "{same}");
    let other = reload(&loader, &format!("{REFUSE}\n[limits]\nflows = 1024\n")).to_string();
    assert!(other.contains(warning), "{other}");
    end(child);
}
