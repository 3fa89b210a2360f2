//! Standard output, which may be closed by whoever reads it.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use clap::ColorChoice;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Terminal {
    color: bool,
    closed: bool,
}

impl Terminal {
    /// Takes standard output, with colour where it is asked for, or where a person reads it.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        Self { color: has_color(choice, &io::stdout()), closed: false }
    }

    /// Tells whether lines may have colour.
    pub(crate) fn has_color(&self) -> bool {
        self.color
    }

    /// Prints a text and ends its line; does nothing once the reader has gone.
    pub(crate) fn print(&mut self, text: &str) -> Result<()> {
        if !self.closed {
            self.closed = !write(&mut io::stdout().lock(), text).context("write to stdout")?;
        }
        Ok(())
    }
}

/// Tells whether a stream has colour: where it is asked for, or where a person reads it.
pub(crate) fn has_color(choice: ColorChoice, stream: &impl IsTerminal) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org
        ColorChoice::Auto => {
            stream.is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        }
    }
}

/// Writes a text and ends its line; returns whether anyone reads it.
fn write(out: &mut impl Write, text: &str) -> io::Result<bool> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()))
        .and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        assert!(write(&mut out, text).is_ok_and(|read| read));
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn a_text_ends_its_line_once() {
        check("one", "one\n");
        check("one\ntwo\n", "one\ntwo\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        assert!(write(&mut Failing(ErrorKind::BrokenPipe), "x").is_ok_and(|read| !read));
        assert!(write(&mut Failing(ErrorKind::StorageFull), "x").is_err());
    }
}
