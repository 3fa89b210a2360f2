//! amfetchdump: whole disks restored by the server, on itself and on the client.

use amanda_fw_tests::amanda::{Auth, Plan, Site};
use amanda_fw_tests::wait;

use crate::setting::{
    DUMP, PROGRESS, RECOVERY, check_bytes, check_dump, check_events, firewalls, helper_policies,
    impatient_site, site,
};

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amfetchdump_crosses_the_firewall() {
    let site = site(mended(Auth::Bsd));
    let (server, client) = firewalls(&site);
    check_fetches(&site);
    for firewall in [&server, &client] {
        check_events(firewall, "restore", &["CTL", "DATA", "MESG", "STATE"]);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amfetchdump_crosses_the_firewall_with_bsdudp() {
    let site = site(Plan { auth: Auth::BsdUdp, ..plan() });
    let (server, client) = firewalls(&site);
    check_fetches(&site);
    for firewall in [&server, &client] {
        check_events(firewall, "restore", &["CTL"]);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amfetchdump_crosses_the_firewall_with_bsdtcp() {
    let site = site(Plan { auth: Auth::BsdTcp, ..plan() });
    let (_server, _client) = firewalls(&site);
    check_fetches(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amfetchdump_works_without_a_firewall() {
    check_fetches(&site(mended(Auth::Bsd)));
}

/// Amanda's own mistake, without any firewall: the reason why the other tests mend it.
#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn amandad_closes_the_data_of_a_restore_with_bsd() {
    let site = site(plan());
    check_dump(&site, site.amdump(DUMP));
    let disk = &site.plan.disks()[0];
    let _amfetchdump = site.start_amfetchdump_to_client(disk).expect("amfetchdump can be started");
    wait::until("the closed stream", PROGRESS, || {
        let waits = site.restore_debug()?.contains("CTL >> HEADER-READY");
        // The peer has closed a stream that its service still reads.
        let closed = site.server.network().tcp_sockets("close-wait")?;
        Ok((waits && !closed.is_empty()).then_some(()))
    })
    .expect("amandad closes the stream");
    let debug = site.restore_debug().expect("the service's notes can be read");
    assert!(!debug.contains("CTL >> HEADER-DONE"), "{debug}");
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_restore_fails_behind_nft_with_the_helper() {
    let site = impatient_site(mended(Auth::Bsd));
    let _policies = helper_policies(&site);
    check_dump(&site, site.amdump(DUMP));
    let disk = &site.plan.disks()[0];
    let restore = site.amfetchdump_to_client(disk, RECOVERY).expect("amfetchdump can be run");
    assert_eq!(restore.bytes, None, "{}", restore.finished);
    // What comes first on CTL, which the helper does not know.
    assert!(restore.finished.stderr.contains("expecting FEATURES line"), "{}", restore.finished);
}

fn plan() -> Plan {
    Plan { disk_count: 2, ..Plan::default() }
}

/// bsd needs it, with its connection for each stream.
fn mended(auth: Auth) -> Plan {
    Plan { auth, mended_restore: true, ..plan() }
}

fn check_fetches(site: &Site) {
    check_dump(site, site.amdump(DUMP));
    let disk = &site.plan.disks()[0];
    check_bytes(site, disk, site.amfetchdump(disk, RECOVERY));
    check_bytes(site, disk, site.amfetchdump_to_client(disk, RECOVERY));
}
