//! `[[rule]]`: what happens to packets of no flow.

use amanda_fw_common::rules::{Action, Rejection, State, Way};
use amanda_fw_common::ruleset::Protocols;
use amanda_fw_common::wire::PROTOCOL_TCP;
use clap::ValueEnum;
use toml::de::{DeTable, DeValue};

use super::effect::Effect;
use super::hosts::{Hosts, Place};
use super::keys;
use super::mistake::Mistake;
use super::scalar::{choice, complain, text};
use super::section::{Read, Section, Spans, Value, list, nonempty, table};
use super::selection::Selection;
use super::traffic::{self, Traffic};
use super::zones::{Interface, Zones};

/// One rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigRule {
    /// Where it and its values stand in the text.
    pub(super) spans: Spans,
    /// What people call it.
    pub(crate) name: String,
    /// Which way a packet must go.
    pub(super) way: Way,
    /// Which interfaces it must cross; where it goes through the host, which it must come by.
    pub(super) interfaces: Selection<Interface>,
    /// Which interfaces it must leave by where it goes through the host.
    pub(super) outputs: Selection<Interface>,
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

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Direction {
    In,
    Out,
    Forward,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::In => Self::In,
            Direction::Out => Self::Out,
            Direction::Forward => Self::Forward,
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
pub(super) fn read_all(value: &Value<'_>, hosts: &Hosts, zones: &Zones) -> Read<Vec<ConfigRule>> {
    tables(value, "rules", "rule", |element, number| {
        ConfigRule::read(element, number, hosts, zones)
    })
}

/// Reads a list of tables, which are numbered from 1.
pub(super) fn tables<'t, T>(
    value: &'t Value<'t>,
    what: &str,
    key: &str,
    mut read: impl FnMut(&'t Value<'t>, usize) -> Read<T>,
) -> Read<Vec<T>> {
    if !matches!(value.get_ref(), DeValue::Array(_)) {
        let mistake = Mistake::new(value.span(), format!("{what} are a list of tables"));
        return Err(vec![mistake.way_out(format!("write [[{key}]]"))]);
    }
    let mut number = 0;
    list(value, |element| {
        number += 1;
        read(element, number)
    })
}

/// Returns what to call a table in complaints: by its name, if it has one.
pub(super) fn title(table: &DeTable<'_>, key: &str, number: usize) -> String {
    match table.get("name").map(|name| name.get_ref()) {
        Some(DeValue::String(name)) => format!("{key} \"{name}\""),
        _ => format!("{key} {number}"),
    }
}

impl ConfigRule {
    fn read(value: &Value<'_>, number: usize, hosts: &Hosts, zones: &Zones) -> Read<Self> {
        let table = table(value)?;
        let title = title(table, "rule", number);
        let mut section = Section::new(title, value.span(), &keys::RULE, table);
        let name = section.read("name", name).unwrap_or_else(|| format!("rule {number}"));
        let way = section.read("direction", choice::<Direction>).unwrap_or(Direction::In).into();
        let (interfaces, outputs) = interfaces(&mut section, way, zones);
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
                outputs,
                traffic,
                from,
                to,
                states,
                effect,
            }))?
            .ok_or_else(Vec::new)
    }
}

/// Reads what people call something.
pub(super) fn name(value: &Value<'_>) -> Read<String> {
    let name = text(value)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(complain(
            value,
            "a name is at least one letter, and no control character".into(),
        ));
    }
    Ok(name.to_owned())
}

/// Reads which interfaces a packet crosses, and by which one that goes through the host leaves.
fn interfaces(
    section: &mut Section<'_>,
    way: Way,
    zones: &Zones,
) -> (Selection<Interface>, Selection<Interface>) {
    let mut read = |key| section.read(key, |value| zones.selection(value)).unwrap_or_default();
    let [crossed, input, output] = ["interface", "in", "out"].map(&mut read);
    let is_forward = way == Way::Forward;
    let (wrong, message, way_out) = if is_forward {
        let way_out = "write in for where packets come by, out for where they leave";
        (
            &["interface"][..],
            "means one interface, and a packet through the host crosses two",
            way_out,
        )
    } else {
        let way_out = "write interface, or direction = \"forward\" for packets through the host";
        (&["in", "out"][..], "is for packets through the host", way_out)
    };
    for key in wrong {
        if let Some(span) = section.span_of(key) {
            let message = format!("`{key}` {message}");
            section.object(Mistake::new(span, message).way_out(way_out));
        }
    }
    if is_forward { (input, output) } else { (crossed, Selection::default()) }
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
