//! The interfaces by which packets to an address of this machine come in.

use std::net::IpAddr;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

use crate::device;

/// An interface, and those beside it that see the same packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    index: u32,
    /// The bridge or bond that it belongs to.
    controller: Option<u32>,
    /// The interface that it sits on: that of a VLAN.
    lower: Option<u32>,
}

/// Returns the indexes of the interface that has the address, and of those below it.
pub(super) async fn of(ip: IpAddr) -> Result<Vec<u32>> {
    let handle = device::connect()?;
    let holders = holders(&handle, ip).await.context("list this machine's addresses")?;
    let links = links(&handle).await.context("list this machine's interfaces")?;
    Ok(with_those_below(holders, &links))
}

async fn holders(handle: &Handle, ip: IpAddr) -> Result<Vec<u32>, rtnetlink::Error> {
    let addresses = handle.address().get().execute();
    let holds = |message: AddressMessage| async move {
        Ok(has(&message, ip).then_some(message.header.index))
    };
    addresses.try_filter_map(holds).try_collect().await
}

/// Tells whether an interface's address is that one; `Local` is its own where a peer has another.
fn has(message: &AddressMessage, ip: IpAddr) -> bool {
    message.attributes.iter().any(|attribute| {
        matches!(attribute, AddressAttribute::Local(address) if *address == ip)
            || matches!(attribute, AddressAttribute::Address(address)
                if ip.is_ipv6() && *address == ip)
    })
}

async fn links(handle: &Handle) -> Result<Vec<Link>, rtnetlink::Error> {
    let links = handle.link().get().execute();
    links.map_ok(|message| link(&message)).try_collect().await
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link { index: message.header.index, ..Link::default() };
    let mut elsewhere = false;
    for attribute in &message.attributes {
        if let LinkAttribute::Controller(index) = attribute {
            link.controller = Some(*index);
        }
        if let LinkAttribute::Link(index) = attribute {
            link.lower = Some(*index);
        }
        elsewhere |= matches!(attribute, LinkAttribute::LinkNetNsId(_));
    }
    // The other end of a veth pair has its number in another namespace.
    link.lower = link.lower.filter(|_| !elsewhere);
    link
}

/// Adds the ports of a bridge or bond and the interface under a VLAN, down to the last.
fn with_those_below(mut found: Vec<u32>, links: &[Link]) -> Vec<u32> {
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        let ports = links.iter().filter(|link| link.controller == Some(above));
        let below = links.iter().filter(|link| link.index == above).filter_map(|link| link.lower);
        for index in ports.map(|link| link.index).chain(below) {
            if !found.contains(&index) {
                found.push(index);
            }
        }
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: u32, expected: &[u32]) {
        // 2 and 3 are ports of bridge 5, 6 is a VLAN on it, 7 is alone; 8 and 9 are a veth pair.
        let links = [
            Link { index: 2, controller: Some(5), lower: None },
            Link { index: 3, controller: Some(5), lower: None },
            Link { index: 5, controller: None, lower: None },
            Link { index: 6, controller: None, lower: Some(5) },
            Link { index: 7, controller: None, lower: None },
            Link { index: 8, controller: None, lower: Some(9) },
            Link { index: 9, controller: None, lower: Some(8) },
        ];
        assert_eq!(with_those_below(vec![found], &links), expected, "{found}");
    }

    #[test]
    fn packets_come_in_by_what_lies_below() {
        check(6, &[6, 5, 2, 3]);
        check(5, &[5, 2, 3]);
        check(3, &[3]);
        check(7, &[7]);
        check(8, &[8, 9]);
    }
}
