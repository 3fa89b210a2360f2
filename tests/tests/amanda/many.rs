//! Many disks on one host, and many dumps at one time.

use amanda_fw_tests::amanda::{Plan, Site};
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::sockets::counted;
use amanda_fw_tests::wait;

use crate::setting::{
    DUMP, PROGRESS, check_amcheck, check_dump, check_gated_dump, check_recovery, check_recovery_of,
    firewalls, open_sessions, packets, site, start_gated_dump,
};

/// What amanda.conf allows in all and on one host.
const DUMPERS: usize = 4;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn requests_and_replies_about_fifty_disks_cross_the_firewall_in_fragments() {
    let site = site(Plan { disk_count: 50, ..Plan::default() });
    let (server, client) = firewalls(&site);
    check_amcheck(&site);
    let [requests, replies] = fragmented(&site);
    assert!(requests > 0 && replies > 0, "{requests} requests and {replies} replies of amcheck");
    check_dump(&site, site.amdump(DUMP));
    let dumped = fragmented(&site);
    assert!(dumped[0] > requests, "{} requests after {requests}", dumped[0]);
    for firewall in [&server, &client] {
        let count = |reason| packets(firewall, reason).expect("status answers");
        // At least one more fragment than the first in each datagram, out or in.
        assert!(count("fragment") >= dumped.iter().sum(), "{}", count("fragment"));
        assert_eq!(count("fragment-without-first"), 0);
        assert_eq!(count("policy-drop"), 0);
    }
    check_recovery(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn four_dumps_at_one_time_cross_the_firewall() {
    let site = site(Plan { disk_count: 2, gates: 4, ..Plan::default() });
    let (server, client) = firewalls(&site);
    let amdump = start_gated_dump(&site);
    for firewall in [&server, &client] {
        wait_for_dumps(firewall);
    }
    check_gated_dump(&site, amdump);
    for disk in site.plan.gated_disks() {
        check_recovery_of(&site, &disk);
    }
}

/// Returns how many requests, and how many replies, were sent in fragments, all of which arrived.
fn fragmented(site: &Site) -> [u64; 2] {
    let count = |network, what| counted(network, "Ip", what).expect("the IP layer counts");
    let pairs = [(&site.server, &site.client), (&site.client, &site.server)];
    pairs.map(|(from, to)| {
        let sent = count(from.network(), "FragOKs");
        assert_eq!(count(to.network(), "ReasmOKs"), sent, "datagrams put together");
        sent
    })
}

/// Waits until the data of four dumps is under way at one moment.
fn wait_for_dumps(firewall: &Firewall<'_>) {
    wait::until("four dumps at one time", PROGRESS, || {
        let open = open_sessions(firewall, "sendbackup", "DATA")?;
        Ok((open.len() == DUMPERS).then_some(()))
    })
    .expect("four dumps overlap");
}
