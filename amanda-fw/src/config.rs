//! The configuration: TOML as people write it, compiled to what the packet path reads.

mod amanda;
mod effect;
mod host;
mod hosts;
mod interface;
mod keys;
mod mistake;
mod nat;
mod network;
mod places;
mod policy;
mod ports;
mod protocol;
mod rate;
mod report;
mod roles;
mod rule;
mod ruleset;
mod scalar;
mod schema;
mod section;
mod selection;
mod services;
mod shadow;
mod sizes;
mod timeouts;
mod traffic;
mod warnings;
mod zones;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use amanda_fw_common::rules::Way;
use amanda_fw_common::settings::gateway;
use anyhow::{Context, Result};
use toml::de::DeTable;

pub(crate) use host::Host;
pub(crate) use mistake::{Mistakes, Warnings};
pub(crate) use network::display as display_network;
pub(crate) use protocol::{has_ports, icmp_type_name, icmp_type_number, protocol_name};
pub(crate) use report::Finding;
pub(crate) use ruleset::{RuleEntry, Ruleset, compile};
pub(crate) use schema::schema;
pub(crate) use services::all as services;
pub(crate) use sizes::Sizes;
pub(crate) use warnings::warnings;

use amanda::Amanda;
use hosts::{Hosts, Written};
use interface::Modes;
use mistake::{Mistake, Source};
use nat::ConfigNat;
use policy::Policy;
use rule::ConfigRule;
use section::{Read, Section, Value};
use zones::Zones;

/// Where the configuration is looked for when none is named.
const PATH: &str = "/etc/amanda-fw/amanda-fw.toml";

/// What is enforced when there is no file at [`PATH`].
const EMBEDDED: &str = include_str!("config/default.toml");

/// What the embedded configuration is called.
const EMBEDDED_NAME: &str = "built-in defaults";

/// A configuration as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    source: Source,
    /// What happens to packets that nothing else decides.
    pub(crate) policy: Policy,
    /// What the firewall is told of Amanda.
    pub(crate) amanda: Amanda,
    /// The modes of interfaces.
    pub(crate) modes: Modes,
    /// Groups of interfaces.
    zones: Zones,
    /// Events that one CPU may send in a second.
    pub(crate) event_rate: u32,
    /// The rules, in order.
    pub(crate) rules: Vec<ConfigRule>,
    /// The translations, in order.
    nats: Vec<ConfigNat>,
    /// How many entries each table has room for.
    pub(crate) sizes: Sizes,
    /// Every network that is written anywhere.
    networks: Vec<Written>,
}

impl Config {
    /// Returns what people call the place that the configuration was read from.
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// Returns the path of the file that the configuration was read from, if it was one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let is_file = self.source.name != EMBEDDED_NAME;
        is_file.then(|| path::absolute(&self.source.name).ok()).flatten()
    }

    /// Returns what the host does as a gateway, as bits of [`gateway`]: nothing where nothing is
    /// said of packets through it.
    fn gateway(&self) -> u8 {
        let translates = !self.nats.is_empty();
        let is_forward = |rule: &ConfigRule| rule.way == Way::Forward;
        let forwards =
            translates || self.policy.forward.is_some() || self.rules.iter().any(is_forward);
        let bit = |is_so, bit| if is_so { bit } else { 0 };
        bit(forwards, gateway::FORWARDS) | bit(translates, gateway::TRANSLATES)
    }
}

/// Reads a configuration that a test writes.
#[cfg(test)]
pub(crate) fn parsed(text: &str) -> Result<Config, Mistakes> {
    parse(Source { name: "x.toml".to_owned(), text: text.to_owned() })
}

/// A configuration file that cannot be read at all.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a protocol's name or number.
pub(crate) fn protocol_number(text: &str) -> Option<u8> {
    text.parse().ok().or_else(|| protocol::by_name(text))
}

/// Reads a time such as `30s` from the command line.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    scalar::parse_time(text).ok_or_else(|| format!("\"{text}\" is no time such as 30s or 5m"))
}

/// Reads the named file, or else the one in /etc, or else the embedded configuration.
pub(crate) fn load(named: Option<&Path>) -> Result<Config> {
    Ok(parse(find(named, Path::new(PATH))?)?)
}

fn find(named: Option<&Path>, usual: &Path) -> Result<Source> {
    let path = match named {
        Some(path) => path,
        None if usual.exists() => usual,
        None => return Ok(Source { name: EMBEDDED_NAME.to_owned(), text: EMBEDDED.to_owned() }),
    };
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .with_context(|| Unreadable(format!("read the configuration {name}")))?;
    Ok(Source { name, text })
}

/// Reads a configuration, or finds every mistake in it.
fn parse(source: Source) -> Result<Config, Mistakes> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let read = match errors.is_empty() {
        true => read(document.get_ref(), &source),
        false => Err(errors.iter().map(syntax).collect()),
    };
    read.map_err(|mistakes| Mistakes::new(source, mistakes))
}

fn syntax(error: &toml::de::Error) -> Mistake {
    Mistake::new(error.span().unwrap_or_default(), error.message())
}

fn read(document: &DeTable<'_>, source: &Source) -> Read<Config> {
    let (mut hosts, mut zones) = (Hosts::default(), Zones::default());
    let mut root = Section::new("the configuration", 0..0, &keys::ROOT, document);
    root.read("hosts", |value| hosts.read(value));
    let policy = root.read("policy", |v| Policy::read(v.span(), section::table(v)?));
    let amanda = root.read("amanda", |v| Amanda::read(v.span(), section::table(v)?, &hosts));
    root.read("zones", |value| zones.read(value));
    let translates = root.has("nat");
    let modes = root.read("interfaces", |v| interface::read_all(v, &zones, translates));
    let event_rate = root.read("events", event_rate);
    let rules = root.read("rule", |value| rule::read_all(value, &hosts, &zones));
    let nats = root.read("nat", |value| nat::read_all(value, &hosts, &zones));
    let sizes = root.read("limits", |v| Sizes::read(v.span(), section::table(v)?));
    root.finish(Config {
        source: source.clone(),
        policy: policy.unwrap_or_default(),
        amanda: amanda.unwrap_or_default(),
        modes: modes.unwrap_or_default(),
        zones,
        event_rate: event_rate.unwrap_or_else(default_event_rate),
        rules: rules.unwrap_or_default(),
        nats: nats.unwrap_or_default(),
        sizes: sizes.unwrap_or_default(),
        networks: hosts.into_written(),
    })
}

/// Reads `[events]`.
fn event_rate(value: &Value<'_>) -> Read<u32> {
    let mut section = Section::new("[events]", value.span(), &keys::EVENTS, section::table(value)?);
    let rate = section.read("rate", scalar::event_rate);
    section.finish(rate.unwrap_or_else(default_event_rate))
}

fn default_event_rate() -> u32 {
    amanda_fw_common::settings::Settings::default().event_rate
}
