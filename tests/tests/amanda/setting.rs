//! What every test with real Amanda begins with, and what it looks at.

use std::time::Duration;

use amanda_fw_tests::amanda::{Dump, Plan, Recovery, Site, client_policy, server_policy};
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::lan::INTERFACE;
use amanda_fw_tests::nft::NftPolicy;
use amanda_fw_tests::process::Child;
use amanda_fw_tests::wait;
use anyhow::{Context, Result, bail};
use serde_json::Value;

const CHECK: Duration = Duration::from_secs(60);
pub(crate) const DUMP: Duration = Duration::from_secs(180);
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);
/// What a dump takes to reach the gate, or to fail once connections time out quickly.
pub(crate) const PROGRESS: Duration = Duration::from_secs(90);

pub(crate) fn site(plan: Plan) -> Site {
    Site::new(plan).expect("a site can be set up")
}

/// Returns a site whose TCP gives up after three seconds instead of two minutes.
pub(crate) fn impatient_site(plan: Plan) -> Site {
    let site = site(plan);
    for host in [&site.server, &site.client] {
        host.network().set_sysctl("net/ipv4/tcp_syn_retries", "1").expect("the sysctl can be set");
    }
    site
}

/// Attaches amanda-fw on the server and on the client.
pub(crate) fn firewalls(site: &Site) -> (Firewall<'_>, Firewall<'_>) {
    firewalls_of(site, &server_policy(), &client_policy())
}

/// Does the same with other configs.
pub(crate) fn firewalls_of<'a>(
    site: &'a Site,
    server: &str,
    client: &str,
) -> (Firewall<'a>, Firewall<'a>) {
    let attach = |network, policy: &str| {
        Firewall::attach(site.bench(), network, INTERFACE, policy).expect("amanda-fw attaches")
    };
    (attach(site.server.network(), server), attach(site.client.network(), client))
}

pub(crate) fn helper_policies(site: &Site) -> [NftPolicy<'_>; 2] {
    [&site.server, &site.client]
        .map(|host| NftPolicy::with_helper(host.network()).expect("nft can be loaded"))
}

/// Starts amdump with every gate closed.
pub(crate) fn start_gated_dump(site: &Site) -> Child {
    site.close_gate().expect("the gates can be closed");
    site.start_amdump().expect("amdump can be started")
}

/// Waits until every gated dump is held open.
pub(crate) fn wait_for_gates(site: &Site) {
    wait::until("the gated dumps", PROGRESS, || Ok(site.is_gate_reached()?.then_some(())))
        .expect("the gated dumps begin");
}

/// Lets the gated dumps end, and checks that the whole run succeeds.
pub(crate) fn check_gated_dump(site: &Site, amdump: Child) {
    site.open_gate().expect("the gates can be opened");
    check_dump(site, site.finish_amdump(amdump, DUMP));
}

/// Returns an answer of the loader's in JSON.
pub(crate) fn json(firewall: &Firewall<'_>, question: &[&str]) -> Result<Value> {
    let (subcommand, arguments) = question.split_first().context("ask nothing")?;
    let answer = firewall.ask(subcommand, &[arguments, &["--json"]].concat())?;
    serde_json::from_str(&answer).context("read an answer in JSON")
}

/// Returns how many packets the firewall has decided for a reason.
pub(crate) fn packets(firewall: &Firewall<'_>, reason: &str) -> Result<u64> {
    let status = json(firewall, &["status"])?;
    let reasons = status["reasons"].as_array().context("find the reasons")?;
    let found = reasons.iter().find(|found| found["name"] == reason);
    found.and_then(|found| found["packets"].as_u64()).with_context(|| format!("find {reason}"))
}

/// Returns the sessions of a service.
pub(crate) fn sessions(firewall: &Firewall<'_>, service: &str) -> Result<Vec<Value>> {
    let Value::Array(mut sessions) = json(firewall, &["list", "sessions"])? else {
        bail!("the loader lists no sessions");
    };
    sessions.retain(|session| session["service"] == service);
    Ok(sessions)
}

/// Returns the sessions of a service that have a stream of a name open.
pub(crate) fn open_sessions(
    firewall: &Firewall<'_>,
    service: &str,
    stream: &str,
) -> Result<Vec<Value>> {
    let is_open = |found: &Value| found["name"] == stream && found["state"] == "open";
    let mut sessions = sessions(firewall, service)?;
    sessions.retain(|session| session["streams"].as_array().is_some_and(|s| s.iter().any(is_open)));
    Ok(sessions)
}

pub(crate) fn check_amcheck(site: &Site) {
    let check = site.amcheck(CHECK).expect("amcheck can be run");
    assert!(check.is_success() && check.stdout.contains(" 0 problems found"), "{check}");
}

pub(crate) fn check_dump(site: &Site, dump: Result<Dump>) {
    let dump = dump.expect("amdump can be run");
    assert!(dump.finished.is_success(), "{}", dump.account());
    assert_eq!(dump.success_count(), site.plan.dump_count(), "{}", dump.account());
}

pub(crate) fn check_recovery(site: &Site) {
    check_recovery_of(site, &site.plan.disks()[0]);
}

pub(crate) fn check_recovery_of(site: &Site, disk: &str) {
    check_bytes(site, disk, site.amrecover(disk, RECOVERY));
}

/// Checks that the file came back as it is on the disk.
pub(crate) fn check_bytes(site: &Site, disk: &str, recovery: Result<Recovery>) {
    let recovery = recovery.expect("a recovery can be run");
    let original = site.original(disk).expect("the file is on the disk");
    // Not `assert_eq`: it would print three million bytes.
    assert!(recovery.bytes.as_ref() == Some(&original), "{}", recovery.finished);
}

/// Checks that decisions name each of the streams beside the service that announced it.
pub(crate) fn check_events(firewall: &Firewall<'_>, service: &str, streams: &[&str]) {
    let events = firewall.events().and_then(|events| events.text()).expect("events can be read");
    for stream in streams {
        let named = events.lines().any(|line| has_word(line, service) && has_word(line, stream));
        assert!(named, "no {stream} of {service} in:\n{events}");
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric()).any(|candidate| candidate == word)
}

/// Checks that the reply to an estimate is lost that comes after `forget` has made netfilter forget
/// its control flow; the rest of the run, which tries again for minutes, ends with the site.
pub(crate) fn check_lost_estimate(site: &Site, forget: impl FnOnce()) {
    site.hold_estimates().expect("estimates can be held");
    let _amdump = site.start_amdump().expect("amdump can be started");
    wait::until("an estimate", PROGRESS, || Ok(site.is_estimate_held().then_some(())))
        .expect("an estimate begins");
    forget();
    site.release_estimates().expect("estimates can be released");
    wait::until("the loss of the reply", PROGRESS, || {
        let lost = site.amandad_debug()?.contains("timeout waiting for ACK for our REP");
        Ok(lost.then_some(()))
    })
    .expect("amandad repeats its reply in vain");
    let log = site.dump_log().expect("amanda's log can be read");
    assert!(!log.contains("SUCCESS dumper"), "{log}");
}
