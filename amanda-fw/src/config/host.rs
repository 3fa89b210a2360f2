//! This machine as rules see it, in the network namespace that the loader runs in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use amanda_fw_common::addr::Network;
use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nameindex;
use nix::sys::socket::SockaddrStorage;

use super::network;

/// A machine's addresses and interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// Each address with the length of its network's prefix.
    pub(crate) own: Vec<(IpAddr, u8)>,
    /// The interfaces' indexes, by name.
    pub(crate) interfaces: BTreeMap<String, u32>,
    /// The names of the interfaces that have an IPv4 address.
    pub(crate) addressed: BTreeSet<String>,
    /// Whether the kernel forwards IPv4, if it says so.
    pub(crate) forwards: Option<bool>,
}

/// What says whether the kernel forwards IPv4.
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

impl Host {
    /// Asks the kernel.
    pub(crate) fn read() -> Result<Self> {
        let forwards = fs::read_to_string(IP_FORWARD).ok().map(|text| text.trim() != "0");
        let addresses = addresses()?;
        let of_ipv4 = addresses.iter().filter(|(_, ip, _)| ip.is_ipv4());
        let addressed = of_ipv4.map(|(name, ..)| name.clone()).collect();
        let own = addresses.into_iter().map(|(_, ip, prefix)| (ip, prefix)).collect();
        Ok(Self { own, interfaces: interfaces()?, addressed, forwards })
    }

    /// Returns each address as a network of its own.
    pub(super) fn own_networks(&self) -> Vec<Network> {
        self.own.iter().map(|&(ip, _)| network::of(ip, u8::MAX)).collect()
    }

    /// Returns the networks that the machine is connected to.
    pub(super) fn on_link_networks(&self) -> Vec<Network> {
        let outside = self.own.iter().filter(|(ip, _)| !ip.is_loopback());
        outside.map(|&(ip, prefix)| network::of(ip, prefix)).collect()
    }
}

/// Lists the interfaces' names and addresses, each with the length of its network's prefix.
fn addresses() -> Result<Vec<(String, IpAddr, u8)>> {
    let interfaces = getifaddrs().context("list this machine's addresses")?;
    let own = interfaces.filter_map(|interface| {
        let address = ip(&interface.address?)?;
        // An address may have a label such as eth0:1.
        let name = interface.interface_name.split(':').next().unwrap_or_default();
        Some((name.to_owned(), address, prefix(ip(&interface.netmask?)?)))
    });
    Ok(own.collect())
}

fn interfaces() -> Result<BTreeMap<String, u32>> {
    let interfaces = if_nameindex().context("list this machine's interfaces")?;
    let named = interfaces
        .iter()
        .map(|interface| (interface.name().to_string_lossy().into_owned(), interface.index()));
    Ok(named.collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn prefix(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    ones as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, prefix: u8, own: &[&str], on_link: &[&str]) {
        let ip = address.parse().expect("an address");
        let host = Host { own: vec![(ip, prefix)], ..Host::default() };
        let texts = |networks: Vec<Network>| -> Vec<String> {
            networks.iter().map(network::display).collect()
        };
        assert_eq!(texts(host.own_networks()), own);
        assert_eq!(texts(host.on_link_networks()), on_link);
    }

    #[test]
    fn a_host_is_itself_and_on_a_network() {
        check("10.0.0.2", 24, &["10.0.0.2"], &["10.0.0.0/24"]);
        check("2001:db8::2", 64, &["2001:db8::2"], &["2001:db8::/64"]);
    }

    #[test]
    fn loopback_is_on_no_network() {
        check("127.0.0.1", 8, &["127.0.0.1"], &[]);
        check("::1", 128, &["::1"], &[]);
    }

    #[test]
    fn a_mask_is_read_as_a_prefix() {
        assert_eq!(prefix("255.255.240.0".parse().expect("a mask")), 20);
        assert_eq!(prefix("ffff:ffff:ffff:ffff::".parse().expect("a mask")), 64);
    }

    #[test]
    fn every_machine_has_a_loopback_interface() {
        let host = Host::read().expect("a host");
        assert!(host.forwards.is_some());
        assert!(host.interfaces.get("lo").is_some_and(|&index| index > 0), "{host:?}");
    }
}
