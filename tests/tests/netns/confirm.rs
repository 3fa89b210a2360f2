//! A firewall that has to be confirmed: it stays when it is, and lets everything pass when not.

use std::thread;
use std::time::Duration;

use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::ssh::{Server, Session};
use amanda_fw_tests::wait;
use serde_json::Value;

use crate::operator::{
    NOTICE, REFUSE, attach, check_open, end, is_open, json, loader, refuse, reload, rule, run,
    run_alone, wait_for,
};
use crate::site::{HOST, INTERFACE, Site};

/// A time that nobody waits for, and one that passes while somebody waits.
const LONG: &str = "10m";
const SHORT: &str = "3s";

/// A time in which a firewall is confirmed, and for how much longer it is watched.
const TIME_TEXT: &str = "25s";
const TIME: Duration = Duration::from_secs(25);
const MARGIN: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_confirmed_firewall_stays() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let loader = loader(&site, REFUSE);
        let child = attach(&loader, &["--mode", mode, "--confirm", TIME_TEXT, INTERFACE]);
        check_open(&site, &[(2001, false)]);
        check_status(&loader, "pending", "unless `amanda-fw confirm` comes");
        let said = run_alone(&loader, &["confirm"]);
        assert_eq!(said.stdout, "confirmed\n", "{said}");
        check_status(&loader, "none", "number 1");
        let said = run_alone(&loader, &["confirm"]);
        assert_eq!(said.stdout, "nothing waits to be confirmed\n", "{said}");
        thread::sleep(TIME + MARGIN);
        check_open(&site, &[(2001, false)]);
        end(child);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_firewall_that_nobody_confirms_is_taken_off() {
    let site = Site::new();
    let (loader, before) = (loader(&site, REFUSE), site.attachments());
    let child = attach(&loader, &["--confirm", SHORT, INTERFACE]);
    wait_for(&child, "`amanda-fw confirm` within 3s");
    let finished = child.finish(NOTICE).expect("amanda-fw ends");
    assert!(finished.to_string().contains("exit status: 1\n"), "{finished}");
    assert!(finished.stderr.contains("not confirmed in time by `amanda-fw confirm`"), "{finished}");
    let gone = wait::within(NOTICE, || Ok((site.attachments() == before).then_some(())));
    assert!(gone.is_ok_and(|gone| gone.is_some()), "{}\nwas {before}", site.attachments());
    assert!(!loader.pins().exists(), "{} is left", loader.pins().display());
    check_open(&site, &[(2001, true)]);
    refuse(&loader, &["confirm"], 1, &["no firewall is attached"]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn everything_passes_in_time_without_the_loader() {
    for mode in ["tc", "xdp"] {
        let site = Site::new();
        let loader = loader(&site, REFUSE);
        drop(attach(&loader, &["--mode", mode, "--confirm", SHORT, INTERFACE]));
        wait_until(&site, 2001);
        check_status(&loader, "missed", "EVERYTHING PASSES");
        refuse(&loader, &["confirm"], 1, &["too late", "amanda-fw attach"]);
        refuse(&loader, &["reload"], 1, &["not confirmed in time", "amanda-fw attach"]);
        check_status(&loader, "missed", "EVERYTHING PASSES");
        check_open(&site, &[(2001, true)]);
        let child = attach(&loader, &["--mode", mode, INTERFACE]);
        check_status(&loader, "none", "number 2");
        check_open(&site, &[(2001, false)]);
        end(child);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_reload_does_not_confirm() {
    let site = Site::new();
    let loader = loader(&site, REFUSE);
    drop(attach(&loader, &["--confirm", LONG, INTERFACE]));
    reload(&loader, &format!("{REFUSE}{}", rule("a", 2001)));
    check_status(&loader, "pending", "number 2");
    check_open(&site, &[(2001, true), (2002, false)]);
    run_alone(&loader, &["confirm"]);
    check_status(&loader, "none", "number 2");
    run(&loader, &["detach"]);
    drop(attach(&loader, &["--confirm", SHORT, INTERFACE]));
    let reloaded = loader.run(&["reload"]).expect("amanda-fw can be run");
    // On a slow machine the time may have passed already.
    let in_time = reloaded.is_success() || reloaded.stderr.contains("not confirmed in time");
    assert!(in_time, "{reloaded}");
    wait_until(&site, 2002);
    check_status(&loader, "missed", "EVERYTHING PASSES");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_killed_reload_does_not_keep_a_firewall_from_being_confirmed() {
    let site = Site::new();
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &["--confirm", TIME_TEXT, INTERFACE]);
    for part in 0..10 {
        let reload = loader.start(&["reload"]).expect("it can be started");
        thread::sleep(Duration::from_millis(40 * part));
        // Its guard sends SIGKILL.
        drop(reload);
    }
    run_alone(&loader, &["confirm"]);
    thread::sleep(TIME + MARGIN);
    check_open(&site, &[(2001, false)]);
    end(child);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_session_goes_on_whatever_becomes_of_the_firewall() {
    let site = Site::new();
    let server = Server::start(&site.bench, &site.host, 22).expect("sshd starts");
    let mut session =
        Session::open(&site.bench, &server, &site.peer, HOST[0]).expect("a session opens");
    let mut speak = |when: &str| {
        let spoken = session.speak_from_server().and_then(|()| session.speak_from_client());
        spoken.unwrap_or_else(|error| panic!("{when}: {error:?}"));
    };
    let answers = || server.answers(&site.peer, HOST[0]).expect("ssh can be run");
    let loader = loader(&site, REFUSE);
    let child = attach(&loader, &["--confirm", LONG, "--force", INTERFACE]);
    speak("attached");
    assert!(!answers(), "a new session is let in");
    reload(&loader, &format!("{REFUSE}{}", rule("ssh", 22)));
    speak("reloaded");
    assert!(answers(), "a new session is kept out");
    reload(&loader, REFUSE);
    speak("reloaded again");
    run_alone(&loader, &["confirm"]);
    speak("confirmed");
    assert!(!answers(), "a new session is let in");
    // Its guard sends SIGKILL.
    drop(child);
    speak("without the loader");
    drop(attach(&loader, &["--confirm", SHORT, "--force", INTERFACE]));
    wait_until(&site, 2001);
    speak("unconfirmed, without the loader");
    assert!(answers(), "everything passes");
    let child = attach(&loader, &["--confirm", SHORT, "--force", INTERFACE]);
    speak("attached again");
    let finished = child.finish(NOTICE).expect("amanda-fw ends");
    assert!(!finished.is_success(), "{finished}");
    speak("taken off");
    assert!(answers(), "everything passes");
}

/// Checks what `status` says about the confirmation, in JSON and to people.
#[track_caller]
fn check_status(loader: &Loader<'_>, confirmation: &str, words: &str) {
    let status = json(loader, &["status"]);
    let ruleset = &status["ruleset"];
    assert_eq!(ruleset["confirmation"], confirmation, "{ruleset}");
    let seconds = &ruleset["confirm_seconds"];
    assert_eq!(*seconds != Value::Null, confirmation == "pending", "{ruleset}");
    let text = run_alone(loader, &["status"]);
    assert!(text.stdout.contains(words), "no {words:?} in {text}");
}

/// Waits until a port is open that the rules keep shut.
#[track_caller]
fn wait_until(site: &Site, port: u16) {
    let open = wait::within(NOTICE, || Ok(is_open(site, port).then_some(())));
    assert!(open.is_ok_and(|open| open.is_some()), "{port} is shut");
}
