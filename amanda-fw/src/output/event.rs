//! One readable line for each decision.

use amanda_fw_common::connect::{Refusal, Service, Stream};
use amanda_fw_common::event::{Event, EventKind};
use amanda_fw_common::header::PacketType;
use amanda_fw_common::rules::Way;
use amanda_fw_common::transaction::{Inspection, StreamSlot};
use amanda_fw_common::verdict::{Reason, Verdict};
use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};
use clap::builder::styling::{AnsiColor, Style};

use super::wall_clock::WallClock;
use crate::config::{icmp_type_name, protocol_name};
use crate::rule_names::RuleNames;

/// What lines are written with.
pub(crate) struct EventLines<'a> {
    /// Tells the time of day of a decision.
    pub(crate) clock: &'a WallClock,
    /// The name of the interface that it crosses, or comes by.
    pub(crate) interface: &'a str,
    /// The name of the one that it leaves by where it is forwarded, else nothing.
    pub(crate) output: &'a str,
    /// The names of the rules.
    pub(crate) rule_names: &'a RuleNames,
    /// Whether lines have colour.
    pub(crate) color: bool,
}

impl EventLines<'_> {
    /// Writes a decision, without ending the line; the service is that of the event's transaction.
    pub(crate) fn line(&self, event: &Event, service: Option<Service>) -> String {
        let reason = Reason::from_number(event.reason).map_or("unknown", Reason::name);
        let mut line = format!(
            "{} {} {:<3} {} {reason:<22} {}",
            self.clock.time_of_day(event.time),
            self.interfaces(),
            way_name(event.way),
            self.verdict(event.reason),
            packet(event),
        );
        for part in self.details(event, service) {
            line.push(' ');
            line.push_str(&part);
        }
        line
    }

    fn interfaces(&self) -> String {
        match self.output {
            "" => self.interface.to_owned(),
            output => format!("{}>{output}", self.interface),
        }
    }

    fn verdict(&self, reason: u8) -> String {
        let verdict = Reason::verdict_of(reason);
        let color = match verdict {
            Verdict::Accept => AnsiColor::Green,
            Verdict::Drop | Verdict::Reject => AnsiColor::Red,
        };
        let style = if self.color { color.on_default() } else { Style::new() };
        format!("{style}{verdict:<6}{style:#}")
    }

    fn details(&self, event: &Event, service: Option<Service>) -> Vec<String> {
        let mut details = Vec::new();
        if event.kind == EventKind::Amanda.number() {
            details.push(datagram(&event.amanda));
        }
        if let Some(stream) = Stream::from_number(event.stream) {
            details.extend(service.map(|service| service.name().to_owned()));
            details.push(stream.name().to_owned());
        }
        if event.kind == EventKind::Closed.number() {
            details.push("closed".to_owned());
        }
        details.extend(self.rule_names.describe(event.rule));
        details
    }
}

/// Writes the name of a protocol, or its number.
pub(super) fn protocol(number: u8) -> String {
    protocol_name(number).map_or_else(|| format!("protocol {number}"), str::to_owned)
}

/// Returns the name of a direction by its number.
pub(super) fn way_name(way: u8) -> &'static str {
    match Way::from_number(way) {
        Some(Way::Out) => "out",
        Some(Way::Forward) => "fwd",
        _ => "in",
    }
}

fn packet(event: &Event) -> String {
    let (source, destination) = (event.source(), event.destination());
    if source == destination && event.protocol == 0 {
        return format!("{} bytes", event.length);
    }
    let protocol = protocol(event.protocol);
    match event.protocol {
        PROTOCOL_TCP => format!("{protocol} {source} > {destination} {}", flags(event.tcp)),
        PROTOCOL_UDP => format!("{protocol} {source} > {destination}"),
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            let icmp_type = icmp_type_name(event.protocol, event.icmp_type)
                .map_or_else(|| format!("type {}", event.icmp_type), str::to_owned);
            format!("{protocol} {} > {} {icmp_type}", source.addr, destination.addr)
        }
        _ => format!("{protocol} {} > {}", source.addr, destination.addr),
    }
}

/// Writes TCP flags.
pub(super) fn flags(bits: u8) -> String {
    const NAMES: [(u8, &str); 6] =
        [(0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x20, "URG"), (0x10, "ACK")];
    let set = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|&(_, name)| name);
    let names: Vec<&str> = set.collect();
    if names.is_empty() { "no flags".to_owned() } else { names.join(" ") }
}

/// Writes what a datagram of a control flow was found to be.
fn datagram(found: &Inspection) -> String {
    let Some(packet_type) = PacketType::from_number(found.packet_type) else {
        return "not Amanda's".to_owned();
    };
    let mut words = vec![packet_type.name().to_owned()];
    let service = Service::from_number(found.service).unwrap_or(Service::Other);
    if service != Service::Other || packet_type == PacketType::Req {
        words.push(service.name().to_owned());
    }
    // What a tape server announces to amoldrecover has neither.
    words.extend([found.handle, found.sequence].map(|word| word.to_string()));
    words.retain(|word| !word.is_empty());
    if packet_type == PacketType::Rep && found.transaction == 0 {
        words.push("unasked".to_owned());
    }
    words.extend(connect(&found.streams));
    words.extend(Refusal::from_number(found.refusal).map(|refusal| format!("refused {refusal}")));
    words.join(" ")
}

/// Writes the streams that are expected from now on.
fn connect(streams: &[StreamSlot]) -> Option<String> {
    let words: Vec<String> = streams
        .iter()
        .filter_map(|slot| {
            let stream = Stream::from_number(slot.stream)?;
            let port = if slot.port == 0 { "-".to_owned() } else { slot.port.to_string() };
            Some(format!("{stream} {port}"))
        })
        .collect();
    (!words.is_empty()).then(|| format!("CONNECT {}", words.join(" ")))
}

#[cfg(test)]
mod tests;
