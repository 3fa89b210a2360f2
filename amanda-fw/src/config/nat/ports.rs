//! Ports in `[[nat]]`: which of them can become others.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::nat::has_checked_port;
use amanda_fw_common::ruleset::{ANY_PORT, Protocols};
use amanda_fw_common::wire::PROTOCOL_ICMPV6;

use crate::config::mistake::Mistake;
use crate::config::protocol::{has_ports, protocol_name};
use crate::config::section::Section;
use crate::config::traffic::Traffic;

/// Complains of a protocol of IPv6 alone.
pub(super) fn refuse_icmpv6(section: &mut Section<'_>, traffic: &[Traffic]) {
    let is_icmpv6 = |traffic: &Traffic| match &traffic.protocols {
        Protocols::Any => false,
        Protocols::Only(only) => {
            !only.is_empty() && only.iter().all(|protocol| protocol.number == PROTOCOL_ICMPV6)
        }
    };
    if let Some(span) = section.span_of("protocol").filter(|_| traffic.iter().all(is_icmpv6)) {
        let message = "\"icmpv6\" is of IPv6, whose addresses are not translated";
        section.object(Mistake::new(span, message).way_out("write \"icmp\", or remove it"));
    }
}

/// Tells whether the ports of all the traffic can become others; complains where they cannot.
pub(super) fn are_translatable(section: &mut Section<'_>, key: &str, traffic: &[Traffic]) -> bool {
    let mut numbers = Vec::new();
    for traffic in traffic {
        if let Protocols::Only(only) = &traffic.protocols {
            numbers.extend(only.iter().map(|protocol| protocol.number));
        } else {
            numbers.clear();
            break;
        }
    }
    let span = section.span_of(key).unwrap_or_default();
    let is_told = traffic.is_empty()
        || numbers.is_empty() && section.has("protocol")
        || ["ports", "source_ports"].iter().any(|key| section.has(key));
    if is_told && numbers.is_empty() {
        // What is wrong with the protocols is complained of already.
        return false;
    }
    if numbers.is_empty() || !numbers.iter().all(|&number| has_ports(number)) {
        let message = format!("`{key}` needs protocols that all have ports");
        let way_out = "add protocol = \"tcp\", or \"udp\", \"dccp\", \"udplite\"";
        section.object(Mistake::new(span, message).way_out(way_out));
        return false;
    }
    let stuck = numbers.iter().copied().find(|&number| !has_checked_port(number));
    if let Some(name) = stuck.and_then(protocol_name) {
        let message = format!(
            "the ports of \"{name}\" cannot be translated: its checksum is over the whole packet"
        );
        let way_out = format!("make one without `{key}` for it: its address can be translated");
        section.object(Mistake::new(span, message).way_out(way_out));
    }
    stuck.is_none()
}

/// Returns the ports that are shifted as a whole so that they begin at another one; complains
/// where there are none or several, or where they would end beyond the last port.
pub(super) fn shifted(
    section: &mut Section<'_>,
    to_port: u16,
    traffic: &[Traffic],
) -> Option<PortRange> {
    let ports = match traffic {
        [Traffic { destination_ports, .. }] => match destination_ports.as_slice() {
            [ports] if *ports != ANY_PORT => Some(*ports),
            _ => None,
        },
        _ => None,
    };
    let span = section.span_of("to_port").unwrap_or_default();
    let Some(ports) = ports else {
        let message = "`to_port` needs one port or one range, which it says the beginning of";
        let way_out = "write ports = \"5000:5009\" or the like, or remove it: ports are kept";
        section.object(Mistake::new(span, message).way_out(way_out));
        return None;
    };
    let more = ports.high.saturating_sub(ports.low);
    if to_port.checked_add(more).is_none() {
        let (low, high) = (ports.low, ports.high);
        let end = u32::from(to_port) + u32::from(more);
        let message = format!("ports {low}:{high} that begin at {to_port} end at {end}");
        let way_out = format!("write {} or less: the last port is 65535", u16::MAX - more);
        section.object(Mistake::new(span, message).way_out(way_out));
        return None;
    }
    Some(ports)
}
