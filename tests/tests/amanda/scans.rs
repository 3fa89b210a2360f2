//! What a stranger finds.

use amanda_fw_tests::amanda::{CLIENT, CLIENT_V6, CONTROL_SERVICE, Plan, SERVER, SERVER_V6, Site};
use amanda_fw_tests::scan::{self, ALL_PORTS, Transport};

use crate::setting::{helper_policies, site};

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

pub(crate) fn check_nothing_open(site: &Site) {
    let targets = [SERVER, CLIENT, SERVER_V6, CLIENT_V6];
    let scans = targets.map(|address| {
        [Transport::Tcp, Transport::Udp].map(|transport| {
            scan::start(&site.stranger, transport, address, ALL_PORTS).expect("nmap can be started")
        })
    });
    for (scans, address) in scans.into_iter().zip(targets) {
        for scan in scans {
            let found = scan::finish(scan).expect("nmap ends");
            let open = scan::open(&found);
            assert!(open.is_empty(), "{address}: {open:?}");
        }
    }
}
