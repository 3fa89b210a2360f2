//! `[interfaces.NAME]`: what is special about an interface.

use std::collections::BTreeMap;

use super::keys;
use super::scalar::choice;
use super::section::{Read, Section, Value, table};
use crate::device::Mode;

/// The modes of the interfaces that have one configured, by name.
pub(crate) type Modes = BTreeMap<String, Mode>;

/// Reads all the interfaces.
pub(super) fn read_all(value: &Value<'_>) -> Read<Modes> {
    let (mut modes, mut mistakes) = (Modes::new(), Vec::new());
    for (name, value) in table(value)? {
        match read(name.get_ref(), value) {
            Ok(mode) => drop(modes.insert(name.get_ref().to_string(), mode)),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(modes) } else { Err(mistakes) }
}

fn read(name: &str, value: &Value<'_>) -> Read<Mode> {
    let title = format!("[interfaces.{name}]");
    let mut section = Section::new(title, value.span(), &keys::INTERFACE, table(value)?);
    let mode = section.read("mode", choice).unwrap_or_default();
    section.finish(mode)
}
