//! What the kernel says of a network interface, and which mode suits it.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use futures::TryStreamExt;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::{Handle, new_connection};
use serde::{Deserialize, Serialize};

/// Where incoming packets are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Native XDP on hardware Ethernet, TC on everything else.
    #[default]
    Auto,
    /// XDP in the driver.
    Xdp,
    /// XDP behind the driver.
    XdpGeneric,
    /// TC ingress.
    Tc,
}

/// Why translation keeps packets out of XDP.
pub(crate) const TC_ALONE: &str = "addresses are translated in TC alone, since the checksums of \
                                   packets that XDP meets may be left to a device";

impl Mode {
    /// Tells whether packets are met in XDP, whatever the device is.
    pub(crate) fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpGeneric)
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        })
    }
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// The name.
    pub(crate) name: String,
    /// The index.
    pub(crate) index: u32,
    /// Whether its frames begin with an Ethernet header.
    pub(crate) is_ethernet: bool,
    /// The kind of a software device (veth, bridge, tun), nothing for hardware.
    pub(crate) kind: Option<String>,
    /// Whether an XDP program is attached.
    pub(crate) has_xdp: bool,
}

impl Device {
    /// Chooses the mode that costs least on this device.
    ///
    /// Native XDP turns the segmentation offload of a software device's peer off, which halves
    /// bulk TCP; on hardware, receive offload comes after XDP, and nothing is lost.
    pub(crate) fn best_mode(&self) -> Mode {
        if self.is_ethernet && self.kind.is_none() { Mode::Xdp } else { Mode::Tc }
    }
}

/// Looks an interface up by its name.
pub(crate) async fn find(name: &str) -> Result<Device> {
    let handle = connect()?;
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await;
    let Ok(Some(link)) = link else {
        bail!("no interface is called {name}; `ip link` lists those that there are");
    };
    device(name, &link)
}

/// Returns the index of an interface, if it is still there.
pub(crate) fn index_of(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// Returns the name of the interface of an index, if it is still there.
pub(crate) fn name_of(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index).ok()?.into_string().ok()
}

/// Returns what people call the interface of an index: its name, or its index where it has gone.
pub(crate) fn called(index: u32) -> String {
    name_of(index).unwrap_or_else(|| format!("if{index}"))
}

fn device(name: &str, link: &LinkMessage) -> Result<Device> {
    let layer = link.header.link_layer_type;
    if layer == LinkLayerType::Loopback {
        bail!("{name} is the loopback interface, which is never filtered");
    }
    let is_xdp =
        |xdp: &LinkXdp| matches!(xdp, LinkXdp::Attached(a) if !matches!(a, XdpAttached::None));
    let mut kind = None;
    let mut has_xdp = false;
    for attribute in &link.attributes {
        if let LinkAttribute::LinkInfo(infos) = attribute {
            kind = infos.iter().find_map(kind_name).or(kind);
        }
        if let LinkAttribute::Xdp(xdp) = attribute {
            has_xdp = xdp.iter().any(is_xdp);
        }
    }
    let is_ethernet = layer == LinkLayerType::Ether;
    Ok(Device { name: name.to_owned(), index: link.header.index, is_ethernet, kind, has_xdp })
}

fn kind_name(info: &LinkInfo) -> Option<String> {
    if let LinkInfo::Kind(kind) = info { Some(InfoKind::to_string(kind)) } else { None }
}

/// Opens a netlink socket, which lives for as long as its handle.
pub(crate) fn connect() -> Result<Handle> {
    let (connection, handle, _) = new_connection().context("open a netlink socket")?;
    tokio::spawn(connection);
    Ok(handle)
}
