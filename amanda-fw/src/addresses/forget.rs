//! Ends what is known by an address that an interface has lost, as netfilter's masquerade does, so that
//! connections begin anew with the next one.

use std::path::Path;

use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::nat::{Binding, BindingKey};
use anyhow::Result;

use crate::maps::{self, AliasTable, BindingTable, FlowTable};
use crate::nat;

/// Removes flows with their aliases, and bindings; returns how many flows it has removed.
pub(super) fn forget(directory: &Path, interface: u32, address: u32) -> Result<usize> {
    let mut aliases = AliasTable::open(directory, maps::ALIASES)?;
    let mut ended = 0;
    // One that proves itself meanwhile goes from the first of them to the second.
    for name in [maps::EMBRYOS, maps::FLOWS] {
        let mut table = FlowTable::open(directory, name)?;
        let over: Vec<(FlowKey, Flow)> =
            table.entries().filter(|(_, flow)| is_known_by(flow, interface, address)).collect();
        for (key, flow) in &over {
            table.remove(key);
            nat::aliases(key, flow).for_each(|alias| aliases.remove(&alias));
        }
        ended += over.len();
    }
    let mut bindings = BindingTable::open(directory, maps::BINDINGS)?;
    bindings.remove_if(|key, binding| is_bound_to(key, binding, interface, address));
    aliases.remove_if(|key, _| key.is_any_port() && key.destination().addr == address);
    Ok(ended)
}

/// Tells whether the originator of a flow is known by an address of an interface.
fn is_known_by(flow: &Flow, interface: u32, address: u32) -> bool {
    flow.source.is_set() && flow.source.addr == address && nat::leaves_by(flow) == interface
}

/// Tells whether an entry is an end of a binding to an address of an interface.
fn is_bound_to(key: &BindingKey, binding: &Binding, interface: u32, address: u32) -> bool {
    let (_, outside) = nat::ends(key, binding);
    binding.interface == interface && outside.endpoint().addr == address
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::nat::Mapped;
    use amanda_fw_common::wire::PROTOCOL_UDP;

    use super::*;
    use crate::nat::tests::{LAN, WAN, mapped, masqueraded};

    const OUTSIDE: &str = "198.51.100.1:4001";

    #[test]
    fn a_flow_ends_with_the_address_that_its_source_has_outside() {
        let (_, mut flow) = masqueraded(PROTOCOL_UDP, "192.168.0.7:4000", OUTSIDE);
        let address = mapped(OUTSIDE).addr;
        assert!(is_known_by(&flow, WAN, address));
        assert!(!is_known_by(&flow, LAN, address));
        assert!(!is_known_by(&flow, WAN, address + 1));
        (flow.source, flow.destination) = (Mapped::NONE, mapped(OUTSIDE));
        assert!(!is_known_by(&flow, WAN, address));
    }

    #[test]
    fn both_ends_of_a_binding_go_with_its_address() {
        let (inside, outside) = (mapped("192.168.0.7:4000"), mapped(OUTSIDE));
        let keys = [
            (BindingKey::inside(PROTOCOL_UDP, inside, outside.addr), outside),
            (BindingKey::outside(PROTOCOL_UDP, outside), inside),
        ];
        for (key, other) in keys {
            let binding = Binding::new(other, WAN, 0, 0);
            assert!(is_bound_to(&key, &binding, WAN, outside.addr));
            assert!(!is_bound_to(&key, &binding, LAN, outside.addr));
            assert!(!is_bound_to(&key, &binding, WAN, inside.addr));
        }
    }
}
