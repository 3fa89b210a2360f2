//! What has changed about the address that an interface lends.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use super::Addresses;
use crate::device;

/// A change of the address that an interface lends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The interface's index.
    pub(super) interface: u32,
    /// The address that it lent.
    pub(super) before: Option<u32>,
    /// The address that it lends now.
    pub(super) after: Option<u32>,
    /// Whether the interface has the one before no more.
    pub(super) is_lost: bool,
    /// How many flows have ended with it.
    pub(super) ended: usize,
}

/// Finds the changes since addresses were last written.
pub(super) fn find(
    before: &HashMap<u32, u32>,
    attached: &BTreeSet<u32>,
    addresses: &Addresses,
) -> Vec<Change> {
    let known: BTreeSet<u32> = before.keys().copied().collect();
    let change = |&interface: &u32| {
        let before = before.get(&interface).copied();
        let after = addresses.lent(interface).filter(|_| attached.contains(&interface));
        let is_lost = before.is_some_and(|address| !addresses.has(interface, address));
        Change { interface, before, after, is_lost, ended: 0 }
    };
    known.union(attached).map(change).filter(|change| change.before != change.after).collect()
}

impl Change {
    /// Writes the change in a line, for people.
    pub(crate) fn text(&self) -> String {
        let Self { interface, before, after, is_lost: _, ended } = *self;
        let name = device::called(interface);
        let what = match (before.map(text), after.map(text)) {
            (Some(before), Some(after)) => format!("{name} lends {after} in place of {before}"),
            (Some(before), None) => format!("{name} lends {before} no more"),
            (None, Some(after)) => format!("{name} lends {after}"),
            (None, None) => format!("{name} lends no address"),
        };
        match ended {
            0 => what,
            1 => format!("{what}, ended 1 flow"),
            count => format!("{what}, ended {count} flows"),
        }
    }

    /// Tells whether there was an address before.
    pub(crate) fn is_of_known(&self) -> bool {
        self.before.is_some()
    }
}

fn text(address: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(address)
}
