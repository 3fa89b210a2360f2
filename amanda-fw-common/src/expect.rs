//! Expectations: permission for one stream that a reply announced.

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;
use crate::auth::PRIVILEGED;
use crate::nat::Mapped;

/// Whom an expectation lets through, to which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct ExpectationKey {
    /// Who sent the request, and will open the connection.
    pub initiator: Addr,
    /// Who announced the port, and listens on it; the address that the initiator knows.
    pub responder: Addr,
    /// The announced TCP port.
    pub port: u16,
    pad: [u16; 3],
}

impl ExpectationKey {
    /// Makes the key of an announced port.
    #[inline(always)]
    pub const fn new(initiator: Addr, responder: Addr, port: u16) -> Self {
        Self { initiator, responder, port, pad: [0; 3] }
    }

    /// Makes the key of another port.
    #[inline(always)]
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

/// What is expected; the first SYN that fits takes it out of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Expectation {
    /// Identifier of the transaction whose reply announced the port.
    pub transaction: u64,
    /// Monotonic time of the end, in nanoseconds.
    pub expires: u64,
    /// Number of the stream.
    pub stream: u8,
    /// Place of the stream in the reply's line.
    pub slot: u8,
    /// 1 where the connection comes from a privileged port, 0 where from any other.
    privileged: u8,
    pad: [u8; 5],
    /// The endpoint that listens, where the initiator knows it by another one.
    pub to: Mapped,
}

impl Expectation {
    /// Makes an expectation.
    #[inline(always)]
    pub const fn new(transaction: u64, expires: u64, stream: u8, slot: u8, to: Mapped) -> Self {
        Self { transaction, expires, stream, slot, privileged: 0, pad: [0; 5], to }
    }

    /// Makes it one for connections from privileged ports, or for those from others.
    #[inline(always)]
    pub const fn with_privileged(self, privileged: bool) -> Self {
        Self { privileged: privileged as u8, ..self }
    }

    /// Tells whether a connection from a port is the one that is expected.
    #[inline(always)]
    pub const fn fits(&self, source_port: u16) -> bool {
        (source_port <= PRIVILEGED.high) == (self.privileged == 1)
    }

    /// Tells whether the time is over.
    #[inline(always)]
    pub const fn is_expired(&self, now: u64) -> bool {
        self.expires <= now
    }
}
