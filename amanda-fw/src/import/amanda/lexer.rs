//! Words of amanda.conf and disklist, line by line.

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word, and whether it stands in quotes.
    Word(String, bool),
    Open,
    Close,
}

impl Token {
    /// Returns the word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(text, _) => Some(text),
            Self::Open | Self::Close => None,
        }
    }

    /// Returns the word as a keyword: in small letters, with dashes (amanda.conf(5), "Keywords").
    pub(super) fn keyword(&self) -> Option<String> {
        match self {
            Self::Word(text, false) => Some(text.to_lowercase().replace('_', "-")),
            Self::Word(_, true) | Self::Open | Self::Close => None,
        }
    }
}

/// A line with its number, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) tokens: Vec<Token>,
}

/// Splits a file into lines that say something; a string may go over several.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, part) in text.lines().enumerate() {
        let (number, text) = match open.take() {
            Some((number, before)) => (number, format!("{before}\n{part}")),
            None => (index + 1, part.to_owned()),
        };
        match tokens(&text) {
            Some(tokens) if tokens.is_empty() => {}
            Some(tokens) => lines.push(Line { number, text, tokens }),
            None => open = Some((number, text)),
        }
    }
    lines
}

/// Splits a line; nothing where a string does not end in it.
fn tokens(line: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '#' => break,
            '{' => tokens.push(Token::Open),
            '}' => tokens.push(Token::Close),
            '"' => tokens.push(Token::Word(quoted(&mut rest)?, true)),
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                let goes_on = |c: &char| !c.is_whitespace() && !['{', '}', '"', '#'].contains(c);
                while let Some(c) = rest.next_if(goes_on) {
                    word.push(c);
                }
                tokens.push(Token::Word(word, false));
            }
        }
    }
    Some(tokens)
}

/// Reads a string to its end (amanda.conf(5), "Strings"; an octal escape stays as it is written).
fn quoted(rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'f' => text.push('\u{c}'),
                c @ '0'..='7' => text.extend(['\\', c]),
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let show = |token: &Token| match token {
            Token::Word(text, true) => format!("<{text}>"),
            Token::Word(text, false) => text.clone(),
            Token::Open => "{".to_owned(),
            Token::Close => "}".to_owned(),
        };
        let found: Vec<String> = lines(text)
            .iter()
            .map(|line| {
                let tokens: Vec<String> = line.tokens.iter().map(show).collect();
                format!("{}: {}", line.number, tokens.join(" "))
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn words_strings_and_braces_are_told_apart() {
        check("define dumptype \"a b\" { # c\n", &["1: define dumptype <a b> {"]);
        check("} 2 le0", &["1: } 2 le0"]);
        check("\n#\nauth \"bsd\"#x", &["3: auth <bsd>"]);
        check(r#"property "a \"b\" \\""#, &[r#"1: property <a "b" \>"#]);
        check("reserved-udp-port 700,710", &["1: reserved-udp-port 700,710"]);
    }

    #[test]
    fn a_string_may_go_over_lines() {
        check("a \"b\nc\" d\ne", &["1: a <b\nc> d", "3: e"]);
    }
}
