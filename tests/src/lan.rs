//! One Ethernet segment: a bridge in a namespace of its own, to which hosts are plugged.

use anyhow::Result;

use crate::netns::{Namespace, Port, connect};

/// The bridge device's name in its namespace.
const BRIDGE: &str = "br0";

/// The name of a plugged namespace's interface.
pub const INTERFACE: &str = "eth0";

/// A bridge in a namespace of its own.
#[derive(Debug)]
pub struct Lan {
    switch: Namespace,
    ports: u32,
}

impl Lan {
    /// Creates a bridge without ports.
    pub fn new() -> Result<Self> {
        let switch = Namespace::new("switch")?;
        switch.ip(&["link", "add", BRIDGE, "type", "bridge", "stp_state", "0"])?;
        // Without a querier, snooping would hold back IPv6 neighbour solicitations.
        switch.ip(&["link", "set", BRIDGE, "type", "bridge", "mcast_snooping", "0"])?;
        switch.ip(&["link", "set", BRIDGE, "up"])?;
        Ok(Self { switch, ports: 0 })
    }

    /// Creates a namespace and plugs it in with interface `eth0` and the addresses given.
    pub fn plug_in(&mut self, purpose: &str, addresses: &[&str]) -> Result<Namespace> {
        let namespace = Namespace::new(purpose)?;
        self.ports += 1;
        let port = format!("port{}", self.ports);
        connect(
            &Port { namespace: &namespace, interface: INTERFACE, addresses },
            &Port { namespace: &self.switch, interface: &port, addresses: &[] },
        )?;
        self.switch.ip(&["link", "set", &port, "master", BRIDGE])?;
        Ok(namespace)
    }
}
