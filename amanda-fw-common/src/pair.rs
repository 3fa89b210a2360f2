//! Pairs of hosts, and which transactions they have open with each other.
//!
//! Whoever may ask, or answers, gets so much of the tables and no more. A transaction that is over
//! makes room for another one of its pair, so that the bound holds without a loader.

use bytemuck::{Pod, Zeroable};

use crate::addr::Addr;
use crate::expect::ExpectationKey;
use crate::settings::Settings;
use crate::tables::{Table, Tables};
use crate::transaction::StreamState;

/// How many transactions two hosts may have open: a power of two, which a server never needs, as
/// it has 63 dumpers at the most (server-src/driverio.h, MAX_DUMPERS).
pub const MAX_OPEN: usize = 64;

/// Who asks whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct PairKey {
    /// Who sends requests.
    pub initiator: Addr,
    /// Who answers them.
    pub responder: Addr,
}

/// What a pair has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Pair {
    /// Identifiers of the transactions; those that are over, or no longer there, are free places.
    open: [u64; MAX_OPEN],
    /// The place after the last one that was taken.
    next: u64,
}

impl Pair {
    /// Nothing open.
    pub const EMPTY: Self = Self { open: [0; MAX_OPEN], next: 0 };

    /// Returns the identifier at a place; places go round.
    #[inline(always)]
    fn at(&self, place: u64) -> u64 {
        self.open.get(place as usize & (MAX_OPEN.wrapping_sub(1))).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn set(&mut self, place: u64, id: u64) {
        if let Some(open) = self.open.get_mut(place as usize & (MAX_OPEN.wrapping_sub(1))) {
            *open = id;
        }
        self.next = place.wrapping_add(1);
    }
}

/// Gives a transaction a place among those of its pair, and tells whether there is one.
#[inline(always)]
pub fn take_place<T: Tables>(
    key: &PairKey,
    id: u64,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) -> bool {
    let Some((place, holder)) = find_place(key, settings, tables, now) else {
        return false;
    };
    forget(key, holder, tables);
    if let Some(pair) = tables.pairs().get(key) {
        pair.set(place, id);
    }
    true
}

/// Finds a place that is free, and returns it with the transaction that had it.
#[inline(always)]
fn find_place<T: Tables>(
    key: &PairKey,
    settings: &Settings,
    tables: &mut T,
    now: u64,
) -> Option<(u64, u64)> {
    let mut place = first_place(key, tables)?;
    for _ in 0..MAX_OPEN {
        let holder = tables.pairs().get(key)?.at(place);
        if tables.is_over(holder, settings, now) {
            return Some((place, holder));
        }
        place = place.wrapping_add(1);
    }
    None
}

/// Returns the place where the search begins.
#[inline(always)]
fn first_place<T: Tables>(key: &PairKey, tables: &mut T) -> Option<u64> {
    if tables.pairs().get(key).is_none() {
        tables.pairs().insert(key, &Pair::EMPTY).ok()?;
    }
    // Read in any case: from a known number the verifier would follow every place by itself.
    tables.pairs().get(key).map(|pair| pair.next)
}

/// Removes a transaction that is over, with the expectations that nobody has used in time.
#[inline(always)]
fn forget<T: Tables>(key: &PairKey, id: u64, tables: &mut T) {
    let Some(streams) = tables.transactions().get(&id).map(|t| t.streams) else {
        return;
    };
    for slot in streams {
        if slot.state != StreamState::Expected.number() {
            continue;
        }
        let key = ExpectationKey::new(key.initiator, key.responder, slot.port);
        if tables.expectations().get(&key).is_some_and(|e| e.transaction == id) {
            tables.expectations().remove(&key);
        }
    }
    tables.transactions().remove(&id);
}
