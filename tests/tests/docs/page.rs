//! The pages of the manual, and the blocks of code on them.

/// The pages, by name.
pub(crate) const PAGES: [(&str, &str); 3] =
    [("README.md", README), ("docs/amanda.md", AMANDA), ("docs/kernel-helper.md", KERNEL_HELPER)];

const README: &str = include_str!("../../../README.md");
pub(crate) const AMANDA: &str = include_str!("../../../docs/amanda.md");
const KERNEL_HELPER: &str = include_str!("../../../docs/kernel-helper.md");

/// The prompt of root.
const PROMPT: &str = "# ";

/// What stands for lines that are left out.
const ELLIPSIS: &str = "...";

/// A block of code.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// What the text is: `toml`, `console`.
    pub(crate) language: &'a str,
    /// The file that it is, or nothing.
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

/// A command line on a console, and what it prints.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    pub(crate) line: &'a str,
    /// Without the lines that stand for others.
    pub(crate) output: Vec<&'a str>,
    /// Whether no line is left out.
    pub(crate) is_whole: bool,
}

impl Command<'_> {
    /// Returns the subcommand of amanda-fw, if it is one.
    pub(crate) fn subcommand(&self) -> Option<&str> {
        self.line.strip_prefix("amanda-fw ")?.split(' ').next()
    }
}

/// Lists the blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block<'_>> {
    let pieces = page.split("```").skip(1).step_by(2);
    pieces
        .map(|piece| {
            let (first, text) = piece.split_once('\n').expect("a block of several lines");
            let (language, file) = first.split_once(' ').unwrap_or((first, ""));
            Block { language, file, text }
        })
        .collect()
}

/// Lists the commands of a page.
pub(crate) fn commands(page: &str) -> Vec<Command<'_>> {
    let consoles = blocks(page).into_iter().filter(|block| block.language == "console");
    consoles.flat_map(|block| commands_of(block.text)).collect()
}

fn commands_of(text: &str) -> Vec<Command<'_>> {
    let mut commands: Vec<Command<'_>> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(PROMPT), commands.last_mut()) {
            (Some(line), _) => {
                commands.push(Command { line, output: Vec::new(), is_whole: true });
            }
            (None, Some(command)) if line == ELLIPSIS => command.is_whole = false,
            (None, Some(command)) => command.output.push(line),
            (None, None) => {}
        }
    }
    commands
}

#[test]
fn a_console_has_commands_with_their_outputs() {
    let page = "A.\n```console\n# one a\nb\n...\nc\n# two\n```\n```toml x.toml\nd = 1\n```\n";
    let found = commands(page);
    let found: Vec<_> = found.iter().map(|c| (c.line, c.output.as_slice(), c.is_whole)).collect();
    assert_eq!(found, [("one a", &["b", "c"][..], false), ("two", &[], true)]);
    assert_eq!(blocks(page)[1].file, "x.toml");
}
