//! Real Amanda on the hosts of the wiki, with the firewall on every one of them.

use std::time::Duration;

use amanda_fw_tests::amanda::{Backup, CLIENT_NAME, Place, Plan, Recovery, SERVER_NAME};
use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::nft::NftPolicy;
use anyhow::Result;

use crate::network::{FWHOST, GATEWAY, INSIDE, LHOST, Network, OUTSIDE, Pair, RHOST, TSHOST};

const CHECK: Duration = Duration::from_secs(60);
const DUMP: Duration = Duration::from_secs(180);
const RECOVERY: Duration = Duration::from_secs(60);

/// What every host has beside its part in Amanda.
const DENY: &str = "[policy]\nincoming = \"drop\"\noutgoing = \"accept\"\n";

/// What the gateway does for the hosts inside.
const GATEWAY_RULES: &str = r#"
[[rule]]
name = "inside to outside"
direction = "forward"
in = "eth0"
out = "ppp0"
action = "accept"

[[nat]]
kind = "masquerade"
out = "ppp0"
"#;

/// Requests from outside go to the server, and the streams that it announces after them.
const TO_THE_SERVER: &str = r#"
[[nat]]
name = "recoveries"
kind = "destination"
in = "ppp0"
from = "2.3.4.5"
protocol = "udp"
ports = 10080
to = "192.168.2.2"
"#;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_server_behind_a_gateway_backs_up_and_restores_a_host_outside() {
    let Network { tshost, fwhost, rhost, _lan, .. } = Network::new();
    let backup = backup(
        place(SERVER_NAME, tshost, &[(TSHOST, SERVER_NAME), (RHOST, CLIENT_NAME)]),
        place(CLIENT_NAME, rhost, &[(GATEWAY, SERVER_NAME), (RHOST, CLIENT_NAME)]),
        Vec::new(),
    );
    let bench = backup.bench();
    let server = on_host(bench, backup.server.network(), "self", RHOST);
    let client = on_host(bench, backup.client.network(), GATEWAY, "self");
    let policy = gateway_policy(TSHOST, RHOST, TO_THE_SERVER);
    let gateway = on_gateway(bench, &fwhost, &policy);
    check(&backup);
    check_recovery(&backup, &[&server, &client, &gateway]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_server_outside_backs_up_and_restores_a_host_behind_a_gateway() {
    let Network { tshost, fwhost, rhost, _lan, .. } = Network::new();
    let backup = backup(
        place(SERVER_NAME, rhost, &[(RHOST, SERVER_NAME), (GATEWAY, CLIENT_NAME)]),
        place(CLIENT_NAME, tshost, &[(RHOST, SERVER_NAME), (TSHOST, CLIENT_NAME)]),
        Vec::new(),
    );
    let bench = backup.bench();
    let server = on_host(bench, backup.server.network(), "self", GATEWAY);
    let client = on_host(bench, backup.client.network(), RHOST, "self");
    let gateway = on_gateway(bench, &fwhost, &gateway_policy(RHOST, TSHOST, TO_THE_SERVER));
    check(&backup);
    check_recovery(&backup, &[&server, &client, &gateway]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn all_hosts_of_the_wiki_are_backed_up_and_restored() {
    let Network { tshost, lhost, fwhost, rhost, _lan } = Network::new();
    let inside =
        [(TSHOST, SERVER_NAME), (RHOST, CLIENT_NAME), (LHOST, "lhost"), (FWHOST, "fwhost")];
    let backup = backup(
        place(SERVER_NAME, tshost, &inside),
        place(CLIENT_NAME, rhost, &[(GATEWAY, SERVER_NAME), (RHOST, CLIENT_NAME)]),
        vec![place("lhost", lhost, &inside), place("fwhost", fwhost, &inside)],
    );
    let bench = backup.bench();
    let clients = format!("{RHOST}\", \"{LHOST}\", \"{FWHOST}");
    let server = on_host(bench, backup.server.network(), "self", &clients);
    let client = on_host(bench, backup.client.network(), GATEWAY, "self");
    let [(_, lhost), (_, fwhost)] = &backup.others[..] else { panic!("two hosts more") };
    let lhost = on_host(bench, lhost.network(), TSHOST, "self");
    let policy = gateway_policy(TSHOST, &format!("self\", \"{RHOST}"), TO_THE_SERVER);
    let gateway = on_gateway(bench, fwhost.network(), &policy);
    check(&backup);
    let firewalls = [&server, &client, &lhost, &gateway];
    check_recovery(&backup, &firewalls);
    let disk = &backup.plan.disks()[0];
    for other in 0..backup.others.len() {
        let original = backup.original_on(other, disk).expect("the file is on the disk");
        check_bytes(&original, backup.amrecover_on(other, disk, RECOVERY), &firewalls);
    }
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn both_hosts_may_be_behind_a_gateway_of_their_own() {
    const CLIENT: &str = "192.168.3.2";
    let Pair { hosts: [tshost, far], gateways: [near_gateway, far_gateway], _lans } = Pair::new();
    let backup = backup(
        place(SERVER_NAME, tshost, &[(TSHOST, SERVER_NAME), (RHOST, CLIENT_NAME)]),
        place(CLIENT_NAME, far, &[(GATEWAY, SERVER_NAME), (CLIENT, CLIENT_NAME)]),
        Vec::new(),
    );
    let bench = backup.bench();
    let server = on_host(bench, backup.server.network(), "self", RHOST);
    let client = on_host(bench, backup.client.network(), GATEWAY, "self");
    let near = gateway_policy(TSHOST, RHOST, TO_THE_SERVER);
    let near = on_gateway(bench, &near_gateway, &near);
    let to_client = TO_THE_SERVER.replace(RHOST, GATEWAY).replace(TSHOST, CLIENT);
    let far = on_gateway(bench, &far_gateway, &gateway_policy(GATEWAY, CLIENT, &to_client));
    check(&backup);
    check_recovery(&backup, &[&server, &client, &near, &far]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_recovery_does_not_cross_nft_that_translates_with_the_helper() {
    let Network { tshost, fwhost, rhost, _lan, .. } = Network::new();
    rhost.set_sysctl("net/ipv4/tcp_syn_retries", "1").expect("a sysctl can be set");
    let backup = backup(
        place(SERVER_NAME, tshost, &[(TSHOST, SERVER_NAME), (RHOST, CLIENT_NAME)]),
        place(CLIENT_NAME, rhost, &[(GATEWAY, SERVER_NAME), (RHOST, CLIENT_NAME)]),
        Vec::new(),
    );
    let _gateway = NftPolicy::gateway(&fwhost).expect("nft can be loaded");
    check(&backup);
    let recovery = backup.amrecover(&backup.plan.disks()[0], RECOVERY);
    let recovery = recovery.expect("amrecover can be run");
    assert_eq!(recovery.bytes, None, "{}", recovery.finished);
    let said = format!("{}{}", recovery.finished.stdout, recovery.finished.stderr);
    assert!(said.contains("could not connect CTL stream"), "{}", recovery.finished);
}

/// Sets the hosts up; every disk but the first of each is small.
fn backup(server: Place, client: Place, others: Vec<Place>) -> Backup {
    let plan = Plan { disk_count: 4, ..Plan::default() };
    Backup::new(plan, server, client, others).expect("the hosts can be set up")
}

fn place(name: &'static str, network: Namespace, hosts: &[(&str, &str)]) -> Place {
    let hosts = hosts.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
    Place { name, network, hosts }
}

fn on_host<'a>(bench: &Bench, network: &'a Namespace, server: &str, client: &str) -> Firewall<'a> {
    let config = format!("{DENY}{}", amanda(server, client));
    Firewall::attach(bench, network, INSIDE, &config).expect("amanda-fw attaches to a host")
}

fn on_gateway<'a>(bench: &Bench, network: &'a Namespace, config: &str) -> Firewall<'a> {
    let attached = Firewall::attach_all(bench, network, &[INSIDE, OUTSIDE], config);
    attached.expect("amanda-fw attaches to the gateway")
}

fn gateway_policy(server: &str, client: &str, destinations: &str) -> String {
    let policy = format!("{DENY}forward = \"drop\"\n");
    [policy.as_str(), &amanda(server, client), GATEWAY_RULES, destinations].concat()
}

fn amanda(server: &str, client: &str) -> String {
    format!(
        "[amanda]\nservers = [\"{server}\"]\nclients = [\"{client}\"]\n\
         control_source_ports = \"512:1023\"\nstream_ports = \"50000:50100\"\n"
    )
}

/// Checks that every disk of every host is dumped.
fn check(backup: &Backup) {
    let check = backup.amcheck(CHECK).expect("amcheck can be run");
    assert!(check.is_success() && check.stdout.contains(" 0 problems found"), "{check}");
    let dump = backup.amdump(DUMP).expect("amdump can be run");
    assert!(dump.finished.is_success(), "{}", dump.account());
    let count = backup.plan.dump_count() * (1 + backup.others.len());
    assert_eq!(dump.success_count(), count, "{}", dump.account());
}

fn check_recovery(backup: &Backup, firewalls: &[&Firewall<'_>]) {
    let disk = &backup.plan.disks()[0];
    let original = backup.original(disk).expect("the file is on the disk");
    check_bytes(&original, backup.amrecover(disk, RECOVERY), firewalls);
}

/// Checks that a file came back as it is on the disk.
fn check_bytes(original: &[u8], recovery: Result<Recovery>, firewalls: &[&Firewall<'_>]) {
    let recovery = recovery.expect("a recovery can be run");
    // Not `assert_eq`: it would print three million bytes.
    let is_same = recovery.bytes.as_deref() == Some(original);
    assert!(is_same, "{}{}", recovery.finished, accounts(firewalls));
}

/// Returns what the firewalls have done.
fn accounts(firewalls: &[&Firewall<'_>]) -> String {
    let account = |firewall: &&Firewall<'_>| {
        [firewall.status(&[]), firewall.account()].into_iter().flatten().collect::<String>()
    };
    firewalls.iter().map(account).collect()
}
