//! From places that people name to networks, on one machine.

use amanda_fw_common::addr::Network;
use amanda_fw_common::ruleset::Places;

use super::host::Host;
use super::hosts::Place;
use super::network::{all_v4, holds, is_v4, is_wide, without_v4};
use super::selection::Selection;

/// Returns the networks that places are, none of them with more than what was meant.
pub(super) fn networks(places: &[Place], host: &Host) -> Vec<Network> {
    let mut networks = Vec::new();
    for network in written(places, host) {
        match network {
            Written::Whole(network) => networks.push(network),
            Written::WithoutV4(network) => networks.extend(without_v4(&network)),
        }
    }
    in_order(networks)
}

/// Returns the networks that a selection of places is.
pub(super) fn places(selection: &Selection<Place>, host: &Host) -> Places {
    let within = written(&selection.only, host);
    let mut except = networks(&selection.except, host);
    if selection.only.is_empty() {
        return Places { within: vec![Network::ANY], except };
    }
    let has_wide = within.iter().any(|network| matches!(network, Written::WithoutV4(_)));
    let has_v4 = within.iter().any(|network| match network {
        Written::Whole(network) => is_v4(network) || *network == Network::ANY,
        Written::WithoutV4(_) => false,
    });
    if !has_wide || has_v4 {
        return Places { within: networks(&selection.only, host), except };
    }
    // Nothing of IPv4 is meant: one exception says so in less than a hundred networks.
    except.push(all_v4());
    let network = |written: &Written| match written {
        Written::Whole(network) | Written::WithoutV4(network) => *network,
    };
    Places { within: in_order(within.iter().map(network).collect()), except: in_order(except) }
}

/// Keeps what lies in some networks as well; everything where there are none.
pub(super) fn narrowed(places: Places, networks: &[Network]) -> Places {
    if networks.is_empty() {
        return places;
    }
    let smaller = |a: &Network, b: &Network| {
        if holds(a, b) {
            Some(*b)
        } else if holds(b, a) {
            Some(*a)
        } else {
            None
        }
    };
    let pairs = places.within.iter().flat_map(|a| networks.iter().map(move |b| smaller(a, b)));
    Places { within: in_order(pairs.flatten().collect()), except: places.except }
}

/// A network as it is meant.
enum Written {
    /// All of it.
    Whole(Network),
    /// What of it is IPv6.
    WithoutV4(Network),
}

fn written(places: &[Place], host: &Host) -> Vec<Written> {
    let mut networks = Vec::new();
    for place in places {
        match place {
            Place::Any => networks.push(Written::Whole(Network::ANY)),
            Place::Own => networks.extend(host.own_networks().into_iter().map(Written::Whole)),
            Place::OnLink => {
                networks.extend(host.on_link_networks().into_iter().map(Written::Whole));
            }
            Place::Network(network) if is_wide(network) => {
                networks.push(Written::WithoutV4(*network));
            }
            Place::Network(network) => networks.push(Written::Whole(*network)),
        }
    }
    networks
}

fn in_order(mut networks: Vec<Network>) -> Vec<Network> {
    networks.sort_by_key(|network| (network.addr().octets(), network.prefix()));
    networks.dedup();
    networks
}
