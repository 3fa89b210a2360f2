//! What becomes of addresses: the targets of the table nat.

use std::net::Ipv4Addr;

use super::field::{Ports, Word};
use super::flat::{Action, Flat, State, Way};
use super::follow::Flattening;
use super::matching::Match;
use super::rule::Rule;
use super::write;
use crate::import::draft::{Draft, Value};
use crate::import::report::Place;

/// Ranges of fewer ports are taken for something else than Amanda's streams.
const FEW: u16 = 10;

/// What a target of the table nat does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ACCEPT: the rules behind it are not asked.
    Exempt,
    Masquerade,
    Source,
    Destination,
}

/// What an address becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Translation {
    pub(super) kind: Kind,
    pub(super) addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    pub(super) ports: Option<Ports>,
}

impl Translation {
    /// Leaves addresses as they are.
    pub(super) const EXEMPT: Self = Self::of(Kind::Exempt);

    /// Says nothing yet of what an address becomes.
    pub(super) const fn of(kind: Kind) -> Self {
        Self { kind, addresses: None, ports: None }
    }

    /// Reads `--to-destination`, `--to-source` or `--to-ports`.
    pub(super) fn read(kind: Kind, text: Option<&str>) -> Result<Self, String> {
        let text = match (kind, text) {
            (Kind::Exempt | Kind::Masquerade, None) => return Ok(Self::of(kind)),
            (Kind::Source | Kind::Destination, None) => {
                return Err("it does not say what the address becomes".to_owned());
            }
            (_, Some(text)) => text,
        };
        let (addresses, ports) = match text.split_once(':') {
            Some((addresses, ports)) => (addresses, Some(ports)),
            None if kind == Kind::Masquerade => ("", Some(text)),
            None => (text, None),
        };
        let wrong = || format!("nothing becomes {text}");
        let ports = ports.map(|ports| range(ports, |port| port.parse().ok()).ok_or_else(wrong));
        let ports = ports.transpose()?.map(|(low, high)| Ports(low, high));
        let both = |addresses| range(addresses, |address| address.parse().ok());
        let addresses = match (kind, addresses) {
            (_, "") => None,
            (_, addresses) => Some(both(addresses).ok_or_else(wrong)?),
        };
        if kind == Kind::Destination && addresses.is_none_or(|(first, last)| first != last) {
            return Err("a destination becomes one address".to_owned());
        }
        if kind == Kind::Source && addresses.is_none() {
            return Err("a source becomes an address".to_owned());
        }
        Ok(Self { kind, addresses, ports })
    }

    /// Returns the key for the port of a destination, or says why there is none.
    fn to_port(self, matching: &Match) -> Result<Option<u16>, String> {
        let Some(Ports(low, high)) = self.ports.filter(|_| self.kind == Kind::Destination) else {
            return Ok(None);
        };
        let shifted = "a range of ports is shifted as a whole, and becomes no other one";
        match matching.ports.wanted.as_slice() {
            [Ports(first, last)] if last.checked_sub(*first) == Some(high - low) => {
                Ok((*first != low).then_some(low))
            }
            _ => Err(shifted.to_owned()),
        }
    }
}

/// Reads one thing, or two with a hyphen between them.
fn range<T: Copy + PartialOrd>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    read(first).zip(read(last)).filter(|(first, last)| first <= last)
}

impl Flattening<'_> {
    /// Adds the translations that a rule of the table nat comes to, or notes why there are none.
    pub(super) fn translate(
        &mut self,
        rule: &Rule,
        places: Vec<Place>,
        mut matching: Match,
        translation: Translation,
    ) {
        let Some(place) = places.last().cloned() else { return };
        let why = if matching.is_limited() {
            "a translation has no limit"
        } else if !matching.icmp_type.is_any() {
            "a translation knows no ICMP types"
        } else if !matching.state.is_any() || !matching.syn.is_any() {
            "a translation is for the first packet of a flow, whatever that is"
        } else {
            ""
        };
        let to_port = translation.to_port(&matching);
        let why = to_port.as_ref().err().map_or(why, String::as_str);
        if !why.is_empty() {
            self.lose(&place, rule, why);
            return;
        }
        if !self.place_interfaces(&place, &mut matching) {
            return;
        }
        self.report.carry(&place);
        let mut remarks: Vec<String> = rule.remarks.iter().map(|r| (*r).to_owned()).collect();
        if translation.kind == Kind::Destination && is_for_streams(&matching) {
            let what = "these look like the ports of Amanda's streams. Those that a host behind \
                        this one announces are sent on by themselves, once [amanda] names both \
                        ends and port 10080 is translated: then take this out";
            remarks.push(what.to_owned());
        }
        self.rules.push(Flat {
            places,
            families: vec![self.family],
            way: self.way,
            matching,
            state: State::New,
            action: Action::Translate(translation),
            name: rule.comment.clone(),
            log: None,
            remarks,
        });
    }
}

fn is_for_streams(matching: &Match) -> bool {
    let is_tcp = matching.protocol.wanted == [Word("tcp".to_owned())];
    let is_range = |&Ports(low, high): &Ports| low >= 1024 && high.saturating_sub(low) >= FEW;
    is_tcp && matching.ports.wanted.iter().any(is_range)
}

/// Writes a translation with its remarks and where it comes from.
pub(super) fn write(draft: &mut Draft, flat: &Flat, translation: &Translation) {
    write::origin(draft, flat);
    let Flat { way, matching, name, .. } = flat;
    draft.table("[[nat]]");
    if let Some(name) = name {
        draft.entry("name", &Value::text(name));
    }
    let (kind, to) = match translation.kind {
        Kind::Exempt => ("none", None),
        Kind::Masquerade => ("masquerade", None),
        Kind::Source => ("source", translation.addresses),
        Kind::Destination => ("destination", translation.addresses),
    };
    draft.entry("kind", &Value::text(kind));
    let key = if *way == Way::Prerouting { "in" } else { "out" };
    if translation.kind == Kind::Exempt && matching.interface.is_any() {
        draft.entry_with(key, &Value::text("!lo"), "any: it says where packets are exempted");
    }
    write::field(draft, key, &matching.interface, write::word);
    write::field(draft, "protocol", &matching.protocol, write::word);
    write::field(draft, "from", &matching.from, write::net);
    write::field(draft, "destination", &matching.to, write::net);
    write::field(draft, "ports", &matching.ports, write::ports);
    write::field(draft, "source_ports", &matching.source_ports, write::ports);
    if let Some((first, last)) = to {
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        draft.entry("to", &Value::text(range));
    }
    if let Ok(Some(port)) = translation.to_port(matching) {
        draft.entry("to_port", &Value::Number(port.into()));
    }
    if let Some(ports) = translation.ports.filter(|_| translation.kind != Kind::Destination) {
        draft.entry("to_ports", &write::ports(&ports));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, expected: Result<&str, &str>) {
        let found = Translation::read(kind, Some(text)).map(|found| {
            let addresses = found.addresses.map(|(first, last)| format!("{first}-{last}"));
            let ports = found.ports.map(|Ports(low, high)| format!(" {low}:{high}"));
            format!("{}{}", addresses.unwrap_or_default(), ports.unwrap_or_default())
        });
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn what_an_address_becomes_is_read_as_iptables_writes_it() {
        check(Kind::Destination, "10.0.0.1", Ok("10.0.0.1-10.0.0.1"));
        check(Kind::Destination, "10.0.0.1:80", Ok("10.0.0.1-10.0.0.1 80:80"));
        check(Kind::Source, "10.0.0.1-10.0.0.9", Ok("10.0.0.1-10.0.0.9"));
        check(Kind::Source, "10.0.0.1:1024-2047", Ok("10.0.0.1-10.0.0.1 1024:2047"));
        check(Kind::Masquerade, "1024-2047", Ok(" 1024:2047"));
    }

    #[test]
    fn what_the_draft_cannot_say_is_refused() {
        check(Kind::Destination, "10.0.0.1-10.0.0.9", Err("a destination becomes one address"));
        check(Kind::Destination, ":80", Err("a destination becomes one address"));
        check(Kind::Source, ":80", Err("a source becomes an address"));
        check(Kind::Source, "10.0.0.1:80-79", Err("nothing becomes 10.0.0.1:80-79"));
        check(Kind::Source, "host", Err("nothing becomes host"));
        let nothing = Translation::read(Kind::Source, None);
        assert_eq!(nothing, Err("it does not say what the address becomes".to_owned()));
    }
}
