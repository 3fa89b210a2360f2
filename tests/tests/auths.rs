//! Real Amanda by one authentication at a time, and amoldrecover, behind firewalls that name it.

use std::time::Duration;

use amanda_fw_tests::{
    amanda::{Auth, Plan, Recovery, SERVER, Site, client_policy, server_policy},
    firewall::Firewall,
    lan::INTERFACE,
    scan::{self, ALL_PORTS, Transport},
};

const DUMP: Duration = Duration::from_secs(180);
const RECOVERY: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amoldrecover_recovers_without_a_firewall() {
    let site = site(Auth::Bsd);
    check_dump(&site);
    check_classic(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amoldrecover_crosses_firewalls_that_know_classic() {
    let site = site(Auth::Bsd);
    let [server, client] = firewalls(&site, r#"["bsd", "classic"]"#);
    check_dump(&site);
    for _ in 0..2 {
        check_classic(&site);
    }
    for firewall in [&server, &client] {
        let status = firewall.status(&[]).expect("status answers");
        assert!(status.contains("amidxtaped  10.84.0.2 > 10.84.0.1  done"), "{status}");
        let is_closed = |line: &str| line.split_whitespace().take(3).eq(["CTL", "10083", "closed"]);
        assert!(status.lines().any(is_closed), "{status}");
        let events = firewall.events().and_then(|events| events.text()).expect("events");
        let announced = events.lines().filter(|line| line.contains("REP amidxtaped CONNECT CTL"));
        assert_eq!(announced.count(), 2, "{events}");
        assert!(events.contains("SYN amidxtaped DATA"), "{events}");
    }
    check_nothing_open(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amoldrecover_does_not_cross_firewalls_that_do_not_know_classic() {
    let site = site(Auth::Bsd);
    site.client.network().set_sysctl("net/ipv4/tcp_syn_retries", "1").expect("a sysctl");
    let _firewalls = firewalls(&site, r#"["bsd"]"#);
    check_dump(&site);
    let recovery = classic(&site);
    assert_eq!(recovery.bytes, None, "{}", recovery.finished);
    assert!(recovery.finished.stderr.contains("cannot connect to"), "{}", recovery.finished);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn dumps_and_recoveries_cross_firewalls_that_know_their_auth_alone() {
    for (auth, name) in [(Auth::Bsd, "bsd"), (Auth::BsdUdp, "bsdudp"), (Auth::BsdTcp, "bsdtcp")] {
        let site = site(auth);
        let _firewalls = firewalls(&site, &format!("\"{name}\""));
        check_dump(&site);
        let disk = &site.plan.disks()[0];
        let recovery = site.amrecover(disk, RECOVERY).expect("amrecover can be run");
        check_recovered(&site, disk, &recovery);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_dump_does_not_cross_firewalls_that_know_other_auths() {
    let site = site(Auth::BsdTcp);
    for host in [&site.server, &site.client] {
        host.network().set_sysctl("net/ipv4/tcp_syn_retries", "1").expect("a sysctl");
    }
    let _firewalls = firewalls(&site, r#"["bsd", "bsdudp", "ssh", "krb5"]"#);
    let check = site.amcheck(DUMP).expect("amcheck can be run");
    assert!(check.stdout.contains("1 problem found"), "{check}");
}

fn site(auth: Auth) -> Site {
    let plan = Plan { auth, disk_count: 2, classic: true, ..Plan::default() };
    Site::new(plan).expect("a site can be set up")
}

/// Attaches a firewall to both hosts that knows some auths and no others.
fn firewalls<'a>(site: &'a Site, auths: &str) -> [Firewall<'a>; 2] {
    [(&site.server, server_policy()), (&site.client, client_policy())].map(|(host, policy)| {
        let policy = format!("{policy}auth = {auths}\n");
        Firewall::attach(site.bench(), host.network(), INTERFACE, &policy)
            .expect("amanda-fw attaches")
    })
}

fn check_dump(site: &Site) {
    let dump = site.amdump(DUMP).expect("amdump can be run");
    assert!(dump.finished.is_success(), "{}", dump.account());
    assert_eq!(dump.success_count(), site.plan.dump_count(), "{}", dump.account());
}

fn classic(site: &Site) -> Recovery {
    site.amoldrecover(&site.plan.disks()[0], RECOVERY).expect("amoldrecover can be run")
}

fn check_classic(site: &Site) {
    check_recovered(site, &site.plan.disks()[0], &classic(site));
}

/// Checks that a client finds no port of its server's open from where anybody may connect.
fn check_nothing_open(site: &Site) {
    let found = scan::scan(site.client.network(), Transport::Tcp, SERVER, ALL_PORTS)
        .expect("a scan can be run");
    assert_eq!(scan::open(&found), []);
}

fn check_recovered(site: &Site, disk: &str, recovery: &Recovery) {
    let original = site.original(disk).expect("the file is on the disk");
    // Not `assert_eq`: it would print three million bytes.
    assert!(recovery.bytes.as_ref() == Some(&original), "{}", recovery.finished);
}
