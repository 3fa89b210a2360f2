//! Translated flows, and what sources are bound to, a row each.

use std::collections::HashMap;

use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::nat::{Binding, BindingKey, Filtering, Mapped, Side};
use serde::Serialize;

use super::{Row, end};
use crate::nat;
use crate::output::event::protocol;
use crate::output::table::Column;
use crate::output::units;

/// What a gateway translates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NatTables {
    /// The translated flows, the oldest first.
    pub(crate) flows: Vec<TranslatedRow>,
    /// What sources are bound to.
    pub(crate) bindings: Vec<BindingRow>,
}

impl NatTables {
    /// Describes the translated ones among flows, and bindings by the entries of either end.
    pub(crate) fn new(
        flows: &[(FlowKey, Flow)],
        bindings: impl Iterator<Item = (BindingKey, Binding)>,
        interface_name: &dyn Fn(u32) -> String,
        now: u64,
    ) -> Self {
        let mut counts = HashMap::<BindingKey, usize>::new();
        for outside in flows.iter().flat_map(|(key, flow)| nat::bindings(key, flow)) {
            *counts.entry(outside).or_default() += 1;
        }
        let translated =
            flows.iter().filter(|(_, flow)| flow.source.is_set() || flow.destination.is_set());
        let mut outsides: Vec<_> =
            bindings.filter(|(key, _)| key.side() == Side::Outside).collect();
        outsides.sort_by_key(|(key, Binding { other, .. })| {
            (key.protocol(), other.addr, other.port, key.endpoint().addr)
        });
        let binding = |(key, binding): &(BindingKey, Binding)| {
            let flows = counts.get(key).copied().unwrap_or(0);
            BindingRow::new(key, binding, interface_name, flows)
        };
        Self {
            flows: translated
                .map(|(key, flow)| TranslatedRow::new(key, flow, interface_name, now))
                .collect(),
            bindings: outsides.iter().map(binding).collect(),
        }
    }

    /// Writes both tables for people.
    pub(crate) fn text(&self) -> String {
        let (flows, bindings) =
            (super::indented(2, &self.flows), super::indented(2, &self.bindings));
        format!("Flows\n{flows}\nBindings\n{bindings}")
    }
}

/// A translated flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TranslatedRow {
    /// The protocol's name.
    protocol: String,
    /// The originator.
    source: String,
    /// The other end.
    destination: String,
    /// What the originator is known as to the other end, if it is translated.
    source_outside: Option<String>,
    /// What the other end is known as to the originator, if it is translated.
    destination_outside: Option<String>,
    /// The interface that the first packet came by, nothing where the host sent it.
    came_by: Option<String>,
    /// The interface that it left by, nothing where it was for the host.
    left_by: Option<String>,
    /// How far the flow has come.
    state: &'static str,
    /// Seconds since the first packet.
    age_seconds: u64,
    /// Seconds since the last packet.
    silent_seconds: u64,
}

impl TranslatedRow {
    fn new(key: &FlowKey, flow: &Flow, interface_name: &dyn Fn(u32) -> String, now: u64) -> Self {
        let (originator, responder) = flow.ends(key);
        let name = |interface| (interface != 0).then(|| interface_name(interface));
        Self {
            protocol: protocol(key.protocol()),
            source: end(originator),
            destination: end(responder),
            source_outside: outside(flow.source),
            destination_outside: outside(flow.destination),
            came_by: name(nat::comes_by(flow)),
            left_by: name(nat::leaves_by(flow)),
            state: flow.state().name(),
            age_seconds: units::elapsed_seconds(flow.started, now),
            silent_seconds: units::elapsed_seconds(flow.seen, now),
        }
    }
}

/// Writes what an end is known as, if it is translated.
pub(super) fn outside(known_as: Mapped) -> Option<String> {
    known_as.is_set().then(|| end(known_as.endpoint()))
}

impl Row for TranslatedRow {
    const COLUMNS: &'static [Column] = &[
        Column::Left("PROTO"),
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Left("IFACE"),
        Column::Left("STATE"),
        Column::Right("AGE"),
        Column::Right("SILENT"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.protocol.clone(),
            self.source.clone(),
            self.destination.clone(),
            self.came_by.clone().unwrap_or_default(),
            self.state.to_owned(),
            units::seconds(self.age_seconds),
            units::seconds(self.silent_seconds),
        ]
    }

    fn cells_under(&self) -> Option<Vec<String>> {
        let cells = [
            Some("  as".to_owned()),
            self.source_outside.clone(),
            self.destination_outside.clone(),
            self.left_by.clone(),
        ];
        Some(cells.map(Option::unwrap_or_default).to_vec())
    }
}

/// What a source is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BindingRow {
    /// The protocol's name.
    protocol: String,
    /// The source.
    inside: String,
    /// What it is known as.
    outside: String,
    /// The interface outside.
    interface: String,
    /// Who may send to it.
    filtering: &'static str,
    /// How many flows have it.
    flows: usize,
}

impl BindingRow {
    fn new(
        key: &BindingKey,
        binding: &Binding,
        interface_name: &dyn Fn(u32) -> String,
        flows: usize,
    ) -> Self {
        Self {
            protocol: protocol(key.protocol()),
            inside: end(binding.other.endpoint()),
            outside: end(key.endpoint().endpoint()),
            interface: interface_name(binding.interface),
            filtering: Filtering::from_number(binding.filtering).map_or("unknown", Filtering::name),
            flows,
        }
    }
}

impl Row for BindingRow {
    const COLUMNS: &'static [Column] = &[
        Column::Left("PROTO"),
        Column::Left("INSIDE"),
        Column::Left("OUTSIDE"),
        Column::Left("IFACE"),
        Column::Right("FLOWS"),
        Column::Left("FILTERING"),
    ];

    fn cells(&self) -> Vec<String> {
        // Whom it depends on is enough to read.
        let filtering = self.filtering.strip_suffix("-dependent").unwrap_or(self.filtering);
        vec![
            self.protocol.clone(),
            self.inside.clone(),
            self.outside.clone(),
            self.interface.clone(),
            self.flows.to_string(),
            filtering.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::wire::PROTOCOL_TCP;

    use super::*;
    use crate::nat::tests::{LAN, WAN, forwarded, mapped, masqueraded};

    const SECOND: u64 = 1_000_000_000;

    fn tables(flows: &[(FlowKey, Flow)], bindings: &[(BindingKey, Binding)]) -> NatTables {
        let name = |interface| if interface == LAN { "lan0".to_owned() } else { "ppp0".to_owned() };
        NatTables::new(flows, bindings.iter().copied(), &name, 75 * SECOND)
    }

    fn bound(inside: &str, outside: &str, filtering: Filtering) -> [(BindingKey, Binding); 2] {
        let (inside, outside) = (mapped(inside), mapped(outside));
        let entry = |other, filtering| Binding::new(other, WAN, filtering, 0);
        [
            (BindingKey::inside(PROTOCOL_TCP, inside, outside.addr), entry(outside, 0)),
            (BindingKey::outside(PROTOCOL_TCP, outside), entry(inside, filtering.number())),
        ]
    }

    #[test]
    fn what_stands_for_an_end_stands_under_it() {
        let mut out = masqueraded(PROTOCOL_TCP, "192.168.0.7:40022", "198.51.100.1:40022");
        out.1.pick_up();
        let ends = ["203.0.113.9:55555", "192.168.0.2:22"];
        let mut exposed = forwarded(PROTOCOL_TCP, ends, [WAN, LAN], 70 * SECOND);
        exposed.1.destination = mapped("198.51.100.1:2222");
        let plain = forwarded(PROTOCOL_TCP, ends, [WAN, LAN], 0);
        let mapping = bound("192.168.0.7:40022", "198.51.100.1:40022", Filtering::Address);
        let idle = bound("192.168.0.3:9", "198.51.100.1:1024", Filtering::AddressAndPort);
        let open = bound("192.168.0.8:9", "198.51.100.1:1025", Filtering::Endpoint);
        let bindings = [mapping, open, idle].concat();
        assert_eq!(
            tables(&[out, exposed, plain], &bindings).text(),
            "\
Flows
  PROTO  FROM                TO                 IFACE  STATE           AGE  SILENT
  tcp    192.168.0.7:40022   203.0.113.5:53     lan0   ESTABLISHED  1m 15s  1m 15s
    as   198.51.100.1:40022                     ppp0
  tcp    203.0.113.9:55555   192.168.0.2:22     ppp0   NEW              5s      5s
    as                       198.51.100.1:2222  lan0

Bindings
  PROTO  INSIDE             OUTSIDE             IFACE  FLOWS  FILTERING
  tcp    192.168.0.3:9      198.51.100.1:1024   ppp0       0  address-and-port
  tcp    192.168.0.7:40022  198.51.100.1:40022  ppp0       1  address
  tcp    192.168.0.8:9      198.51.100.1:1025   ppp0       0  endpoint-independent
"
        );
    }

    #[test]
    fn without_translation_both_tables_say_so() {
        let plain = forwarded(PROTOCOL_TCP, ["10.0.0.1:1", "10.0.0.2:2"], [LAN, WAN], 0);
        assert_eq!(tables(&[plain], &[]).text(), "Flows\n  none\n\nBindings\n  none\n");
    }

    #[test]
    fn programs_read_every_address_and_the_whole_filtering() {
        let flow = masqueraded(PROTOCOL_TCP, "192.168.0.7:40022", "198.51.100.1:40022");
        let mapping = bound("192.168.0.7:40022", "198.51.100.1:40022", Filtering::Address);
        let json = crate::output::json(&tables(&[flow], &mapping)).expect("JSON");
        for words in [
            "\"source_outside\": \"198.51.100.1:40022\"",
            "\"destination_outside\": null",
            "\"came_by\": \"lan0\"",
            "\"left_by\": \"ppp0\"",
            "\"filtering\": \"address-dependent\"",
            "\"flows\": 1",
        ] {
            assert!(json.contains(words), "no {words} in {json}");
        }
    }
}
