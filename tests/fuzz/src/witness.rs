//! All that is known of one decision, and the questions that the checks put to it.

use std::hash::Hash;

use amanda_fw_common::addr::{Addr, Endpoint};
use amanda_fw_common::datapath::Decision;
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::fragment::FragmentKey;
use amanda_fw_common::memory::{MemoryTable, MemoryTables};
use amanda_fw_common::rules::{Action, Way, role};
use amanda_fw_common::ruleset::RuleSpec;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::transaction::Inspection;
use amanda_fw_common::verdict::Verdict;
use amanda_fw_common::wire::{Fragment, PROTOCOL_TCP, PROTOCOL_UDP, Packet};

use crate::frames::checksum;
use crate::packet_path::Limits;

/// A frame, the tables before and after it, and what was decided.
pub(crate) struct Witness<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) limits: Limits,
    pub(crate) rules: &'a [RuleSpec],
    pub(crate) before: &'a MemoryTables,
    pub(crate) after: &'a MemoryTables,
    pub(crate) frame: &'a [u8],
    pub(crate) way: Way,
    pub(crate) now: u64,
    pub(crate) decision: Decision,
    pub(crate) inspection: Option<Inspection>,
}

impl Witness<'_> {
    pub(crate) fn is_accepted(&self) -> bool {
        self.decision.verdict() == Verdict::Accept
    }

    /// Tells whether an entry, live before the frame, says that a packet belongs to its flow.
    pub(crate) fn is_tracked(&self, packet: &Packet) -> bool {
        let key = flow_key(packet);
        let is_of = |flow: Flow| !(flow.is_over() && asks_to_connect(packet));
        self.live_flow(&key).is_some_and(is_of)
    }

    /// Finds the live entry of a flow.
    pub(crate) fn live_flow(&self, key: &FlowKey) -> Option<Flow> {
        let Some(flow) = find(&self.before.flows, key) else {
            let embryo = find(&self.before.embryos, key);
            return embryo.filter(|flow| self.moves(flow, key, flow.seen));
        };
        let transaction = find(&self.before.transactions, &flow.transaction);
        let is_live = self.moves(&flow, key, flow.seen)
            || transaction.is_some_and(|transaction| self.moves(&flow, key, transaction.seen));
        is_live.then_some(flow)
    }

    /// Tells whether a flow may be silent since then.
    fn moves(&self, flow: &Flow, key: &FlowKey, seen: u64) -> bool {
        let allowed = flow.timeout(key.protocol(), &self.settings.timeouts);
        self.now.saturating_sub(seen) <= allowed
    }

    /// Finds the live expectation that a packet fits.
    pub(crate) fn expectation(&self, packet: &Packet) -> Option<Expectation> {
        let Packet { source, destination, .. } = *packet;
        let key = ExpectationKey::new(source.addr, destination.addr, destination.port);
        let fits = asks_to_connect(packet) && self.may_be_stream(destination.port);
        let known = find(&self.before.expectations, &key).filter(|_| fits);
        known.filter(|expectation| expectation.fits(source.port) && expectation.expires > self.now)
    }

    /// Tells whether a port is one that a stream may have.
    pub(crate) fn may_be_stream(&self, port: u16) -> bool {
        (self.settings.stream_low..=self.settings.stream_high).contains(&port)
    }

    /// Tells whether a packet may begin a control flow.
    pub(crate) fn may_ask(&self, packet: &Packet) -> bool {
        let Packet { source, destination, .. } = *packet;
        let Settings { control_source_low, control_source_high, control_port, .. } = *self.settings;
        let fits = match packet.protocol {
            PROTOCOL_UDP => (control_source_low..=control_source_high).contains(&source.port),
            PROTOCOL_TCP => asks_to_connect(packet),
            _ => false,
        };
        fits && destination.port == control_port && self.knows(source, destination)
    }

    /// Tells whether one host is a server and the other its client.
    pub(crate) fn knows(&self, source: Endpoint, destination: Endpoint) -> bool {
        let role = |addr: Addr| self.before.role(addr);
        let is = |addr, bit| role(addr) & bit != 0;
        let (a, b) = (source.addr, destination.addr);
        (is(a, role::SERVER) && is(b, role::CLIENT)) || (is(a, role::CLIENT) && is(b, role::SERVER))
    }

    /// Returns what the first rule that a packet fits does with it.
    pub(crate) fn rule(&self, packet: &Packet) -> Option<Action> {
        const INTERFACE: u32 = 2;
        let rule = self.rules.iter().find(|rule| rule.matches(packet, self.way, INTERFACE, 0))?;
        Action::from_number(rule.rule.action)
    }

    /// Tells what the policy does with what nothing else decides.
    pub(crate) fn accepts_by_policy(&self) -> bool {
        if self.way == Way::In {
            self.settings.accept_incoming == 1
        } else {
            self.settings.accept_outgoing == 1
        }
    }

    /// Tells whether the first fragment of a later one's datagram was accepted a moment ago.
    pub(crate) fn has_first(&self, packet: &Packet) -> bool {
        let first = find(&self.before.fragments, &fragment_key(packet));
        first.is_some_and(|fragments| fragments.expires > self.now)
    }

    /// Tells whether a host takes a datagram, as far as its packet tells: by its checksum.
    pub(crate) fn is_believed(&self, packet: &Packet) -> bool {
        const FIELD: std::ops::Range<usize> = 6..8;
        // Whole packets of 1500 bytes are looked at, and larger ones up to here.
        const MOST: usize = 8 + 1536;
        let datagram = &self.frame[packet.transport..packet.end];
        if packet.fragment != Fragment::Whole || datagram.len() > MOST {
            return true;
        }
        let length = u16::try_from(datagram.len()).expect("at most MOST").to_be_bytes();
        // The same 0xffff in both addresses of IPv4 is nothing.
        let (source, destination) = (packet.source.addr.octets(), packet.destination.addr.octets());
        let pseudo = [&source[..], &destination, &[0, PROTOCOL_UDP], &length].concat();
        let field = u16::from_be_bytes([datagram[FIELD.start], datagram[FIELD.start + 1]]);
        match field {
            0 => packet.source.addr.is_v4(),
            // It is left to the device.
            seed if seed == !checksum(&pseudo) => true,
            _ => checksum(&[&pseudo, datagram].concat()) == 0,
        }
    }

    /// Returns the text of a datagram, as much as the frame has of it.
    pub(crate) fn text(&self, packet: &Packet) -> &[u8] {
        const UDP_LENGTH: usize = 8;
        let text = self.frame.get(packet.transport + UDP_LENGTH..packet.end);
        text.filter(|_| packet.protocol == PROTOCOL_UDP).unwrap_or_default()
    }
}

/// Tells whether a packet asks for a connection: SYN without ACK, RST or FIN.
pub(crate) fn asks_to_connect(packet: &Packet) -> bool {
    packet.protocol == PROTOCOL_TCP && packet.tcp.0 & 0x17 == 0x02
}

pub(crate) fn flow_key(packet: &Packet) -> FlowKey {
    FlowKey::new(packet.protocol, packet.source, packet.destination).0
}

/// Returns what the fragments of one datagram share: in IPv6 not the protocol (RFC 8200, 4.5).
pub(crate) fn fragment_key(packet: &Packet) -> FragmentKey {
    let protocol = if packet.source.addr.is_v4() { packet.protocol } else { 0 };
    FragmentKey {
        source: packet.source.addr,
        destination: packet.destination.addr,
        id: packet.id,
        protocol: protocol.into(),
    }
}

/// Finds an entry without a claim to change it.
pub(crate) fn find<K, V>(table: &MemoryTable<K, V>, key: &K) -> Option<V>
where
    K: Copy + Eq + Hash,
    V: Copy,
{
    table.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
}
