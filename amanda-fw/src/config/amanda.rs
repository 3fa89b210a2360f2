//! `[amanda]`: who backs whom up, on which ports, and for how long.

use std::time::Duration;

use amanda_fw_common::auth::Auth;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::settings::Settings;
use toml::de::DeTable;

use super::hosts::{Hosts, Place};
use super::keys;
use super::mistake::{Mistake, Span};
use super::ports::{port, range};
use super::scalar::{one_of, time};
use super::section::{Read, Section, Spans, Value, list};

/// What the firewall is told of Amanda.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Amanda {
    /// Who may start dumps.
    pub(crate) servers: Vec<Place>,
    /// Whom they may reach, and who may recover from them.
    pub(crate) clients: Vec<Place>,
    /// The bits of the auths that they use.
    pub(crate) auths: u16,
    /// The port that amandad listens on.
    pub(crate) control_port: u16,
    /// The UDP ports that requests come from.
    pub(crate) control_source_ports: PortRange,
    /// The TCP ports that streams may have.
    pub(crate) stream_ports: PortRange,
    /// For how long a request may wait for its reply.
    pub(crate) transaction_timeout: Duration,
    /// For how long an announced port stays open that nobody connects to.
    pub(crate) expectation_timeout: Duration,
    /// Where the values stand in the text.
    pub(super) spans: Spans,
}

impl Default for Amanda {
    /// Names no host: without the section nobody talks to amandad but by a rule.
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            servers: Vec::new(),
            clients: Vec::new(),
            auths: Auth::bits(&Auth::DEFAULT),
            control_port: settings.control_port,
            control_source_ports: settings.control_sources(),
            stream_ports: settings.streams(),
            transaction_timeout: Duration::from_nanos(settings.transaction_timeout),
            expectation_timeout: Duration::from_nanos(settings.expectation_timeout),
            spans: Spans::default(),
        }
    }
}

impl Amanda {
    /// Reads the section; it means this host and its neighbours where it names none.
    pub(super) fn read(span: Span, table: &DeTable<'_>, hosts: &Hosts) -> Read<Self> {
        let neighbours = || vec![Place::Own, Place::OnLink];
        let default = Self::default();
        let mut section = Section::new("[amanda]", span, &keys::AMANDA, table);
        let servers = section.read("servers", |value| hosts.places(value));
        let clients = section.read("clients", |value| hosts.places(value));
        let auths = section.read("auth", auths);
        let control_port = section.read("control_port", port);
        let control_source_ports = section.read("control_source_ports", range);
        let stream_ports = section.read("stream_ports", range);
        let transaction_timeout = section.read("transaction_timeout", time);
        let expectation_timeout = section.read("expectation_timeout", time);
        let spans = section.spans();
        section.finish(Self {
            servers: servers.unwrap_or_else(neighbours),
            clients: clients.unwrap_or_else(neighbours),
            auths: auths.unwrap_or(default.auths),
            control_port: control_port.unwrap_or(default.control_port),
            control_source_ports: control_source_ports.unwrap_or(default.control_source_ports),
            stream_ports: stream_ports.unwrap_or(default.stream_ports),
            transaction_timeout: transaction_timeout.unwrap_or(default.transaction_timeout),
            expectation_timeout: expectation_timeout.unwrap_or(default.expectation_timeout),
            spans,
        })
    }
}

/// Lists the names of the auths.
pub(super) fn auth_names() -> Vec<String> {
    Auth::ALL.iter().map(ToString::to_string).collect()
}

/// Reads the bits of one auth or several.
fn auths(value: &Value<'_>) -> Read<u16> {
    let named = list(value, |element| {
        one_of(element, &auth_names(), |name| {
            Auth::ALL.iter().copied().find(|auth| auth.name() == name)
        })
    })?;
    if named.is_empty() {
        let mistake = Mistake::new(value.span(), "without an auth Amanda's hosts cannot talk");
        return Err(vec![mistake.way_out("name what amanda.conf says, or remove the key")]);
    }
    Ok(Auth::bits(&named))
}
