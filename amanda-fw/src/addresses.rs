//! The IPv4 addresses that interfaces lend to what they masquerade, kept as they change.

mod change;
mod forget;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::link::{LinkFlags, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::SocketAddr;
use rtnetlink::{MulticastGroup, new_multicast_connection};

pub(crate) use change::Change;

use crate::bpffs::PinDirectory;
use crate::device;
use crate::maps::{self, AddressTable, ruleset};

/// The addresses of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    /// The one that it lends.
    lent: Option<u32>,
    all: Vec<u32>,
}

/// The addresses of the interfaces that are up, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    held: HashMap<u32, Held>,
}

impl Addresses {
    /// Asks the kernel.
    pub(crate) async fn read() -> Result<Self> {
        let handle = device::connect()?;
        let links =
            handle.link().get().execute().try_filter_map(async |link| Ok(index_if_up(&link)));
        let up = links.try_collect().await.context("list this machine's interfaces")?;
        let addresses = handle.address().get().execute().try_collect::<Vec<_>>().await;
        Ok(Self::of(&addresses.context("list this machine's addresses")?, &up))
    }

    fn of(messages: &[AddressMessage], up: &HashSet<u32>) -> Self {
        let mut held = HashMap::<u32, Held>::new();
        for message in messages.iter().filter(|message| up.contains(&message.header.index)) {
            let Some(address) = local(message) else { continue };
            let held = held.entry(message.header.index).or_default();
            held.all.push(address);
            held.lent = held.lent.or(is_lent(message).then_some(address));
        }
        Self { held }
    }

    fn lent(&self, interface: u32) -> Option<u32> {
        self.held.get(&interface)?.lent
    }

    fn has(&self, interface: u32, address: u32) -> bool {
        self.held.get(&interface).is_some_and(|held| held.all.contains(&address))
    }
}

fn index_if_up(link: &LinkMessage) -> Option<u32> {
    link.header.flags.contains(LinkFlags::Up).then_some(link.header.index)
}

/// Returns an interface's own IPv4 address; `Address` is its peer's where it has one.
fn local(message: &AddressMessage) -> Option<u32> {
    let own = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Local(IpAddr::V4(address)) = attribute {
            Some(address.to_bits())
        } else {
            None
        }
    });
    own.filter(|_| message.header.family == AddressFamily::Inet)
}

/// Tells whether an address may stand for others in the whole network (net/ipv4/devinet.c,
/// `inet_select_addr`).
fn is_lent(message: &AddressMessage) -> bool {
    message.header.scope == AddressScope::Universe
        && !message.header.flags.contains(AddressHeaderFlags::Secondary)
}

/// Brings the map up to date for the interfaces that the firewall is attached to, and ends the flows
/// that are known by an address that has gone; returns what has changed.
pub(crate) fn update(
    directory: &Path,
    attached: &BTreeSet<u32>,
    addresses: &Addresses,
) -> Result<Vec<Change>> {
    let mut table = AddressTable::open(directory, maps::ADDRESSES)?;
    let mut changes = change::find(&table.entries().collect(), attached, addresses);
    for change in &mut changes {
        // The new one comes first, so that nobody is given the old one again.
        match change.after {
            Some(address) => table.insert(&change.interface, &address),
            None => table.remove(&change.interface),
        }
        if let Some(address) = change.before.filter(|_| change.is_lost) {
            change.ended = forget::forget(directory, change.interface, address)?;
        }
    }
    Ok(changes)
}

/// Follows what happens to addresses and interfaces.
pub(crate) struct Follower {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
}

impl Follower {
    /// Begins to follow.
    pub(crate) fn start() -> Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr];
        let (connection, _, messages) =
            new_multicast_connection(&groups).context("follow this machine's addresses")?;
        tokio::spawn(connection);
        Ok(Self { messages })
    }

    /// Waits until something has happened; what it was is asked anew, so that no message matters.
    pub(crate) async fn wait(&mut self) {
        if self.messages.next().await.is_none() {
            std::future::pending::<()>().await;
        }
        while self.messages.try_recv().is_ok() {}
    }

    /// Brings the map up to date, if the ruleset in force translates addresses.
    pub(crate) async fn refresh(&self, pins: &PinDirectory) -> Result<Vec<Change>> {
        if pins.generation()?.is_none() || !pins.read_ruleset(ruleset::read_settings)?.translates()
        {
            return Ok(Vec::new());
        }
        let addresses = Addresses::read().await?;
        let attached = pins.interfaces()?;
        let attached = attached.iter().filter_map(|(name, _)| device::index_of(name)).collect();
        update(&pins.maps(), &attached, &addresses)
    }
}

#[cfg(test)]
mod tests;
