//! Sessions that a configuration keeps out, or lets in again.

use std::env;
use std::fs;
use std::process;

use super::*;
use crate::config::{self, Host};

const DENY: &str = "policy = { incoming = \"drop\", outgoing = \"accept\" }\n";

const NOT_THAT_NETWORK: &str = r#"
[[rule]]
name = "no guests"
protocol = "tcp"
from = "192.0.2.0/24"
action = "drop"
"#;

const SSH: &str = r#"
[[rule]]
name = "ssh for all"
protocol = "tcp"
ports = 22
action = "accept"
"#;

const FROM_PRIVILEGED_PORTS: &str = r#"
[[rule]]
name = "rsh"
protocol = "tcp"
source_ports = "512:1023"
action = "accept"
"#;

fn ruleset(name: &str, text: &str) -> Ruleset {
    let file = env::temp_dir().join(format!("amanda-fw-lockout-{}-{name}.toml", process::id()));
    fs::write(&file, text).expect("a temporary file");
    let config = config::load(Some(&file)).expect("a configuration");
    fs::remove_file(&file).expect("it is there");
    config::compile(&config, &Host::default()).expect("a ruleset")
}

fn lock_out(name: &str, text: &str, port: u16) -> Option<LockOut> {
    let session = SshSession {
        peer: "192.0.2.7:4711".parse().expect("an address"),
        local: SocketAddr::new("198.51.100.1".parse().expect("an address"), port),
    };
    let ruleset = ruleset(name, text);
    let (settings, tables) = in_memory::compile(&ruleset).expect("tables");
    rehearse(session, &[2], &ruleset.rules, |packet, index| {
        decide(&settings, &mut tables.clone(), packet, index)
    })
}

/// Checks by what a session to port 22 is kept out; and that the rule of the refusal lets it in.
#[track_caller]
fn check(name: &str, text: &str, expected: Option<&str>) {
    let found = lock_out(name, text, 22);
    let by = found.as_ref().map(ToString::to_string);
    let by = by.as_deref().and_then(|text| text.rsplit_once(": ")).map(|(_, by)| by);
    assert_eq!(by, expected);
    if let Some(found) = found {
        let (head, rules) = text.split_at(DENY.len());
        let text = format!("{head}{}{rules}", found.rule_to_add());
        assert_eq!(lock_out(&format!("{name}-again"), &text, 22), None, "{text}");
    }
}

#[test]
fn a_policy_keeps_a_session_out() {
    check("policy", DENY, Some("the policy for incoming packets refuses it"));
    check(
        "ports",
        &format!("{DENY}{FROM_PRIVILEGED_PORTS}"),
        Some("the policy for incoming packets refuses it"),
    );
}

#[test]
fn a_rule_keeps_a_session_out() {
    let text = format!("{DENY}{NOT_THAT_NETWORK}{SSH}");
    check("rule", &text, Some("rule \"no guests\" refuses it"));
}

#[test]
fn a_rule_lets_a_session_in() {
    check("ssh", &format!("{DENY}{SSH}"), None);
    check("first", &format!("{DENY}{SSH}{NOT_THAT_NETWORK}"), None);
}

#[test]
fn the_port_of_the_session_counts() {
    assert!(lock_out("port", &format!("{DENY}{SSH}"), 2222).is_some());
}

#[test]
fn every_interface_on_the_way_has_to_accept() {
    let session = SshSession {
        peer: "192.0.2.7:4711".parse().expect("an address"),
        local: "198.51.100.1:22".parse().expect("an address"),
    };
    let only_by = |accepting: u32| {
        move |_: &Packet, interface| {
            let accepts = interface == accepting;
            Decision::new(if accepts { Reason::PolicyAccept } else { Reason::PolicyDrop })
        }
    };
    assert!(rehearse(session, &[5, 2], &[], only_by(5)).is_some());
    assert!(rehearse(session, &[5, 2], &[], only_by(2)).is_some());
    assert!(rehearse(session, &[5], &[], only_by(5)).is_none());
    assert!(rehearse(session, &[], &[], only_by(5)).is_none());
}

#[test]
fn the_refusal_names_the_peer_the_port_and_the_ways_out() {
    let text = format!("{DENY}{NOT_THAT_NETWORK}");
    let refusal = lock_out("words", &text, 2222)
        .expect("a lock-out")
        .refusal("/x.toml", "attach with --force");
    assert_eq!(
        refusal,
        "this would lock you out: your ssh session comes from 192.0.2.7, which could not connect \
         to 198.51.100.1 port 2222 again: rule \"no guests\" refuses it\n\
         Nothing was changed. Let it in by a rule in /x.toml, before rule \"no guests\":\n\n\
         [[rule]]\nname = \"ssh\"\ndirection = \"in\"\nprotocol = \"tcp\"\n\
         from = \"192.0.2.7\"\nports = 2222\naction = \"accept\"\n\n\
         or attach with --force"
    );
}
