//! A small writer of TOML with comments.

/// The width that comments are wrapped to.
const WIDTH: usize = 100;

/// A value of TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A string.
    Text(String),
    /// A number.
    Number(u32),
    /// True or false.
    Bool(bool),
    /// Several values.
    List(Vec<Value>),
    /// An inline table.
    Table(Vec<(&'static str, Value)>),
}

impl Value {
    /// Takes a text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Takes texts: one as itself, more as a list.
    pub(crate) fn one_or_more(mut values: Vec<Value>) -> Self {
        match (values.len(), values.pop()) {
            (1, Some(only)) => only,
            (_, last) => Self::List(values.into_iter().chain(last).collect()),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Bool(bool) => bool.to_string(),
            Self::List(values) => {
                let values: Vec<String> = values.iter().map(Self::write).collect();
                format!("[{}]", values.join(", "))
            }
            Self::Table(entries) => {
                let entry = |(key, value): &(_, Value)| format!("{key} = {}", value.write());
                let entries: Vec<String> = entries.iter().map(entry).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

/// Writes a basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A draft as it grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    text: String,
    /// Whether what is written now only shows what could be written.
    is_example: bool,
}

impl Draft {
    /// Writes a comment, wrapped; an empty one is an empty comment line.
    pub(crate) fn comment(&mut self, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut line = String::from("#");
        for word in clean.split(' ').filter(|word| !word.is_empty()) {
            if line.len() > 1 && line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line = String::from("#  ");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// Leaves a line empty, unless nothing stands before it.
    pub(crate) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Opens a table: `[policy]`, `[[rule]]`.
    pub(crate) fn table(&mut self, header: &str) {
        self.statement(header);
    }

    /// Writes a key with its value.
    pub(crate) fn entry(&mut self, key: &str, value: &Value) {
        self.statement(&format!("{key} = {}", value.write()));
    }

    /// Writes a key with its value and a remark behind.
    pub(crate) fn entry_with(&mut self, key: &str, value: &Value, remark: &str) {
        self.statement(&format!("{key} = {}  # {remark}", value.write()));
    }

    /// Writes what follows as an example in comments, until the closure ends.
    pub(crate) fn example(&mut self, write: impl FnOnce(&mut Self)) {
        self.is_example = true;
        write(self);
        self.is_example = false;
    }

    /// Returns the draft.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn statement(&mut self, text: &str) {
        let line = if self.is_example { format!("# {text}") } else { text.to_owned() };
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &Value, expected: &str) {
        let mut draft = Draft::default();
        draft.entry("key", value);
        let text = draft.finish();
        assert_eq!(text, format!("key = {expected}\n"));
        assert_eq!(toml::de::DeTable::parse_recoverable(&text).1, [], "{text}");
    }

    #[test]
    fn values_are_written_as_toml() {
        check(&Value::text("a \"b\" \\ \n\u{7f}"), r#""a \"b\" \\ \u000A\u007F""#);
        check(&Value::List(vec![Value::Number(1), Value::text("2:3")]), r#"[1, "2:3"]"#);
        check(&Value::Table(vec![("burst", Value::Number(5))]), "{ burst = 5 }");
        check(&Value::Bool(false), "false");
    }

    #[test]
    fn one_value_needs_no_list() {
        check(&Value::one_or_more(vec![Value::Number(1)]), "1");
        check(&Value::one_or_more(vec![Value::Number(1), Value::Number(2)]), "[1, 2]");
        check(&Value::one_or_more(Vec::new()), "[]");
    }

    #[test]
    fn comments_stay_comments() {
        let mut draft = Draft::default();
        draft.comment(&format!("a\nb {} end\u{7f}", "x".repeat(WIDTH)));
        draft.example(|draft| draft.table("[amanda]"));
        let text = draft.finish();
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
        assert_eq!(toml::de::DeTable::parse_recoverable(&text).1, [], "{text}");
    }
}
