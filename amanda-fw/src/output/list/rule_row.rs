//! The entries of rules, a row each.

use amanda_fw_common::connect::PortRange;
use amanda_fw_common::rules::{ANY_TYPE, Rule};
use amanda_fw_common::verdict::Verdict;
use serde::Serialize;

use super::Row;
use crate::config::{display_network, icmp_type_name};
use crate::output::event::{protocol, way_name};
use crate::output::table::Column;

/// One entry of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RuleRow {
    /// The place of the rule in the configuration, from 1.
    pub(crate) number: u16,
    /// What people call the rule.
    pub(crate) name: String,
    /// Which way a packet must go.
    pub(crate) direction: &'static str,
    /// The protocol's name.
    pub(crate) protocol: String,
    /// Where a packet must come from.
    pub(crate) from: String,
    /// The destination ports or the ICMP type.
    pub(crate) to: String,
    /// The source ports.
    pub(crate) source_ports: String,
    /// What happens to a packet that fits.
    pub(crate) action: &'static str,
}

impl RuleRow {
    /// Describes an entry.
    pub(crate) fn new(entry: &Rule, rule_names: &[String]) -> Self {
        let Rule {
            from,
            number,
            port_low,
            port_high,
            source_port_low,
            source_port_high,
            protocol: protocol_number,
            way,
            icmp_type,
            accept,
            pad: _,
        } = *entry;
        let ports = ports(PortRange { low: port_low, high: port_high });
        let name = rule_names.get(usize::from(number).saturating_sub(1));
        let action = if accept == 1 { Verdict::Accept } else { Verdict::Drop };
        Self {
            number,
            name: name.cloned().unwrap_or_default(),
            direction: way_name(way),
            protocol: if protocol_number == 0 { "any".into() } else { protocol(protocol_number) },
            from: display_network(&from),
            to: icmp_type_text(protocol_number, icmp_type).unwrap_or(ports),
            source_ports: self::ports(PortRange { low: source_port_low, high: source_port_high }),
            action: action.name(),
        }
    }
}

fn ports(range: PortRange) -> String {
    match range {
        PortRange { low: 0, high: u16::MAX } => "any".to_owned(),
        PortRange { low, high } if low == high => low.to_string(),
        PortRange { low, high } => format!("{low}:{high}"),
    }
}

fn icmp_type_text(protocol: u8, icmp_type: u16) -> Option<String> {
    let number = u8::try_from(icmp_type).ok().filter(|_| icmp_type != ANY_TYPE)?;
    let name = icmp_type_name(protocol, number).map(str::to_owned);
    Some(name.unwrap_or_else(|| format!("type {number}")))
}

impl Row for RuleRow {
    const COLUMNS: &'static [Column] = &[
        Column::Right("#"),
        Column::Left("NAME"),
        Column::Left("DIR"),
        Column::Left("PROTO"),
        Column::Left("FROM"),
        Column::Left("SPORT"),
        Column::Left("PORT OR TYPE"),
        Column::Left("ACTION"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            self.name.escape_debug().to_string(),
            self.direction.to_owned(),
            self.protocol.clone(),
            self.from.clone(),
            self.source_ports.clone(),
            self.to.clone(),
            self.action.to_owned(),
        ]
    }
}
