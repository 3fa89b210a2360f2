//! Drafts of real files, compared with what they shall be: `golden/CASE/expected.*`, which
//! `AMANDA_FW_BLESS=1 cargo test` writes anew.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::*;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/golden").join(name)
}

fn input(case: &Path, name: &str) -> Input {
    let text = fs::read_to_string(case.join(name)).expect("an input");
    Input { name: name.to_owned(), text }
}

fn check(path: &Path, found: &str) {
    if std::env::var_os("AMANDA_FW_BLESS").is_some() {
        fs::write(path, found).expect("write");
    }
    let expected = fs::read_to_string(path).expect("what is expected");
    assert_eq!(found, expected, "{}", path.display());
    if path.extension().is_some_and(|ending| ending == "toml") {
        let read = crate::config::parsed(found);
        assert!(read.is_ok(), "{}: {read:?}", path.display());
    }
}

fn iptables(name: &str, files: &[&str]) {
    let case = case(name);
    let inputs: Vec<Input> = files.iter().map(|file| input(&case, file)).collect();
    let (text, report) = from_iptables(&inputs).expect("a draft");
    check(&case.join("expected.toml"), &text);
    check(&case.join("expected.txt"), &report.text());
}

fn amanda(name: &str) {
    let root = case(name);
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let resolve = |host: &str| -> Vec<IpAddr> {
        let known = [
            ("lhost.example.org", "192.168.2.3"),
            ("rhost", "2.3.4.5"),
            ("rhost", "2001:db8::5"),
            ("tshost", "192.168.2.2"),
            ("vault", "192.168.2.9"),
            ("lone", "192.168.2.10"),
        ];
        let found = known.iter().filter(|(name, _)| *name == host);
        found.map(|(_, address)| address.parse().expect("an address")).collect()
    };
    let server = ["192.168.2.2".to_owned()];
    let source = Source { directory: "daily", read: &read, resolve: &resolve, server: &server };
    let (drafts, report) = from_amanda(&source).expect("drafts");
    for HostDraft { file, text } in drafts {
        check(&root.join(format!("expected-{file}")), &text);
    }
    check(&root.join("expected.txt"), &report.text());
}

#[test]
fn the_recipes_of_amandas_wiki_are_drafted() {
    iptables("wiki-tshost", &["tshost.sh"]);
    iptables("wiki-lhost", &["lhost.sh"]);
    iptables("wiki-rhost", &["rhost.sh"]);
    iptables("wiki-fwhost", &["fwhost.sh"]);
    iptables("wiki-amrecover", &["amrecover.sh"]);
}

#[test]
fn the_output_of_iptables_save_is_drafted() {
    iptables("saved-nft", &["rules.v4", "rules.v6"]);
    iptables("saved-legacy", &["rules.v4"]);
}

#[test]
fn the_same_rules_saved_by_both_programs_are_the_same_draft() {
    let of = |name: &str| {
        let input = input(&case(name), "rules.v4");
        let (text, _) = from_iptables(&[input]).expect("a draft");
        let is_said = |line: &&str| !line.starts_with('#');
        text.lines().filter(is_said).map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(of("saved-nft"), of("saved-legacy"));
}

#[test]
fn the_rules_of_ufw_firewalld_and_docker_are_drafted() {
    iptables("ufw", &["rules.v4", "rules.v6"]);
    iptables("docker", &["rules.v4"]);
    iptables("firewalld", &["rules.v4"]);
}

#[test]
fn a_gateway_is_drafted() {
    iptables("gateway", &["rules.v4"]);
}

#[test]
fn a_script_with_variables_and_a_configured_helper_is_drafted() {
    iptables("script", &["firewall.sh"]);
    iptables("mixed", &["firewall.sh"]);
}

#[test]
fn a_configuration_of_amanda_is_drafted_for_every_host() {
    amanda("amanda");
}

#[test]
fn a_text_of_another_kind_is_refused() {
    let input = Input { name: "notes".to_owned(), text: "iptables is a program\n".to_owned() };
    let error = from_iptables(&[input]).expect_err("no rules");
    assert!(error.is::<Foreign>(), "{error}");
    let (read, resolve) = (|_: &str| Some("nothing of note\n".to_owned()), |_: &str| Vec::new());
    let source = Source { directory: "x", read: &read, resolve: &resolve, server: &[] };
    let error = from_amanda(&source).expect_err("no configuration");
    assert!(error.is::<Foreign>(), "{error}");
}
