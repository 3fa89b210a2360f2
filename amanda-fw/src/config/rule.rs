//! `[[rule]]`: what happens to packets of no flow.

use amanda_fw_common::rules::{Action, Rejection, State, Way};
use amanda_fw_common::ruleset::Protocols;
use amanda_fw_common::wire::PROTOCOL_TCP;
use clap::ValueEnum;
use toml::de::DeValue;

use super::effect::Effect;
use super::hosts::{Hosts, Place};
use super::keys;
use super::mistake::{Mistake, Span};
use super::scalar::{choice, complain, text};
use super::section::{Read, Section, Spans, Value, list, nonempty, table};
use super::selection::{Selection, selection};
use super::traffic::{self, Traffic};

/// One rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigRule {
    /// Where it and its values stand in the text.
    pub(super) spans: Spans,
    /// What people call it.
    pub(crate) name: String,
    /// Which way a packet must go.
    pub(super) way: Way,
    /// Which interfaces it must cross.
    pub(super) interfaces: Selection<Interface>,
    /// Which protocols and ports it must have; any of these.
    pub(super) traffic: Vec<Traffic>,
    /// Where it must come from.
    pub(super) from: Selection<Place>,
    /// Where it must go.
    pub(super) to: Selection<Place>,
    /// What it must be to connection tracking.
    pub(super) states: Vec<State>,
    /// What happens to it.
    pub(super) effect: Effect,
}

/// An interface, and where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// The name.
    pub(super) name: String,
    /// Where it stands in the text.
    pub(super) span: Span,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Direction {
    In,
    Out,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::In => Self::In,
            Direction::Out => Self::Out,
        }
    }
}

/// What a packet of no flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigState {
    New,
    Invalid,
}

/// Reads all the rules.
pub(super) fn read_all(value: &Value<'_>, hosts: &Hosts) -> Read<Vec<ConfigRule>> {
    if !matches!(value.get_ref(), DeValue::Array(_)) {
        let mistake = Mistake::new(value.span(), "rules are a list of tables");
        return Err(vec![mistake.way_out("write [[rule]]")]);
    }
    let mut number = 0;
    list(value, |element| {
        number += 1;
        ConfigRule::read(element, number, hosts)
    })
}

impl ConfigRule {
    fn read(value: &Value<'_>, number: usize, hosts: &Hosts) -> Read<Self> {
        let table = table(value)?;
        let default_name = format!("rule {number}");
        let title = match table.get("name").map(|name| name.get_ref()) {
            Some(DeValue::String(name)) => format!("rule \"{name}\""),
            _ => default_name.clone(),
        };
        let mut section = Section::new(title, value.span(), &keys::RULE, table);
        let name = section.read("name", name).unwrap_or(default_name);
        let way = section.read("direction", choice::<Direction>).unwrap_or(Direction::In).into();
        let interfaces = section.read("interface", interfaces).unwrap_or_default();
        let traffic = traffic::read(&mut section);
        let from = section.read("from", |value| hosts.selection(value)).unwrap_or_default();
        let to = section.read("to", |value| hosts.selection(value)).unwrap_or_default();
        let states = section.read("state", states);
        let effect = Effect::read(&mut section);
        if let Some(effect) = &effect {
            refuse_reset(&mut section, effect, &traffic);
        }
        let states = states.unwrap_or_else(|| vec![State::New, State::Invalid]);
        let spans = section.spans();
        // Where the effect is wrong, the section does not finish.
        section
            .finish(effect.map(|effect| Self {
                spans,
                name,
                way,
                interfaces,
                traffic,
                from,
                to,
                states,
                effect,
            }))?
            .ok_or_else(Vec::new)
    }
}

fn name(value: &Value<'_>) -> Read<String> {
    let name = text(value)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(complain(
            value,
            "a name is at least one letter, and no control character".into(),
        ));
    }
    Ok(name.to_owned())
}

fn interfaces(value: &Value<'_>) -> Read<Selection<Interface>> {
    /// IFNAMSIZ without its zero.
    const LONGEST: usize = 15;
    selection(value, "an interface's name", |element, name| {
        if name.is_empty() || name.len() > LONGEST || name.contains(['/', ' ', ',']) {
            let message = format!("\"{name}\" is no interface's name of 1 to {LONGEST} letters");
            let way_out = "several are a list: [\"eth0\", \"eth1\"]";
            return Err(vec![Mistake::new(element.span(), message).way_out(way_out)]);
        }
        Ok(vec![Interface { name: name.to_owned(), span: element.span() }])
    })
}

fn states(value: &Value<'_>) -> Read<Vec<State>> {
    let named = nonempty(value, choice::<ConfigState>)?;
    let of = |state, meant: &[State]| {
        if named.contains(&state) { meant.to_vec() } else { Vec::new() }
    };
    let new = of(ConfigState::New, &[State::New]);
    Ok([new, of(ConfigState::Invalid, &[State::Invalid, State::Unsolicited])].concat())
}

/// Complains of a TCP reset for what may not be TCP.
fn refuse_reset(section: &mut Section<'_>, effect: &Effect, traffic: &[Traffic]) {
    let is_tcp = |traffic: &Traffic| match &traffic.protocols {
        Protocols::Any => false,
        Protocols::Only(protocols) => protocols.iter().all(|p| p.number == PROTOCOL_TCP),
    };
    let is_wrong = effect.action == Action::Reject
        && effect.rejection == Rejection::TcpReset
        && !traffic.iter().all(is_tcp);
    if let Some(span) = section.span_of("reject_with").filter(|_| is_wrong) {
        let mistake = Mistake::new(span, "only TCP can be reset, and the rule fits other packets");
        section.object(mistake.way_out("add protocol = \"tcp\", or remove the key: TCP is reset"));
    }
}
