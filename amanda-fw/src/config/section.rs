//! One table of a configuration being read: what nobody asks for in it is a mistake.

use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Span};

/// A value with its place in the text.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// What comes of reading a part of the text: the thing, or every mistake in it.
pub(super) type Read<T> = Result<T, Vec<Mistake>>;

/// A table being read.
pub(super) struct Section<'t> {
    title: String,
    span: Span,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl<'t> Section<'t> {
    /// Begins to read a table.
    pub(super) fn new(title: impl Display, span: Span, table: &'t DeTable<'t>) -> Self {
        let title = title.to_string();
        Self { title, span, table, known: Vec::new(), mistakes: Vec::new() }
    }

    /// Reads a key, if the table has it and its value is right.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'t Value<'t>) -> Read<T>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.table.get(key)?;
        parse(value).map_err(|mistakes| self.mistakes.extend(mistakes)).ok()
    }

    /// Reads a key that must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'t Value<'t>) -> Read<T>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            let message = format!("{} has no `{key}`", self.title);
            self.mistakes.push(Mistake::new(self.span.clone(), message).way_out("add it"));
        }
        self.read(key, parse)
    }

    /// Refuses a key that this version has no use for yet.
    pub(super) fn refuse(&mut self, key: &'static str) {
        if let Some((found, _)) = self.table.get_key_value(key) {
            let message = format!("`{key}` in {} is not available in this version", self.title);
            self.mistakes.push(Mistake::new(found.span(), message).way_out("remove it"));
        }
        self.known.push(key);
    }

    /// Adds a mistake that shows in several keys together.
    pub(super) fn object(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// Returns what was read, unless there was a mistake in it, or a key that nobody asked for.
    pub(super) fn finish<T>(mut self, read: T) -> Read<T> {
        let unknown = self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref()));
        for key in unknown {
            let name = key.get_ref().as_ref();
            let message = format!("unknown key `{name}` in {}", self.title);
            let way_out = did_you_mean(name, self.known.iter().copied())
                .unwrap_or_else(|| format!("known are {}", self.known.join(", ")));
            self.mistakes.push(Mistake::new(key.span(), message).way_out(way_out));
        }
        if self.mistakes.is_empty() { Ok(read) } else { Err(self.mistakes) }
    }
}

/// Asks whether the most similar known name was meant.
pub(super) fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    const SIMILAR: f64 = 0.7;
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|&(similarity, _)| similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// Reads a value that must be a table.
pub(super) fn table<'t>(value: &'t Value<'t>) -> Read<&'t DeTable<'t>> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(wrong_type(value, "a table"));
    };
    Ok(table)
}

/// Complains that a value is of another type.
pub(super) fn wrong_type(value: &Value<'_>, wanted: &str) -> Vec<Mistake> {
    let message = format!("expected {wanted}, found {}", with_article(value.get_ref().type_str()));
    vec![Mistake::new(value.span(), message)]
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// Reads each element of a list, or the one value that stands for a list.
pub(super) fn list<'t, T>(
    value: &'t Value<'t>,
    mut parse: impl FnMut(&'t Value<'t>) -> Read<T>,
) -> Read<Vec<T>> {
    let DeValue::Array(elements) = value.get_ref() else {
        return Ok(vec![parse(value)?]);
    };
    let (mut read, mut mistakes) = (Vec::new(), Vec::new());
    for element in elements.iter() {
        match parse(element) {
            Ok(element) => read.push(element),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(read) } else { Err(mistakes) }
}

/// Reads a list like [`list`], in which there must be something.
pub(super) fn nonempty<'t, T>(
    value: &'t Value<'t>,
    parse: impl FnMut(&'t Value<'t>) -> Read<T>,
) -> Read<Vec<T>> {
    let read = list(value, parse)?;
    if read.is_empty() {
        let mistake = Mistake::new(value.span(), "an empty list fits no packet");
        return Err(vec![mistake.way_out("remove the key where anything fits")]);
    }
    Ok(read)
}
