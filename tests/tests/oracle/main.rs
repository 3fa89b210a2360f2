//! The kernel's own helper, `nf_conntrack_amanda`, and the packet path in memory, given the same
//! packets: what one of the two opens or loses and the other does not must be intended.
//!
//! `cargo test --test oracle -- --ignored --nocapture` prints how often each difference
//! occurs; docs/kernel-helper.md tells what they are.

mod case;
mod compare;
mod conversations;
mod differences;
mod firewall;
mod helper;
mod mutations;
mod reading;
mod real;
mod talk;
