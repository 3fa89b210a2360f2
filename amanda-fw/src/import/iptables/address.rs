//! Addresses as iptables takes them: `10/8`, `192.168.0.0/255.255.0.0`, `0/0`, lists.

use std::net::{IpAddr, Ipv4Addr};

use super::field::Net;

/// Reads a list of networks, or says what is wrong.
pub(super) fn list(text: &str) -> Result<Vec<Net>, String> {
    text.split(',').map(network).collect()
}

fn network(text: &str) -> Result<Net, String> {
    let (address, mask) = text.split_once('/').map_or((text, None), |(a, mask)| (a, Some(mask)));
    let ip = parse(address, mask.is_some())
        .ok_or_else(|| format!("{address} is no address: name it in [hosts] with its addresses"))?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match mask {
        None => Some(bits),
        Some(mask) => mask
            .parse()
            .ok()
            .filter(|&p| p <= bits)
            .or_else(|| prefix_of(mask))
            .filter(|&p| p <= bits),
    };
    let prefix = prefix.ok_or_else(|| format!("the mask of {text} is no prefix"))?;
    Ok(Net::of(ip, prefix))
}

/// Reads an address; before a mask, IPv4 may leave its last bytes away.
fn parse(text: &str, is_masked: bool) -> Option<IpAddr> {
    let missing = 3usize.saturating_sub(text.matches('.').count());
    let short = || format!("{text}{}", ".0".repeat(missing)).parse().ok();
    text.parse().ok().or_else(|| if is_masked { short() } else { None })
}

/// Returns the prefix of a mask of addresses: `255.255.0.0`.
fn prefix_of(mask: &str) -> Option<u8> {
    let (bits, length) = match mask.parse().ok()? {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, Ipv4Addr::BITS),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ones = bits.leading_ones();
    (bits.count_ones() == ones && ones <= length).then(|| ones.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u8)>) {
        let found = list(text).ok().map(|nets| nets[0]);
        let expected = expected.map(|(ip, prefix)| Net(ip.parse().expect("an address"), prefix));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn masks_are_prefixes_or_addresses() {
        check("192.168.1.1", Some(("192.168.1.1", 32)));
        check("192.168.0.0/255.255.0.0", Some(("192.168.0.0", 16)));
        check("192.168.2.5/24", Some(("192.168.2.0", 24)));
        check("0/0", Some(("0.0.0.0", 0)));
        check("10/8", Some(("10.0.0.0", 8)));
        check("2001:db8::1/ffff:ffff::", Some(("2001:db8::", 32)));
        check("10.0.0.1/255.0.0.255", None);
        check("10.0.0.1/33", None);
        check("10.0.0.1/ffff:ffff:ffff::", None);
        check("backup.example.org", None);
    }
}
