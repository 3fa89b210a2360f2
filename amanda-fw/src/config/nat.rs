//! `[[nat]]`: what the addresses of packets become.

mod address;
mod ports;

use amanda_fw_common::nat::{Filtering, Translation, TranslationKind};
use amanda_fw_common::rules::Way;

use super::hosts::{Hosts, Place};
use super::keys;
use super::mistake::Mistake;
use super::ports::{port, range};
use super::rule::{name, tables, title};
use super::scalar::one_of;
use super::section::{Read, Section, Spans, Value, table};
use super::selection::Selection;
use super::traffic::{self, Traffic};
use super::zones::{Interface, Zones};

/// One translation as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigNat {
    /// Where it and its values stand in the text.
    pub(super) spans: Spans,
    /// What people call it.
    pub(crate) name: String,
    /// Where a packet meets it: before everything else, or after.
    pub(super) way: Way,
    /// Which interfaces it comes by, or leaves by.
    pub(super) interfaces: Selection<Interface>,
    /// Which protocols and ports it has before; any of these.
    pub(super) traffic: Vec<Traffic>,
    /// Where it comes from.
    pub(super) from: Selection<Place>,
    /// Where it goes before its destination is translated.
    pub(super) destination: Selection<Place>,
    /// What becomes of it.
    pub(super) translation: Translation,
}

/// Lists the names of the kinds.
pub(super) fn kinds() -> Vec<String> {
    TranslationKind::ALL.iter().map(ToString::to_string).collect()
}

/// Lists the names of the ways to filter.
pub(super) fn filterings() -> Vec<String> {
    Filtering::ALL.iter().map(ToString::to_string).collect()
}

fn kind(value: &Value<'_>) -> Read<TranslationKind> {
    one_of(value, &kinds(), |name| {
        TranslationKind::ALL.iter().copied().find(|kind| kind.name() == name)
    })
}

fn filtering(value: &Value<'_>) -> Read<Filtering> {
    one_of(value, &filterings(), |name| {
        Filtering::ALL.iter().copied().find(|filtering| filtering.name() == name)
    })
}

/// Reads all the translations.
pub(super) fn read_all(value: &Value<'_>, hosts: &Hosts, zones: &Zones) -> Read<Vec<ConfigNat>> {
    let what = "translations";
    tables(value, what, "nat", |element, number| ConfigNat::read(element, number, hosts, zones))
}

impl ConfigNat {
    fn read(value: &Value<'_>, number: usize, hosts: &Hosts, zones: &Zones) -> Read<Self> {
        let table = table(value)?;
        let title = title(table, "nat", number);
        let mut section = Section::new(title, value.span(), &keys::NAT, table);
        let name = section.read("name", name).unwrap_or_else(|| format!("nat {number}"));
        let kind = section.require("kind", kind);
        let input = section.read("in", |value| zones.selection(value));
        let output = section.read("out", |value| zones.selection(value));
        let from = section.read("from", |value| address::places(value, hosts));
        let destination = section.read("destination", |value| address::places(value, hosts));
        let traffic = traffic::read(&mut section);
        ports::refuse_icmpv6(&mut section, &traffic);
        let translation =
            Becomes::read(&mut section, kind, hosts).translation(&mut section, kind, &traffic);
        let way = kind.map(|kind| way(&mut section, kind));
        let spans = section.spans();
        let interfaces = if way == Some(Way::Prerouting) { input } else { output };
        // Where the kind is wrong, the section does not finish.
        section
            .finish(way.map(|way| Self {
                spans,
                name,
                way,
                interfaces: interfaces.unwrap_or_default(),
                traffic,
                from: from.unwrap_or_default(),
                destination: destination.unwrap_or_default(),
                translation,
            }))?
            .ok_or_else(Vec::new)
    }

    /// Returns what it does.
    pub(super) fn kind(&self) -> TranslationKind {
        self.translation.kind()
    }
}

/// Returns where a translation is asked for, and complains of the interfaces of the other place.
fn way(section: &mut Section<'_>, kind: TranslationKind) -> Way {
    let (wrong, way, way_out) = match kind {
        TranslationKind::Source | TranslationKind::Masquerade => {
            ("in", Way::Postrouting, "write out: sources are translated where packets leave")
        }
        TranslationKind::Destination => {
            ("out", Way::Prerouting, "write in: destinations are translated where packets come in")
        }
        TranslationKind::None => return way_of_exemption(section),
    };
    refuse(section, wrong, kind, way_out);
    way
}

fn way_of_exemption(section: &mut Section<'_>) -> Way {
    if section.has("in") == section.has("out") {
        let span = section.span_of("kind").unwrap_or_default();
        let message = "the kind \"none\" needs one of `in` and `out`";
        let way_out = "in exempts from the translation of destinations, out from that of sources";
        section.object(Mistake::new(span, message).way_out(way_out));
    }
    if section.has("in") { Way::Prerouting } else { Way::Postrouting }
}

/// Complains of a key that says nothing about a kind.
fn refuse(section: &mut Section<'_>, key: &str, kind: TranslationKind, way_out: &str) {
    if let Some(span) = section.span_of(key) {
        let message = format!("`{key}` has no meaning where the kind is \"{kind}\"");
        section.object(Mistake::new(span, message).way_out(way_out));
    }
}

/// The keys that say what an address becomes.
struct Becomes {
    to: Option<(u32, u32)>,
    to_port: Option<u16>,
    to_ports: Option<amanda_fw_common::connect::PortRange>,
    filtering: Option<Filtering>,
}

impl Becomes {
    fn read(section: &mut Section<'_>, kind: Option<TranslationKind>, hosts: &Hosts) -> Self {
        use TranslationKind::{Destination, Masquerade, None as Exempt, Source};
        let to = |value: &Value<'_>| match kind {
            Some(Destination) => address::one(value, hosts).map(|address| (address, address)),
            Some(Source) => address::range(value, hosts),
            // What it is does not matter where it may not be there.
            Some(Masquerade | Exempt) | None => Ok((0, 0)),
        };
        let to = match kind {
            Some(Source | Destination) => section.require("to", to),
            Some(Masquerade | Exempt) | None => section.read("to", to),
        };
        let becomes = Self {
            to,
            to_port: section.read("to_port", port),
            to_ports: section.read("to_ports", range),
            filtering: section.read("filtering", filtering),
        };
        if let Some(kind) = kind {
            Self::contradictions(section, kind);
        }
        becomes
    }

    fn contradictions(section: &mut Section<'_>, kind: TranslationKind) {
        let refused: &[(&str, &str)] = match kind {
            TranslationKind::None => &[
                ("to", "remove it: addresses stay as they are"),
                ("to_port", "remove it: ports stay as they are"),
                ("to_ports", "remove it: ports stay as they are"),
                ("filtering", "remove it"),
            ],
            TranslationKind::Masquerade => &[
                ("to", "write kind = \"source\", or remove it: the interface has the address"),
                ("to_port", "write to_ports: the ports that sources may get"),
            ],
            TranslationKind::Source => &[("to_port", "write to_ports: what sources may get")],
            TranslationKind::Destination => &[
                ("to_ports", "write to_port: what the first of `ports` becomes"),
                ("filtering", "remove it, and say with from who may send"),
            ],
        };
        for (key, way_out) in refused {
            refuse(section, key, kind, way_out);
        }
    }

    /// Makes what the packet path reads; complains of ports that cannot be translated.
    fn translation(
        self,
        section: &mut Section<'_>,
        kind: Option<TranslationKind>,
        traffic: &[Traffic],
    ) -> Translation {
        let Self { to, to_port, to_ports, filtering } = self;
        let (first, last) = to.unwrap_or_default();
        let mut translation = Translation {
            first,
            last,
            kind: kind.unwrap_or(TranslationKind::None).number(),
            filtering: filtering.unwrap_or(Filtering::AddressAndPort).number(),
            ..Translation::default()
        };
        if let Some(to_port) = to_port.filter(|_| kind == Some(TranslationKind::Destination))
            && ports::are_translatable(section, "to_port", traffic)
            && let Some(ports) = ports::shifted(section, to_port, traffic)
        {
            translation.matched_port = ports.low;
            translation.first_port = to_port;
            translation.last_port = to_port.saturating_add(ports.high.saturating_sub(ports.low));
        }
        if let Some(to_ports) = to_ports.filter(|_| kind != Some(TranslationKind::Destination))
            && ports::are_translatable(section, "to_ports", traffic)
        {
            translation.first_port = to_ports.low;
            translation.last_port = to_ports.high;
        }
        translation
    }
}
