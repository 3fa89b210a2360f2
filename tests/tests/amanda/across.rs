//! Dumps and recoveries across the firewall on both hosts.

use amanda_fw_tests::amanda::{Auth, CLIENT, Plan, SERVER, Site, client_policy, server_policy};
use amanda_fw_tests::bench::reloads;
use amanda_fw_tests::scan::{self, ALL_PORTS, Transport};

use crate::scans::check_nothing_open;
use crate::setting::{
    DUMP, check_amcheck, check_dump, check_events, check_recovery, firewalls, site,
    start_gated_dump, wait_for_gates,
};

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
    let site = site(Plan { gates: 1, ..Plan::default() });
    let (server, client) = firewalls(&site);
    check_amcheck(&site);

    let amdump = start_gated_dump(&site);
    wait_for_gates(&site);
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
    let site = site(Plan { gates: 1, ..Plan::default() });
    let (server, client) = firewalls(&site);
    let both = [(&server, server_policy()), (&client, client_policy())];
    let amdump = start_gated_dump(&site);
    // Those between are sure to meet open streams.
    let dumping = reloads() / 10..reloads() * 6 / 10;
    for round in 0..reloads() {
        if round == dumping.start {
            wait_for_gates(&site);
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

fn check_across_the_firewall(plan: Plan) {
    let site = site(plan);
    let _firewalls = firewalls(&site);
    check_amcheck(&site);
    check_dump(&site, site.amdump(DUMP));
    if plan.index {
        check_recovery(&site);
    }
}

/// Checks that being Amanda's peer opens no other service; a scan during a dump would use up the
/// streams that the dump waits for.
fn check_peers_find_nothing_open(site: &Site) {
    for (from, address) in [(&site.server, CLIENT), (&site.client, SERVER)] {
        let found = scan::scan(from.network(), Transport::Tcp, address, ALL_PORTS)
            .expect("a scan can be run");
        let open = scan::open(&found);
        assert!(open.is_empty(), "{address}: {open:?}");
    }
}
