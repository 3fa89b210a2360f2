//! Networks as people write and read them.

use std::net::IpAddr;

use amanda_fw_common::addr::{Addr, Network};

/// Bits of the mapped form that stand before an IPv4 address.
const MAPPED_BITS: u8 = 96;

/// Reads an address or a CIDR; says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Network, String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let ip = address.parse::<IpAddr>().map_err(|_| format!("\"{text}\" is no address"))?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(digits) => digits.parse::<u8>().ok().filter(|&prefix| prefix <= bits),
        None => Some(bits),
    };
    let prefix =
        prefix.ok_or_else(|| format!("the prefix of \"{text}\" is not from 0 to {bits}"))?;
    let network = of(ip, prefix);
    if network.addr() != Addr::from(ip) {
        let whole = display(&network);
        return Err(format!("\"{text}\" has bits after its prefix: write {whole} or {ip}"));
    }
    Ok(network)
}

/// Tells whether a network holds the place where IPv4 is mapped, and more: as written, it means
/// only what of it is IPv6.
pub(super) fn is_wide(network: &Network) -> bool {
    network.prefix() < u32::from(MAPPED_BITS) && network.contains(Addr::v4([0; 4]))
}

/// Tells whether a network is IPv4.
pub(super) fn is_v4(network: &Network) -> bool {
    network.prefix() >= u32::from(MAPPED_BITS) && network.addr().is_v4()
}

/// Returns all of IPv4.
pub(super) fn all_v4() -> Network {
    Network::new(Addr::v4([0; 4]), MAPPED_BITS)
}

/// Tells whether a network lies in another.
pub(super) fn holds(outer: &Network, inner: &Network) -> bool {
    outer.prefix() <= inner.prefix() && outer.contains(inner.addr())
}

/// Takes IPv4 out of a network that [`is_wide`]: what is left are its other halves, one for each
/// bit down to the place where IPv4 is mapped.
pub(super) fn without_v4(network: &Network) -> Vec<Network> {
    let mapped = u128::from_be_bytes(Addr::v4([0; 4]).octets());
    let other_half = |prefix: u32| {
        let bits = mapped ^ (1_u128 << (128 - prefix));
        Network::new(Addr::from(bits.to_be_bytes()), prefix as u8)
    };
    (network.prefix() + 1..=u32::from(MAPPED_BITS)).map(other_half).collect()
}

/// Returns the network of an address and the length of its prefix in the address's own bits.
pub(super) fn of(ip: IpAddr, prefix: u8) -> Network {
    let mapped = if ip.is_ipv4() { MAPPED_BITS } else { 0 };
    Network::new(ip.into(), prefix.saturating_add(mapped))
}

/// Writes a network as it is written in a configuration.
pub(crate) fn display(network: &Network) -> String {
    if *network == Network::ANY {
        return "any".to_owned();
    }
    let (addr, prefix) = (network.addr(), network.prefix());
    match prefix {
        128 => addr.to_string(),
        _ if addr.is_v4() => {
            format!("{addr}/{}", prefix.saturating_sub(u32::from(MAPPED_BITS)))
        }
        _ => format!("{addr}/{prefix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = parse(text).map(|network| display(&network));
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_network_reads_as_it_was_written() {
        for text in ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::1", "fe80::/10", "::/64"] {
            check(text, Ok(text));
        }
        check("10.0.0.1/32", Ok("10.0.0.1"));
        check("::ffff:10.0.0.1", Ok("10.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        check("10.0.0", Err("\"10.0.0\" is no address"));
        check("10.0.0.0/33", Err("the prefix of \"10.0.0.0/33\" is not from 0 to 32"));
        check("fe80::/x", Err("the prefix of \"fe80::/x\" is not from 0 to 128"));
        check(
            "10.0.0.1/8",
            Err("\"10.0.0.1/8\" has bits after its prefix: write 10.0.0.0/8 or 10.0.0.1"),
        );
    }

    #[test]
    fn what_is_left_of_ipv6_without_ipv4_is_all_of_ipv6_and_no_ipv4() {
        check("::ffff:0:0/96", Ok("0.0.0.0/0"));
        for (text, inside) in [("::/0", "2001:db8::1"), ("::/64", "::fffe:1.2.3.4")] {
            let wide = parse(text).expect("a network");
            assert!(is_wide(&wide));
            let left = without_v4(&wide);
            let holds = |ip: &str| {
                let ip: IpAddr = ip.parse().expect("an address");
                left.iter().filter(|network| network.contains(ip.into())).count()
            };
            assert_eq!((holds(inside), holds("::1"), holds("1.2.3.4")), (1, 1, 0), "{text}");
        }
    }
}
