//! Protocols and ICMP types, by name and by number.

use amanda_fw_common::wire::{
    PROTOCOL_DCCP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
    PROTOCOL_UDPLITE,
};
use toml::de::DeValue;

use super::mistake::Mistake;
use super::scalar::{complain, number, text};
use super::section::{Read, Value, did_you_mean};
use super::selection::{Selection, selection};

/// Protocols that have ports, which the packet path reads.
const WITH_PORTS: [u8; 5] =
    [PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP, PROTOCOL_DCCP, PROTOCOL_UDPLITE];

/// IANA's protocol numbers, by the names of /etc/protocols; the first name of a number is shown.
const PROTOCOLS: &[(&str, u8)] = &[
    ("tcp", PROTOCOL_TCP),
    ("udp", PROTOCOL_UDP),
    ("icmp", PROTOCOL_ICMP),
    ("icmpv6", PROTOCOL_ICMPV6),
    ("ipv6-icmp", PROTOCOL_ICMPV6),
    ("hopopt", 0),
    ("igmp", 2),
    ("ggp", 3),
    ("ipv4", 4),
    ("ipencap", 4),
    ("st", 5),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ospfigp", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
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
pub(crate) fn has_ports(protocol: u8) -> bool {
    WITH_PORTS.contains(&protocol)
}

/// Returns the name of a protocol, if it has one here.
pub(crate) fn protocol_name(protocol: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|&&(_, number)| number == protocol).map(|&(name, _)| name)
}

/// Returns the protocol of a name.
pub(super) fn by_name(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|&&(known, _)| known == name).map(|&(_, number)| number)
}

/// Lists the names of the protocols.
pub(super) fn names() -> Vec<String> {
    PROTOCOLS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Lists the names of the ICMP types of either family.
pub(super) fn icmp_types() -> Vec<String> {
    let mut names: Vec<String> =
        ICMP.iter().chain(ICMPV6).map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Returns the name of an ICMP type, if it has one here.
pub(crate) fn icmp_type_name(protocol: u8, icmp_type: u8) -> Option<&'static str> {
    types_of(protocol).iter().find(|&&(_, number)| number == icmp_type).map(|&(name, _)| name)
}

/// Returns an ICMP type by its name or number.
pub(crate) fn icmp_type_number(protocol: u8, text: &str) -> Option<u8> {
    let named = || types_of(protocol).iter().find(|&&(name, _)| name == text).map(|&(_, n)| n);
    text.parse().ok().or_else(named)
}

/// Reads protocols but for others.
pub(super) fn protocols(value: &Value<'_>) -> Read<Selection<u8>> {
    selection(value, "a protocol's name or number", |element, text| Ok(vec![one(element, text)?]))
}

fn one(value: &Value<'_>, text: &str) -> Read<u8> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.parse().map_err(|_| complain(value, format!("{text} is not from 0 to 255")));
    }
    by_name(text).ok_or_else(|| {
        let names = PROTOCOLS.iter().map(|&(name, _)| name);
        let otherwise = "write IANA's name of it, such as \"tcp\", or its number";
        unknown(value, "protocol", text, names, otherwise.to_owned())
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
