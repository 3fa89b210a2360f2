//! Flows that a new ruleset no longer allows.

use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::rules::{Action, Query, Way, first_match, role};
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
/// A stream of Amanda stays for as long as its session. Where the host itself goes on talking on a
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
        let accepts = |interface| accepts(&self.tables.rules, packet, flow.way(), interface);
        match flow.interface {
            0 => self.attached.iter().any(|&interface| accepts(interface)),
            interface => accepts(interface),
        }
    }

    fn is_control(&self, packet: &Packet) -> bool {
        let (source, destination) = (packet.source, packet.destination);
        destination.port == self.settings.control_port
            && role::may_control(self.tables.role(source.addr), self.tables.role(destination.addr))
    }
}

/// Makes a packet as the flow's first one was.
fn first_packet(key: &FlowKey, flow: &Flow) -> Packet {
    let (source, destination) =
        if flow.is_from_a() { (key.a(), key.b()) } else { (key.b(), key.a()) };
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

fn accepts(classifier: &Classifier, packet: &Packet, way: Way, interface: u32) -> bool {
    let query = Query::deciding(packet, way, interface, classifier.fields);
    let place = first_match(classifier, packet, &query);
    let rule = place.and_then(|place| classifier.rule(place));
    rule.is_some_and(|rule| rule.action == Action::Accept.number())
}
