//! Each rule of the page, in iptables, in amanda-fw, and carried over by `amanda-fw import`.

use amanda_fw_tests::kernel_log;

use crate::differences::{
    AMANDA_OVER_TCP, Difference, Finding, IMPOSSIBLE_FLAGS, PINGS, PRIVILEGED_REQUESTS,
};
use crate::matrix::{Kind, Probe};
use crate::netfilter::{draft, script};
use crate::recipes::{AMRECOVER, FWHOST, LHOST, RHOST, Recipe, TSHOST_AS_MEANT, TSHOST_AS_WRITTEN};
use crate::site::{INTERFACE, Site};

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn tshosts_rule_lets_the_same_packets_in_with_the_network_as_written() {
    let streams = |source: &str| source.starts_with("129.168.");
    let expected = |probe: &Probe| is_tcp(probe, 50_000, 50_100) && streams(probe.source);
    check(&TSHOST_AS_WRITTEN, expected, &[IMPOSSIBLE_FLAGS], &[IMPOSSIBLE_FLAGS]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn tshosts_rule_lets_the_same_packets_in_with_the_network_as_meant() {
    let streams = |source: &str| source.starts_with("192.168.");
    let expected = |probe: &Probe| is_tcp(probe, 50_000, 50_100) && streams(probe.source);
    check(&TSHOST_AS_MEANT, expected, &[IMPOSSIBLE_FLAGS], &[IMPOSSIBLE_FLAGS]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn lhosts_rule_lets_the_same_packets_in() {
    check(&LHOST, |probe| asks_amandad(probe, "192.168.2.2"), &[], &AS_A_CLIENT);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn rhosts_rule_lets_the_same_packets_in() {
    check(&RHOST, |probe| asks_amandad(probe, "1.2.3.4"), &[], &AS_A_CLIENT);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn fwhosts_own_rule_lets_the_same_packets_in() {
    check(&FWHOST, |probe| asks_amandad(probe, "192.168.2.2"), &[], &AS_A_CLIENT);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn the_rules_for_amrecover_let_the_same_packets_in() {
    let expected = |probe: &Probe| is_tcp(probe, 10_082, 10_083) || is_tcp(probe, 1100, 1150);
    check(&AMRECOVER, expected, &[IMPOSSIBLE_FLAGS], &[IMPOSSIBLE_FLAGS]);
}

/// What drafts change for a client: the rule has become `[amanda]`.
const AS_A_CLIENT: [Difference; 2] = [AMANDA_OVER_TCP, PRIVILEGED_REQUESTS];

fn is_tcp(probe: &Probe, low: u16, high: u16) -> bool {
    matches!(probe.kind, Kind::Tcp(_)) && (low..=high).contains(&probe.port)
}

fn asks_amandad(probe: &Probe, server: &str) -> bool {
    probe.kind == Kind::Udp && probe.port == 10080 && probe.source == server
}

/// Checks that iptables lets in what is expected, and amanda-fw the same but for the differences
/// of the config and those of drafts.
#[track_caller]
fn check(
    recipe: &Recipe,
    expected: impl Fn(&Probe) -> bool,
    of_config: &[Difference],
    of_draft: &[Difference],
) {
    let site = Site::new();
    let iptables = by_iptables(&site, recipe);
    let wrong: Vec<_> = iptables.iter().filter(|(p, passed)| *passed != expected(p)).collect();
    assert!(wrong.is_empty(), "iptables is not what the page says: {wrong:?}");
    let saved = site.script("iptables-save");
    for mode in ["tc", "xdp"] {
        compare(&iptables, &format!("the config in mode {mode}"), mode, recipe.config, of_config);
    }
    let of_commands = [of_draft, &[PINGS]].concat();
    let config = draft(&site, &script(recipe));
    compare(&iptables, "the draft from commands", "tc", &config, &of_commands);
    let config = draft(&site, &saved);
    compare(&iptables, "the draft from iptables-save", "tc", &config, of_draft);
}

/// Asks which probes iptables lets in; its LOG rules say nothing meanwhile.
fn by_iptables(site: &Site, recipe: &Recipe) -> Vec<(Probe, bool)> {
    let _silence = kernel_log::silence();
    site.script(&script(recipe));
    site.verdicts()
}

/// Puts amanda-fw up on a fresh host, and compares packet by packet.
#[track_caller]
fn compare(
    iptables: &[(Probe, bool)],
    what: &str,
    mode: &str,
    config: &str,
    intended: &[Difference],
) {
    let site = Site::new();
    let config = format!("{config}\n[interfaces.{INTERFACE}]\nmode = \"{mode}\"\n");
    let _firewall = site.firewall(&config);
    let findings: Vec<(Probe, Finding)> = iptables
        .iter()
        .zip(site.verdicts())
        .filter(|((_, by_iptables), (_, by_us))| by_iptables != by_us)
        .map(|((probe, _), (_, passed))| {
            (*probe, if passed { Finding::Gained } else { Finding::Lost })
        })
        .collect();
    let explains =
        |d: &Difference, (probe, finding): &(Probe, Finding)| (d.explains)(probe, *finding);
    let unexplained: Vec<_> =
        findings.iter().filter(|found| !intended.iter().any(|d| explains(d, found))).collect();
    assert!(unexplained.is_empty(), "{what} differs in: {unexplained:#?}\n{config}");
    for difference in intended {
        let occurs = findings.iter().any(|found| explains(difference, found));
        assert!(occurs, "{what} shows nothing of: {}\n{config}", difference.reason);
    }
}
