//! Addresses in `[[nat]]`: of IPv4, which alone is translated.

use std::net::Ipv4Addr;

use amanda_fw_common::addr::{Addr, Network};

use crate::config::hosts::{Hosts, Place};
use crate::config::mistake::Mistake;
use crate::config::network::is_v4;
use crate::config::scalar::{complain, text};
use crate::config::section::{Read, Value};
use crate::config::selection::{Selection, selection};

/// The prefix of one address.
const HOST_PREFIX: u32 = 128;

/// Reads places but for others; what a name has of IPv6 is left out.
pub(super) fn places(value: &Value<'_>, hosts: &Hosts) -> Read<Selection<Place>> {
    selection(value, "a place", |element, text| {
        let mut places = hosts.place(element, text)?;
        let is_named = !places.is_empty();
        places.retain(|place| !matches!(place, Place::Network(network) if !is_v4(network)));
        if places.is_empty() && is_named { Err(vec![of_ipv6(element, text)]) } else { Ok(places) }
    })
}

/// Reads one address, as a number.
pub(super) fn one(value: &Value<'_>, hosts: &Hosts) -> Read<u32> {
    address(value, text(value)?, hosts)
}

/// Reads one address, or a range of them.
pub(super) fn range(value: &Value<'_>, hosts: &Hosts) -> Read<(u32, u32)> {
    let text = text(value)?;
    let ends = text.split_once('-').map(|(first, last)| (first.trim(), last.trim()));
    // A host may have a hyphen in its name.
    let Some((first, last)) = ends.filter(|(first, _)| first.parse::<Ipv4Addr>().is_ok()) else {
        return one(value, hosts).map(|address| (address, address));
    };
    let (first, last) = (address(value, first, hosts)?, address(value, last, hosts)?);
    if first > last {
        let [low, high] = [last, first].map(Ipv4Addr::from);
        let mistake = Mistake::new(value.span(), format!("\"{text}\" ends before it begins"));
        return Err(vec![mistake.way_out(format!("write \"{low}-{high}\""))]);
    }
    Ok((first, last))
}

fn address(value: &Value<'_>, text: &str, hosts: &Hosts) -> Read<u32> {
    let places = hosts.place(value, text)?;
    let networks = places.iter().filter_map(|place| match place {
        Place::Network(network) => Some(*network),
        Place::Any | Place::Own | Place::OnLink => None,
    });
    let networks: Vec<Network> = networks.collect();
    let v4: Vec<Network> = networks.iter().copied().filter(is_v4).collect();
    if v4.is_empty() && !networks.is_empty() {
        return Err(vec![of_ipv6(value, text)]);
    }
    let [network] = v4.as_slice() else { return Err(vec![no_one(value, text)]) };
    if network.prefix() != HOST_PREFIX {
        return Err(vec![no_one(value, text)]);
    }
    let addr: Addr = network.addr();
    let bits = addr.v4_bits().filter(|_| addr.is_host());
    bits.ok_or_else(|| complain(value, format!("{addr} is the address of no host")))
}

fn no_one(value: &Value<'_>, text: &str) -> Mistake {
    Mistake::new(value.span(), format!("\"{text}\" is not one address"))
        .way_out("write an address such as \"192.168.2.2\", or a name of [hosts] that has one")
}

fn of_ipv6(value: &Value<'_>, text: &str) -> Mistake {
    let message = format!(
        "\"{text}\" is of IPv6, whose addresses are not translated: there are enough of them"
    );
    let way_out = "write an IPv4 address; let IPv6 through by a rule with direction = \"forward\"";
    Mistake::new(value.span(), message).way_out(way_out)
}
