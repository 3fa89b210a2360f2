//! What flows have in the tables of translation.

use amanda_fw_common::addr::Endpoint;
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::nat::{AliasKey, Binding, BindingKey, Mapped, Side};
use amanda_fw_common::rules::Way;
use amanda_fw_common::wire::PROTOCOL_ICMP;

/// Lists the keys of the aliases by which packets of a flow come in.
pub(crate) fn aliases(key: &FlowKey, flow: &Flow) -> impl Iterator<Item = AliasKey> + use<> {
    let (originator, responder) = flow.ends(key);
    let protocol = key.protocol();
    let alias = |from: Endpoint, to: Mapped| {
        to.is_set().then(|| AliasKey::new(protocol, Mapped::of(from), to))
    };
    [alias(responder, flow.source), alias(originator, flow.destination)].into_iter().flatten()
}

/// Returns the key of the flow whose packets come in by an alias, to an endpoint inside.
pub(crate) fn flow_key(alias: &AliasKey, inside: Mapped) -> FlowKey {
    let mut from = alias.source().endpoint();
    if alias.protocol() == PROTOCOL_ICMP {
        // Both ends of a query have one identifier, and it is another one outside.
        from.port = inside.port;
    }
    let (key, _) = FlowKey::new(alias.protocol(), from, inside.endpoint());
    key
}

/// Lists the keys, of the side outside, of the bindings that a flow uses.
pub(crate) fn bindings(key: &FlowKey, flow: &Flow) -> impl Iterator<Item = BindingKey> + use<> {
    let (originator, _) = flow.ends(key);
    let protocol = key.protocol();
    // What goes out as itself may be bound to itself, so that nobody else gets its port.
    let itself = if leaves_by(flow) == 0 { Mapped::NONE } else { Mapped::of(originator) };
    let source = if flow.source.is_set() { flow.source } else { itself };
    [source, flow.destination]
        .into_iter()
        .filter(Mapped::is_set)
        .map(move |outside| BindingKey::outside(protocol, outside))
}

/// Returns the keys of both ends of a binding, the inside first, by the entry of either one.
pub(crate) fn ends(key: &BindingKey, binding: &Binding) -> (BindingKey, BindingKey) {
    let protocol = key.protocol();
    match key.side() {
        Side::Inside => (*key, BindingKey::outside(protocol, binding.other)),
        Side::Outside => (BindingKey::inside(protocol, binding.other, key.endpoint().addr), *key),
    }
}

/// Returns the index of the interface that the first packet of a flow came by, 0 where the host sent
/// it.
pub(crate) fn comes_by(flow: &Flow) -> u32 {
    match flow.way() {
        Way::In | Way::Forward => flow.interface,
        Way::Out | Way::Prerouting | Way::Postrouting => 0,
    }
}

/// Returns the index of the interface that the first packet of a flow left by, 0 where it was for
/// the host.
pub(crate) fn leaves_by(flow: &Flow) -> u32 {
    match flow.way() {
        Way::Forward => flow.output,
        Way::Out => flow.interface,
        Way::In | Way::Prerouting | Way::Postrouting => 0,
    }
}

/// Makes translated flows for the tests of whoever looks at them.
#[cfg(test)]
pub(crate) mod tests {
    use amanda_fw_common::wire::{PROTOCOL_TCP, PROTOCOL_UDP};

    use super::*;

    pub(crate) const LAN: u32 = 2;
    pub(crate) const WAN: u32 = 3;

    /// Takes an endpoint of IPv4.
    pub(crate) fn mapped(text: &str) -> Mapped {
        let address: std::net::SocketAddrV4 = text.parse().expect("an address and a port");
        Mapped::new(address.ip().to_bits(), address.port())
    }

    /// Makes a flow through the host that was last seen at a time.
    pub(crate) fn forwarded(
        protocol: u8,
        [originator, responder]: [&str; 2],
        [input, output]: [u32; 2],
        seen: u64,
    ) -> (FlowKey, Flow) {
        let (from, to) = (mapped(originator).endpoint(), mapped(responder).endpoint());
        let (key, forward) = FlowKey::new(protocol, from, to);
        let mut flow = Flow::begin(forward, Way::Forward, false, seen);
        (flow.interface, flow.output) = (input, output);
        (key, flow)
    }

    /// Makes a flow of a host inside whose source is translated.
    pub(crate) fn masqueraded(protocol: u8, inside: &str, outside: &str) -> (FlowKey, Flow) {
        let (key, mut flow) = forwarded(protocol, [inside, "203.0.113.5:53"], [LAN, WAN], 0);
        flow.route(mapped(outside));
        (key, flow)
    }

    fn check_aliases(key: &FlowKey, flow: &Flow, expected: &[[&str; 3]]) {
        let found: Vec<AliasKey> = aliases(key, flow).collect();
        let alias =
            |[from, to, _]: &[&str; 3]| AliasKey::new(key.protocol(), mapped(from), mapped(to));
        assert_eq!(found, expected.iter().map(alias).collect::<Vec<_>>());
        for (alias, [_, _, inside]) in found.iter().zip(expected) {
            assert_eq!(flow_key(alias, mapped(inside)), *key, "{alias:?}");
        }
    }

    #[test]
    fn answers_come_to_the_endpoint_outside() {
        let (key, flow) = masqueraded(PROTOCOL_UDP, "192.168.0.7:4000", "198.51.100.1:4001");
        let expected = ["203.0.113.5:53", "198.51.100.1:4001", "192.168.0.7:4000"];
        check_aliases(&key, &flow, &[expected]);
    }

    #[test]
    fn both_ends_of_a_flow_may_be_translated() {
        let ends = ["192.168.0.7:4000", "192.168.0.2:22"];
        let (key, mut flow) = forwarded(PROTOCOL_TCP, ends, [LAN, LAN], 0);
        flow.destination = mapped("198.51.100.1:2222");
        flow.route(mapped("198.51.100.1:4001"));
        check_aliases(
            &key,
            &flow,
            &[
                ["192.168.0.2:22", "198.51.100.1:4001", "192.168.0.7:4000"],
                ["192.168.0.7:4000", "198.51.100.1:2222", "192.168.0.2:22"],
            ],
        );
    }

    #[test]
    fn a_query_has_another_identifier_outside() {
        let ends = ["192.168.0.7:9", "203.0.113.5:9"];
        let (key, mut flow) = forwarded(PROTOCOL_ICMP, ends, [LAN, WAN], 0);
        flow.route(mapped("198.51.100.1:10"));
        let expected = ["203.0.113.5:10", "198.51.100.1:10", "192.168.0.7:9"];
        check_aliases(&key, &flow, &[expected]);
    }

    #[test]
    fn a_flow_uses_what_its_ends_are_known_as() {
        let (key, mut flow) = masqueraded(PROTOCOL_UDP, "192.168.0.7:4000", "198.51.100.1:4001");
        let outside = |text| BindingKey::outside(PROTOCOL_UDP, mapped(text));
        let used = |flow: &Flow| bindings(&key, flow).collect::<Vec<_>>();
        assert_eq!(used(&flow), [outside("198.51.100.1:4001")]);
        flow.route(Mapped::NONE);
        flow.destination = mapped("198.51.100.1:53");
        assert_eq!(used(&flow), [outside("192.168.0.7:4000"), outside("198.51.100.1:53")]);
        let incoming = Flow::begin(true, Way::In, false, 0);
        assert_eq!(used(&incoming), []);
    }

    #[test]
    fn either_entry_of_a_binding_tells_both_ends() {
        let (inside, outside) = (mapped("192.168.0.7:4000"), mapped("198.51.100.1:4001"));
        let ends_of = |key: BindingKey, other| ends(&key, &Binding::new(other, WAN, 0, 0));
        let by_inside = ends_of(BindingKey::inside(PROTOCOL_UDP, inside, outside.addr), outside);
        let by_outside = ends_of(BindingKey::outside(PROTOCOL_UDP, outside), inside);
        assert_eq!(by_inside, by_outside);
    }
}
