//! Lists of things of which `!` excludes some.

use toml::de::DeValue;

use super::scalar::complain;
use super::section::{Read, Value, nonempty, wrong_type};

/// Some things but for others; all things where only exceptions are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection<T> {
    /// What is named.
    pub(crate) only: Vec<T>,
    /// What is excluded.
    pub(crate) except: Vec<T>,
}

impl<T> Default for Selection<T> {
    /// Selects everything.
    fn default() -> Self {
        Self { only: Vec::new(), except: Vec::new() }
    }
}

impl<T> Selection<T> {
    /// Lists all that is named, excluded or not.
    pub(crate) fn named(&self) -> impl Iterator<Item = &T> {
        self.only.iter().chain(&self.except)
    }
}

/// Reads one word or a list of words, each of which may come to several things.
pub(super) fn selection<'t, T>(
    value: &'t Value<'t>,
    wanted: &str,
    mut parse: impl FnMut(&'t Value<'t>, &str) -> Read<Vec<T>>,
) -> Read<Selection<T>> {
    let parts = nonempty(value, |element| {
        let word = word(element, wanted)?;
        match word.strip_prefix('!') {
            Some(excluded) => Ok((true, parse(element, excluded.trim_start())?)),
            None => Ok((false, parse(element, &word)?)),
        }
    })?;
    let mut selection = Selection::default();
    for (is_excluded, things) in parts {
        let list = if is_excluded { &mut selection.except } else { &mut selection.only };
        list.extend(things);
    }
    Ok(selection)
}

/// Reads a word, or a number as if it were one.
fn word(value: &Value<'_>, wanted: &str) -> Read<String> {
    if let DeValue::String(text) = value.get_ref() {
        return Ok(text.to_string());
    }
    let DeValue::Integer(integer) = value.get_ref() else {
        return Err(wrong_type(value, wanted));
    };
    match integer.radix() {
        10 => Ok(integer.as_str().to_owned()),
        _ => Err(complain(value, format!("{integer} is no decimal number"))),
    }
}
