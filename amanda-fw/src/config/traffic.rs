//! Which traffic a rule is about: protocols with their ports or types, or services.

use std::collections::BTreeSet;

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::ruleset::{ANY_PORT, Protocol, Protocols};

use super::mistake::Mistake;
use super::ports::{merged, ports};
use super::protocol::{IcmpType, has_ports, icmp_type, is_icmp, protocol_name, protocols};
use super::scalar::text;
use super::section::{Read, Section, Value, did_you_mean, nonempty};
use super::selection::Selection;
use super::services::{self, Part};

/// Packets of some protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// The protocols, with their ICMP types where those matter.
    pub(super) protocols: Protocols,
    /// The source ports.
    pub(super) source_ports: Vec<PortRange>,
    /// The destination ports.
    pub(super) destination_ports: Vec<PortRange>,
    /// Where packets must go, empty for anywhere.
    pub(super) to: Vec<Network>,
}

/// Reads the keys of a rule that say which traffic it is about.
pub(super) fn read(section: &mut Section<'_>) -> Vec<Traffic> {
    let services = section.read("service", |value| nonempty(value, service));
    let protocols = section.read("protocol", protocols);
    let destination_ports = section.read("ports", ports);
    let source_ports = section.read("source_ports", ports);
    let icmp_types = if section.may_have("icmp_type") {
        section.read("icmp_type", |value| nonempty(value, icmp_type))
    } else {
        None
    };
    if section.has("service") {
        refuse_beside_service(section);
        return of_services(services.into_iter().flatten().flatten().collect());
    }
    let numbers = protocols.as_ref().map(numbers);
    let icmp_types = icmp_types.unwrap_or_default();
    // Where the protocols themselves are wrong, nothing is known of the rest.
    if protocols.is_some() || !section.has("protocol") {
        let numbers = numbers.as_deref().unwrap_or_default();
        refuse_ports(section, numbers);
        refuse_types(section, numbers, &icmp_types);
    }
    vec![Traffic {
        protocols: numbers.map_or(Protocols::Any, |numbers| with_types(&numbers, &icmp_types)),
        source_ports: source_ports.unwrap_or_else(|| vec![ANY_PORT]),
        destination_ports: destination_ports.unwrap_or_else(|| vec![ANY_PORT]),
        to: Vec::new(),
    }]
}

fn numbers(Selection { only, except }: &Selection<u8>) -> Vec<u8> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let within = if only.is_empty() { &all } else { only };
    within.iter().copied().filter(|number| !except.contains(number)).collect()
}

fn with_types(numbers: &[u8], icmp_types: &[IcmpType]) -> Protocols {
    let mut protocols = Vec::new();
    for &number in numbers {
        if icmp_types.is_empty() {
            protocols.push(Protocol { number, icmp_type: None });
        }
        let types = icmp_types.iter().filter_map(|icmp_type| icmp_type.in_protocol(number));
        protocols.extend(types.map(|t| Protocol { number, icmp_type: Some(t) }));
    }
    Protocols::Only(protocols)
}

fn refuse_ports(section: &mut Section<'_>, numbers: &[u8]) {
    if !numbers.is_empty() && numbers.iter().all(|&number| has_ports(number)) {
        return;
    }
    for key in ["ports", "source_ports"] {
        if let Some(span) = section.span_of(key) {
            let message = format!("`{key}` needs protocols that all have ports");
            let way_out = "add protocol = \"tcp\", or \"udp\", \"sctp\", \"dccp\", \"udplite\"";
            section.object(Mistake::new(span, message).way_out(way_out));
        }
    }
}

fn refuse_types(section: &mut Section<'_>, numbers: &[u8], icmp_types: &[IcmpType]) {
    let Some(span) = section.span_of("icmp_type").filter(|_| !icmp_types.is_empty()) else {
        return;
    };
    let mistake = if numbers.is_empty() || !numbers.iter().all(|&number| is_icmp(number)) {
        Mistake::new(span, "`icmp_type` needs the protocols \"icmp\" or \"icmpv6\" alone")
            .way_out("add protocol = [\"icmp\", \"icmpv6\"]")
    } else if let Some(message) = strange_type(numbers, icmp_types) {
        Mistake::new(span, message).way_out("make a rule for each protocol")
    } else {
        return;
    };
    section.object(mistake);
}

/// Finds a type that a protocol does not have, or a number that means one thing in ICMP and
/// another in ICMPv6.
fn strange_type(numbers: &[u8], icmp_types: &[IcmpType]) -> Option<String> {
    icmp_types.iter().find_map(|icmp_type| match icmp_type {
        IcmpType::Number(number) => (numbers.len() > 1)
            .then(|| format!("type {number} is not the same in \"icmp\" and \"icmpv6\"")),
        IcmpType::Name(name) => {
            let lacks = |&&number: &&u8| icmp_type.in_protocol(number).is_none();
            let protocol = protocol_name(*numbers.iter().find(lacks)?)?;
            Some(format!("\"{protocol}\" has no type \"{name}\""))
        }
    })
}

fn refuse_beside_service(section: &mut Section<'_>) {
    for key in ["protocol", "ports", "source_ports", "icmp_type"] {
        if let Some(span) = section.span_of(key) {
            let message = format!("`{key}` beside `service`, which says it already");
            let way_out = "remove one of them, or make two rules";
            section.object(Mistake::new(span, message).way_out(way_out));
        }
    }
}

fn service(value: &Value<'_>) -> Read<Vec<Part>> {
    let name = text(value)?;
    services::find(name).ok_or_else(|| {
        let names = services::names();
        let way_out = did_you_mean(name, names.iter().map(String::as_str)).unwrap_or_else(|| {
            "`amanda-fw check --services` lists them; else write protocol and ports".to_owned()
        });
        let message = format!("unknown service \"{name}\"");
        vec![Mistake::new(value.span(), message).way_out(way_out)]
    })
}

/// Puts together what goes to the same places and has the same ports.
fn of_services(parts: Vec<Part>) -> Vec<Traffic> {
    let mut destinations: Vec<Vec<Network>> = Vec::new();
    for part in &parts {
        if !destinations.contains(&part.to) {
            destinations.push(part.to.clone());
        }
    }
    destinations.iter().flat_map(|to| to_one_place(&parts, to)).collect()
}

fn to_one_place(parts: &[Part], to: &[Network]) -> Vec<Traffic> {
    let there = parts.iter().filter(|part| part.to == to);
    let pairs: Vec<services::Ports> = there.flat_map(|part| part.ports.clone()).collect();
    let mut traffic: Vec<Traffic> = Vec::new();
    for number in pairs.iter().map(|&(number, _)| number).collect::<BTreeSet<u8>>() {
        let protocol = Protocol { number, icmp_type: None };
        let ranges = pairs.iter().filter(|pair| pair.0 == number);
        let destination_ports = merged(ranges.map(|pair| pair.1.unwrap_or(ANY_PORT)).collect());
        let same = traffic.iter_mut().find(|t| t.destination_ports == destination_ports);
        match same.map(|same| &mut same.protocols) {
            Some(Protocols::Only(protocols)) => protocols.push(protocol),
            _ => traffic.push(Traffic {
                protocols: Protocols::Only(vec![protocol]),
                source_ports: vec![ANY_PORT],
                destination_ports,
                to: to.to_vec(),
            }),
        }
    }
    traffic
}
