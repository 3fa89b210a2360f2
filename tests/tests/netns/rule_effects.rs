//! What rules do beside letting in: limits, logs that go on, and counters.

use std::time::Duration;

use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::frames::{self, Packet, SYN, TCP, UDP};
use amanda_fw_tests::probes::Probes;
use amanda_fw_tests::{process, wait};
use serde_json::Value;

use crate::site::{DENY, HOST, INTERFACE, PEER, Site, endpoint, in_mode};

/// Where incoming packets are met.
const MODES: [&str; 2] = ["tc", "xdp"];

/// The longest that a line may take.
const NOTICE: Duration = Duration::from_secs(10);

/// The longest that a short command may take.
const COMMAND: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_limit_drops_what_is_over_it_and_asks_no_further_rule() {
    let rules = r#"
[[rule]]
name = "few"
protocol = "tcp"
ports = 22
limit = { rate = "1/day", burst = 3 }
action = "accept"

[[rule]]
name = "behind"
protocol = "tcp"
action = "accept"
"#;
    for mode in MODES {
        let site = Site::new();
        let firewall = site.firewall(&in_mode(mode, &format!("{DENY}{rules}")));
        let sources = [PEER[0], "10.94.0.3", PEER[0], PEER[0], "10.94.0.3"];
        let packets = numbered(sources.map(|source| (source, 22)));
        assert_eq!(passed(&site, &packets), [true, true, true, false, false], "{mode}");
        assert_eq!(passed(&site, &numbered([(PEER[0], 23)])), [true], "{mode}");
        check_counts(&firewall, &[("few", 5), ("behind", 1)]);
        assert_eq!(decided(&firewall, "rate-limited"), 2, "{mode}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_limit_for_each_source_has_a_bucket_for_each() {
    let rule = r#"
[[rule]]
name = "few each"
protocol = "tcp"
limit_per_source = { rate = "1/day", burst = 2 }
action = "accept"
"#;
    for mode in MODES {
        let site = Site::new();
        let firewall = site.firewall(&in_mode(mode, &format!("{DENY}{rule}")));
        let one = [PEER[0]; 3].map(|source| (source, 22));
        let other = [PEER[1]; 3].map(|source| (source, 22));
        let packets = numbered([one, other, [("10.94.0.3", 22); 3]].concat());
        let expected = [true, true, false].repeat(3);
        assert_eq!(passed(&site, &packets), expected, "{mode}");
        check_counts(&firewall, &[("few each", 9)]);
        assert_eq!(decided(&firewall, "rate-limited"), 3, "{mode}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_that_logs_goes_on_to_the_next() {
    let rules = r#"
[[rule]]
name = "note"
protocol = "tcp"
action = "log"
log = { prefix = "noted: ", rate = "1000000/s" }

[[rule]]
name = "web"
protocol = "tcp"
ports = 80
action = "accept"
"#;
    for mode in MODES {
        let site = Site::new();
        let firewall = site.firewall(&in_mode(mode, &format!("{DENY}{rules}")));
        let packets = numbered([(PEER[0], 80), (PEER[0], 22)]);
        assert_eq!(passed(&site, &packets), [true, false], "{mode}");
        assert_eq!(passed(&site, &[udp(53)]), [false], "{mode}");
        check_counts(&firewall, &[("note", 2), ("web", 1)]);
        let lines = || -> anyhow::Result<Vec<String>> {
            let account = firewall.account()?;
            let logged = account.lines().filter(|line| line.contains("noted: IN=eth0 "));
            Ok(logged.map(str::to_owned).collect())
        };
        let found = wait::within(NOTICE, || Ok((lines()?.len() == 2).then_some(())));
        assert!(found.is_ok_and(|found| found.is_some()), "{mode}: {:?}", firewall.account());
        let lines = lines().expect("the loader runs");
        for (line, port) in lines.iter().zip(["DPT=80 ", "DPT=22 "]) {
            assert!(line.contains(port), "no {port} in {line}");
        }
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn rules_count_the_first_packets_of_flows() {
    let rules = r#"
[[rule]]
name = "refused"
protocol = "tcp"
from = "10.94.0.3"
action = "drop"

[[rule]]
name = "taken"
protocol = ["tcp", "udp"]
ports = "20:30"
action = "accept"
"#;
    for mode in MODES {
        let site = Site::new();
        let firewall = site.firewall(&in_mode(mode, &format!("{DENY}{rules}")));
        let packets = numbered([("10.94.0.3", 22), (PEER[0], 22), (PEER[1], 22), (PEER[0], 31)]);
        assert_eq!(passed(&site, &packets), [false, true, true, false], "{mode}");
        // The same flow again is no first packet.
        for _ in 0..3 {
            assert_eq!(passed(&site, &[udp(25)]), [true], "{mode}");
        }
        check_counts(&firewall, &[("refused", 1), ("taken", 3)]);
        assert_eq!(bytes(&firewall, "taken"), 40 + 60 + 29, "{mode}: of the IP packets");
        assert_eq!(decided(&firewall, "policy-drop"), 1, "{mode}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn self_is_the_hosts_own_addresses() {
    let rules = r#"
[[rule]]
name = "for me"
protocol = "tcp"
to = "self"
action = "accept"

[[rule]]
name = "for others"
protocol = "tcp"
to = "!self"
action = "drop"
"#;
    for mode in MODES {
        let site = Site::new();
        // What the host would forward.
        route(&site, &["10.96.0.0/24", "via", HOST[0]]);
        route(&site, &["fd00:96::/64", "via", HOST[1]]);
        let firewall = site.firewall(&in_mode(mode, &format!("{DENY}{rules}")));
        let to = |source, host| frames::tcp(endpoint(source, 40_000), endpoint(host, 22), SYN);
        let packets = [
            to(PEER[0], HOST[0]),
            to(PEER[1], HOST[1]),
            to(PEER[0], "10.96.0.1"),
            to(PEER[1], "fd00:96::1"),
            to("10.94.0.9", "10.96.0.1"),
        ];
        assert_eq!(passed(&site, &packets), [true, true, false, false, false], "{mode}");
        check_counts(&firewall, &[("for me", 2), ("for others", 3)]);
    }
}

/// Tells which packets of the peer's are delivered.
fn passed(site: &Site, packets: &[Packet]) -> Vec<bool> {
    let probes = Probes::open(&site.peer, &site.host, &[TCP, UDP]).expect("raw sockets");
    probes.pass(packets).expect("packets can be sent and received")
}

/// Makes segments that each ask for a connection of their own, from sources to ports.
fn numbered<'a>(ends: impl IntoIterator<Item = (&'a str, u16)>) -> Vec<Packet> {
    let syn = |(source_port, (source, port)): (u16, (&str, u16))| {
        let host = HOST[usize::from(source.contains(':'))];
        frames::tcp(endpoint(source, source_port), endpoint(host, port), SYN)
    };
    (40_000..).zip(ends).map(syn).collect()
}

fn udp(port: u16) -> Packet {
    frames::udp(endpoint(PEER[0], 40_000), endpoint(HOST[0], port), b"?")
}

fn route(site: &Site, words: &[&str]) {
    let mut ip = site.peer.enter_net_only("ip");
    let family = if words[0].contains(':') { "-6" } else { "-4" };
    ip.args([family, "route", "add"]).args(words).args(["dev", INTERFACE]);
    let added = process::run(&mut ip, COMMAND).expect("ip can be run");
    assert!(added.is_success(), "{added}");
}

/// Checks what `list rules` counts.
#[track_caller]
fn check_counts(firewall: &Firewall<'_>, expected: &[(&str, u64)]) {
    for &(name, packets) in expected {
        assert_eq!(rule(firewall, name)["packets"], packets, "packets of rule {name}");
    }
}

fn bytes(firewall: &Firewall<'_>, name: &str) -> u64 {
    rule(firewall, name)["bytes"].as_u64().expect("a count of bytes")
}

fn rule(firewall: &Firewall<'_>, name: &str) -> Value {
    let rules = json(&firewall.ask("list", &["rules", "--json"]).expect("rules can be listed"));
    let rules = rules.as_array().expect("a list of rules");
    rules.iter().find(|rule| rule["name"] == name).expect("the rule is there").clone()
}

/// Returns how many packets were decided for a reason.
fn decided(firewall: &Firewall<'_>, reason: &str) -> u64 {
    let status = json(&firewall.status(&["--json"]).expect("status answers"));
    let reasons = status["reasons"].as_array().expect("a list of reasons");
    let found = reasons.iter().find(|entry| entry["name"] == reason);
    found.and_then(|entry| entry["packets"].as_u64()).expect("a count of packets")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
