//! The page about the standards: it speaks of every requirement, and names tests that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each RFC with numbered requirements, and how many it has.
const REQUIREMENTS: [(&str, usize); 4] =
    [("RFC 4787", 14), ("RFC 5382", 10), ("RFC 5508", 11), ("RFC 6888", 15)];

/// What is said of a requirement.
const ANSWERS: [&str; 4] = ["yes", "partly", "no", "Linux"];

/// A line of a table.
struct Row {
    requirement: String,
    answer: String,
    tests: Vec<String>,
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let there = tests_of(&root());
    for Row { requirement, tests, .. } in sections().into_iter().flat_map(|(_, rows)| rows) {
        for test in tests {
            assert!(there.contains(&test), "{requirement}: there is no test {test}");
        }
    }
}

#[test]
fn every_requirement_has_its_line() {
    let sections = sections();
    for (rfc, count) in REQUIREMENTS {
        let rows = sections.iter().find(|(title, _)| title.starts_with(rfc)).map(|(_, rows)| rows);
        let rows = rows.unwrap_or_else(|| panic!("there is no section about {rfc}"));
        for number in 1..=count {
            let name = format!("REQ-{number}");
            let is_it = |row: &Row| {
                let rest = row.requirement.strip_prefix(&name);
                rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            assert!(rows.iter().any(is_it), "{rfc} {name}");
        }
    }
}

#[test]
fn every_yes_is_shown_by_a_test() {
    // What is not done needs none.
    const SHOWN_BY_ABSENCE: &str = "REQ-14: few log lines";
    for (title, rows) in sections() {
        for Row { requirement, answer, tests } in rows {
            assert!(ANSWERS.contains(&&answer[..]), "{title}, {requirement}: {answer}");
            let is_shown = !tests.is_empty() || requirement == SHOWN_BY_ABSENCE;
            assert!(answer != "yes" || is_shown, "{title}, {requirement}");
        }
    }
}

/// Reads the tables of the page, by the titles of their sections.
fn sections() -> Vec<(String, Vec<Row>)> {
    let page = fs::read_to_string(root().join("docs/nat-conformance.md")).expect("the page");
    let mut sections = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').expect("a title");
        // The first two lines are the head of the table.
        let rows: Vec<Row> = text.lines().filter(|l| l.starts_with('|')).skip(2).map(row).collect();
        assert!(!rows.is_empty(), "{title}");
        sections.push((title.to_owned(), rows));
    }
    sections
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let &[requirement, answer, _, shown] = &cells[..] else { panic!("four cells: {line}") };
    let tests = shown.split(", ").filter(|name| !name.is_empty());
    Row {
        requirement: requirement.to_owned(),
        answer: answer.to_owned(),
        tests: tests.map(|name| name.trim_matches('`').to_owned()).collect(),
    }
}

/// Lists the names of all tests below a directory.
fn tests_of(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("a directory of the sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(tests_of(&path));
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).expect("a source");
            let tests = source.split("#[test]\n").skip(1);
            found.extend(tests.filter_map(|test| {
                let name = test.trim_start().strip_prefix("fn ")?;
                name.split_once('(').map(|(name, _)| name.to_owned())
            }));
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
