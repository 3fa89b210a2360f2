//! The packet path of amanda-fw: what it parses, remembers and decides.
//!
//! The kernel programs and user space compile this same crate, so that whatever the firewall
//! believes can be tested, fuzzed and replayed on any machine. There is no `unsafe`, no clock, no
//! allocation and no BPF in here: bytes come through [`frame::Frame`], memory through
//! [`tables::Tables`], and time is a parameter.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod numbered;

pub mod addr;
pub mod answer;
pub mod auth;
pub mod checksum;
pub mod classic;
#[cfg(any(test, feature = "memory"))]
pub mod classifier;
pub mod connect;
pub mod datapath;
pub mod event;
pub mod expect;
pub mod flow;
pub mod fragment;
pub mod frame;
pub mod header;
pub mod label;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod message;
pub mod nat;
pub mod pair;
pub mod rules;
#[cfg(any(test, feature = "memory"))]
pub mod ruleset;
pub mod settings;
pub mod tables;
pub mod text;
pub mod transaction;
pub mod verdict;
pub mod wire;
