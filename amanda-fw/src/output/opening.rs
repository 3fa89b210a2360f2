//! What is open between Amanda's hosts, by the auths that need it.

use amanda_fw_common::auth::{Auth, Opening, Openings, purpose};
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::wire::PROTOCOL_UDP;
use serde::Serialize;

use super::event::protocol;
use super::list::Row;
use super::table::Column;

/// An opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OpeningRow {
    /// The auths that need it, as amanda.conf calls them.
    pub(crate) auth: Vec<&'static str>,
    /// Who may use it.
    pub(crate) who: &'static str,
    /// The protocol's name.
    pub(crate) protocol: String,
    /// The ports that it is open to.
    pub(crate) source_ports: String,
    /// The port.
    pub(crate) port: u16,
    /// What it lets open itself.
    pub(crate) then: Option<&'static str>,
}

impl OpeningRow {
    fn new(opening: &Opening) -> Self {
        let PortRange { low, high } = opening.sources();
        let recovers = opening.purpose & purpose::RECOVERY != 0;
        let announces = opening.purpose & purpose::ANNOUNCES != 0;
        Self {
            auth: opening.auths().map(Auth::name).collect(),
            who: if recovers { "clients to servers" } else { "servers and clients" },
            protocol: protocol(opening.protocol),
            source_ports: if (low, high) == (0, u16::MAX) {
                "any".to_owned()
            } else {
                format!("{low}:{high}")
            },
            port: opening.port,
            then: match (opening.protocol == PROTOCOL_UDP, announces) {
                (true, _) => Some("the ports that a reply announces"),
                (false, true) => Some("the port that the server announces"),
                (false, false) => None,
            },
        }
    }
}

impl Row for OpeningRow {
    const COLUMNS: &'static [Column] = &[
        Column::Left("AUTH"),
        Column::Left("WHO"),
        Column::Left("PROTO"),
        Column::Left("SPORT"),
        Column::Left("PORT"),
        Column::Left("AND THEN"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.auth.join(" "),
            self.who.to_owned(),
            self.protocol.clone(),
            self.source_ports.clone(),
            self.port.to_string(),
            self.then.unwrap_or_default().to_owned(),
        ]
    }
}

/// Describes what is open.
pub(crate) fn rows(openings: &Openings) -> Vec<OpeningRow> {
    openings.iter().filter(|opening| opening.is_there()).map(OpeningRow::new).collect()
}

/// Names the auths that need a flow between two ports.
pub(crate) fn auths(
    openings: &Openings,
    protocol: u8,
    source_port: u16,
    port: u16,
) -> Vec<&'static str> {
    let fits = |opening: &&Opening| opening.fits(protocol, source_port, port);
    let bits = openings.iter().filter(fits).fold(0, |bits, opening| bits | opening.auths);
    Auth::ALL.iter().filter(|auth| bits & auth.bit() != 0).map(|auth| auth.name()).collect()
}
