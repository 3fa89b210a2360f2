//! Protocols and ICMP types, by name and by number.

use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use toml::de::DeValue;

use super::mistake::Mistake;
use super::scalar::{number, text};
use super::section::{Read, Value, did_you_mean, wrong_type};

const PROTOCOLS: [(&str, u8); 4] = [
    ("tcp", PROTOCOL_TCP),
    ("udp", PROTOCOL_UDP),
    ("icmp", PROTOCOL_ICMP),
    ("icmpv6", PROTOCOL_ICMPV6),
];

/// RFC 792, RFC 950, RFC 1256.
const ICMP: &[(&str, u8)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
];

/// RFC 4443, RFC 4861, RFC 2710, RFC 3810.
const ICMPV6: &[(&str, u8)] = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("listener-query", 130),
    ("listener-report", 131),
    ("listener-done", 132),
    ("router-solicitation", 133),
    ("router-advertisement", 134),
    ("neighbour-solicitation", 135),
    ("neighbour-advertisement", 136),
    ("redirect", 137),
    ("listener-report-v2", 143),
];

fn types_of(protocol: u8) -> &'static [(&'static str, u8)] {
    match protocol {
        PROTOCOL_ICMP => ICMP,
        PROTOCOL_ICMPV6 => ICMPV6,
        _ => &[],
    }
}

/// An ICMP type as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IcmpType {
    /// By its number.
    Number(u8),
    /// By its name, which may have a number in each of both protocols.
    Name(&'static str),
}

impl IcmpType {
    /// Returns the type's number in a protocol, if the protocol has it.
    pub(super) fn in_protocol(&self, protocol: u8) -> Option<u8> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(name) => {
                types_of(protocol).iter().find(|(known, _)| known == name).map(|&(_, n)| n)
            }
        }
    }
}

/// Tells whether a protocol has ICMP types.
pub(super) fn is_icmp(protocol: u8) -> bool {
    [PROTOCOL_ICMP, PROTOCOL_ICMPV6].contains(&protocol)
}

/// Tells whether a protocol has ports.
pub(super) fn has_ports(protocol: u8) -> bool {
    [PROTOCOL_TCP, PROTOCOL_UDP].contains(&protocol)
}

/// Returns the name of a protocol, if it has one here.
pub(crate) fn protocol_name(protocol: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|&&(_, number)| number == protocol).map(|&(name, _)| name)
}

/// Returns the name of an ICMP type, if it has one here.
pub(crate) fn icmp_type_name(protocol: u8, icmp_type: u8) -> Option<&'static str> {
    types_of(protocol).iter().find(|&&(_, number)| number == icmp_type).map(|&(name, _)| name)
}

/// Reads a protocol.
pub(super) fn protocol(value: &Value<'_>) -> Read<u8> {
    if let DeValue::Integer(_) = value.get_ref() {
        return number(value, 1, u32::from(u8::MAX)).map(|number| number as u8);
    }
    let DeValue::String(name) = value.get_ref() else {
        return Err(wrong_type(value, "a protocol's name or number"));
    };
    let found = PROTOCOLS.iter().find(|&&(known, _)| known == name.as_ref());
    found.map(|&(_, number)| number).ok_or_else(|| {
        let names: Vec<&str> = PROTOCOLS.iter().map(|&(name, _)| name).collect();
        let known = format!("known are {}, and any number", names.join(", "));
        unknown(value, "protocol", name, names.into_iter(), known)
    })
}

/// Reads an ICMP type.
pub(super) fn icmp_type(value: &Value<'_>) -> Read<IcmpType> {
    if matches!(value.get_ref(), DeValue::Integer(_)) {
        return number(value, 0, u32::from(u8::MAX)).map(|n| IcmpType::Number(n as u8));
    }
    let name = text(value)?;
    let mut known = ICMP.iter().chain(ICMPV6).map(|&(known, _)| known);
    known
        .clone()
        .find(|&known| known == name)
        .map(IcmpType::Name)
        .ok_or_else(|| unknown(value, "ICMP type", name, &mut known, "write its number".to_owned()))
}

fn unknown<'n>(
    value: &Value<'_>,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
    otherwise: String,
) -> Vec<Mistake> {
    let way_out = did_you_mean(name, known).unwrap_or(otherwise);
    vec![Mistake::new(value.span(), format!("unknown {what} \"{name}\"")).way_out(way_out)]
}
