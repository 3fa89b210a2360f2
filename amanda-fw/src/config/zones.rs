//! Interfaces by name, and the names for groups of them.

use std::collections::BTreeMap;

use super::Host;
use super::mistake::{Mistake, Span};
use super::scalar::text;
use super::section::{Read, Value, nonempty, table};
use super::selection::{Selection, selection};

/// IFNAMSIZ without its zero.
const LONGEST: usize = 15;

/// An interface, and where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// The name.
    pub(super) name: String,
    /// Where it stands in the text.
    pub(super) span: Span,
}

/// The groups of interfaces that the configuration gives a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Zones {
    zones: BTreeMap<String, Zone>,
}

/// The interfaces of a zone, and where its name stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone {
    interfaces: Vec<Interface>,
    span: Span,
}

impl Zones {
    /// Reads `[zones]`; a name stays known when its interfaces are wrong, so that it is complained
    /// about once.
    pub(super) fn read(&mut self, value: &Value<'_>) -> Read<()> {
        let mut mistakes = Vec::new();
        for (name, named) in table(value)? {
            let interfaces = nonempty(named, |element| match text(element)? {
                text if text.starts_with('!') => {
                    let mistake = Mistake::new(element.span(), "nothing can be excluded here");
                    Err(vec![mistake.way_out("name the interfaces of the zone")])
                }
                text => interface(element, text),
            });
            let interfaces = interfaces.unwrap_or_else(|found| {
                mistakes.extend(found);
                Vec::new()
            });
            if !is_name(name.get_ref()) {
                let message =
                    format!("`{name}` is no name of 1 to {LONGEST} letters", name = name.get_ref());
                mistakes.push(Mistake::new(name.span(), message).way_out("choose another name"));
            }
            let zone = Zone { interfaces, span: name.span() };
            self.zones.insert(name.get_ref().to_string(), zone);
        }
        mistakes.extend(self.zones.values().flat_map(|zone| &zone.interfaces).filter_map(
            |named| {
                let zone = self.zones.get(&named.name)?;
                Some(
                    two_meanings(&named.name, named.span.clone())
                        .beside(zone.span.clone(), "the zone"),
                )
            },
        ));
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Reads interfaces and zones but for others.
    pub(super) fn selection(&self, value: &Value<'_>) -> Read<Selection<Interface>> {
        selection(value, "an interface's name", |element, name| {
            let named = interface(element, name)?;
            Ok(self.zones.get(name).map_or(vec![named], |zone| zone.interfaces.clone()))
        })
    }

    /// Tells whether there is a zone of a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.zones.contains_key(name)
    }

    /// Finds zones that have the name of an interface of the machine.
    pub(super) fn clashing<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = Mistake> + 'a {
        let clashing = self.zones.iter().filter(|(name, _)| host.interfaces.contains_key(*name));
        clashing.map(|(name, zone)| two_meanings(name, zone.span.clone()))
    }
}

fn two_meanings(name: &str, span: Span) -> Mistake {
    let message = format!("\"{name}\" is a zone and an interface");
    Mistake::new(span, message).way_out("choose another name for the zone")
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && !name.contains(['/', ' ', ',', '!'])
}

fn interface(value: &Value<'_>, name: &str) -> Read<Interface> {
    if name.is_empty() || name.len() > LONGEST || name.contains(['/', ' ', ',']) {
        let message = format!("\"{name}\" is no interface's name of 1 to {LONGEST} letters");
        let way_out = "several are a list: [\"eth0\", \"eth1\"]";
        return Err(vec![Mistake::new(value.span(), message).way_out(way_out)]);
    }
    Ok(Interface { name: name.to_owned(), span: value.span() })
}
