//! The files of a configuration of Amanda, each read once.

use std::rc::Rc;

use super::lexer::{self, Line};
use crate::import::report::Place;

/// Reads a file by its path.
pub(crate) type ReadFile<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The files that have been read.
pub(super) struct Files<'a> {
    directory: &'a str,
    read: &'a ReadFile<'a>,
    seen: Vec<String>,
}

impl<'a> Files<'a> {
    /// Takes a configuration's directory.
    pub(super) fn new(directory: &'a str, read: &'a ReadFile<'a>) -> Self {
        Self { directory: directory.trim_end_matches('/'), read, seen: Vec::new() }
    }

    /// Names a file of the directory; a path from the root stays as it is.
    pub(super) fn path(&self, name: &str) -> String {
        if name.starts_with('/') { name.to_owned() } else { format!("{}/{name}", self.directory) }
    }

    /// Names a file that another one includes, or says why it cannot be read.
    pub(super) fn include(&self, name: &str) -> Result<String, String> {
        let path = self.path(name);
        if self.seen.contains(&path) {
            return Err(format!("{path} is being read already"));
        }
        match (self.read)(&path) {
            Some(_) => Ok(path),
            None => Err(format!("{path} cannot be read, and what it says is missing here")),
        }
    }

    /// Returns the lines of a file, none where there is no such file.
    pub(super) fn lines(&mut self, path: &str) -> Vec<(Place, Line)> {
        let text = (self.read)(path).unwrap_or_default();
        let order = self.seen.len();
        self.seen.push(path.to_owned());
        let file: Rc<str> = path.into();
        let placed = |line: Line| (place(order, &file, &line), line);
        lexer::lines(&text).into_iter().map(placed).collect()
    }
}

fn place(order: usize, file: &Rc<str>, line: &Line) -> Place {
    let text = line.text.split_whitespace().collect::<Vec<_>>().join(" ");
    Place { order, line: line.number, file: file.clone(), text: text.into() }
}
