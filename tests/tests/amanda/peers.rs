//! The same dumps and recoveries without a firewall and behind netfilter.

use amanda_fw_tests::amanda::{Auth, Plan, Site};
use amanda_fw_tests::nft::NftPolicy;
use amanda_fw_tests::wait;

use crate::setting::{
    DUMP, PROGRESS, RECOVERY, check_amcheck, check_dump, check_lost_estimate, check_recovery,
    helper_policies, impatient_site, site, start_gated_dump,
};

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
fn the_same_dump_fails_behind_nft_without_the_helper() {
    let site = impatient_site(Plan { disk_count: 1, ..Plan::default() });
    let _policies = [
        NftPolicy::without_helper(site.server.network()).expect("nft can be loaded"),
        NftPolicy::without_helper(site.client.network()).expect("nft can be loaded"),
    ];
    check_amcheck(&site);
    check_stream_is_refused(&site, "DATA");
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
    check_stream_is_refused(&site, "STATE");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn an_estimate_is_lost_behind_nft_once_the_helper_has_forgotten_its_request() {
    let site = site(Plan { disk_count: 1, held_estimates: true, ..Plan::default() });
    let policies = helper_policies(&site);
    check_lost_estimate(&site, || {
        for policy in &policies {
            policy.forget_control_flows().expect("conntrack forgets what it is told");
        }
    });
}

/// Of two dumps at one time, the helper drops the second reply: it takes the numbers of streams
/// that share a connection for ports, and all of them for 49999.
#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn bsdudp_dumps_clash_behind_nft_with_the_helper() {
    let site = site(Plan { auth: Auth::BsdUdp, disk_count: 0, gates: 2, ..Plan::default() });
    let _policies = helper_policies(&site);
    let _amdump = start_gated_dump(&site);
    wait::until("the loss of a reply", PROGRESS, || {
        let debug = site.amandad_debug()?;
        Ok(debug.contains("Operation not permitted").then_some(()))
    })
    .expect("a reply is dropped");
    assert!(!site.is_gate_reached().expect("gates can be counted"));
}

/// Checks that a dump announces its streams and that a certain one is the first that it cannot
/// connect; the rest of the run, which tries again for minutes, ends with the site.
fn check_stream_is_refused(site: &Site, stream: &str) {
    let _amdump = site.start_amdump().expect("amdump can be started");
    let refused = wait::within(PROGRESS, || {
        let trace = site.dump_trace()?;
        Ok(trace.contains("could not connect").then_some(trace))
    });
    let trace = refused.expect("amdump's trace can be read").unwrap_or_default();
    assert!(trace.contains(&format!("could not connect {stream} stream")), "{trace}");
    assert!(!site.announced_ports().expect("amandad's files can be read").is_empty());
    let log = site.dump_log().expect("amanda's log can be read");
    assert!(!log.contains("SUCCESS dumper"), "{log}");
}
