//! A packet decided by the host code, from a configuration alone.

use amanda_fw_common::addr::Network;
use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::nat::Crossing;
use amanda_fw_common::rules::{Action, Query, Way};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::verdict::Verdict;
use amanda_fw_common::wire::{self, Link};
use anyhow::{Result, bail};

use super::frame::frame;
use super::{Explanation, Packet};
use crate::config::Ruleset;
use crate::in_memory;

/// Decides a packet that belongs to no flow, as a configuration has it; rules have their places,
/// from 1, for slots.
pub(crate) fn by_config(packet: &Packet, ruleset: &Ruleset) -> Result<Explanation> {
    let (settings, mut tables) = in_memory::compile(ruleset)?;
    let link = Link::Ethernet;
    let Packet { way, interface, output, .. } = *packet;
    let way = if way == Way::Forward { Way::In } else { way };
    if output != 0 {
        if !settings.forwards() {
            bail!(
                "the configuration does not tell packets through the host from those to it: leave \
                 --out out, or write forward in [policy]"
            );
        }
        tables.routes.push((Network::ANY, output));
    }
    let arrival = Arrival { way, link, interface, from: 0, now: 0 };
    let bytes = frame(packet, link);
    let mut read = wire::Packet::default();
    let mut crossing = Crossing::NONE;
    let decision = datapath::decide(
        bytes.as_slice(),
        &arrival,
        &settings,
        &mut tables,
        &mut read,
        &mut crossing,
    );
    let mut translations = met(&tables);
    if output != 0 && decision.verdict() == Verdict::Accept {
        translations.extend(translation_of_source(&read, output, &settings, &mut tables));
    }
    let about = if settings.forwards() && way == Way::In && output == 0 {
        " to this host; --out says where one leaves that goes through it"
    } else {
        ""
    };
    Ok(Explanation {
        reason: decision.reason(),
        rule: decision.rule,
        log: decision.log,
        translations,
        flow: None,
        expectation: None,
        by: format!("the configuration alone, for a packet of no flow{about}"),
    })
}

/// Lists the slots of the translations that have been asked for.
fn met(tables: &MemoryTables) -> Vec<u16> {
    let translates = |slot: &u16| {
        let rule = slot.checked_sub(1).and_then(|place| tables.rule(u32::from(place)));
        rule.is_some_and(|rule| rule.action == Action::Translate.number())
    };
    tables.rule_counts.keys().copied().filter(translates).collect()
}

/// Finds the slot of what translates the source of a packet that leaves by an interface.
fn translation_of_source(
    packet: &wire::Packet,
    output: u32,
    settings: &Settings,
    tables: &mut MemoryTables,
) -> Option<u16> {
    if !settings.translates() || !packet.source.addr.is_v4() {
        return None;
    }
    let query = Query::deciding(packet, Way::Postrouting, output, 0, settings.rule_fields);
    let place = tables.first_match(packet, &query);
    tables.rule(place).map(|rule| rule.slot)
}

#[cfg(test)]
mod tests {
    use super::super::PacketWords;
    use super::*;
    use crate::config::{self, Host};

    const GATEWAY: &str = r#"
        rule = [{ direction = "forward", in = "eth0", out = "ppp0", action = "accept" },
            { direction = "forward", in = "ppp0", to = "10.0.0.2", protocol = "tcp", ports = 22,
                action = "accept" }]
        nat = [{ kind = "masquerade", out = "ppp0" },
            { kind = "destination", in = "ppp0", protocol = "tcp", ports = 2222, to = "10.0.0.2",
                to_port = 22 }]
    "#;

    const ETH0: u32 = 2;
    const PPP0: u32 = 3;

    /// Compares the reason, and the places of the rule and of the translations.
    fn check(text: &str, destination: &str, on: [u32; 2], expected: (&str, u16, &[u16])) {
        let interfaces = [("eth0", ETH0), ("ppp0", PPP0)].map(|(name, i)| (name.to_owned(), i));
        let host = Host { interfaces: interfaces.into(), ..Host::default() };
        let config = config::parsed(text).expect("a configuration");
        let ruleset = config::compile(&config, &host).expect("a ruleset");
        let words = PacketWords {
            protocol: "tcp",
            source: "10.0.0.9:40000",
            destination,
            flags: "SYN",
            icmp_type: None,
        };
        let packet = Packet::read(&words, Way::Forward, on).expect("a packet");
        let found = by_config(&packet, &ruleset).expect("an explanation");
        let translations = found.translations.as_slice();
        assert_eq!((found.reason.name(), found.rule, translations), expected);
    }

    #[test]
    fn a_packet_through_the_host_meets_the_rules_for_it_and_its_translations() {
        check(GATEWAY, "192.0.2.1:80", [ETH0, PPP0], ("rule", 1, &[3]));
        check(GATEWAY, "192.0.2.1:2222", [PPP0, ETH0], ("rule", 2, &[4]));
        check(GATEWAY, "192.0.2.1:22", [PPP0, ETH0], ("policy-drop", 8, &[]));
        check(GATEWAY, "192.0.2.1:22", [PPP0, 0], ("policy-drop", 6, &[]));
    }
}
