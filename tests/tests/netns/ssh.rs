//! The firewall attached over ssh, or beside it: open sessions go on, and nobody is locked out.

use std::time::Duration;

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::process::{self, Child, Finished};
use amanda_fw_tests::ssh::{Server, Session};
use amanda_fw_tests::wait;

use crate::site::{DENY, HOST, INTERFACE, PEER, Site};

/// The longest that an attached loader may take to say so, or to notice that it was detached.
const NOTICE: Duration = Duration::from_secs(30);

/// An interface that no session comes by.
const ASIDE: &str = "tun0";

const SSH: &str = r#"
[[rule]]
name = "ssh"
protocol = "tcp"
ports = 22
action = "accept"
"#;

/// Attaches, and takes what sshd says of the session away from what is attached, as sudo does.
const LIKE_SUDO: &str = "env -u SSH_CONNECTION -u SSH_CLIENT";

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_open_session_goes_on_through_a_firewall_s_life() {
    for (port, address) in [(22, HOST[0]), (2022, HOST[1])] {
        let site = Site::new();
        let server = server(&site, port);
        let open = || Session::open(&site.bench, &server, &site.peer, address).expect("it opens");
        let mut sessions = [open(), open()];
        let loader = loader(&site, DENY);
        let child = attach(&loader);
        use_both_ways(&mut sessions);
        assert!(!answers(&site, &server, address), "a new session is let in");
        // Its guard sends SIGKILL.
        drop(child);
        use_both_ways(&mut sessions);
        let child = attach(&loader);
        use_both_ways(&mut sessions);
        assert!(!answers(&site, &server, address), "a new session is let in");
        drop(child);
        let detached = loader.run(&["detach"]).expect("amanda-fw can be run");
        assert!(detached.is_success(), "{detached}");
        use_both_ways(&mut sessions);
        assert!(answers(&site, &server, address), "the firewall is off");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn who_would_be_locked_out_is_told() {
    for (family, prefix) in [(0, ""), (1, ""), (0, LIKE_SUDO)] {
        check_refused(22, DENY, family, |line| format!("{prefix} {line}"));
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn who_would_be_locked_out_is_told_in_a_shell_of_sudo_s() {
    // The outer shell knows of the session; it must not be replaced by the inner one.
    check_refused(22, DENY, 0, |line| format!("{LIKE_SUDO} sh -c \"{line}; exit \\$?\"; exit $?"));
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_for_another_port_does_not_help() {
    check_refused(2022, &format!("{DENY}{SSH}"), 0, str::to_owned);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_session_that_comes_by_an_interface_attached_before_counts() {
    let site = Site::new();
    add_aside(&site);
    let (server, loader) = (server(&site, 22), loader(&site, &format!("{DENY}{SSH}")));
    // Its guard sends SIGKILL; the new rules hold for its interface as well.
    drop(attach(&loader));
    loader.write_config(DENY).expect("a config can be written");
    let line = loader.command_line(&format!("attach {ASIDE}"));
    let mut ssh = server.command(&site.peer, HOST[0], &line);
    check_words(&process::run(&mut ssh, NOTICE).expect("ssh can be run"), 22, 0);
    assert!(answers(&site, &server, HOST[0]), "the firewall is as it was");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_rule_for_ssh_lets_attach_over_ssh() {
    check_attached(&format!("{DENY}{SSH}"), &format!("attach {INTERFACE}"), true, &[]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn force_attaches_over_ssh_with_a_warning() {
    let words = ["warning: ", PEER[0], "port 22", "the policy for incoming packets"];
    check_attached(DENY, &format!("attach --force {INTERFACE}"), false, &words);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_reload_over_ssh_locks_nobody_out_unless_it_is_forced() {
    let site = Site::new();
    let (server, loader) = (server(&site, 22), loader(&site, &format!("{DENY}{SSH}")));
    let _child = attach(&loader);
    loader.write_config(DENY).expect("a config can be written");
    let reload = |arguments: &str| {
        let mut ssh = server.command(&site.peer, HOST[0], &loader.command_line(arguments));
        process::run(&mut ssh, NOTICE).expect("ssh can be run").to_string()
    };
    let refused = reload("reload");
    for words in ["exit status: 1", "the policy for incoming packets", "reload with --force"] {
        assert!(refused.contains(words), "no {words:?} in: {refused}");
    }
    assert!(answers(&site, &server, HOST[0]), "the rules before are in force");
    let forced = reload("reload --force");
    for words in ["exit status: 0", "warning: this would lock you out", "reloaded "] {
        assert!(forced.contains(words), "no {words:?} in: {forced}");
    }
    assert!(!answers(&site, &server, HOST[0]), "the rules are in force");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_interface_that_the_session_does_not_come_by_is_attached() {
    check_attached(DENY, &format!("attach {ASIDE}"), true, &[]);
}

/// Has a loader attach in an ssh session, and checks that it refuses and changes nothing.
#[track_caller]
fn check_refused(port: u16, config: &str, family: usize, wrap: impl Fn(&str) -> String) {
    let site = Site::new();
    let (server, loader) = (server(&site, port), loader(&site, config));
    let before = site.attachments();
    let line = wrap(&loader.command_line(&format!("attach {INTERFACE}")));
    let mut ssh = server.command(&site.peer, HOST[family], &line);
    let finished = process::run(&mut ssh, NOTICE).expect("ssh can be run");
    check_words(&finished, port, family);
    assert_eq!(site.attachments(), before, "what is attached");
    assert!(!loader.pins().exists(), "{} is left", loader.pins().display());
    assert!(answers(&site, &server, HOST[family]));
}

#[track_caller]
fn check_words(finished: &Finished, port: u16, family: usize) {
    assert!(finished.to_string().contains("exit status: 1"), "{finished}");
    let port_words = [format!("{} port {port}", HOST[family]), format!("ports = {port}")];
    let from = format!("from = \"{}\"", PEER[family]);
    let words = [PEER[family], &from, "the policy for incoming packets", "--force", "--confirm"];
    for word in words.into_iter().chain(port_words.iter().map(String::as_str)) {
        assert!(finished.stderr.contains(word), "no {word:?} in: {finished}");
    }
}

/// Has a loader attach in an ssh session, and checks whether a new one is let in afterwards, and
/// that the loader's goes on.
#[track_caller]
fn check_attached(config: &str, arguments: &str, lets_in: bool, words: &[&str]) {
    let site = Site::new();
    add_aside(&site);
    let (server, loader) = (server(&site, 22), loader(&site, config));
    let line = loader.command_line(arguments);
    let child = Child::spawn(&mut server.command(&site.peer, HOST[0], &line)).expect("ssh runs");
    wait::until("amanda-fw to attach over ssh", NOTICE, || {
        Ok(child.stdout().text()?.contains("attached ").then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:?} {:?}", child.stderr().text()));
    assert_eq!(answers(&site, &server, HOST[0]), lets_in, "whether a new session is let in");
    let detached = loader.run(&["detach"]).expect("amanda-fw can be run");
    assert!(detached.is_success(), "{detached}");
    let finished = child.finish(NOTICE).expect("ssh ends");
    assert!(finished.is_success(), "{finished}");
    assert!(finished.stdout.contains("detached by another"), "{finished}");
    for word in words {
        assert!(finished.stdout.contains(word), "no {word:?} in: {finished}");
    }
}

/// Uses one session from the server's side first, the other one from the client's.
#[track_caller]
fn use_both_ways([one, other]: &mut [Session; 2]) {
    let used = one.speak_from_server().and_then(|()| one.speak_from_client());
    used.expect("the session that the server uses first goes on");
    let used = other.speak_from_client().and_then(|()| other.speak_from_server());
    used.expect("the session that the client uses first goes on");
}

#[track_caller]
fn attach(loader: &Loader<'_>) -> Child {
    loader.attach(&["--force", INTERFACE]).unwrap_or_else(|error| panic!("{error:?}"))
}

fn server(site: &Site, port: u16) -> Server {
    Server::start(&site.bench, &site.host, port).expect("sshd starts")
}

fn loader<'a>(site: &'a Site, config: &str) -> Loader<'a> {
    Loader::new(&site.bench, &site.host, config).expect("amanda-fw can be found")
}

fn answers(site: &Site, server: &Server, address: &str) -> bool {
    server.answers(&site.peer, address).expect("ssh can be run")
}

/// Adds an interface that no session comes by.
fn add_aside(site: &Site) {
    let mut add = site.host.enter_net_only("ip");
    add.args(["tuntap", "add", "dev", ASIDE, "mode", "tun"]);
    let added = process::run(&mut add, NOTICE).expect("ip can be run");
    assert!(added.is_success(), "{added}");
}
