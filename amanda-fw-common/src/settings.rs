//! What the loader tells the packet path: policy, ports, timeouts and limits.

use bytemuck::{Pod, Zeroable};

use crate::auth::{Auth, Openings, openings};
use crate::connect::PortRange;
use crate::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Places for the states of a flow: a power of two, so that a mask can bound the number.
const STATES: usize = 8;

/// For how long a flow may be silent, by the number of its state, in nanoseconds.
pub type Silence = [u64; STATES];

/// The silence that each kind of flow may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Timeouts {
    /// TCP.
    pub tcp: Silence,
    /// UDP.
    pub udp: Silence,
    /// Control flows of Amanda, which are UDP.
    pub control: Silence,
    /// ICMP echo.
    pub icmp: Silence,
    /// Any other protocol.
    pub other: Silence,
}

impl Default for Timeouts {
    /// Takes nf_conntrack's defaults, but for control flows and half-closed connections.
    fn default() -> Self {
        let (closing, closed) = (2 * MINUTE, 10 * SECOND);
        // Linux gives up a SYN after about 130 s; keepalive probes begin after 2 h, so 5 days as
        // in nf_conntrack (RFC 5382 asks for 2 h 4 min). A half-closed stream may stay so for as
        // long as an open one.
        let tcp = [2 * MINUTE, MINUTE, 120 * HOUR, 120 * HOUR, closing, closed, 0, 0];
        let datagram = |alone, both| [alone, both, both, both, closing, closed, 0, 0];
        Self {
            tcp,
            udp: datagram(30 * SECOND, 3 * MINUTE),
            // The server repeats a request after 10 and 20 s; amandad lets a service run for
            // 6 h (amandad.c:50).
            control: datagram(MINUTE, 6 * HOUR),
            icmp: datagram(30 * SECOND, 30 * SECOND),
            other: datagram(10 * MINUTE, 10 * MINUTE),
        }
    }
}

impl Timeouts {
    /// Returns the silence that a flow may keep.
    #[inline(always)]
    pub fn of(&self, protocol: u8, state: u8, control: bool) -> u64 {
        let silence = match protocol {
            _ if control => &self.control,
            PROTOCOL_TCP => &self.tcp,
            PROTOCOL_UDP => &self.udp,
            PROTOCOL_ICMP | PROTOCOL_ICMPV6 => &self.icmp,
            _ => &self.other,
        };
        silence.get(usize::from(state) & (STATES.wrapping_sub(1))).copied().unwrap_or(0)
    }
}

/// Everything that is configured but for rules and hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Settings {
    /// For how long flows may be silent.
    pub timeouts: Timeouts,
    /// For how long a port stays open that nobody connects to, in nanoseconds.
    pub expectation_timeout: u64,
    /// For how long a transaction whose request was received may wait for its reply, in
    /// nanoseconds.
    pub transaction_timeout: u64,
    /// A secret that keeps outsiders from choosing identifiers of transactions.
    pub seed: u64,
    /// The time at which everything passes unless the firewall is confirmed, 0 for never, in
    /// nanoseconds.
    pub confirm_by: u64,
    /// Events that one CPU may send in a second.
    pub event_rate: u32,
    /// The [`crate::rules::field`]s that any rule looks at.
    pub rule_fields: u32,
    /// The port that amandad listens on.
    pub control_port: u16,
    /// The lowest UDP port that requests come from.
    pub control_source_low: u16,
    /// The highest UDP port that requests come from.
    pub control_source_high: u16,
    /// The lowest TCP port that a stream may have.
    pub stream_low: u16,
    /// The highest TCP port that a stream may have.
    pub stream_high: u16,
    /// What happens to incoming packets that nothing else decides: 1 to accept them.
    pub accept_incoming: u8,
    /// What happens to outgoing packets that nothing else decides: 1 to accept them.
    pub accept_outgoing: u8,
    /// 1 where neighbour discovery and multicast listener discovery pass, whatever the rules say.
    pub neighbours: u8,
    /// What the host does as a gateway, as bits of [`gateway`].
    pub gateway: u8,
    pad: [u8; 2],
    /// What is open between Amanda's hosts.
    pub openings: Openings,
}

/// What a host does as a gateway, as bits.
pub mod gateway {
    /// Packets through the host are told from packets to it.
    pub const FORWARDS: u8 = 1;
    /// Addresses are translated.
    pub const TRANSLATES: u8 = 2;
}

/// For how long the later fragments of a datagram are waited for (Linux: ipfrag_time 30 s).
pub const FRAGMENT_TIMEOUT: u64 = 30 * SECOND;

/// For how long a first fragment is waited for that others have overtaken.
pub const HOLD_TIMEOUT: u64 = 2 * SECOND;

/// For how long a request may go without a receipt; it is repeated after 10 and 20 s.
pub const REQUEST_TIMEOUT: u64 = MINUTE;

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            timeouts: Timeouts::default(),
            expectation_timeout: MINUTE,
            transaction_timeout: 6 * HOUR,
            seed: 0,
            confirm_by: 0,
            event_rate: 1000,
            rule_fields: 0,
            control_port: 10080,
            control_source_low: 1,
            control_source_high: 1023,
            stream_low: 1024,
            stream_high: 65535,
            accept_incoming: 0,
            accept_outgoing: 1,
            neighbours: 1,
            gateway: 0,
            pad: [0; 2],
            openings: Openings::default(),
        };
        settings.open(Auth::bits(&Auth::DEFAULT));
        settings
    }
}

impl Settings {
    /// Opens what some auths need, by their bits, and no more.
    pub fn open(&mut self, auths: u16) {
        self.openings = openings(auths, self.control_port, self.control_sources());
    }

    /// Returns the ports that a stream may have.
    #[inline(always)]
    pub fn streams(&self) -> PortRange {
        PortRange { low: self.stream_low, high: self.stream_high }
    }

    /// Tells whether packets through the host are told from packets to it.
    #[inline(always)]
    pub const fn forwards(&self) -> bool {
        self.gateway & gateway::FORWARDS != 0
    }

    /// Tells whether addresses are translated.
    #[inline(always)]
    pub const fn translates(&self) -> bool {
        self.gateway & gateway::TRANSLATES != 0
    }

    /// Tells whether the time to confirm the firewall has passed.
    #[inline(always)]
    pub const fn is_unconfirmed(&self, now: u64) -> bool {
        self.confirm_by != 0 && now > self.confirm_by
    }

    /// Returns the UDP ports that requests come from.
    #[inline(always)]
    pub fn control_sources(&self) -> PortRange {
        PortRange { low: self.control_source_low, high: self.control_source_high }
    }
}
