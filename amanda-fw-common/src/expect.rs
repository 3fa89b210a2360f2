//! Expectations: permission for one stream that a reply announced.

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// Whom an expectation lets through, to which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct ExpectationKey {
    /// Who sent the request, and will open the connection.
    pub initiator: Addr,
    /// Who announced the port, and listens on it.
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
    pad: [u8; 6],
}

impl Expectation {
    /// Makes an expectation.
    #[inline(always)]
    pub const fn new(transaction: u64, expires: u64, stream: u8, slot: u8) -> Self {
        Self { transaction, expires, stream, slot, pad: [0; 6] }
    }

    /// Tells whether the time is over.
    #[inline(always)]
    pub const fn is_expired(&self, now: u64) -> bool {
        self.expires <= now
    }
}
