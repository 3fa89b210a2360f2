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

/// How many fragments of one datagram are held.
pub const MOST_HELD: u8 = 16;

/// The longest frame that is held, in bytes.
pub const HELD_BYTES: usize = 2048;

/// A datagram whose first fragment has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Waiting {
    /// Monotonic time until which the first fragment is waited for, in nanoseconds.
    pub expires: u64,
    /// How many fragments of it are held.
    pub held: u64,
}

/// Which one of the fragments of a datagram that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct HeldKey {
    /// The datagram.
    pub datagram: FragmentKey,
    /// Its number, from 0.
    pub index: u64,
}

/// A datagram whose first fragment was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Fragments {
    /// Monotonic time until which later fragments are accepted, in nanoseconds.
    pub expires: u64,
    /// The address that takes the place of the source on the way out, 0 for none.
    pub source: u32,
    /// The address that takes the place of the destination on the way in, 0 for none.
    pub destination: u32,
}
