//! Questions about packets: the answer is what then happens, and asking changes nothing.

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::sockets::Connection;
use serde_json::Value;

use crate::operator::{attach, is_open, json, loader, packets, run_alone};
use crate::site::{HOST, INTERFACE, PEER, Site, endpoint, in_mode};

const RULES: &str = r#"
[policy]
incoming = "reject"

[amanda]
servers = ["10.94.0.2"]
clients = ["self"]

[[rule]]
name = "watch"
protocol = "tcp"
ports = "20:30"
action = "log"
log = "seen: "

[[rule]]
name = "ssh"
protocol = "tcp"
ports = 22
limit = { rate = "1/day", burst = 1 }
action = "accept"

[[rule]]
name = "no telnet"
protocol = "tcp"
ports = 23
action = "drop"
"#;

/// What answers an address of the peer's and a port of the host's.
#[track_caller]
fn check(loader: &Loader<'_>, arguments: &[&str], expected: [&str; 2], rule: Option<&str>) {
    let answer = json(loader, &[&["explain"], arguments].concat());
    let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
    assert_eq!([text("verdict"), text("reason")], expected, "{arguments:?}: {answer}");
    assert_eq!(answer["rule"]["name"].as_str(), rule, "{arguments:?}: {answer}");
}

fn tcp(port: u16) -> [String; 3] {
    ["tcp".to_owned(), format!("{}:40000", PEER[0]), format!("{}:{port}", HOST[0])]
}

/// Asks about a new connection from the peer.
#[track_caller]
fn check_port(loader: &Loader<'_>, port: u16, expected: [&str; 2], rule: Option<&str>) {
    let words = tcp(port);
    check(loader, &words.each_ref().map(String::as_str), expected, rule);
}

/// Lists everything that asking must not change.
fn everything(loader: &Loader<'_>) -> [Value; 4] {
    let mut status = json(loader, &["status"]);
    // The policies' own packets, such as neighbour discovery, go on meanwhile.
    let reasons = status["reasons"].as_array_mut().expect("a list");
    reasons.retain(|reason| {
        !["neighbour-discovery", "not-ip", "established"]
            .contains(&reason["name"].as_str().unwrap_or(""))
    });
    let lists = ["rules", "expectations"].map(|table| json(loader, &["list", table]));
    let flows = json(loader, &["list", "flows"]);
    let count = flows.as_array().expect("a list").len();
    let [rules, expectations] = lists;
    [status["reasons"].take(), rules, expectations, count.into()]
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_answer_is_what_then_happens_and_asking_changes_nothing() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let loader = loader(&site, &in_mode(mode, RULES));
        let _loader = attach(&loader, &[INTERFACE]);
        let before = everything(&loader);
        check_port(&loader, 22, ["accept", "rule"], Some("ssh"));
        check_port(&loader, 23, ["drop", "rule-drop"], Some("no telnet"));
        check_port(&loader, 24, ["reject", "policy-reject"], Some("policy incoming"));
        check(
            &loader,
            &["udp", "10.94.0.2:700", "10.94.0.1:10080"],
            ["accept", "amanda-control"],
            None,
        );
        check(
            &loader,
            &["udp", "10.94.0.3:700", "10.94.0.1:10080"],
            ["reject", "policy-reject"],
            Some("policy incoming"),
        );
        check(&loader, &["icmp", PEER[0], HOST[0]], ["accept", "rule"], Some("icmp"));
        check(
            &loader,
            &["icmpv6", PEER[1], HOST[1], "--icmp-type", "echo-reply"],
            ["drop", "unsolicited"],
            None,
        );
        check(
            &loader,
            &["tcp", "10.94.0.1:40000", "10.94.0.2:25", "--out", INTERFACE],
            ["accept", "policy-accept"],
            Some("policy outgoing"),
        );
        check(
            &loader,
            &["tcp", "10.94.0.2:1", "10.94.0.1:22", "--flags", "SYN,FIN"],
            ["drop", "tcp-flags"],
            None,
        );
        let logged = json(&loader, &["explain", "tcp", "10.94.0.2:1", "10.94.0.1:23"]);
        assert_eq!(logged["log"]["name"], "watch", "{logged}");
        assert_eq!(everything(&loader), before, "{mode}");
        // The one connection that the limit allows is still to be had, and its flow is known then.
        let connection = Connection::open(&site.peer, &site.host, endpoint(HOST[0], 22));
        let connection = connection.expect("the limit was not used");
        let end = |end: std::io::Result<std::net::SocketAddr>| end.expect("an end").to_string();
        let (from, to) = (end(connection.client.local_addr()), end(connection.client.peer_addr()));
        check(
            &loader,
            &["tcp", &from, &to, "--flags", "ACK"],
            ["accept", "established"],
            Some("ssh"),
        );
        check_port(&loader, 22, ["drop", "rate-limited"], Some("ssh"));
        assert!(!is_open(&site, 22) && !is_open(&site, 23) && !is_open(&site, 24));
        assert_eq!(packets(&loader, "no telnet"), Some(1), "{mode}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_configuration_answers_like_the_programs() {
    let site = Site::new();
    let loader = loader(&site, RULES);
    let _loader = attach(&loader, &[INTERFACE]);
    for words in [tcp(22), tcp(23), tcp(24)] {
        let words = words.each_ref().map(String::as_str);
        let ask = |more: &[&str]| {
            let mut answer = json(&loader, &[&["explain"], &words[..], more].concat());
            answer.as_object_mut().expect("an object").remove("decided_by");
            answer
        };
        let file = loader.config().to_str().expect("a path").to_owned();
        let offline = ["--offline", "--in", INTERFACE, "--config", &file];
        assert_eq!(ask(&offline), ask(&[]), "{words:?}");
    }
    let text = run_alone(&loader, &["explain", "tcp", "10.94.0.2:1", "10.94.0.1:23"]).stdout;
    assert!(text.starts_with("drop: tcp 10.94.0.2:1 > 10.94.0.1:23 SYN in on eth0\n"), "{text}");
    assert!(text.contains("\"no telnet\" in line "), "{text}");
}
