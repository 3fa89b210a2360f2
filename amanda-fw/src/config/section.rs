//! One table of a configuration being read: what nobody asks for in it is a mistake.

use std::collections::BTreeMap;
use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Keys;
use super::mistake::{Mistake, Span};

/// A value with its place in the text.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// What comes of reading a part of the text: the thing, or every mistake in it.
pub(super) type Read<T> = Result<T, Vec<Mistake>>;

/// Where a table and its values stand in the text; nowhere for what is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    whole: Option<Span>,
    values: BTreeMap<String, Span>,
}

impl Spans {
    /// Returns the place of a key's value, or else of the table.
    pub(crate) fn of(&self, key: &str) -> Option<Span> {
        self.values.get(key).or(self.whole.as_ref()).cloned()
    }

    /// Returns the place of the table.
    pub(crate) fn whole(&self) -> Option<Span> {
        self.whole.clone()
    }
}

/// A table being read.
pub(super) struct Section<'t> {
    title: String,
    span: Span,
    keys: &'static Keys,
    table: &'t DeTable<'t>,
    asked: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl<'t> Section<'t> {
    /// Begins to read a table that may have some keys.
    pub(super) fn new(
        title: impl Display,
        span: Span,
        keys: &'static Keys,
        table: &'t DeTable<'t>,
    ) -> Self {
        let title = title.to_string();
        Self { title, span, keys, table, asked: Vec::new(), mistakes: Vec::new() }
    }

    /// Reads a key, if the table has it and its value is right.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'t Value<'t>) -> Read<T>,
    ) -> Option<T> {
        debug_assert!(self.keys.has(key), "{key} is not among the keys of {}", self.title);
        self.asked.push(key);
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

    /// Tells whether the table may have a key.
    pub(super) fn may_have(&self, key: &str) -> bool {
        self.keys.has(key)
    }

    /// Tells whether the table has a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns where a key's value stands, if the table has the key.
    pub(super) fn span_of(&self, key: &str) -> Option<Span> {
        self.table.get(key).map(Spanned::span)
    }

    /// Returns where the table and its values stand.
    pub(super) fn spans(&self) -> Spans {
        let values =
            self.table.iter().map(|(key, value)| (key.get_ref().to_string(), value.span()));
        Spans { whole: Some(self.span.clone()), values: values.collect() }
    }

    /// Adds a mistake that shows in several keys together.
    pub(super) fn object(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// Returns what was read, unless there was a mistake in it, or a key that nobody asked for.
    pub(super) fn finish<T>(mut self, read: T) -> Read<T> {
        debug_assert!(
            self.keys.names().all(|name| self.asked.contains(&name)),
            "{} has more keys than are read: {:?}",
            self.title,
            self.asked
        );
        for key in self.table.keys().filter(|key| !self.keys.has(key.get_ref())) {
            let mistake = self.unknown(key.get_ref(), key.span());
            self.mistakes.push(mistake);
        }
        if self.mistakes.is_empty() { Ok(read) } else { Err(self.mistakes) }
    }

    fn unknown(&self, name: &str, span: Span) -> Mistake {
        let title = &self.title;
        if self.keys.absent.contains(&name) {
            let message = format!("`{name}` in {title} is not available in this version");
            return Mistake::new(span, message).way_out("remove it");
        }
        let known: Vec<&str> = self.keys.names().collect();
        let way_out = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("known are {}", known.join(", ")));
        Mistake::new(span, format!("unknown key `{name}` in {title}")).way_out(way_out)
    }
}

/// Asks whether the most similar known name was meant: one slip away, or mostly the same.
pub(super) fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    const SIMILAR: f64 = 0.7;
    /// In shorter names a slip leaves too little.
    const SHORTEST: usize = 3;
    let is_slip = |known: &str| {
        name.chars().count() >= SHORTEST && strsim::damerau_levenshtein(name, known) == 1
    };
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|&(similarity, known)| similarity >= SIMILAR || is_slip(known))
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
