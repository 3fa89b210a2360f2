//! Mistakes in a configuration, and what is hardly meant, each with its place and what to do.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use super::report::{self, Kind};

/// Where in the text something stands, in bytes.
pub(crate) type Span = Range<usize>;

/// The text of a configuration, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file's name.
    pub(crate) name: String,
    /// The whole text.
    pub(crate) text: String,
}

/// One thing that is wrong, or hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Where it stands; nothing where it is what does not stand there.
    pub(super) span: Option<Span>,
    /// What is wrong.
    pub(super) message: String,
    /// Another part of the text that has to do with it, and what that is.
    pub(super) beside: Option<(Span, String)>,
    /// What to do about it.
    pub(super) way_out: Option<String>,
}

impl Mistake {
    /// Says what is wrong with a part of the text.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::whole(message) }
    }

    /// Says what is wrong with the text as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into(), beside: None, way_out: None }
    }

    /// Adds what to do about it.
    pub(crate) fn way_out(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }

    /// Adds what to do about it, if anything is known.
    pub(crate) fn perhaps(self, way_out: Option<String>) -> Self {
        Self { way_out, ..self }
    }

    /// Points to another part of the text.
    pub(crate) fn beside(self, span: Span, label: impl Into<String>) -> Self {
        Self { beside: Some((span, label.into())), ..self }
    }
}

/// All the mistakes of one configuration, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    source: Source,
    mistakes: Vec<Mistake>,
}

/// All that is allowed in one configuration and yet hardly meant, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warnings {
    source: Source,
    warnings: Vec<Mistake>,
}

impl Mistakes {
    /// Takes the mistakes found in a text.
    pub(crate) fn new(source: Source, mistakes: Vec<Mistake>) -> Self {
        Self { source, mistakes: in_order(mistakes) }
    }

    /// Writes each with its line, in colour or not.
    pub(crate) fn render(&self, color: bool) -> String {
        report::render(&self.source, &self.mistakes, Kind::Error, color)
    }

    /// Describes each for programs.
    pub(crate) fn findings(&self) -> Vec<report::Finding> {
        report::findings(&self.source, &self.mistakes)
    }
}

impl Warnings {
    /// Takes what was found in a text.
    pub(crate) fn new(source: Source, warnings: Vec<Mistake>) -> Self {
        Self { source, warnings: in_order(warnings) }
    }

    /// Writes each with its line, in colour or not; nothing where there is none.
    pub(crate) fn render(&self, color: bool) -> String {
        report::render(&self.source, &self.warnings, Kind::Warning, color)
    }

    /// Describes each for programs.
    pub(crate) fn findings(&self) -> Vec<report::Finding> {
        report::findings(&self.source, &self.warnings)
    }
}

fn in_order(mut found: Vec<Mistake>) -> Vec<Mistake> {
    found.sort_by_key(|mistake| mistake.span.as_ref().map(|span| span.start));
    found
}

impl Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}
