//! What `[amanda]` says that is hardly meant.

use amanda_fw_common::auth::Auth;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::role;

use super::at;
use crate::config::Host;
use crate::config::amanda::Amanda;
use crate::config::mistake::Mistake;
use crate::config::ruleset::roles;

/// The last port that only root may listen on.
const LAST_PRIVILEGED: u16 = 1023;

/// TCP ports of Amanda's own services, which no stream ever has.
const SERVICES: PortRange = PortRange { low: 10080, high: 10083 };

/// The whole unprivileged range is Amanda's default, and says nothing of any port in it.
pub(super) const DEFAULT_STREAMS: PortRange = PortRange { low: 1024, high: u16::MAX };

/// Finds what is hardly meant in the section.
pub(super) fn warnings(amanda: &Amanda, host: &Host) -> Vec<Mistake> {
    let found = [
        privileged_streams(amanda),
        crossing(amanda, "stream_ports", amanda.stream_ports),
        crossing(amanda, "control_source_ports", amanda.control_source_ports),
        lonely(amanda, host),
    ];
    let idle = KEYS_OF.iter().filter_map(|(key, auths)| idle(amanda, key, auths));
    found.into_iter().flatten().chain(idle).collect()
}

/// Keys that say something for some auths alone.
const KEYS_OF: [(&str, &[Auth]); 5] = [
    ("control_port", &Auth::DEFAULT),
    ("control_source_ports", &[Auth::Bsd, Auth::BsdUdp]),
    ("stream_ports", &[Auth::Bsd, Auth::BsdUdp, Auth::Classic]),
    ("transaction_timeout", &[Auth::Bsd, Auth::BsdUdp]),
    ("expectation_timeout", &[Auth::Bsd, Auth::BsdUdp, Auth::Classic]),
];

fn idle(amanda: &Amanda, key: &str, auths: &[Auth]) -> Option<Mistake> {
    let span = amanda.spans.of(key).filter(|span| Some(span) != amanda.spans.whole().as_ref())?;
    let names: Vec<String> = auths.iter().map(|auth| format!("\"{auth}\"")).collect();
    let message = format!("{key} has no meaning without auth {}", names.join(" or "));
    let way_out = "remove it, or name one of them in auth";
    (amanda.auths & Auth::bits(auths) == 0).then(|| at(Some(span), message).way_out(way_out))
}

fn privileged_streams(amanda: &Amanda) -> Option<Mistake> {
    let PortRange { low, high } = amanda.stream_ports;
    let message = format!("stream_ports begin at {low}: ports below 1024 belong to other services");
    let way_out = if high > LAST_PRIVILEGED {
        format!("write \"{}:{high}\"", LAST_PRIVILEGED + 1)
    } else {
        "write what the client's unreserved-tcp-port says".to_owned()
    };
    (low <= LAST_PRIVILEGED).then(|| at(amanda.spans.of("stream_ports"), message).way_out(way_out))
}

fn crossing(amanda: &Amanda, key: &str, ports: PortRange) -> Option<Mistake> {
    let crosses = ports.low <= SERVICES.high && SERVICES.low <= ports.high;
    let message = format!(
        "{key} {}:{} hold Amanda's own ports {} to {}, which are never opened for a stream",
        ports.low, ports.high, SERVICES.low, SERVICES.high
    );
    let way_out = "choose ports on one side of them, in amanda.conf too";
    (crosses && ports != DEFAULT_STREAMS)
        .then(|| at(amanda.spans.of(key), message).way_out(way_out))
}

/// Warns of a section that names too few; where there is none, that is meant.
fn lonely(amanda: &Amanda, host: &Host) -> Option<Mistake> {
    amanda.spans.whole()?;
    let roles = roles(amanda, host);
    let has = |bit| roles.iter().any(|(_, bits)| bits & bit != 0);
    let (missing, key) = match (has(role::SERVER), has(role::CLIENT)) {
        (true, true) => return None,
        (false, false) => ("servers and clients", ""),
        (false, true) => ("servers", "servers"),
        (true, false) => ("clients", "clients"),
    };
    let message =
        format!("[amanda] names no {missing} on this machine: nobody may talk to amandad");
    Some(at(amanda.spans.of(key), message).way_out("name both, \"self\" for this machine"))
}
