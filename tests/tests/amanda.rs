//! Real Amanda: dumps and recoveries across the firewall, across its peers, and without any.

use std::time::Duration;

use amanda_fw_tests::bench::reloads;
use amanda_fw_tests::{
    amanda::{
        Auth, CLIENT, CLIENT_V6, CONTROL_SERVICE, Plan, SERVER, SERVER_V6, Site, client_policy,
        server_policy,
    },
    firewall::Firewall,
    lan::INTERFACE,
    nft::NftPolicy,
    scan::{self, ALL_PORTS, Transport},
    wait,
};

const CHECK: Duration = Duration::from_secs(60);
const DUMP: Duration = Duration::from_secs(180);
const RECOVERY: Duration = Duration::from_secs(60);
/// What a dump takes to reach the gate, or to fail once connections time out quickly.
const PROGRESS: Duration = Duration::from_secs(90);

const ANOTHER_RULE: &str = r#"
[[rule]]
name = "another"
protocol = "tcp"
ports = 9
action = "accept"
"#;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn dump_and_recovery_cross_a_default_deny_firewall_on_both_hosts() {
    let site = site(Plan { gate: true, ..Plan::default() });
    let (server, client) = firewalls(&site);
    check_amcheck(&site);

    site.close_gate().expect("the gate can be closed");
    let amdump = site.start_amdump().expect("amdump can be started");
    wait::until("the gated dump", PROGRESS, || Ok(site.is_gate_reached().then_some(())))
        .expect("the gated dump begins");
    let status = client.status(&[]).expect("status answers during a dump");
    assert!(status.contains("sendbackup"), "{status}");
    let json = server.status(&["--json"]).expect("status answers during a dump");
    assert!(json.contains("sendbackup"), "{json}");
    check_nothing_open(&site);
    site.open_gate().expect("the gate can be opened");
    check_dump(&site, site.finish_amdump(amdump, DUMP));

    check_recovery(&site);
    check_peers_find_nothing_open(&site);
    check_events(&client, "sendbackup", &["DATA", "MESG", "INDEX", "STATE"]);
    check_events(&server, "amidxtaped", &["CTL", "DATA", "STATE"]);
    for firewall in [server, client] {
        let finished = firewall.detach().expect("amanda-fw can be interrupted");
        assert!(finished.is_success(), "{finished}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_dump_crosses_the_firewall_while_it_is_reloaded() {
    let site = site(Plan { gate: true, ..Plan::default() });
    let (server, client) = firewalls(&site);
    let both = [(&server, server_policy()), (&client, client_policy())];
    site.close_gate().expect("the gate can be closed");
    let amdump = site.start_amdump().expect("amdump can be started");
    // Those between are sure to meet open streams.
    let dumping = reloads() / 10..reloads() * 6 / 10;
    for round in 0..reloads() {
        if round == dumping.start {
            wait::until("the gated dump", PROGRESS, || Ok(site.is_gate_reached().then_some(())))
                .expect("the gated dump begins");
        }
        if round == dumping.end {
            site.open_gate().expect("the gate can be opened");
        }
        for (firewall, policy) in &both {
            // A rule more before all others, or not.
            let rule = if round % 2 == 0 { ANOTHER_RULE } else { "" };
            let said = firewall.reload(&format!("{policy}{rule}")).expect("a reload succeeds");
            assert!(said.starts_with("reloaded "), "{said}");
        }
    }
    check_dump(&site, site.finish_amdump(amdump, DUMP));
    check_recovery(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn dumps_without_index_cross_the_firewall() {
    check_across_the_firewall(Plan { index: false, disk_count: 4, ..Plan::default() });
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn dumps_straight_to_tape_cross_the_firewall() {
    check_across_the_firewall(Plan { holding_disk: false, disk_count: 4, ..Plan::default() });
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bsdudp_crosses_the_firewall() {
    check_across_the_firewall(Plan { auth: Auth::BsdUdp, disk_count: 4, ..Plan::default() });
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bsdtcp_crosses_the_firewall() {
    check_across_the_firewall(Plan { auth: Auth::BsdTcp, disk_count: 4, ..Plan::default() });
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_same_dump_fails_behind_nft_without_the_helper() {
    let site = impatient_site(Plan { disk_count: 1, ..Plan::default() });
    let _policies = [
        NftPolicy::without_helper(site.server.network()).expect("nft can be loaded"),
        NftPolicy::without_helper(site.client.network()).expect("nft can be loaded"),
    ];
    check_amcheck(&site);
    check_stream_is_refused(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_same_dump_crosses_nft_with_the_helper_but_its_recovery_does_not() {
    let site = impatient_site(Plan { disk_count: 4, ..Plan::default() });
    let _policies = helper_policies(&site);
    check_amcheck(&site);
    check_dump(&site, site.amdump(DUMP));
    let recovery = site.amrecover(&site.plan.disks()[0], RECOVERY).expect("amrecover can be run");
    assert_eq!(recovery.bytes, None, "{}", recovery.finished);
    let said = format!("{}{}", recovery.finished.stdout, recovery.finished.stderr);
    assert!(said.contains("could not connect CTL stream"), "{}", recovery.finished);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn dumps_without_index_fail_behind_nft_with_the_helper() {
    let site = impatient_site(Plan { index: false, disk_count: 1, ..Plan::default() });
    let _policies = helper_policies(&site);
    check_stream_is_refused(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn dump_and_recovery_work_without_a_firewall() {
    let site = site(Plan::default());
    check_amcheck(&site);
    check_dump(&site, site.amdump(DUMP));
    check_recovery(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_scan_finds_what_no_firewall_hides() {
    let site = site(Plan { disk_count: 1, ..Plan::default() });
    for address in [SERVER, CLIENT, SERVER_V6, CLIENT_V6] {
        let found = scan::scan(&site.stranger, Transport::Tcp, address, ALL_PORTS)
            .expect("a scan can be run");
        assert_eq!(scan::open(&found), [CONTROL_SERVICE], "{address}");
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_scan_finds_nothing_behind_a_default_deny_policy() {
    let site = site(Plan { disk_count: 1, ..Plan::default() });
    let _policies = helper_policies(&site);
    check_nothing_open(&site);
}

fn check_across_the_firewall(plan: Plan) {
    let site = site(plan);
    let _firewalls = firewalls(&site);
    check_amcheck(&site);
    check_dump(&site, site.amdump(DUMP));
    if plan.index {
        check_recovery(&site);
    }
}

fn check_amcheck(site: &Site) {
    let check = site.amcheck(CHECK).expect("amcheck can be run");
    assert!(check.is_success() && check.stdout.contains(" 0 problems found"), "{check}");
}

fn check_dump(site: &Site, dump: anyhow::Result<amanda_fw_tests::amanda::Dump>) {
    let dump = dump.expect("amdump can be run");
    assert!(dump.finished.is_success(), "{}", dump.account());
    assert_eq!(dump.success_count(), site.plan.dump_count(), "{}", dump.account());
}

fn check_recovery(site: &Site) {
    let disk = &site.plan.disks()[0];
    let recovery = site.amrecover(disk, RECOVERY).expect("amrecover can be run");
    let original = site.original(disk).expect("the file is on the disk");
    // Not `assert_eq`: it would print three million bytes.
    assert!(recovery.bytes.as_ref() == Some(&original), "{}", recovery.finished);
}

/// Checks that a dump announces its streams and cannot connect to one of them; the rest of the run,
/// which tries again for minutes, ends with the site.
fn check_stream_is_refused(site: &Site) {
    let _amdump = site.start_amdump().expect("amdump can be started");
    let refused = wait::within(PROGRESS, || {
        let trace = site.dump_trace()?;
        Ok(trace.contains("could not connect").then_some(trace))
    });
    let trace = refused.expect("amdump's trace can be read");
    assert!(trace.is_some(), "{}", site.dump_trace().unwrap_or_default());
    assert_ne!(site.announced_ports().expect("amandad's files can be read"), []);
    let log = site.dump_log().expect("amanda's log can be read");
    assert!(!log.contains("SUCCESS dumper"), "{log}");
}

fn check_nothing_open(site: &Site) {
    let targets = [SERVER, CLIENT, SERVER_V6, CLIENT_V6];
    let scans = targets.map(|address| {
        [Transport::Tcp, Transport::Udp].map(|transport| {
            scan::start(&site.stranger, transport, address, ALL_PORTS).expect("nmap can be started")
        })
    });
    for (scans, address) in scans.into_iter().zip(targets) {
        for scan in scans {
            let found = scan::finish(scan).expect("nmap ends");
            assert_eq!(scan::open(&found), [], "{address}");
        }
    }
}

/// Checks that being Amanda's peer opens no other service; a scan during a dump would use up the
/// streams that the dump waits for.
fn check_peers_find_nothing_open(site: &Site) {
    for (from, address) in [(&site.server, CLIENT), (&site.client, SERVER)] {
        let found = scan::scan(from.network(), Transport::Tcp, address, ALL_PORTS)
            .expect("a scan can be run");
        assert_eq!(scan::open(&found), [], "{address}");
    }
}

/// Checks that decisions name each of the streams beside the service that announced it.
fn check_events(firewall: &Firewall<'_>, service: &str, streams: &[&str]) {
    let events = firewall.events().and_then(|events| events.text()).expect("events can be read");
    for stream in streams {
        let named = events.lines().any(|line| has_word(line, service) && has_word(line, stream));
        assert!(named, "no {stream} of {service} in:\n{events}");
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric()).any(|candidate| candidate == word)
}

fn site(plan: Plan) -> Site {
    Site::new(plan).expect("a site can be set up")
}

/// Returns a site whose TCP gives up after three seconds instead of two minutes.
fn impatient_site(plan: Plan) -> Site {
    let site = site(plan);
    for host in [&site.server, &site.client] {
        host.network().set_sysctl("net/ipv4/tcp_syn_retries", "1").expect("the sysctl can be set");
    }
    site
}

fn firewalls(site: &Site) -> (Firewall<'_>, Firewall<'_>) {
    let attach = |network, policy: &str| {
        Firewall::attach(site.bench(), network, INTERFACE, policy).expect("amanda-fw attaches")
    };
    (
        attach(site.server.network(), &server_policy()),
        attach(site.client.network(), &client_policy()),
    )
}

fn helper_policies(site: &Site) -> [NftPolicy<'_>; 2] {
    [&site.server, &site.client]
        .map(|host| NftPolicy::with_helper(host.network()).expect("nft can be loaded"))
}
