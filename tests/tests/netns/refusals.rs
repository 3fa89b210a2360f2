//! What `attach` refuses, by which words, and that it leaves nothing behind then.

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::process::Finished;

use crate::site::{DENY, INTERFACE, Site, in_mode};

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_unknown_interface_is_named() {
    check(DENY, &["nowhere0"], &["nowhere0"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn one_unknown_interface_spoils_the_other() {
    check(DENY, &[INTERFACE, "nowhere0"], &["nowhere0"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn loopback_is_never_filtered() {
    check(DENY, &["lo"], &["lo", "loopback"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn loopback_behind_a_good_interface_spoils_both() {
    check(DENY, &[INTERFACE, "lo"], &["lo", "loopback"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_config_with_a_mistake_is_named_with_the_mistake() {
    check("[policy]\nincomming = \"drop\"\n", &[INTERFACE], &["incomming", "incoming"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn missing_capabilities_are_named() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    check_refused(&site, &loader, &["CAP_BPF", "CAP_NET_ADMIN"], |loader| {
        loader.run_without_capabilities(&["attach", INTERFACE])
    });
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_interface_with_another_xdp_program_is_named() {
    let site = Site::new();
    let other = loader(&site, &in_mode("xdp", DENY));
    let _other = other.attach(&[INTERFACE]).expect("amanda-fw attaches");
    for mode in ["xdp", "xdp-generic"] {
        let loader = loader(&site, DENY);
        check_refused(&site, &loader, &[INTERFACE, "XDP"], |loader| {
            loader.run(&["attach", "--mode", mode, INTERFACE])
        });
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_second_loader_of_one_firewall_is_refused() {
    let site = Site::new();
    let loader = loader(&site, DENY);
    let before = site.attachments();
    let first = loader.attach(&[INTERFACE]).expect("amanda-fw attaches");
    let attached = site.attachments();
    assert_ne!(before, attached);
    let finished = loader.run(&["attach", INTERFACE]).expect("amanda-fw can be run");
    check_words(&finished, &[&loader.pins().display().to_string(), "--bpffs"]);
    assert_eq!(site.attachments(), attached, "the first one goes on");
    drop(first);
}

fn loader<'a>(site: &'a Site, config: &str) -> Loader<'a> {
    Loader::new(&site.bench, &site.host, config).expect("amanda-fw can be found")
}

fn check(config: &str, interfaces: &[&str], words: &[&str]) {
    let site = Site::new();
    let loader = loader(&site, config);
    check_refused(&site, &loader, words, |loader| loader.run(&[&["attach"], interfaces].concat()));
}

/// Checks that a run fails with an error that holds some words, and changes nothing.
fn check_refused(
    site: &Site,
    loader: &Loader<'_>,
    words: &[&str],
    run: impl FnOnce(&Loader<'_>) -> anyhow::Result<Finished>,
) {
    let before = site.attachments();
    let finished = run(loader).expect("amanda-fw can be run");
    check_words(&finished, words);
    assert_eq!(site.attachments(), before, "what is attached");
    assert!(!loader.pins().exists(), "{} is left", loader.pins().display());
}

fn check_words(finished: &Finished, words: &[&str]) {
    assert!(!finished.is_success(), "{finished}");
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in: {finished}");
    }
}
