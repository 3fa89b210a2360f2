//! What a configuration says that is allowed, and yet is hardly meant.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::role;

use super::policy::Action;
use super::{Config, Ruleset};

/// The last port that only root may listen on.
const LAST_PRIVILEGED: u16 = 1023;

/// TCP ports of Amanda's own services, which no stream ever has.
const AMANDA: PortRange = PortRange { low: 10080, high: 10083 };

/// Lists what is hardly meant, a sentence each.
pub(crate) fn warnings(config: &Config, ruleset: &Ruleset) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(privileged_streams(config.amanda.stream_ports));
    found.extend(streams_on_amanda(config.amanda.stream_ports));
    found.extend(open_policy(config.policy.incoming));
    found.extend(lonely(ruleset));
    found.extend(config.rules.iter().zip(1..).filter_map(|(rule, number)| {
        let is_empty = !ruleset.rules.iter().any(|entry| entry.number == number);
        is_empty.then(|| format!("rule \"{}\" fits no packet on this machine", rule.name))
    }));
    found
}

fn privileged_streams(ports: PortRange) -> Option<String> {
    (ports.low <= LAST_PRIVILEGED).then(|| {
        format!("stream_ports begin at {}: ports below 1024 belong to other services", ports.low)
    })
}

fn streams_on_amanda(ports: PortRange) -> Option<String> {
    // The whole unprivileged range is Amanda's default, and says nothing of these four.
    let is_default = ports == PortRange { low: 1024, high: u16::MAX };
    let crosses = ports.low <= AMANDA.high && AMANDA.low <= ports.high;
    (crosses && !is_default).then(|| {
        format!(
            "stream_ports {}:{} hold Amanda's own ports 10080 to 10083, which are never opened \
             for a stream",
            ports.low, ports.high
        )
    })
}

fn open_policy(incoming: Action) -> Option<String> {
    let message = "the policy for incoming packets is \"accept\": only rules keep anything out";
    (incoming == Action::Accept).then(|| message.to_owned())
}

fn lonely(ruleset: &Ruleset) -> Option<String> {
    let has = |bit| ruleset.roles.iter().any(|(_, bits)| bits & bit != 0);
    let missing = match (has(role::SERVER), has(role::CLIENT)) {
        (true, true) => return None,
        (false, false) => "servers and clients",
        (false, true) => "servers",
        (true, false) => "clients",
    };
    Some(format!("[amanda] names no {missing} on this machine: nobody may talk to amandad"))
}
