//! Translation of addresses: packets through a gateway, as they leave it.

mod amanda;
mod conformance;
mod destination;
mod forward;
mod fragments;
mod hairpin;
mod icmp;
mod source;

use std::net::SocketAddr;

use crate::gateway::{GATEWAY, INSIDER, REMOTE};
use crate::host::endpoint;

/// Returns an endpoint inside, what it is known as where its port is kept, and a remote one.
fn ends(port: u16, remote_port: u16) -> [SocketAddr; 3] {
    [endpoint(INSIDER, port), endpoint(GATEWAY, port), endpoint(REMOTE, remote_port)]
}
