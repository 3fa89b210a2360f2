//! What networks are to Amanda, in a form in which the longest prefix alone decides.

use amanda_fw_common::addr::Network;
use amanda_fw_common::rules::role;

use super::network::holds;

/// The most networks that may have a role: the size of the table.
pub(super) const MAX_ROLES: usize = 1024;

/// Gives each network the bits of all the networks that contain it.
pub(super) fn compile(servers: &[Network], clients: &[Network]) -> Vec<(Network, u8)> {
    let with = |networks: &[Network], bit| -> Vec<(Network, u8)> {
        networks.iter().map(|&network| (network, bit)).collect()
    };
    let named = [with(servers, role::SERVER), with(clients, role::CLIENT)].concat();
    let mut roles: Vec<(Network, u8)> =
        named.iter().map(|&(network, _)| (network, bits_of(&network, &named))).collect();
    roles.sort_by_key(|(network, _)| (network.addr().octets(), network.prefix()));
    roles.dedup();
    roles
}

fn bits_of(network: &Network, named: &[(Network, u8)]) -> u8 {
    let containing = named.iter().filter(|(other, _)| holds(other, network));
    containing.fold(0, |bits, (_, bit)| bits | bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network;

    fn networks(texts: &[&str]) -> Vec<Network> {
        let parse = |text: &&str| match *text {
            "any" => Network::ANY,
            text => network::parse(text).expect("a network"),
        };
        texts.iter().map(parse).collect()
    }

    fn check(servers: &[&str], clients: &[&str], expected: &[(&str, u8)]) {
        let roles = compile(&networks(servers), &networks(clients));
        let found: Vec<(String, u8)> =
            roles.iter().map(|(network, bits)| (network::display(network), *bits)).collect();
        let expected: Vec<(String, u8)> =
            expected.iter().map(|&(network, bits)| (network.to_owned(), bits)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_host_has_the_roles_of_its_networks() {
        check(&["10.0.0.1"], &["10.0.0.0/8"], &[("10.0.0.0/8", 2), ("10.0.0.1", 3)]);
        check(&["10.0.0.0/8"], &["10.1.0.0/16"], &[("10.0.0.0/8", 1), ("10.1.0.0/16", 3)]);
        check(&["10.0.0.1"], &["any"], &[("any", 2), ("10.0.0.1", 3)]);
    }

    #[test]
    fn a_network_named_twice_is_one_entry() {
        check(&["10.0.0.1", "10.0.0.1"], &["10.0.0.1"], &[("10.0.0.1", 3)]);
    }

    #[test]
    fn networks_apart_have_roles_of_their_own() {
        check(&["10.0.0.1"], &["10.0.0.2"], &[("10.0.0.1", 1), ("10.0.0.2", 2)]);
        check(&["0.0.0.0/0"], &["2000::/3"], &[("0.0.0.0/0", 1), ("2000::/3", 2)]);
    }
}
