//! Names in rules of iptables, and what they are called in a draft.

/// Services that people name in rules, from IANA's registry.
const SERVICES: [(&str, u16); 34] = [
    ("amanda", 10080),
    ("kamanda", 10081),
    ("amandaidx", 10082),
    ("amidxtape", 10083),
    ("auth", 113),
    ("bootpc", 68),
    ("bootps", 67),
    ("dhcpv6-client", 546),
    ("dhcpv6-server", 547),
    ("domain", 53),
    ("ftp", 21),
    ("ftp-data", 20),
    ("http", 80),
    ("https", 443),
    ("imap", 143),
    ("imap2", 143),
    ("imaps", 993),
    ("ipp", 631),
    ("isakmp", 500),
    ("ldap", 389),
    ("ldaps", 636),
    ("mdns", 5353),
    ("microsoft-ds", 445),
    ("netbios-ns", 137),
    ("nfs", 2049),
    ("ntp", 123),
    ("pop3", 110),
    ("pop3s", 995),
    ("smtp", 25),
    ("snmp", 161),
    ("ssh", 22),
    ("sunrpc", 111),
    ("syslog", 514),
    ("telnet", 23),
];

/// Returns the number of a port.
pub(super) fn port(text: &str) -> Option<u16> {
    let named = || SERVICES.iter().find(|(name, _)| *name == text).map(|&(_, port)| port);
    text.parse().ok().or_else(named)
}

/// Returns what the draft calls a protocol; nothing for all of them.
pub(super) fn protocol(text: &str) -> Option<String> {
    let name = text.to_lowercase();
    match name.as_str() {
        "all" | "0" => None,
        "6" => Some("tcp".to_owned()),
        "17" => Some("udp".to_owned()),
        "1" => Some("icmp".to_owned()),
        "58" | "icmp6" | "ipv6-icmp" => Some("icmpv6".to_owned()),
        _ => Some(name),
    }
}

/// The names that iptables and the draft have for ICMP types: RFC 792, RFC 4443, RFC 4861.
const ICMP: [(&str, u8, &str); 11] = [
    ("pong", 0, "echo-reply"),
    ("destination-unreachable", 3, "destination-unreachable"),
    ("source-quench", 4, "source-quench"),
    ("redirect", 5, "redirect"),
    ("ping", 8, "echo-request"),
    ("router-advertisement", 9, "router-advertisement"),
    ("router-solicitation", 10, "router-solicitation"),
    ("ttl-exceeded", 11, "time-exceeded"),
    ("parameter-problem", 12, "parameter-problem"),
    ("timestamp-request", 13, "timestamp-request"),
    ("timestamp-reply", 14, "timestamp-reply"),
];

/// The same for ICMPv6.
const ICMPV6: [(&str, u8, &str); 15] = [
    ("destination-unreachable", 1, "destination-unreachable"),
    ("packet-too-big", 2, "packet-too-big"),
    ("ttl-exceeded", 3, "time-exceeded"),
    ("parameter-problem", 4, "parameter-problem"),
    ("ping", 128, "echo-request"),
    ("pong", 129, "echo-reply"),
    ("mld-listener-query", 130, "listener-query"),
    ("mld-listener-report", 131, "listener-report"),
    ("mld-listener-done", 132, "listener-done"),
    ("router-solicitation", 133, "router-solicitation"),
    ("router-advertisement", 134, "router-advertisement"),
    ("neighbor-solicitation", 135, "neighbour-solicitation"),
    ("neighbor-advertisement", 136, "neighbour-advertisement"),
    ("redirect", 137, "redirect"),
    ("mldv2-listener-report", 143, "listener-report-v2"),
];

/// ICMP types that have only the code 0.
const WITHOUT_CODES: [&str; 2] = ["echo-request", "echo-reply"];

/// Returns what the draft calls an ICMP type: a name, or a number as text.
pub(super) fn icmp_type(text: &str, is_v6: bool) -> Result<String, String> {
    let (kind, code) = text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)));
    let table: &[(&str, u8, &str)] = if is_v6 { &ICMPV6 } else { &ICMP };
    let number = kind.parse::<u8>().ok();
    let found = table.iter().find(|(name, of, ours)| {
        Some(*of) == number || *name == kind || *ours == kind || spelt(kind) == *ours
    });
    let name = match (found, number) {
        (Some((_, _, name)), _) => (*name).to_owned(),
        (None, Some(number)) => number.to_string(),
        (None, None) => return Err(format!("the importer does not know the ICMP type {kind}")),
    };
    match code {
        Some(code) if code != "0" || !WITHOUT_CODES.contains(&name.as_str()) => {
            Err(format!("a rule knows ICMP types, and no codes ({text})"))
        }
        _ => Ok(name),
    }
}

/// Writes neighbours as RFC 4861's British readers do.
fn spelt(name: &str) -> String {
    name.replace("neighbor", "neighbour")
}

/// Returns what the draft calls the answer of a REJECT, and whether that is another one.
pub(super) fn rejection(text: &str) -> Option<(&'static str, bool)> {
    let name = text.strip_prefix("icmp6-").or_else(|| text.strip_prefix("icmp-")).unwrap_or(text);
    Some(match name {
        "tcp-reset" | "tcp-rst" => ("tcp-reset", false),
        "port-unreachable" | "port-unreach" => ("port-unreachable", false),
        "host-unreachable" | "host-unreach" | "addr-unreachable" | "addr-unreach" => {
            ("host-unreachable", false)
        }
        "net-unreachable" | "net-unreach" | "no-route" => ("net-unreachable", false),
        "proto-unreachable" | "proto-unreach" => ("protocol-unreachable", false),
        "admin-prohibited" | "admin-prohib" | "adm-prohibited" => ("admin-prohibited", false),
        "host-prohibited" | "host-prohib" => ("host-prohibited", false),
        "net-prohibited" | "net-prohib" => ("net-prohibited", false),
        "policy-fail" | "reject-route" => ("admin-prohibited", true),
        _ => return None,
    })
}

/// Returns a rate as the draft writes it: `5/sec` is `5/s`.
pub(super) fn rate(text: &str) -> Option<String> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "second"));
    let known = [("second", "s"), ("minute", "min"), ("hour", "h"), ("day", "day")];
    let is_unit = |(whole, _): &&(&str, &str)| !unit.is_empty() && whole.starts_with(unit);
    let (_, ours) = known.iter().find(is_unit)?;
    count.parse::<u32>().ok().filter(|&count| count > 0).map(|count| format!("{count}/{ours}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: Result<String, String>, expected: Option<&str>) {
        assert_eq!(found.ok().as_deref(), expected);
    }

    #[test]
    fn icmp_types_have_the_names_of_the_draft() {
        check(icmp_type("8", false), Some("echo-request"));
        check(icmp_type("8/0", false), Some("echo-request"));
        check(icmp_type("neighbor-advertisement", true), Some("neighbour-advertisement"));
        check(icmp_type("neighbour-solicitation", true), Some("neighbour-solicitation"));
        check(icmp_type("42", false), Some("42"));
        check(icmp_type("3/4", false), None);
        check(icmp_type("fragmentation-needed", false), None);
    }

    #[test]
    fn rates_have_the_units_of_the_draft() {
        let units = ["3/min", "3/minute", "5/sec", "5", "1/h", "1/day", "1/fortnight", "0/s"];
        let found: Vec<_> = units.iter().map(|unit| rate(unit).unwrap_or_default()).collect();
        assert_eq!(found, ["3/min", "3/min", "5/s", "5/s", "1/h", "1/day", "", ""]);
    }
}
