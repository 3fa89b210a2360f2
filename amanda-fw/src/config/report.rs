//! What was found in a configuration, as people and programs read it.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::mistake::{Mistake, Source, Span};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The configuration cannot be used.
    Error,
    /// It can, but is hardly meant.
    Warning,
}

/// One thing found, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The file.
    pub(crate) file: String,
    /// The line, from 1; 0 where it is of no line.
    pub(crate) line: usize,
    /// The column in characters, from 1; 0 where it is of no line.
    pub(crate) column: usize,
    /// How many characters are meant.
    pub(crate) length: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

/// Writes everything that was found, with the lines that it was found in.
pub(super) fn render(source: &Source, found: &[Mistake], kind: Kind, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for mistake in found {
        text.push_str(&renderer.render(&[group(source, mistake, kind)]));
        text.push_str("\n\n");
    }
    text
}

fn group<'a>(source: &'a Source, mistake: &'a Mistake, kind: Kind) -> Group<'a> {
    let level = match kind {
        Kind::Error => Level::ERROR,
        Kind::Warning => Level::WARNING,
    };
    let title = level.primary_title(mistake.message.as_str());
    let group = match &mistake.span {
        Some(span) => title.element(snippet(source, span, mistake.beside.as_ref())),
        None => title.element(Origin::path(source.name.as_str())),
    };
    match &mistake.way_out {
        Some(way_out) => group.element(Level::HELP.message(way_out.as_str())),
        None => group,
    }
}

fn snippet<'a>(
    source: &'a Source,
    span: &Span,
    beside: Option<&'a (Span, String)>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = source.text.as_str();
    let snippet = Snippet::source(text).path(source.name.as_str());
    let primary = AnnotationKind::Primary.span(within(text, span));
    let beside = beside.map(|(span, label)| {
        AnnotationKind::Context.span(within(text, span)).label(label.as_str())
    });
    snippet.annotation(primary).annotations(beside)
}

/// Describes everything that was found.
pub(super) fn findings(source: &Source, found: &[Mistake]) -> Vec<Finding> {
    found.iter().map(|mistake| finding(source, mistake)).collect()
}

fn finding(source: &Source, mistake: &Mistake) -> Finding {
    let span = mistake.span.as_ref().map(|span| within(&source.text, span));
    let (line, column) = span.as_ref().map_or((0, 0), |span| place(&source.text, span.start));
    let marked = span.and_then(|span| source.text.get(span)).unwrap_or_default();
    Finding {
        file: source.name.clone(),
        line,
        column,
        length: marked.chars().count(),
        message: mistake.message.clone(),
        help: mistake.way_out.clone(),
    }
}

/// Returns the line and the column of a byte, both from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// Moves a span to where characters begin and end, inside the text.
fn within(text: &str, span: &Span) -> Span {
    let floor = |at: usize| {
        (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, span: Span, expected: &str, place: (usize, usize, usize)) {
        let source = Source { name: "x.toml".to_owned(), text: text.to_owned() };
        let mistake = Mistake::new(span, "no such thing").way_out("leave it");
        let found = [mistake];
        assert_eq!(render(&source, &found, Kind::Error, false), expected);
        let found = findings(&source, &found);
        let places: Vec<_> = found.iter().map(|f| (f.line, f.column, f.length)).collect();
        assert_eq!(places, [place]);
    }

    #[test]
    fn a_mistake_is_marked_in_its_line() {
        check(
            "a = 1\nbc = 2\n",
            6..8,
            "\
error: no such thing
 --> x.toml:2:1
  |
2 | bc = 2
  | ^^
  |
  = help: leave it

",
            (2, 1, 2),
        );
    }

    #[test]
    fn a_column_counts_characters_and_a_mark_stands_under_them() {
        check(
            "é = \"ü\"",
            5..9,
            "\
error: no such thing
 --> x.toml:1:5
  |
1 | é = \"ü\"
  |     ^^^
  |
  = help: leave it

",
            (1, 5, 3),
        );
    }

    #[test]
    fn a_mistake_at_the_end_is_marked_after_the_text() {
        check(
            "a = [",
            5..9,
            "\
error: no such thing
 --> x.toml:1:6
  |
1 | a = [
  |      ^
  |
  = help: leave it

",
            (1, 6, 0),
        );
    }

    #[test]
    fn a_mistake_of_no_line_names_the_file() {
        let source = Source { name: "x.toml".to_owned(), text: "a = 1".to_owned() };
        let found = [Mistake::whole("no such thing")];
        let text = render(&source, &found, Kind::Warning, false);
        assert_eq!(text, "warning: no such thing\n--> x.toml\n\n");
        assert_eq!(findings(&source, &found)[0].line, 0);
    }

    #[test]
    fn colour_is_only_where_it_is_asked_for() {
        let source = Source { name: "x.toml".to_owned(), text: "a = 1".to_owned() };
        let found = [Mistake::new(0..1, "no such thing")];
        assert!(!render(&source, &found, Kind::Error, false).contains('\u{1b}'));
        assert!(render(&source, &found, Kind::Error, true).contains('\u{1b}'));
    }
}
