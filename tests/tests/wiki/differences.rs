//! The differences that are meant: why, and of which packets.

use amanda_fw_tests::frames::SYN;

use crate::matrix::{IMPOSSIBLE, Kind, Probe};

/// Something that one of the two lets in, and the other does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// iptables alone lets it in.
    Lost,
    /// amanda-fw alone lets it in.
    Gained,
}

/// A difference that must occur where it is named, and explains what is found there.
#[derive(Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) reason: &'static str,
    pub(crate) explains: fn(&Probe, Finding) -> bool,
}

pub(crate) const IMPOSSIBLE_FLAGS: Difference = Difference {
    reason: "A rule of iptables lets segments in whatever their flags are; amanda-fw drops those whose \
             flags no connection has, before any rule: only scanners send them.",
    explains: |probe, finding| {
        let is_impossible = matches!(probe.kind, Kind::Tcp(flags) if IMPOSSIBLE.contains(&flags));
        finding == Finding::Lost && is_impossible
    },
};

pub(crate) const PINGS: Difference = Difference {
    reason: "Commands may be a part of what a host runs, so a draft from them answers pings unless \
             one of them is about ICMP, and says so in a comment.",
    explains: |probe, finding| finding == Finding::Gained && probe.kind == Kind::Ping,
};

pub(crate) const AMANDA_OVER_TCP: Difference = Difference {
    reason: "[amanda] lets a server ask over TCP (bsdtcp) as well as over UDP.",
    explains: |probe, finding| {
        finding == Finding::Gained && probe.kind == Kind::Tcp(SYN) && probe.port == 10080
    },
};

pub(crate) const PRIVILEGED_REQUESTS: Difference = Difference {
    reason: "[amanda] takes requests over UDP from ports below 1024 alone, as amandad does \
             (check_security).",
    explains: |probe, finding| {
        finding == Finding::Lost && probe.kind == Kind::Udp && probe.source_port > 1023
    },
};
