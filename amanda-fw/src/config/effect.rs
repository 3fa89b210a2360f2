//! What a rule does to a packet that fits: its action, its log and its limits.

use amanda_fw_common::rules::{Action, Rate, Rejection, Rule};
use toml::de::DeValue;

use super::keys;
use super::mistake::Mistake;
use super::rate::{BURST, MOST_AT_ONCE, Often, limit, often};
use super::scalar::{complain, number, one_of, text};
use super::section::{Read, Section, Value, wrong_type};

/// The longest prefix of a line in characters (NFLOG's has as many).
const LONGEST_PREFIX: usize = 64;

/// How a rule logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// What each line begins with, if anything.
    pub(crate) prefix: Option<String>,
    /// How often at most.
    pub(crate) rate: Rate,
}

impl Log {
    /// Reads a prefix, or a table with a prefix, a rate and a burst.
    pub(super) fn read(value: &Value<'_>) -> Read<Self> {
        let (prefix, rate, burst) = if let DeValue::String(_) = value.get_ref() {
            (Some(read_prefix(value)?), None, None)
        } else if let DeValue::Table(table) = value.get_ref() {
            let mut section = Section::new("the log", value.span(), &keys::LOG, table);
            let prefix = section.read("prefix", read_prefix);
            let rate = section.read("rate", often);
            let burst = section.read("burst", |value| number(value, 1, MOST_AT_ONCE));
            section.finish((prefix, rate, burst))?
        } else {
            return Err(wrong_type(value, "a prefix, or a table with `prefix` and `rate`"));
        };
        Ok(Self { prefix, rate: rate.unwrap_or(Often::LOG).with_burst(burst.unwrap_or(BURST)) })
    }
}

fn read_prefix(value: &Value<'_>) -> Read<String> {
    let text = text(value)?;
    let message = match text.chars().count() {
        _ if text.chars().any(char::is_control) => {
            "a prefix may not have control characters".to_owned()
        }
        length if length > LONGEST_PREFIX => {
            format!("a prefix of {length} characters is longer than {LONGEST_PREFIX}")
        }
        _ => return Ok(text.to_owned()),
    };
    Err(complain(value, message))
}

/// Reads what a policy does.
pub(super) fn verdict(value: &Value<'_>) -> Read<Action> {
    let verdicts = [Action::Accept, Action::Drop, Action::Reject];
    one_of(value, &verdicts.map(Action::name), |name| named(name, &verdicts))
}

/// What a rule may do; what translates is written in `[[nat]]`.
pub(super) const ACTIONS: [Action; 4] = [Action::Accept, Action::Drop, Action::Reject, Action::Log];

fn action(value: &Value<'_>) -> Read<Action> {
    one_of(value, &ACTIONS.map(Action::name), |name| named(name, &ACTIONS))
}

fn named(name: &str, actions: &[Action]) -> Option<Action> {
    actions.iter().copied().find(|action| action.name() == name)
}

fn rejection(value: &Value<'_>) -> Read<Rejection> {
    let known: Vec<Rejection> =
        Rejection::ALL.iter().copied().filter(|known| *known != Rejection::Default).collect();
    let names: Vec<&str> = known.iter().map(|rejection| rejection.name()).collect();
    one_of(value, &names, |name| known.iter().copied().find(|known| known.name() == name))
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// What happens to a packet.
    pub(crate) action: Action,
    /// How its sender is told.
    pub(crate) rejection: Rejection,
    /// How it is logged, if it is.
    pub(crate) log: Option<Log>,
    /// How many new flows it may decide.
    pub(crate) limit: Rate,
    /// How many new flows of one source it may decide.
    pub(crate) limit_per_source: Rate,
}

impl Effect {
    /// Reads the keys of a rule that say what it does.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let action = section.require("action", action);
        let rejection = section.read("reject_with", rejection);
        let log = section.read("log", Log::read);
        let limits = ["limit", "limit_per_source"].map(|key| section.read(key, limit));
        let [limit, limit_per_source] = limits.map(|limit| limit.unwrap_or(Rate::UNLIMITED));
        let rejection = rejection.unwrap_or(Rejection::Default);
        let effect = Self { action: action?, rejection, log, limit, limit_per_source };
        effect.contradictions(section);
        Some(effect)
    }

    /// Complains of keys that say nothing about the action.
    fn contradictions(&self, section: &mut Section<'_>) {
        let action = self.action.name();
        let mut refuse = |key, way_out: &str| {
            if let Some(span) = section.span_of(key) {
                let message = format!("`{key}` has no meaning where the action is \"{action}\"");
                section.object(Mistake::new(span, message).way_out(way_out));
            }
        };
        if self.action != Action::Reject {
            refuse("reject_with", "write action = \"reject\", or remove it");
        }
        if self.action != Action::Accept {
            let way_out = if self.action == Action::Log {
                "write log = { rate = \"10/s\" }"
            } else {
                "limit a rule that accepts: what is over the limit is dropped"
            };
            refuse("limit", way_out);
            refuse("limit_per_source", way_out);
        }
    }

    /// Returns the rule without its slot.
    pub(super) fn rule(&self) -> Rule {
        let Self { action, rejection, log, limit, limit_per_source } = self;
        Rule {
            limit: *limit,
            limit_per_source: *limit_per_source,
            rejection: rejection.number(),
            ..logging(*action, log.as_ref())
        }
    }

    /// Returns what each line of its log begins with, if anything.
    pub(super) fn log_prefix(&self) -> Option<String> {
        self.log.as_ref()?.prefix.clone()
    }
}

/// Makes a rule that does nothing else than an action, and logs it or not; what only logs does.
pub(super) fn logging(action: Action, log: Option<&Log>) -> Rule {
    let usual = (action == Action::Log).then(|| Often::LOG.with_burst(BURST));
    let rate = log.map(|log| log.rate).or(usual);
    Rule {
        log_rate: rate.unwrap_or(Rate::UNLIMITED),
        logs: u8::from(rate.is_some()),
        ..Rule::new(action, 0)
    }
}
