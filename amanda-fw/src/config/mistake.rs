//! Mistakes in a configuration, each shown with its line and what to do about it.

use std::error::Error;
use std::fmt;
use std::ops::Range;

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

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    span: Span,
    message: String,
    way_out: Option<String>,
}

impl Mistake {
    /// Says what is wrong with a part of the text.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), way_out: None }
    }

    /// Adds what to do about it.
    pub(crate) fn way_out(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }

    /// Adds what to do about it, if anything is known.
    pub(crate) fn perhaps(self, way_out: Option<String>) -> Self {
        Self { way_out, ..self }
    }
}

/// All the mistakes of one configuration, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    source: Source,
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// Takes the mistakes found in a text.
    pub(crate) fn new(source: Source, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        Self { source, mistakes }
    }
}

impl Error for Mistakes {}

impl fmt::Display for Mistakes {
    /// Writes every mistake; each after the first begins with `error: ` on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\nerror: ")?;
            }
            write_mistake(f, &self.source, mistake)?;
        }
        Ok(())
    }
}

fn write_mistake(f: &mut fmt::Formatter<'_>, source: &Source, mistake: &Mistake) -> fmt::Result {
    let place = Place::of(&source.text, &mistake.span);
    let Place { line, column, text, before, marked } = place;
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    writeln!(f, "{}:{line}:{column}: {}", source.name, mistake.message)?;
    writeln!(f, "{margin} |")?;
    writeln!(f, "{number} | {text}")?;
    write!(f, "{margin} | {before}{}", "^".repeat(marked))?;
    match &mistake.way_out {
        Some(way_out) => write!(f, " {way_out}"),
        None => Ok(()),
    }
}

/// A span as people find it.
struct Place<'a> {
    line: usize,
    column: usize,
    text: &'a str,
    before: String,
    marked: usize,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: &Span) -> Self {
        let start = floor_char(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let rest = &text[line_start..];
        let line_text = rest.lines().next().unwrap_or_default();
        let line_end = line_start + line_text.len();
        let before = &text[line_start..start.min(line_end)];
        let end = floor_char(text, span.end).clamp(start.min(line_end), line_end);
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: before.chars().count() + 1,
            text: line_text,
            // A tab stays one, so that the mark stands under what it marks.
            before: before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect(),
            marked: text[start.min(line_end)..end].chars().count().max(1),
        }
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: Span, expected: &str) {
        let source = Source { name: "x.toml".to_owned(), text: text.to_owned() };
        let mistake = Mistake::new(span, "no such thing").way_out("leave it");
        assert_eq!(Mistakes::new(source, vec![mistake]).to_string(), expected);
    }

    #[test]
    fn a_mistake_is_marked_in_its_line() {
        check(
            "a = 1\nbc = 2\n",
            6..8,
            "x.toml:2:1: no such thing\n  |\n2 | bc = 2\n  | ^^ leave it",
        );
    }

    #[test]
    fn a_mark_stands_under_its_characters_after_tabs_and_letters_of_two_bytes() {
        check(
            "\té = \"ü\"",
            6..10,
            "x.toml:1:6: no such thing\n  |\n1 | \té = \"ü\"\n  | \t    ^^^ leave it",
        );
    }

    #[test]
    fn a_mistake_over_several_lines_is_marked_in_the_first() {
        check("a = [\n1]\n", 4..8, "x.toml:1:5: no such thing\n  |\n1 | a = [\n  |     ^ leave it");
    }

    #[test]
    fn a_mistake_at_the_end_is_marked_after_the_text() {
        check("a = [", 5..5, "x.toml:1:6: no such thing\n  |\n1 | a = [\n  |      ^ leave it");
        check("a\n", 2..2, "x.toml:2:1: no such thing\n  |\n2 | \n  | ^ leave it");
    }
}
