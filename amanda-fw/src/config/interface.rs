//! `[interfaces.NAME]`: what is special about an interface.

use std::collections::BTreeMap;

use super::keys;
use super::mistake::Mistake;
use super::scalar::choice;
use super::section::{Read, Section, Value, table};
use super::zones::Zones;
use crate::device::{self, Mode};

/// The modes of the interfaces that have one configured, by name.
pub(crate) type Modes = BTreeMap<String, Mode>;

/// Reads all the interfaces; where addresses are translated, none of them can have XDP.
pub(super) fn read_all(value: &Value<'_>, zones: &Zones, translates: bool) -> Read<Modes> {
    let (mut modes, mut mistakes) = (Modes::new(), Vec::new());
    for (name, value) in table(value)? {
        if zones.has(name.get_ref()) {
            let message = format!("`{}` is a zone, and modes are of interfaces", name.get_ref());
            let way_out = "write the section for each of its interfaces";
            mistakes.push(Mistake::new(name.span(), message).way_out(way_out));
        }
        match read(name.get_ref(), value, translates) {
            Ok(mode) => drop(modes.insert(name.get_ref().to_string(), mode)),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(modes) } else { Err(mistakes) }
}

fn read(name: &str, value: &Value<'_>, translates: bool) -> Read<Mode> {
    let title = format!("[interfaces.{name}]");
    let mut section = Section::new(title, value.span(), &keys::INTERFACE, table(value)?);
    let mode: Mode = section.read("mode", choice).unwrap_or_default();
    if let Some(span) = section.span_of("mode").filter(|_| translates && mode.is_xdp()) {
        let message = format!("the mode \"{mode}\" beside [[nat]]: {}", device::TC_ALONE);
        let way_out = "write mode = \"tc\", or remove it: \"auto\" takes TC";
        section.object(Mistake::new(span, message).way_out(way_out));
    }
    section.finish(mode)
}
