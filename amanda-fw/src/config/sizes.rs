//! `[limits]`: how many entries each table has room for.

use toml::de::DeTable;

use super::keys;
use super::mistake::Span;
use super::scalar::number;
use super::section::{Read, Section};
use crate::maps;

/// The most entries that any table may have: at 120 bytes a flow, 2 GiB.
pub(super) const MOST: u32 = 1 << 24;

/// How many entries each table has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Flows that have proven both ends, and as many that have not.
    pub(crate) flows: u32,
    /// Expectations.
    pub(crate) expectations: u32,
    /// Transactions.
    pub(crate) transactions: u32,
    /// Datagrams whose fragments are under way.
    pub(crate) fragments: u32,
    /// Translated flows, where addresses are translated.
    pub(crate) nat: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            flows: 65_536,
            expectations: 16_384,
            transactions: 8192,
            fragments: 8192,
            nat: 65_536,
        }
    }
}

impl Sizes {
    /// Returns the sizes by the names of the maps.
    pub(crate) fn by_map(&self) -> [(&'static str, u32); 9] {
        let Self { flows, expectations, transactions, fragments, nat } = *self;
        [
            (maps::FLOWS, flows),
            (maps::EMBRYOS, flows),
            (maps::EXPECTATIONS, expectations),
            (maps::TRANSACTIONS, transactions),
            (maps::REQUESTS, transactions),
            (maps::PAIRS, transactions),
            (maps::FRAGMENTS, fragments),
            (maps::ALIASES, nat),
            (maps::BINDINGS, nat.saturating_mul(2)),
        ]
    }

    /// Reads the section.
    pub(super) fn read(span: Span, table: &DeTable<'_>) -> Read<Self> {
        let mut section = Section::new("[limits]", span, &keys::LIMITS, table);
        let mut entries =
            |key, default| section.read(key, |value| number(value, 1, MOST)).unwrap_or(default);
        let default = Self::default();
        let sizes = Self {
            flows: entries("flows", default.flows),
            expectations: entries("expectations", default.expectations),
            transactions: entries("transactions", default.transactions),
            fragments: entries("fragments", default.fragments),
            nat: entries("nat", default.nat),
        };
        section.finish(sizes)
    }
}
