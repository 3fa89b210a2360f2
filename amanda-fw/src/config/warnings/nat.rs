//! Translations that do nothing, or more than they should.

use amanda_fw_common::nat::TranslationKind;
use amanda_fw_common::ruleset::RuleSpec;

use super::{at, never};
use crate::config::mistake::Mistake;
use crate::config::nat::ConfigNat;
use crate::config::selection::Selection;
use crate::config::shadow::{Index, covers};
use crate::config::{Host, ruleset};

/// A translation with what it means where every interface is there that one names.
struct Meant<'a> {
    nat: &'a ConfigNat,
    specs: Vec<RuleSpec>,
}

/// Finds what is hardly meant in the translations, on a machine and on one with every interface.
pub(super) fn warnings(nats: &[ConfigNat], host: &Host, whole: &Host) -> Vec<Mistake> {
    let meant = |nat| Meant { nat, specs: ruleset::nat_specs(nat, 0, whole) };
    let nats: Vec<Meant<'_>> = nats.iter().map(meant).collect();
    let (mut found, mut before) = (Vec::new(), Index::default());
    for (number, meant) in nats.iter().enumerate() {
        let useless = never(meant).or_else(|| shadowed(meant, &nats, &before));
        found.extend(useless.or_else(|| translates_too_much(meant.nat)));
        found.extend(unaddressed(meant.nat, host));
        meant.specs.iter().for_each(|spec| before.insert(number, spec));
    }
    found
}

fn never(Meant { nat, specs }: &Meant<'_>) -> Option<Mistake> {
    let reasons: Option<Vec<_>> = specs.iter().map(|spec| never::why(spec, true)).collect();
    let reason = reasons?.into_iter().next()?;
    let key = if reason.key == "to" { "destination" } else { reason.key };
    let message = format!("nat \"{}\" fits no packet: {}", nat.name, reason.why);
    Some(at(nat.spans.of(key), message).way_out(reason.way_out))
}

/// Finds one earlier translation that every packet meets first.
fn shadowed(meant: &Meant<'_>, nats: &[Meant<'_>], before: &Index) -> Option<Mistake> {
    let candidates = before.candidates(meant.specs.first()?);
    let decides = |first: &&Meant<'_>| {
        let covered = |spec| first.specs.iter().any(|outer| covers(outer, spec));
        meant.specs.iter().all(covered)
    };
    let first = candidates.into_iter().filter_map(|number| nats.get(number)).find(decides)?;
    let (name, first_name) = (&meant.nat.name, &first.nat.name);
    let message = format!("nat \"{name}\" is never asked: nat \"{first_name}\" decides before it");
    let way_out = format!("remove it, or move it before nat \"{first_name}\"");
    let mistake = at(meant.nat.spans.whole(), message).way_out(way_out);
    Some(match first.nat.spans.whole() {
        Some(span) => mistake.beside(span, "every packet of it fits this one first"),
        None => mistake,
    })
}

/// Warns of a translation that says neither where packets cross nor between whom.
fn translates_too_much(nat: &ConfigNat) -> Option<Mistake> {
    let says_nothing = nat.interfaces == Selection::default()
        && nat.from == Selection::default()
        && nat.destination == Selection::default();
    let (what, way_out) = match nat.kind() {
        TranslationKind::Source | TranslationKind::Masquerade => {
            ("what goes to the hosts inside", "say where packets leave: out = \"ppp0\"")
        }
        TranslationKind::Destination => {
            ("what the hosts inside send out", "say where packets come by: in = \"ppp0\"")
        }
        TranslationKind::None => return None,
    };
    let message = format!("nat \"{}\" translates {what} as well", nat.name);
    says_nothing.then(|| at(nat.spans.whole(), message).way_out(way_out))
}

/// Warns of interfaces that have no address to lend.
fn unaddressed(nat: &ConfigNat, host: &Host) -> Vec<Mistake> {
    if nat.kind() != TranslationKind::Masquerade {
        return Vec::new();
    }
    let lacks = |name: &str| host.interfaces.contains_key(name) && !host.addressed.contains(name);
    let lacking = nat.interfaces.only.iter().filter(|interface| lacks(&interface.name));
    let warning = |interface: &crate::config::zones::Interface| {
        let message = format!(
            "{} has no IPv4 address to lend: what leaves by it is dropped until it has one",
            interface.name
        );
        let way_out = "give it one, or write kind = \"source\" with an address in to";
        Mistake::new(interface.span.clone(), message).way_out(way_out)
    };
    lacking.map(warning).collect()
}
