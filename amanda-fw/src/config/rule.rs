//! `[[rule]]`: which new flows are let in or kept out.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::Way;
use clap::ValueEnum;
use toml::de::DeValue;

use super::hosts::{Hosts, Place};
use super::mistake::{Mistake, Span};
use super::policy::Action;
use super::protocol::{IcmpType, has_ports, icmp_type, is_icmp, protocol, protocol_name};
use super::scalar::{choice, ports, text};
use super::section::{Read, Section, Value, list, nonempty, table};

/// One rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigRule {
    /// Where it stands in the text.
    pub(super) span: Span,
    /// What people call it.
    pub(crate) name: String,
    /// Which way a packet must go.
    pub(crate) way: Way,
    /// The protocols, 0 for any.
    pub(crate) protocols: Vec<u8>,
    /// Where a packet must come from.
    pub(crate) from: Vec<Place>,
    /// The destination ports, empty for any.
    pub(crate) ports: Vec<PortRange>,
    /// The source ports, empty for any.
    pub(crate) source_ports: Vec<PortRange>,
    /// The ICMP types, empty for any.
    pub(crate) icmp_types: Vec<IcmpType>,
    /// What happens to a packet that fits.
    pub(crate) action: Action,
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    In,
    Out,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::In => Self::In,
            Direction::Out => Self::Out,
        }
    }
}

/// Reads all the rules.
pub(super) fn read_all(value: &Value<'_>, hosts: &Hosts) -> Read<Vec<ConfigRule>> {
    if !matches!(value.get_ref(), DeValue::Array(_)) {
        let mistake = Mistake::new(value.span(), "rules are a list of tables");
        return Err(vec![mistake.way_out("write [[rule]]")]);
    }
    let mut number = 0;
    list(value, |element| {
        number += 1;
        ConfigRule::read(element, number, hosts)
    })
}

impl ConfigRule {
    fn read(value: &Value<'_>, number: usize, hosts: &Hosts) -> Read<Self> {
        let table = table(value)?;
        let default_name = format!("rule {number}");
        let title = match table.get("name").map(|name| name.get_ref()) {
            Some(DeValue::String(name)) => format!("rule \"{name}\""),
            _ => default_name.clone(),
        };
        let mut section = Section::new(title, value.span(), table);
        let name = section.read("name", text).map_or(default_name, str::to_owned);
        let way = section.read("direction", choice::<Direction>).unwrap_or(Direction::In).into();
        let protocols = section.read("protocol", |value| nonempty(value, protocol));
        let from = section.read("from", |value| nonempty_places(value, hosts));
        let destination_ports = section.read("ports", |value| nonempty(value, ports));
        let source_ports = section.read("source_ports", |value| nonempty(value, ports));
        let icmp_types = section.read("icmp_type", |value| nonempty(value, icmp_type));
        let action = section.require("action", Action::read);
        section.refuse("log");
        let rule = Self {
            span: value.span(),
            name,
            way,
            protocols: protocols.unwrap_or_else(|| vec![0]),
            from: from.unwrap_or_else(|| vec![Place::Any]),
            ports: destination_ports.unwrap_or_default(),
            source_ports: source_ports.unwrap_or_default(),
            icmp_types: icmp_types.unwrap_or_default(),
            // Where there is none, the section does not finish.
            action: action.unwrap_or(Action::Drop),
        };
        for (key, message) in rule.contradictions() {
            let span = table.get(key).map_or(value.span(), |found| found.span());
            section.object(Mistake::new(span, message));
        }
        section.finish(rule)
    }

    /// Finds keys that say nothing about the rule's protocols.
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let ports = [("ports", &self.ports), ("source_ports", &self.source_ports)];
        for (key, ports) in ports {
            if !ports.is_empty() && !self.protocols.iter().all(|&p| has_ports(p)) {
                let message = "ports need the protocol \"tcp\" or \"udp\", and no other beside";
                found.push((key, message.to_owned()));
            }
        }
        if !self.icmp_types.is_empty() && !self.protocols.iter().all(|&p| is_icmp(p)) {
            let message = "types need the protocol \"icmp\" or \"icmpv6\", and no other beside";
            found.push(("icmp_type", message.to_owned()));
        } else {
            found.extend(self.strange_types().map(|message| ("icmp_type", message)));
        }
        found
    }

    /// Finds types that a protocol does not have, and numbers that mean one thing in ICMP and
    /// another in ICMPv6.
    fn strange_types(&self) -> Option<String> {
        self.icmp_types.iter().find_map(|icmp_type| match icmp_type {
            IcmpType::Number(number) if self.protocols.len() > 1 => Some(format!(
                "type {number} is not the same in \"icmp\" and \"icmpv6\": make a rule for each"
            )),
            IcmpType::Number(_) => None,
            IcmpType::Name(name) => {
                let lacks = |&&protocol: &&u8| icmp_type.in_protocol(protocol).is_none();
                let protocol = protocol_name(*self.protocols.iter().find(lacks)?)?;
                Some(format!("\"{protocol}\" has no type \"{name}\""))
            }
        })
    }
}

fn nonempty_places(value: &Value<'_>, hosts: &Hosts) -> Read<Vec<Place>> {
    nonempty(value, |_| Ok(()))?;
    hosts.places(value)
}
