//! What would happen to a packet, and why.

use amanda_fw_common::auth::Openings;
use amanda_fw_common::connect::Stream;
use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::rules::Action;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};
use serde::Serialize;

use super::event::{flags, protocol, way_name};
use super::list::end;
use super::opening;
use super::table::{Column, table};
use super::units;
use crate::clock;
use crate::config::icmp_type_name;
use crate::explain::{Explanation, Packet};

/// The answer to a question about a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    /// The packet in words.
    pub(crate) packet: String,
    /// The interface, where it matters.
    pub(crate) interface: Option<String>,
    /// The interface that it leaves by where it goes through the host.
    pub(crate) output: Option<String>,
    /// Which way the packet goes.
    pub(crate) direction: &'static str,
    /// What would happen to it.
    pub(crate) verdict: &'static str,
    /// The name of the reason.
    pub(crate) reason: &'static str,
    /// The number of the reason, which stays.
    pub(crate) reason_number: u8,
    /// The auths that need it, where Amanda does.
    pub(crate) auth: Vec<&'static str>,
    /// The rule that decides, or that let the flow in.
    pub(crate) rule: Option<RuleAnswer>,
    /// The rule that would log it.
    pub(crate) log: Option<RuleAnswer>,
    /// The translations of its addresses.
    pub(crate) translations: Vec<RuleAnswer>,
    /// The flow that the packet belongs to.
    pub(crate) flow: Option<String>,
    /// The expectation that it would use.
    pub(crate) expectation: Option<String>,
    /// What decided.
    pub(crate) decided_by: String,
}

/// A rule in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RuleAnswer {
    /// Its place, from 1.
    pub(crate) number: usize,
    /// What people call it.
    pub(crate) name: String,
    /// Its line in the configuration, if there is one.
    pub(crate) line: Option<u32>,
    /// Which packets fit.
    pub(crate) matches: String,
    /// What happens to them.
    pub(crate) action: &'static str,
}

impl RuleAnswer {
    /// Describes a rule at a place.
    pub(crate) fn new(number: usize, info: &RuleInfo) -> Self {
        Self {
            number,
            name: info.name.text().to_owned(),
            line: (info.line != 0).then_some(info.line),
            matches: info.matches.text().to_owned(),
            action: Action::from_number(info.action).map_or("unknown", Action::name),
        }
    }

    fn text(&self) -> String {
        let Self { number, name, line, matches, action } = self;
        match line {
            Some(line) => format!("{number} {name:?} in line {line}: {action} {matches}"),
            None => format!("{number} {name}: {action} {matches}"),
        }
    }
}

impl Answer {
    /// Puts an explanation in words.
    pub(crate) fn new(
        packet: &Packet,
        [interface, output]: [Option<&str>; 2],
        explanation: &Explanation,
        openings: &Openings,
        rule: impl Fn(u16) -> Option<RuleAnswer>,
    ) -> Self {
        let Explanation { reason, rule: slot, log, translations, flow, expectation, by } =
            explanation;
        let now = clock::monotonic();
        let auth = if *reason == Reason::Control {
            let (from, to) = (packet.source.port, packet.destination.port);
            opening::auths(openings, packet.protocol, from, to)
        } else {
            Vec::new()
        };
        let silent = |seen| units::seconds(units::elapsed_seconds(seen, now));
        let flow = flow
            .map(|(_, flow)| format!("{}, silent for {}", flow.state().name(), silent(flow.seen)));
        let expectation = expectation.map(|(key, expectation)| {
            let stream = Stream::from_number(expectation.stream).map_or("a stream", Stream::name);
            format!("{stream} on port {} of {}", key.port, key.responder)
        });
        Self {
            packet: words(packet),
            interface: interface.map(str::to_owned),
            output: output.map(str::to_owned),
            direction: way_name(packet.way as u8),
            verdict: reason.verdict().name(),
            reason: reason.name(),
            reason_number: reason.number(),
            auth,
            rule: rule(*slot),
            log: rule(*log),
            translations: translations.iter().filter_map(|slot| rule(*slot)).collect(),
            flow,
            expectation,
            decided_by: by.clone(),
        }
    }

    /// Writes the answer for people.
    pub(crate) fn text(&self) -> String {
        let on = self.interface.as_ref().map_or(String::new(), |name| format!(" on {name}"));
        let output = self.output.as_ref().map_or(String::new(), |name| format!(">{name}"));
        let translations = self.translations.iter();
        let translations = translations.map(|rule| ("translated by", Some(rule.text())));
        let first = [
            ("reason", Some(format!("{} (number {})", self.reason, self.reason_number))),
            ("auth", (!self.auth.is_empty()).then(|| self.auth.join(", "))),
            ("rule", self.rule.as_ref().map(RuleAnswer::text)),
            ("logged by", self.log.as_ref().map(RuleAnswer::text)),
        ];
        let rest = [
            ("flow", self.flow.clone()),
            ("expectation", self.expectation.clone()),
            ("decided by", Some(self.decided_by.clone())),
        ];
        let rows: Vec<Vec<String>> = first
            .into_iter()
            .chain(translations)
            .chain(rest)
            .filter_map(|(name, value)| Some(vec![name.to_owned(), value?]))
            .collect();
        format!(
            "{}: {} {}{on}{output}\n{}",
            self.verdict,
            self.packet,
            self.direction,
            table(2, &[Column::Left(""), Column::Left("")], &rows)
        )
    }
}

/// Writes a packet as lines of decisions do.
fn words(packet: &Packet) -> String {
    let Packet { protocol: number, source, destination, flags: bits, icmp_type, .. } = *packet;
    let ends = format!("{} {} > {}", protocol(number), end(source), end(destination));
    match number {
        PROTOCOL_TCP => format!("{ends} {}", flags(bits.0)),
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            let name = icmp_type_name(number, icmp_type).map(str::to_owned);
            format!("{ends} {}", name.unwrap_or_else(|| format!("type {icmp_type}")))
        }
        _ => ends,
    }
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::addr::{Addr, Endpoint};
    use amanda_fw_common::auth::{Auth, openings};
    use amanda_fw_common::connect::PortRange;
    use amanda_fw_common::label::Label;
    use amanda_fw_common::rules::Way;
    use amanda_fw_common::wire::TcpFlags;
    use bytemuck::Zeroable;

    use super::*;

    fn check(reason: Reason, rule: u16, expected: &str) {
        let end = |last, port| Endpoint { addr: Addr::v4([10, 0, 0, last]), port };
        let packet = Packet {
            protocol: PROTOCOL_TCP,
            source: end(9, 40_000),
            destination: end(2, 22),
            flags: TcpFlags(2),
            icmp_type: 0,
            way: Way::In,
            interface: 2,
            output: 0,
        };
        let by = "a test".to_owned();
        let translations = if rule == 4 { vec![4] } else { Vec::new() };
        let explanation =
            Explanation { reason, rule, log: 0, translations, flow: None, expectation: None, by };
        let info = RuleInfo {
            line: 14,
            action: Action::Reject.number(),
            name: Label::new("ssh"),
            matches: Label::new("tcp port 22"),
            ..RuleInfo::zeroed()
        };
        let rule = |slot| (slot == 4).then(|| RuleAnswer::new(2, &info));
        let openings = openings(Auth::Ssh.bit(), 10080, PortRange { low: 700, high: 710 });
        let answer = Answer::new(&packet, [Some("eth0"), None], &explanation, &openings, rule);
        assert_eq!(answer.text(), expected);
    }

    #[test]
    fn a_rule_is_named_with_its_line() {
        check(
            Reason::RuleReject,
            4,
            "reject: tcp 10.0.0.9:40000 > 10.0.0.2:22 SYN in on eth0\n  \
             reason         rule-reject (number 26)\n  \
             rule           2 \"ssh\" in line 14: reject tcp port 22\n  \
             translated by  2 \"ssh\" in line 14: reject tcp port 22\n  \
             decided by     a test\n",
        );
    }

    #[test]
    fn what_amanda_needs_names_the_auth() {
        check(
            Reason::Control,
            0,
            "accept: tcp 10.0.0.9:40000 > 10.0.0.2:22 SYN in on eth0\n  \
             reason      amanda-control (number 4)\n  \
             auth        ssh\n  \
             decided by  a test\n",
        );
    }

    #[test]
    fn what_no_rule_decides_names_none() {
        check(
            Reason::Expected,
            0,
            "accept: tcp 10.0.0.9:40000 > 10.0.0.2:22 SYN in on eth0\n  \
             reason      expected (number 3)\n  \
             decided by  a test\n",
        );
    }
}
