//! Flows that a new ruleset no longer allows.

use amanda_fw_common::auth;
use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::rules::{Action, Query, Way, first_match};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{
    Icmp, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Packet, TcpFlags,
};
use anyhow::Result;

use crate::bpffs::PinDirectory;
use crate::config::{Config, Ruleset};
use crate::maps::{self, FlowTable};
use crate::{device, in_memory};

/// Ends the flows that could not begin any more, if the configuration says so; returns how many.
///
/// A stream of Amanda stays for as long as its session, and translation for as long as its flow,
/// whatever rules of translation there are now, as in netfilter. Where the host itself goes on talking on a
/// connection that it may begin, that is a flow of its own, as after any gap.
pub(crate) fn end_flows(pins: &PinDirectory, config: &Config, ruleset: &Ruleset) -> Result<usize> {
    if !config.policy.end_flows {
        return Ok(0);
    }
    let (settings, tables) = in_memory::compile(ruleset)?;
    let mut ended = 0;
    let attached = pins.interfaces()?;
    let attached: Vec<u32> =
        attached.iter().filter_map(|(name, _)| device::index_of(name)).collect();
    let allowed = Allowed { settings, tables, attached };
    // One that proves itself meanwhile goes from the first of them to the second.
    for name in [maps::EMBRYOS, maps::FLOWS] {
        let mut table = FlowTable::open(&pins.maps(), name)?;
        let over: Vec<FlowKey> = table
            .entries()
            .filter(|(key, flow)| !allowed.has(key, flow))
            .map(|(key, _)| key)
            .collect();
        ended += over.len();
        over.iter().for_each(|key| table.remove(key));
    }
    Ok(ended)
}

/// What may begin by a ruleset.
struct Allowed {
    settings: Settings,
    tables: MemoryTables,
    attached: Vec<u32>,
}

impl Allowed {
    fn has(&self, key: &FlowKey, flow: &Flow) -> bool {
        let packet = first_packet(key, flow);
        match Reason::from_number(flow.reason) {
            // Established are those that were there before the firewall.
            Some(Reason::Rule | Reason::PolicyAccept | Reason::Established) => {
                self.by_rules(&packet, flow) || self.is_control(&packet)
            }
            Some(Reason::Control) => self.is_control(&packet),
            _ => true,
        }
    }

    /// Asks the rules for the flow's interface, or for each one where it has not been seen on any.
    fn by_rules(&self, packet: &Packet, flow: &Flow) -> bool {
        // Where packets through the host are not told from those to it, they meet the same rules.
        let is_like_incoming = flow.is_forwarded() && !self.settings.forwards();
        let (way, output) = if is_like_incoming { (Way::In, 0) } else { (flow.way(), flow.output) };
        let accepts = |interface| accepts(&self.tables.rules, packet, way, interface, output);
        match flow.interface {
            0 => self.attached.iter().any(|&interface| accepts(interface)),
            interface => accepts(interface),
        }
    }

    fn is_control(&self, packet: &Packet) -> bool {
        let Packet { source, destination, protocol, .. } = *packet;
        let openings = &self.settings.openings;
        let purposes = auth::purposes(openings, protocol, source.port, destination.port);
        let role = |addr| self.tables.role(addr);
        auth::permitted(purposes, role(source.addr), role(destination.addr)) != 0
    }
}

/// Makes a packet as the flow's first one was.
fn first_packet(key: &FlowKey, flow: &Flow) -> Packet {
    let (source, destination) = flow.ends(key);
    let protocol = key.protocol();
    let (icmp, icmp_type) = match protocol {
        PROTOCOL_ICMP => (Icmp::Request, 8),
        PROTOCOL_ICMPV6 => (Icmp::Request, 128),
        _ => (Icmp::None, 0),
    };
    const SYN: u8 = 0x02;
    let tcp = TcpFlags(if protocol == PROTOCOL_TCP { SYN } else { 0 });
    Packet { source, destination, protocol, icmp, icmp_type, tcp, ..Packet::default() }
}

fn accepts(
    classifier: &Classifier,
    packet: &Packet,
    way: Way,
    interface: u32,
    output: u32,
) -> bool {
    let query = Query::deciding(packet, way, interface, output, classifier.fields);
    let place = first_match(classifier, packet, &query);
    let rule = place.and_then(|place| classifier.rule(place));
    rule.is_some_and(|rule| rule.action == Action::Accept.number())
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::nat::Mapped;
    use amanda_fw_common::rules::Rule;
    use amanda_fw_common::ruleset::{Interfaces, RuleSpec};
    use amanda_fw_common::settings::gateway;

    use super::*;
    use crate::nat::tests::{LAN, WAN, forwarded, mapped, masqueraded};

    /// A ruleset that lets the inside begin flows through the host, and everybody flows to it.
    fn allowed(gateway: u8) -> Allowed {
        let accept = Rule::new(Action::Accept, 1);
        let from_inside = RuleSpec {
            interfaces: Interfaces::Only(vec![LAN]),
            outputs: Interfaces::Only(vec![WAN]),
            ..RuleSpec::all(Way::Forward, accept)
        };
        let specs = [
            from_inside,
            RuleSpec::policy(Way::In, Action::Accept),
            RuleSpec::policy(Way::Out, Action::Drop),
            RuleSpec::policy(Way::Forward, Action::Drop),
        ];
        let rules = Classifier::compile(&specs).expect("few rules");
        let mut settings = Settings::default();
        (settings.gateway, settings.rule_fields) = (gateway, rules.fields);
        let tables = MemoryTables { rules, ..MemoryTables::default() };
        Allowed { settings, tables, attached: vec![LAN, WAN] }
    }

    #[track_caller]
    fn check(gateway: u8, (key, mut flow): (FlowKey, Flow), reason: Reason, expected: bool) {
        flow.reason = reason.number();
        assert_eq!(allowed(gateway).has(&key, &flow), expected);
    }

    fn through(interfaces: [u32; 2]) -> (FlowKey, Flow) {
        forwarded(PROTOCOL_TCP, ["192.168.0.7:4000", "203.0.113.5:80"], interfaces, 0)
    }

    #[test]
    fn a_flow_through_the_host_is_asked_with_both_its_interfaces() {
        check(gateway::FORWARDS, through([LAN, WAN]), Reason::Rule, true);
        check(gateway::FORWARDS, through([WAN, LAN]), Reason::Rule, false);
        check(gateway::FORWARDS, through([LAN, LAN]), Reason::PolicyAccept, false);
    }

    #[test]
    fn where_nobody_tells_them_apart_it_is_asked_like_one_to_the_host() {
        check(0, through([WAN, LAN]), Reason::Rule, true);
    }

    #[test]
    fn what_translation_let_in_stays() {
        let mut mapping = through([WAN, LAN]);
        mapping.1.destination = mapped("198.51.100.1:4000");
        check(gateway::FORWARDS, mapping, Reason::Mapped, true);
        let masqueraded = masqueraded(PROTOCOL_TCP, "192.168.0.7:4000", "198.51.100.1:4000");
        assert_ne!(masqueraded.1.source, Mapped::NONE);
        check(gateway::FORWARDS, masqueraded, Reason::Rule, true);
    }
}
