//! Rules: which new flows are let in or kept out.

use bytemuck::{Pod, Zeroable};

use crate::addr::Network;
use crate::wire::Packet;

/// The most entries that all rules together may make.
pub const MAX_RULES: usize = 128;

/// Which way a packet crosses the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Into the host.
    In = 1,
    /// Out of the host.
    Out = 2,
}

/// One way to match a packet, and what then happens; a rule of the configuration makes one entry
/// for each of its networks and port ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Rule {
    /// Where the packet must come from.
    pub from: Network,
    /// The place of the rule in the configuration, from 1.
    pub number: u16,
    /// The lowest destination port.
    pub port_low: u16,
    /// The highest destination port.
    pub port_high: u16,
    /// The lowest source port.
    pub source_port_low: u16,
    /// The highest source port.
    pub source_port_high: u16,
    /// The IP protocol, 0 for any.
    pub protocol: u8,
    /// The number of the [`Way`].
    pub way: u8,
    /// The ICMP type, or [`ANY_TYPE`].
    pub icmp_type: u16,
    /// 1 to accept, 0 to drop.
    pub accept: u8,
    /// Keeps the size a multiple of the alignment.
    pub pad: u8,
}

/// Stands for every ICMP type.
pub const ANY_TYPE: u16 = 256;

impl Rule {
    /// Tells whether a packet fits.
    #[inline(always)]
    pub fn matches(&self, packet: &Packet, way: Way) -> bool {
        let port = packet.destination.port;
        let source_port = packet.source.port;
        self.way == way as u8
            && (self.protocol == 0 || self.protocol == packet.protocol)
            && (self.icmp_type == ANY_TYPE || self.icmp_type == u16::from(packet.icmp_type))
            && self.port_low <= port
            && port <= self.port_high
            && self.source_port_low <= source_port
            && source_port <= self.source_port_high
            && self.from.contains(packet.source.addr)
    }
}

/// The rule that decides a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The place of the rule in the configuration, from 1.
    pub number: u16,
    /// Whether it accepts.
    pub accept: bool,
}

/// Finds the first of so many rules that a packet fits.
#[inline(always)]
pub fn first_match<'a>(
    rule: impl Fn(u32) -> Option<&'a Rule>,
    count: u32,
    packet: &Packet,
    way: Way,
) -> Option<Match> {
    for index in 0..MAX_RULES as u32 {
        if index >= count {
            break;
        }
        let rule = rule(index)?;
        if rule.matches(packet, way) {
            return Some(Match { number: rule.number, accept: rule.accept == 1 });
        }
    }
    None
}

/// What a host is to Amanda, as bits.
pub mod role {
    /// It may send requests to clients.
    pub const SERVER: u8 = 1;
    /// It may be asked by servers, and recover from them.
    pub const CLIENT: u8 = 2;

    /// Tells whether an initiator may open a control flow to a responder: a server to a client
    /// for a backup, a client to a server for a recovery.
    #[inline(always)]
    pub const fn may_control(initiator: u8, responder: u8) -> bool {
        (initiator & SERVER != 0 && responder & CLIENT != 0)
            || (initiator & CLIENT != 0 && responder & SERVER != 0)
    }
}
