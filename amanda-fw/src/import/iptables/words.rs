//! Lines of a shell script or of iptables-save, as words.

use std::collections::BTreeMap;

/// Variables of a script, by name.
pub(super) type Variables = BTreeMap<String, String>;

/// A line with those that continue it, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) number: usize,
    pub(super) text: String,
}

/// Joins lines that end with a backslash to the next.
pub(super) fn joined(text: &str) -> Vec<Joined> {
    let mut lines: Vec<Joined> = Vec::new();
    let mut open: Option<Joined> = None;
    for (index, line) in text.lines().enumerate() {
        let (part, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part.trim(), true),
            None => (line.trim(), false),
        };
        let joined = match open.take() {
            Some(Joined { number, text }) => Joined { number, text: format!("{text} {part}") },
            None => Joined { number: index + 1, text: part.to_owned() },
        };
        if goes_on { open = Some(joined) } else { lines.push(joined) }
    }
    lines.extend(open);
    lines
}

/// Splits a line of a script into its commands.
pub(super) fn commands(line: &str) -> Vec<&str> {
    let (mut commands, mut start, mut quote, mut before) = (Vec::new(), 0, None, ' ');
    if line.starts_with('#') {
        return vec![line];
    }
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') if before != '\\' => quote = Some(c),
            (None, '#') if before.is_whitespace() => break,
            (None, ';' | '&' | '|') => {
                commands.extend(line.get(start..at));
                start = at + c.len_utf8();
            }
            _ => {}
        }
        before = c;
    }
    commands.extend(line.get(start..));
    commands.into_iter().map(str::trim).filter(|command| !command.is_empty()).collect()
}

/// Why a line has no words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsplit {
    /// A variable that nothing sets, or that a command sets.
    Variable(String),
    /// A quotation without its end.
    Quote,
}

impl Unsplit {
    /// Says why, in words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Variable(name) => format!("the file does not say what ${name} is"),
            Self::Quote => "a quotation does not end".to_owned(),
        }
    }
}

/// Splits a line as a shell does, up to a comment or the end of the command.
pub(super) fn split(line: &str, variables: &Variables) -> Result<Vec<String>, Unsplit> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ';' | '|' | '&' | '>' | '<') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(rest.next()),
            (Some('"') | None, '$') => {
                let value = variable(&mut rest, variables)?;
                match quote {
                    Some(_) => word.get_or_insert_default().push_str(&value),
                    None => spread(&mut words, &mut word, &value),
                }
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(Unsplit::Quote) } else { Ok(words) }
}

/// Adds a variable's value outside of quotes, which may be several words.
fn spread(words: &mut Vec<String>, word: &mut Option<String>, value: &str) {
    for (index, part) in value.split_whitespace().enumerate() {
        if index > 0 {
            words.extend(word.take());
        }
        word.get_or_insert_default().push_str(part);
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn variable(rest: &mut Chars<'_>, variables: &Variables) -> Result<String, Unsplit> {
    let is_braced = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
        name.push(c);
    }
    if is_braced {
        rest.next_if_eq(&'}').ok_or_else(|| Unsplit::Variable(format!("{{{name}")))?;
    }
    match (variables.get(&name), is_tool(&name)) {
        (Some(value), _) => Ok(value.clone()),
        (None, true) => Ok(name.to_lowercase()),
        (None, false) => Err(Unsplit::Variable(name)),
    }
}

/// Tells whether a word is what people call iptables in their scripts: a path, or `$IPT`.
pub(super) fn is_tool(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word).to_lowercase();
    ["iptables", "ip6tables", "ipt", "ip6t", "ipv6t"].iter().any(|known| name.starts_with(known))
        && !name.ends_with("-restore")
}

/// Tells whether [`is_tool`]'s word is for IPv6.
pub(super) fn is_tool_of_ipv6(word: &str) -> bool {
    word.rsplit('/').next().unwrap_or(word).contains('6')
}

/// Reads `NAME=value`, with the value as a shell would take it.
pub(super) fn assignment(line: &str, variables: &Variables) -> Option<(String, Option<String>)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_command = value.contains("$(") || value.contains('`');
    let value = split(value, variables).ok().map(|words| words.join(" "));
    is_name.then(|| (name.to_owned(), value.filter(|_| !is_command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<&[&str], Unsplit>) {
        let variables = [("LAN".to_owned(), "10.0.0.0/8".to_owned())].into();
        let expected = expected.map(|words| words.iter().map(|&w| w.to_owned()).collect());
        assert_eq!(split(line, &variables), expected, "{line}");
    }

    #[test]
    fn quotations_and_escapes_make_one_word() {
        check(r#"a "b \"c\" " 'd $LAN' e\ f"#, Ok(&["a", "b \"c\" ", "d $LAN", "e f"]));
        check(r#"--comment """#, Ok(&["--comment", ""]));
        check("a # b", Ok(&["a"]));
        check("a#b; c", Ok(&["a#b"]));
        check("\"a", Err(Unsplit::Quote));
    }

    #[test]
    fn variables_are_replaced_where_the_file_sets_them() {
        check("$IPT -s ${LAN} -d \"$LAN\"", Ok(&["ipt", "-s", "10.0.0.0/8", "-d", "10.0.0.0/8"]));
        check("-s $WAN", Err(Unsplit::Variable("WAN".to_owned())));
    }

    #[test]
    fn a_backslash_joins_lines_and_keeps_the_first_number() {
        let lines = joined("a\nb \\\n  c \\\n d\ne\n");
        let found: Vec<_> = lines.iter().map(|l| (l.number, l.text.as_str())).collect();
        assert_eq!(found, [(1, "a"), (2, "b c d"), (5, "e")]);
    }

    #[test]
    fn a_line_may_hold_several_commands() {
        assert_eq!(commands("a \"b;c\"; d && e # f; g"), ["a \"b;c\"", "d", "e # f; g"]);
        assert_eq!(commands("It's; one"), ["It's; one"]);
        assert_eq!(commands("# a; b"), ["# a; b"]);
    }

    #[test]
    fn an_assignment_that_runs_a_command_leaves_its_variable_unknown() {
        let read = |line| assignment(line, &Variables::new());
        assert_eq!(read("A=\"x y\" # z"), Some(("A".to_owned(), Some("x y".to_owned()))));
        assert_eq!(read("A=$(hostname -i)"), Some(("A".to_owned(), None)));
        assert_eq!(read("-A INPUT --x=y"), None);
    }
}
