//! The ways in which Amanda's hosts prove themselves to each other, and the ports that each needs.

use bytemuck::{Pod, Zeroable};

use crate::connect::PortRange;
use crate::numbered::numbered;
use crate::rules::role;
use crate::wire::{PROTOCOL_TCP, PROTOCOL_UDP};

numbered! {
    /// An authentication of Amanda, by its name in amanda.conf; `classic` is amoldrecover's.
    pub enum Auth: u8 {
        /// Requests over UDP, and a TCP connection for each stream.
        Bsd = 0 "bsd",
        /// Requests over UDP, and one TCP connection for all streams.
        BsdUdp = 1 "bsdudp",
        /// One TCP connection for everything, from a privileged port.
        BsdTcp = 2 "bsdtcp",
        /// One TCP connection for everything, encrypted.
        Ssl = 3 "ssl",
        /// One TCP connection for everything, to a port of its own.
        Krb5 = 4 "krb5",
        /// A login.
        Ssh = 5 "ssh",
        /// No network.
        Local = 6 "local",
        /// What recoveries were before 2.5: a connection for the index, one for the tape, and a
        /// third one to the port that the second one names.
        Classic = 7 "classic",
    }
}

impl Auth {
    /// Those that a configuration has which names none: they share one port.
    pub const DEFAULT: [Self; 4] = [Self::Bsd, Self::BsdUdp, Self::BsdTcp, Self::Ssl];

    /// Returns the auth's bit among [`Opening::auths`].
    pub const fn bit(self) -> u16 {
        1 << self.number()
    }

    /// Returns the bits of several.
    pub fn bits(auths: &[Self]) -> u16 {
        auths.iter().fold(0, |bits, auth| bits | auth.bit())
    }
}

/// Ports that only root may connect from.
pub const PRIVILEGED: PortRange = PortRange { low: 1, high: 1023 };

/// Every port that a connection may come from.
const ANY_SOURCE: PortRange = PortRange { low: 0, high: u16::MAX };

/// `AMANDA_KRB5_DEFAULT_PORT`, where /etc/services has no `k5amanda` (common-src/krb5-security.c).
const KRB5_PORT: u16 = 10082;

/// `amandaidx` of /etc/services.
const INDEX_PORT: u16 = 10082;

/// `amidxtape` of /etc/services.
pub const TAPE_PORT: u16 = 10083;

/// The port of ssh.
const SSH_PORT: u16 = 22;

/// What an opening is for, as bits.
pub mod purpose {
    /// A server asks a client, or a client its server.
    pub const EITHER_WAY: u8 = 1;
    /// A client recovers from its server.
    pub const RECOVERY: u8 = 2;
    /// The server announces a port within the connection, before anything else.
    pub const ANNOUNCES: u8 = 4;
}

/// A port that is open between hosts for what they are to Amanda; protocol 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Opening {
    /// The bits of the auths that need it.
    pub auths: u16,
    /// The port.
    pub port: u16,
    /// The lowest port that packets come from.
    pub source_low: u16,
    /// The highest port that packets come from.
    pub source_high: u16,
    /// TCP or UDP.
    pub protocol: u8,
    /// The bits of its [`purpose`].
    pub purpose: u8,
    pad: u16,
}

/// The openings of one configuration.
pub type Openings = [Opening; 6];

impl Opening {
    /// Makes the opening that some auths need, or none where there are none.
    fn new(auths: u16, protocol: u8, port: u16, sources: PortRange, purpose: u8) -> Self {
        if auths == 0 {
            return Self::default();
        }
        let PortRange { low: source_low, high: source_high } = sources;
        Self { auths, port, source_low, source_high, protocol, purpose, pad: 0 }
    }

    /// Tells whether there is one at all.
    pub const fn is_there(&self) -> bool {
        self.protocol != 0
    }

    /// Returns the ports that packets come from.
    #[inline(always)]
    pub const fn sources(&self) -> PortRange {
        PortRange { low: self.source_low, high: self.source_high }
    }

    /// Lists the auths that need it.
    pub fn auths(&self) -> impl Iterator<Item = Auth> + use<> {
        let bits = self.auths;
        Auth::ALL.iter().copied().filter(move |auth| bits & auth.bit() != 0)
    }

    /// Tells whether a packet that may begin a flow goes this way.
    #[inline(always)]
    pub fn fits(&self, protocol: u8, source_port: u16, port: u16) -> bool {
        self.protocol == protocol && self.port == port && self.sources().contains(source_port)
    }
}

/// Returns what some auths open.
pub fn openings(auths: u16, control_port: u16, control_sources: PortRange) -> Openings {
    use purpose::{ANNOUNCES, EITHER_WAY, RECOVERY};
    let of = |named: &[Auth]| auths & Auth::bits(named);
    let tcp = |named: &[Auth], port, sources, purpose| {
        Opening::new(of(named), PROTOCOL_TCP, port, sources, purpose)
    };
    let udp = of(&[Auth::Bsd, Auth::BsdUdp]);
    // The two share a port, and nobody can tell them apart before the handshake.
    let sources = if of(&[Auth::Ssl]) == 0 { PRIVILEGED } else { ANY_SOURCE };
    [
        Opening::new(udp, PROTOCOL_UDP, control_port, control_sources, EITHER_WAY),
        tcp(&[Auth::BsdTcp, Auth::Ssl], control_port, sources, EITHER_WAY),
        // `runkrb5` binds to no privileged port (common-src/krb5-security.c).
        tcp(&[Auth::Krb5], KRB5_PORT, ANY_SOURCE, EITHER_WAY),
        tcp(&[Auth::Ssh], SSH_PORT, ANY_SOURCE, EITHER_WAY),
        tcp(&[Auth::Classic], INDEX_PORT, PRIVILEGED, RECOVERY),
        tcp(&[Auth::Classic], TAPE_PORT, PRIVILEGED, RECOVERY | ANNOUNCES),
    ]
}

/// Returns the bits of [`purpose`] that a packet has which may begin a flow.
#[inline(always)]
pub fn purposes(openings: &Openings, protocol: u8, source_port: u16, port: u16) -> u8 {
    openings.iter().fold(0, |purposes, opening| {
        if opening.fits(protocol, source_port, port) {
            purposes | opening.purpose
        } else {
            purposes
        }
    })
}

/// Keeps of some bits of [`purpose`] those that two hosts may have, by their bits of [`role`].
#[inline(always)]
pub const fn permitted(purposes: u8, initiator: u8, responder: u8) -> u8 {
    let recovers = initiator & role::CLIENT != 0 && responder & role::SERVER != 0;
    let recovery = if recovers { purpose::RECOVERY | purpose::ANNOUNCES } else { 0 };
    let either = if role::may_control(initiator, responder) { purpose::EITHER_WAY } else { 0 };
    purposes & (recovery | either)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: PortRange = PortRange { low: 700, high: 710 };
    const SERVER: u8 = role::SERVER;
    const CLIENT: u8 = role::CLIENT;

    /// Compares what is open between a server and its client, with the ports that it is open to.
    fn check(auths: &[Auth], expected: &[(u8, u16, u16, u16)]) {
        let openings = openings(Auth::bits(auths), 10080, SOURCES);
        let there = openings.iter().filter(|opening| opening.is_there());
        let found: Vec<_> =
            there.map(|o| (o.protocol, o.port, o.source_low, o.source_high)).collect();
        assert_eq!(found, expected, "{auths:?}");
    }

    #[test]
    fn each_auth_opens_its_ports() {
        check(&[Auth::Bsd], &[(17, 10080, 700, 710)]);
        check(&[Auth::BsdUdp], &[(17, 10080, 700, 710)]);
        check(&[Auth::BsdTcp], &[(6, 10080, 1, 1023)]);
        check(&[Auth::Ssl], &[(6, 10080, 0, 65535)]);
        check(&[Auth::BsdTcp, Auth::Ssl], &[(6, 10080, 0, 65535)]);
        check(&[Auth::Krb5], &[(6, 10082, 0, 65535)]);
        check(&[Auth::Ssh], &[(6, 22, 0, 65535)]);
        check(&[Auth::Local], &[]);
        check(&[Auth::Classic], &[(6, 10082, 1, 1023), (6, 10083, 1, 1023)]);
        check(&Auth::DEFAULT, &[(17, 10080, 700, 710), (6, 10080, 0, 65535)]);
    }

    #[test]
    fn an_opening_names_the_auths_that_need_it() {
        let openings = openings(Auth::bits(Auth::ALL), 10080, SOURCES);
        let names: Vec<Vec<&str>> =
            openings.iter().map(|opening| opening.auths().map(Auth::name).collect()).collect();
        let expected: [&[&str]; 6] = [
            &["bsd", "bsdudp"],
            &["bsdtcp", "ssl"],
            &["krb5"],
            &["ssh"],
            &["classic"],
            &["classic"],
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn hosts_may_do_what_their_roles_say() {
        use purpose::{ANNOUNCES, EITHER_WAY, RECOVERY};
        let all = EITHER_WAY | RECOVERY | ANNOUNCES;
        assert_eq!(permitted(all, SERVER, CLIENT), EITHER_WAY);
        assert_eq!(permitted(all, CLIENT, SERVER), all);
        assert_eq!(permitted(RECOVERY, SERVER, CLIENT), 0);
        for (a, b) in [(0, SERVER), (SERVER, 0), (CLIENT, CLIENT), (SERVER, SERVER)] {
            assert_eq!(permitted(all, a, b), 0, "{a} {b}");
        }
    }

    #[test]
    fn what_is_not_there_fits_no_packet() {
        let openings = openings(0, 10080, SOURCES);
        assert_eq!(purposes(&openings, 0, 0, 0), 0);
        assert_eq!(purposes(&openings, PROTOCOL_TCP, 700, 10080), 0);
    }
}
