//! Public networks that look like a private one, or one of the machine's own, misspelt.

use std::net::{IpAddr, Ipv4Addr};

use amanda_fw_common::addr::Network;

use crate::config::Host;
use crate::config::hosts::Written;
use crate::config::mistake::Mistake;
use crate::config::network;

/// RFC 1918's networks.
const PRIVATE: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// How those networks' addresses begin that are named by hosts and by parts.
const BEGINNING: &str = "192.168";

/// The prefix of one address.
const HOST_PREFIX: u32 = 128;

/// The most slips of the finger between what is written and what is meant.
const SLIPS: usize = 2;

/// Finds networks that are hardly where anybody lives.
pub(super) fn warnings(networks: &[Written], host: &Host) -> Vec<Mistake> {
    networks.iter().filter_map(|written| warning(written, host)).collect()
}

fn warning(written: &Written, host: &Host) -> Option<Mistake> {
    let (ip, text) = (written.network.addr().ip(), network::display(&written.network));
    let meant = if is_public(ip) { meant(&text, &written.network, host) } else { None };
    let message = |meant| format!("{text} is a public network: is {meant} meant?");
    let way_out = "if it is right, leave it";
    Some(Mistake::new(written.span.clone(), message(meant?)).way_out(way_out))
}

/// Finds the network that is the fewest slips away.
fn meant(text: &str, written: &Network, host: &Host) -> Option<String> {
    let private = PRIVATE.iter().map(|&(ip, prefix)| network::of(ip.into(), prefix));
    let known = private.chain(host.on_link_networks()).map(|known| network::display(&known));
    let near = |known: &String| text.contains('/') && (1..=SLIPS).contains(&slips(text, known));
    let candidates = known.filter(near).chain(misspelt_beginning(text, written));
    candidates.min_by_key(|candidate| slips(text, candidate))
}

/// Finds 129.168 and the like; an address of a host must have the same digits.
fn misspelt_beginning(text: &str, written: &Network) -> Option<String> {
    let end = text.match_indices('.').nth(1)?.0;
    let (beginning, rest) = text.split_at_checked(end)?;
    let is_near = slips(beginning, BEGINNING) == 1;
    let is_host = written.prefix() == HOST_PREFIX;
    let is_swap = digits(beginning) == digits(BEGINNING);
    (is_near && (!is_host || is_swap)).then(|| format!("{BEGINNING}{rest}"))
}

fn slips(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(a, b)
}

fn digits(text: &str) -> Vec<char> {
    let mut digits: Vec<char> = text.chars().collect();
    digits.sort_unstable();
    digits
}

/// Tells whether an address is neither private nor of a special use.
fn is_public(ip: IpAddr) -> bool {
    let IpAddr::V4(v4) = ip else { return false };
    let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_unspecified()
        || is_shared)
}
