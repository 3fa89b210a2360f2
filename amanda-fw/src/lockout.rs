//! Finds out whether a ruleset would keep out whoever types at this terminal over ssh.

mod ancestors;
mod entrance;
mod session;

use std::fmt;
use std::net::SocketAddr;

use amanda_fw_common::addr::Endpoint;
use amanda_fw_common::datapath::{self, Arrival, Decision};
use amanda_fw_common::memory::MemoryTables;
use amanda_fw_common::nat::Crossing;
use amanda_fw_common::rules::Way;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::verdict::{Reason, Verdict};
use amanda_fw_common::wire::{Link, PROTOCOL_TCP, Packet, TcpFlags};
use anyhow::Result;

use crate::config::{RuleEntry, Ruleset};
use crate::in_memory;

pub(crate) use session::SshSession;

/// The port that a new connection comes from: the first dynamic one (RFC 6335, 6).
const SOURCE_PORT: u16 = 49152;

const SYN: TcpFlags = TcpFlags(0x02);

/// An ssh session that could not be opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockOut {
    session: SshSession,
    /// The rule that keeps it out, if it is no policy.
    rule: Option<String>,
}

/// Looks whether the ssh session of this terminal comes in by one of the interfaces (by index),
/// and whether the ruleset would refuse it when it is opened again.
pub(crate) async fn find(interfaces: &[u32], ruleset: &Ruleset) -> Result<Option<LockOut>> {
    let Some(session) = SshSession::of_this_terminal() else {
        return Ok(None);
    };
    let mut entrances = entrance::of(session.local.ip()).await?;
    entrances.retain(|index| interfaces.contains(index));
    let (settings, tables) = in_memory::compile(ruleset)?;
    let decide =
        |packet: &Packet, interface| decide(&settings, &mut tables.clone(), packet, interface);
    Ok(rehearse(session, &entrances, &ruleset.rules, decide))
}

/// Has the first packet of the session's next connection decided at each interface on its way.
fn rehearse(
    session: SshSession,
    interfaces: &[u32],
    rules: &[RuleEntry],
    decide: impl Fn(&Packet, u32) -> Decision,
) -> Option<LockOut> {
    let packet = opening(&session);
    let mut decisions = interfaces.iter().map(|&interface| decide(&packet, interface));
    let refused = decisions.find(|d| d.verdict() != Verdict::Accept)?;
    let rule = usize::from(refused.rule).checked_sub(1).and_then(|place| rules.get(place));
    let written = rule.filter(|rule| rule.line != 0).map(|rule| rule.name.clone());
    Some(LockOut { session, rule: written })
}

fn opening(session: &SshSession) -> Packet {
    let endpoint = |ip: SocketAddr, port| Endpoint { addr: ip.ip().into(), port };
    Packet {
        source: endpoint(session.peer, SOURCE_PORT),
        destination: endpoint(session.local, session.local.port()),
        protocol: PROTOCOL_TCP,
        tcp: SYN,
        ..Packet::default()
    }
}

/// Decides an incoming packet that belongs to no flow, by the packet path itself.
fn decide(
    settings: &Settings,
    tables: &mut MemoryTables,
    packet: &Packet,
    interface: u32,
) -> Decision {
    let arrival = Arrival { way: Way::In, link: Link::Ethernet, interface, from: 0, now: 0 };
    let mut decision = Decision::new(Reason::PolicyDrop);
    let (mut packet, mut crossing) = (*packet, Crossing::NONE);
    let (packet, crossing) = (&mut packet, &mut crossing);
    if !datapath::admit(packet, &arrival, settings, tables, crossing, &mut decision) {
        datapath::ask_rules(packet, &arrival, settings, tables, crossing, &mut decision);
    }
    decision
}

impl LockOut {
    /// Writes the ways out for whoever has not asked to go on in spite of it.
    pub(crate) fn refusal(&self, config_name: &str, in_spite: &str) -> String {
        let place = match &self.rule {
            Some(rule) => format!("{config_name}, before rule \"{rule}\""),
            None => config_name.to_owned(),
        };
        format!(
            "{self}\n\
             Nothing was changed. Let it in by a rule in {place}:\n\n{}\n\
             or {in_spite}",
            self.rule_to_add()
        )
    }

    fn rule_to_add(&self) -> String {
        let SshSession { peer, local } = self.session;
        format!(
            "[[rule]]\nname = \"ssh\"\ndirection = \"in\"\nprotocol = \"tcp\"\n\
             from = \"{}\"\nports = {}\naction = \"accept\"\n",
            peer.ip(),
            local.port()
        )
    }
}

impl fmt::Display for LockOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SshSession { peer, local } = self.session;
        write!(
            f,
            "this would lock you out: your ssh session comes from {}, which could not connect to \
             {} port {} again: ",
            peer.ip(),
            local.ip(),
            local.port()
        )?;
        match &self.rule {
            Some(rule) => write!(f, "rule \"{rule}\" refuses it"),
            None => f.write_str("the policy for incoming packets refuses it"),
        }
    }
}

#[cfg(test)]
mod tests;
