//! Fragments: the first one is decided, the others follow it (RFC 791, RFC 8200).

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;

/// What the fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct FragmentKey {
    /// Who sent them.
    pub source: Addr,
    /// Who receives them.
    pub destination: Addr,
    /// The identification field.
    pub id: u32,
    /// The protocol of the datagram.
    pub protocol: u32,
}

/// A datagram whose first fragment was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Fragments {
    /// Monotonic time until which later fragments are accepted, in nanoseconds.
    pub expires: u64,
}
