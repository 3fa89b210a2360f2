//! Addresses of both families in one form: IPv4 stands mapped in IPv6 (RFC 4291, 2.5.5.2).

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};

/// An IPv4 or IPv6 address: 16 bytes in network order, held as two native words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Addr {
    words: [u64; 2],
}

impl Addr {
    /// The bytes that stand before an IPv4 address in its mapped form.
    const V4_PREFIX: [u8; 4] = [0, 0, 0xff, 0xff];

    /// The address of nobody, `::`.
    pub const UNSPECIFIED: Self = Self { words: [0; 2] };

    /// Maps an IPv4 address.
    #[inline(always)]
    pub const fn v4(a: [u8; 4]) -> Self {
        let [p0, p1, p2, p3] = Self::V4_PREFIX;
        let [a0, a1, a2, a3] = a;
        Self { words: [0, u64::from_ne_bytes([p0, p1, p2, p3, a0, a1, a2, a3])] }
    }

    /// Takes an IPv6 address.
    #[inline(always)]
    pub const fn v6(high: [u8; 8], low: [u8; 8]) -> Self {
        Self { words: [u64::from_ne_bytes(high), u64::from_ne_bytes(low)] }
    }

    /// Returns the address's 16 bytes in network order.
    pub fn octets(self) -> [u8; 16] {
        bytemuck::cast(self.words)
    }

    /// Tells whether the address is IPv4.
    pub fn is_v4(self) -> bool {
        matches!(self.ip(), IpAddr::V4(_))
    }

    /// Returns the address as the standard library knows it, unmapped.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.octets()).to_canonical()
    }

    /// Returns an IPv4 address as a number.
    #[inline(always)]
    pub const fn v4_bits(self) -> Option<u32> {
        const V4_HIGH: u64 = Addr::v4([0; 4]).words[1];
        let [high, low] = self.words;
        let is_v4 = high == 0 && u64::from_be(low ^ V4_HIGH) >> 32 == 0;
        if is_v4 { Some(u64::from_be(low) as u32) } else { None }
    }

    /// Tells whether the address is one host's: not unspecified, multicast, broadcast or loopback.
    #[inline(always)]
    pub const fn is_host(self) -> bool {
        let [high, low] = self.words;
        let [first, ..] = high.to_ne_bytes();
        match self.v4_bits() {
            // RFC 1122, 3.2.1.3: 0/8, 127/8; 224/4 and 240/4 with 255.255.255.255.
            Some(bits) => {
                let first = bits >> 24;
                first != 0 && first != 127 && first < 224
            }
            // ::/128 and ::1/128 stand for nobody else; ff00::/8 for many.
            None => first != 0xff && !(high == 0 && u64::from_be(low) <= 1),
        }
    }

    /// Keeps the bits that a mask has.
    #[inline(always)]
    pub const fn masked(self, mask: Self) -> Self {
        let [a, b] = self.words;
        let [m, n] = mask.words;
        Self { words: [a & m, b & n] }
    }

    /// Returns the two native words, for hashing.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        self.words
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        let octets = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Self { words: bytemuck::cast(octets) }
    }
}

impl From<[u8; 16]> for Addr {
    fn from(octets: [u8; 16]) -> Self {
        Self { words: bytemuck::cast(octets) }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), f)
    }
}

/// An address and a port; the port is in host order, and is the identifier for ICMP echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Zeroable)]
pub struct Endpoint {
    /// The host.
    pub addr: Addr,
    /// The port, or the identifier of an ICMP echo.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr.ip() {
            IpAddr::V4(v4) => write!(f, "{v4}:{}", self.port),
            IpAddr::V6(v6) => write!(f, "[{v6}]:{}", self.port),
        }
    }
}

/// A network: an address and the mask of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Network {
    addr: Addr,
    mask: Addr,
}

impl Network {
    /// Every address of both families.
    pub const ANY: Self = Self { addr: Addr::UNSPECIFIED, mask: Addr::UNSPECIFIED };

    /// Takes the network of an address, its prefix counted in the 128 bits of the mapped form.
    pub fn new(addr: Addr, prefix: u8) -> Self {
        let shift = u32::from(prefix).min(128);
        let bits = u128::MAX.checked_shl(128_u32.saturating_sub(shift)).unwrap_or(0);
        let mask = Addr::from(bits.to_be_bytes());
        Self { addr: addr.masked(mask), mask }
    }

    /// Tells whether an address lies in the network.
    #[inline(always)]
    pub fn contains(&self, addr: Addr) -> bool {
        addr.masked(self.mask) == self.addr
    }

    /// Returns the prefix length in the 128 bits of the mapped form.
    pub fn prefix(&self) -> u32 {
        u128::from_be_bytes(self.mask.octets()).leading_ones()
    }

    /// Returns the network's first address.
    pub fn addr(&self) -> Addr {
        self.addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(addr: &str, prefix: u8) -> Network {
        Network::new(addr.parse::<IpAddr>().expect("an address").into(), prefix)
    }

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().expect("an address").into()
    }

    #[test]
    fn an_ipv4_address_reads_as_itself() {
        assert_eq!(Addr::v4([192, 168, 2, 3]).to_string(), "192.168.2.3");
        assert_eq!(Addr::v4([192, 168, 2, 3]), addr("192.168.2.3"));
    }

    #[test]
    fn a_network_holds_its_own_addresses_only() {
        assert!(net("192.168.0.0", 96 + 16).contains(addr("192.168.255.1")));
        assert!(!net("192.168.0.0", 96 + 16).contains(addr("192.169.0.1")));
        assert!(net("2001:db8::", 32).contains(addr("2001:db8:1::5")));
        assert!(!net("2001:db8::", 32).contains(addr("2001:db9::5")));
    }

    #[test]
    fn a_host_is_one() {
        for host in ["10.0.0.1", "223.1.1.1", "2001:db8::1", "fe80::1", "::2"] {
            assert!(addr(host).is_host(), "{host}");
        }
        for other in
            ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"]
        {
            assert!(!addr(other).is_host(), "{other}");
        }
    }

    #[test]
    fn any_holds_both_families() {
        assert!(Network::ANY.contains(addr("1.2.3.4")));
        assert!(Network::ANY.contains(addr("fe80::1")));
    }

    #[test]
    fn all_of_ipv4_holds_no_ipv6() {
        assert!(net("0.0.0.0", 96).contains(addr("1.2.3.4")));
        assert!(!net("0.0.0.0", 96).contains(addr("fe80::1")));
    }
}
