//! What takes minutes, and runs only when it is asked for: `cargo xtask test --long`.

use std::thread;
use std::time::Duration;

use amanda_fw_tests::amanda::Plan;
use amanda_fw_tests::wait;

use crate::setting::{
    DUMP, check_dump, check_lost_estimate, check_recovery, firewalls, helper_policies, sessions,
    site,
};

/// More than the kernel's helper keeps a control flow that is silent (`master_timeout`), in
/// seconds.
const SILENCE: u64 = 305;

/// Between two looks: there is time.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest that a silence may take to be reached.
const PATIENCE: Duration = Duration::from_secs(420);

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_dump_crosses_the_firewall_after_an_estimate_of_five_silent_minutes() {
    let site = site(plan());
    let both = firewalls(&site);
    site.hold_estimates().expect("estimates can be held");
    let amdump = site.start_amdump().expect("amdump can be started");
    for firewall in [&both.0, &both.1] {
        wait::until("a silent estimate", PATIENCE, || {
            thread::sleep(PAUSE);
            let estimates = sessions(firewall, "sendsize")?;
            let is_silent = |session: &serde_json::Value| {
                session["state"] == "running"
                    && session["silent_seconds"].as_u64().is_some_and(|time| time >= SILENCE)
            };
            Ok(estimates.iter().any(is_silent).then_some(()))
        })
        .expect("the estimate is silent");
    }
    site.release_estimates().expect("estimates can be released");
    check_dump(&site, site.finish_amdump(amdump, DUMP));
    check_recovery(&site);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_same_estimate_is_lost_behind_nft_with_the_helper() {
    let site = site(plan());
    let policies = helper_policies(&site);
    check_lost_estimate(&site, || {
        wait::until("the end of the control flow", PATIENCE, || {
            thread::sleep(PAUSE);
            let alive = policies[0].control_flows()?;
            Ok(alive.is_empty().then_some(()))
        })
        .expect("the helper forgets the control flow");
    });
}

fn plan() -> Plan {
    Plan { disk_count: 1, held_estimates: true, ..Plan::default() }
}
