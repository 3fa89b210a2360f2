//! The values of options.

use super::field::{Field, Net, Ports, Word};
use super::rule::Target;
use super::{address, names};

fn words(names: Vec<String>, is_not: bool) -> Field<Word> {
    Field::new(names.into_iter().map(Word).collect(), is_not)
}

/// Reads a list of networks.
pub(super) fn networks(text: &str, is_not: bool) -> Result<Field<Net>, String> {
    let nets = address::list(text)?;
    match (nets.iter().any(|net| net.1 == 0), is_not) {
        (true, false) => Ok(Field::default()),
        (true, true) => Err("no packet meets this rule".to_owned()),
        (false, _) => Ok(Field::new(nets, is_not)),
    }
}

/// Reads an interface; a lone `+` is any.
pub(super) fn interface(text: &str, is_not: bool) -> Result<Field<Word>, String> {
    match text {
        "+" if !is_not => Ok(Field::default()),
        _ if text.ends_with('+') => {
            Err(format!("a rule names interfaces one by one, not as {text}"))
        }
        _ => Ok(words(vec![text.to_owned()], is_not)),
    }
}

/// Reads a protocol.
pub(super) fn protocol(text: &str, is_not: bool) -> Field<Word> {
    words(names::protocol(text).into_iter().collect(), is_not)
}

/// Reads a list of ports and ranges.
pub(super) fn ports(text: &str, is_not: bool) -> Result<Field<Ports>, String> {
    let ranges: Result<Vec<Ports>, String> = text.split(',').map(range).collect();
    Ok(Field::new(ranges?, is_not))
}

fn range(text: &str) -> Result<Ports, String> {
    let (low, high) = text.split_once(':').unwrap_or((text, text));
    let low = if low.is_empty() { "0" } else { low };
    let high = if high.is_empty() { "65535" } else { high };
    let port = |name| names::port(name).ok_or_else(|| format!("which port is {name}?"));
    Ok(Ports(port(low)?, port(high)?))
}

/// All the states of conntrack.
const STATES: [&str; 7] = ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT"];

/// Reads states of conntrack.
pub(super) fn states(text: &str, is_not: bool) -> Result<Field<Word>, String> {
    let names: Vec<String> = text.split(',').map(str::to_uppercase).collect();
    match names.iter().find(|name| !STATES.contains(&name.as_str())) {
        Some(odd) => Err(format!("a rule does not know the state {odd}")),
        None => Ok(words(names, is_not)),
    }
}

/// Wants a SYN, or anything else.
pub(super) fn syn(is_not: bool) -> Field<Word> {
    words(vec!["SYN".to_owned()], is_not)
}

/// Reads `--tcp-flags`: `--syn`, as iptables-save writes it, and nothing else.
pub(super) fn flags(mask: &str, set: &str, is_not: bool) -> Result<Field<Word>, String> {
    let mut mask: Vec<&str> = mask.split(',').collect();
    mask.sort_unstable();
    let is_syn = set == "SYN" && mask.contains(&"ACK") && mask.contains(&"SYN");
    let is_only_these = mask.iter().all(|flag| ["ACK", "FIN", "RST", "SYN"].contains(flag));
    match is_syn && is_only_these {
        true => Ok(syn(is_not)),
        false => Err("a rule tells SYN (state = \"new\") from the rest (state = \"invalid\"), \
                      and no other flags"
            .to_owned()),
    }
}

/// Reads an ICMP type.
pub(super) fn icmp_type(text: &str, is_v6: bool, is_not: bool) -> Result<Field<Word>, String> {
    match text {
        "any" | "255" if !is_v6 => Ok(Field::default()),
        _ => Ok(words(vec![names::icmp_type(text, is_v6)?], is_not)),
    }
}

/// Reads a rate.
pub(super) fn rate(text: &str) -> Result<String, String> {
    names::rate(text).ok_or_else(|| format!("{text} is no rate of packets"))
}

/// Reads a number.
pub(super) fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// Reads the answer of a REJECT.
pub(super) fn rejection(text: &str, remarks: &mut Vec<&'static str>) -> Result<Target, String> {
    let (answer, is_other) =
        names::rejection(text).ok_or_else(|| format!("reject_with knows no {text}"))?;
    if is_other {
        remarks.push("the answer was another one, which reject_with does not know");
    }
    Ok(Target::Reject(answer))
}
