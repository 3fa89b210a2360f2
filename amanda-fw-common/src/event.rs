//! Decision records, as they travel from the kernel to user space.

use bytemuck::{Pod, Zeroable};

use crate::addr::{Addr, Endpoint};
use crate::datapath::Decision;
use crate::numbered::numbered;
use crate::rules::Way;
use crate::transaction::Inspection;
use crate::wire::Packet;

numbered! {
    /// What an event tells.
    pub enum EventKind: u8 {
        /// A packet was decided that opened a flow or was dropped.
        Decision = 1 "decision",
        /// A datagram of a control flow was read, or a server's announcement to amoldrecover.
        Amanda = 2 "amanda",
        /// A stream of a transaction ended.
        Closed = 3 "closed",
    }
}

/// How many bytes of the packet follow a record, at most.
pub const PACKET_BYTES: usize = 128;

/// How many bytes of an Amanda request follow a record, at most: they name its disks.
pub const REQUEST_BYTES: usize = 1024;

/// One record; the first bytes of the packet follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Event {
    /// Monotonic time, in nanoseconds.
    pub time: u64,
    /// Identifier of the transaction whose stream the flow is, else 0.
    pub transaction: u64,
    /// Where the packet comes from.
    pub source: Addr,
    /// Where it goes.
    pub destination: Addr,
    /// Index of the interface.
    pub interface: u32,
    /// Number of the CPU.
    pub cpu: u32,
    /// Length of the frame, in bytes.
    pub length: u32,
    /// Bytes of the packet that follow the record.
    pub captured: u32,
    /// The source port, or the identifier of an echo.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// Slot of the rule that decided, else 0.
    pub rule: u16,
    /// Slot of the rule that logs the packet, else 0.
    pub log: u16,
    /// Number of the [`EventKind`].
    pub kind: u8,
    /// Number of the [`crate::rules::Way`].
    pub way: u8,
    /// Number of the [`crate::verdict::Reason`], from which the verdict follows.
    pub reason: u8,
    /// The IP protocol.
    pub protocol: u8,
    /// Number of the flow's state.
    pub state: u8,
    /// Number of the stream that the flow is, else 0.
    pub stream: u8,
    /// The TCP flags.
    pub tcp: u8,
    /// The ICMP type.
    pub icmp_type: u8,
    /// Offset of the IP header in the frame, in bytes.
    pub network: u16,
    /// Offset of what follows the header of a segment or a UDP datagram in the frame, in bytes.
    pub payload: u16,
    /// Index of the interface that a forwarded packet leaves by, else 0.
    pub output: u32,
    /// What the datagram of a control flow was found to be.
    pub amanda: Inspection,
}

impl Event {
    /// Returns the record as bytes.
    #[inline(always)]
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }

    /// Returns the source with its port.
    pub fn source(&self) -> Endpoint {
        Endpoint { addr: self.source, port: self.source_port }
    }

    /// Returns the destination with its port.
    pub fn destination(&self) -> Endpoint {
        Endpoint { addr: self.destination, port: self.destination_port }
    }

    /// Writes what was decided about a packet, and leaves the inspection as it is.
    #[inline(always)]
    pub fn record(
        &mut self,
        decision: &Decision,
        packet: &Packet,
        (way, interface, output): (Way, u32, u32),
        now: u64,
    ) {
        self.time = now;
        self.transaction = decision.transaction;
        self.source = packet.source.addr;
        self.destination = packet.destination.addr;
        (self.interface, self.output) = (interface, output);
        self.source_port = packet.source.port;
        self.destination_port = packet.destination.port;
        self.rule = decision.rule;
        self.log = decision.log;
        self.network = packet.network as u16;
        self.kind = kind(decision).number();
        self.way = way as u8;
        self.reason = decision.reason_number();
        self.protocol = packet.protocol;
        self.state = decision.state;
        self.stream = decision.stream;
        self.tcp = packet.tcp.0;
        self.icmp_type = packet.icmp_type;
        self.payload = packet.payload() as u16;
    }
}

#[inline(always)]
fn kind(decision: &Decision) -> EventKind {
    match (decision.is_inspected(), decision.is_closed()) {
        (true, _) => EventKind::Amanda,
        (false, true) => EventKind::Closed,
        (false, false) => EventKind::Decision,
    }
}
