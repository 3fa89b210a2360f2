//! What a packet may and may not have in one of its fields, and how two such wishes combine.

use std::net::IpAddr;

/// One thing that a field may have: a port range, a network, a name.
pub(super) trait Part: Clone + PartialEq {
    /// Returns what both have in common.
    fn overlap(&self, other: &Self) -> Option<Self>;

    /// Tells whether all of the other is in this.
    fn covers(&self, other: &Self) -> bool {
        self.overlap(other).as_ref() == Some(other)
    }
}

/// One of the wanted, if there are any, and none of the unwanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Field<T> {
    /// Empty for any.
    pub(super) wanted: Vec<T>,
    /// What is excluded.
    pub(super) unwanted: Vec<T>,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self { wanted: Vec::new(), unwanted: Vec::new() }
    }
}

impl<T: Part> Field<T> {
    /// Wants one of these, or none of these.
    pub(super) fn new(parts: Vec<T>, is_not: bool) -> Self {
        let empty = Vec::new();
        match is_not {
            false => Self { wanted: parts, unwanted: empty },
            true => Self { wanted: empty, unwanted: parts },
        }
    }

    /// Tells whether anything will do.
    pub(super) fn is_any(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    /// Returns what both allow, or nothing where nothing can be both.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let mut unwanted = self.unwanted.clone();
        unwanted
            .extend(other.unwanted.iter().filter(|part| !self.unwanted.contains(part)).cloned());
        let wanted = match (self.wanted.is_empty(), other.wanted.is_empty()) {
            (true, true) => return Some(Self { wanted: Vec::new(), unwanted }),
            (true, false) => other.wanted.clone(),
            (false, true) => self.wanted.clone(),
            (false, false) => overlaps(&self.wanted, &other.wanted),
        };
        let is_left = |part: &T| !unwanted.iter().any(|not| not.covers(part));
        let wanted: Vec<T> = wanted.into_iter().filter(is_left).collect();
        // An exclusion that touches nothing wanted says nothing.
        unwanted.retain(|not| wanted.iter().any(|part| part.overlap(not).is_some()));
        (!wanted.is_empty()).then_some(Self { wanted, unwanted })
    }

    /// Returns the opposite, where one field can say it.
    pub(super) fn not(&self) -> Option<Self> {
        let Self { wanted, unwanted } = self;
        (wanted.is_empty() != unwanted.is_empty())
            .then(|| Self { wanted: unwanted.clone(), unwanted: wanted.clone() })
    }

    /// Tells whether the other allows all that this allows.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let in_other = |part: &T| other.wanted.iter().any(|wide| wide.covers(part));
        let is_out = |not: &T| {
            self.unwanted.iter().any(|wide| wide.covers(not))
                || !self.wanted.is_empty() && self.wanted.iter().all(|p| p.overlap(not).is_none())
        };
        let is_wanted =
            other.wanted.is_empty() || !self.wanted.is_empty() && self.wanted.iter().all(in_other);
        is_wanted && other.unwanted.iter().all(is_out)
    }
}

fn overlaps<T: Part>(ones: &[T], others: &[T]) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for one in ones {
        found.extend(others.iter().filter_map(|other| one.overlap(other)));
    }
    let mut once = Vec::new();
    for part in found {
        if !once.contains(&part) {
            once.push(part);
        }
    }
    once
}

/// A range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ports(pub(super) u16, pub(super) u16);

impl Part for Ports {
    fn overlap(&self, other: &Self) -> Option<Self> {
        let (low, high) = (self.0.max(other.0), self.1.min(other.1));
        (low <= high).then_some(Self(low, high))
    }
}

/// A network: its first address, and the bits that its addresses share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Net(pub(super) IpAddr, pub(super) u8);

impl Part for Net {
    fn overlap(&self, other: &Self) -> Option<Self> {
        let (wide, narrow) = if self.1 <= other.1 { (self, other) } else { (other, self) };
        wide.holds(narrow.0).then_some(*narrow)
    }
}

impl Net {
    /// Returns the network of an address.
    pub(super) fn of(address: IpAddr, prefix: u8) -> Self {
        let masked = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        };
        Self(masked, prefix)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.0.is_ipv4() == address.is_ipv4() && Self::of(address, self.1) == *self
    }
}

/// A name or a number that only meets itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Word(pub(super) String);

impl Part for Word {
    fn overlap(&self, other: &Self) -> Option<Self> {
        (self == other).then(|| self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field<Ports> {
        let part = |text: &str| {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            Ports(low.parse().expect("a port"), high.parse().expect("a port"))
        };
        let (not, wanted): (Vec<&str>, Vec<&str>) =
            text.split_whitespace().partition(|word| word.starts_with('!'));
        Field {
            wanted: wanted.into_iter().map(part).collect(),
            unwanted: not.into_iter().map(|word| part(&word[1..])).collect(),
        }
    }

    fn check(one: &str, other: &str, both: Option<&str>) {
        assert_eq!(field(one).and(&field(other)), both.map(field), "{one} and {other}");
    }

    #[test]
    fn two_wishes_leave_what_both_allow() {
        check("", "22", Some("22"));
        check("20-30", "25-40", Some("25-30"));
        check("22 80", "80 443", Some("80"));
        check("22", "80", None);
        check("1-1023", "!22", Some("1-1023 !22"));
        check("22", "!22", None);
        check("22", "!80", Some("22"));
        check("!22", "!80", Some("!22 !80"));
    }

    #[test]
    fn a_network_meets_the_networks_around_it_and_none_of_the_other_family() {
        let net = |text: &str, bits| Net::of(text.parse().expect("an address"), bits);
        let (wide, narrow) = (net("10.0.0.0", 8), net("10.2.3.4", 16));
        assert_eq!(narrow, net("10.2.0.0", 16));
        assert_eq!(wide.overlap(&narrow), Some(narrow));
        assert_eq!(wide.overlap(&net("11.0.0.0", 16)), None);
        assert_eq!(net("0.0.0.0", 0).overlap(&net("::", 0)), None);
    }

    #[test]
    fn within_is_never_said_too_early() {
        let within = |one: &str, other: &str| field(one).is_within(&field(other));
        assert!(within("22", "20-30") && within("22", "") && within("22", "!80"));
        assert!(within("!80-90", "!85"));
        assert!(!within("", "22") && !within("20-40", "20-30") && !within("1-99", "!80"));
        assert!(!within("!80", "22"));
    }
}
