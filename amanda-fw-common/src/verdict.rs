//! What is decided about a packet, and why, in numbers that stay.

use bytemuck::{Pod, Zeroable};

use crate::numbered::numbered;

numbered! {
    /// What happens to a packet.
    pub enum Verdict: u8 {
        /// It goes on.
        Accept = 1 "accept",
        /// It is gone.
        Drop = 2 "drop",
        /// It is gone, and its sender is told.
        Reject = 3 "reject",
    }
}

numbered! {
    /// Why a packet is accepted (below 16) or dropped; a number is never used again.
    pub enum Reason: u8 {
        /// It belongs to a flow.
        Established = 1 "established",
        /// It is an ICMP error about a flow.
        Related = 2 "related",
        /// It opens a stream that a reply announced.
        Expected = 3 "expected",
        /// It opens a control flow between hosts that the configuration names.
        Control = 4 "amanda-control",
        /// A rule accepts it.
        Rule = 5 "rule",
        /// The policy of its direction accepts it.
        PolicyAccept = 6 "policy-accept",
        /// Its datagram's first fragment was accepted.
        Fragment = 7 "fragment",
        /// It is neighbour discovery or multicast listener discovery (RFC 4890, 4.4.1).
        Neighbour = 8 "neighbour-discovery",
        /// It is no IP packet.
        NotIp = 9 "not-ip",
        /// The firewall was to be confirmed, and was not in time.
        Unconfirmed = 10 "unconfirmed",
        /// It goes to an endpoint that translation has opened to its sender.
        Mapped = 11 "nat-mapped",

        /// The policy of its direction drops it.
        PolicyDrop = 16 "policy-drop",
        /// A rule drops it.
        RuleDrop = 17 "rule-drop",
        /// Its IP header is cut, or says lengths that can't be.
        MalformedIp = 18 "malformed-ip",
        /// Its TCP, UDP or ICMP header is cut, or says a length that can't be.
        MalformedTransport = 19 "malformed-transport",
        /// It is a first fragment without a whole header, or one that could overwrite a header
        /// (RFC 3128).
        TinyFragment = 20 "tiny-fragment",
        /// It is a later fragment of a datagram whose first one was not accepted, or is not
        /// here yet.
        FragmentWithoutFirst = 21 "fragment-without-first",
        /// It has more IPv6 extension headers than are followed.
        Ipv6Extensions = 22 "ipv6-extensions",
        /// It answers, or complains about, what was never sent.
        Unsolicited = 23 "unsolicited",
        /// Its TCP flags are none that a connection ever has.
        TcpFlags = 24 "tcp-flags",
        /// It would begin a flow, and the table of flows is full.
        FlowTableFull = 25 "flow-table-full",
        /// A rule rejects it.
        RuleReject = 26 "rule-reject",
        /// The policy of its direction rejects it.
        PolicyReject = 27 "policy-reject",
        /// A rule accepts no more new flows for now.
        RateLimited = 28 "rate-limited",
        /// Its source is to be translated, and no port is left.
        NatExhausted = 29 "nat-exhausted",
        /// It is to be translated, and belongs to no flow that could be, or to one that clashes with
        /// another.
        Untranslatable = 30 "nat-untranslatable",
        /// It is a later fragment, held until the first one of its datagram comes.
        FragmentHeld = 31 "fragment-held",
    }
}

impl Reason {
    /// The first number of the reasons to drop.
    const FIRST_DROP: u8 = 16;

    /// Returns what happens to a packet for this reason.
    pub const fn verdict(self) -> Verdict {
        Self::verdict_of(self.number())
    }

    /// Returns what happens to a packet for the reason of a number; one of none drops it.
    #[inline(always)]
    pub const fn verdict_of(number: u8) -> Verdict {
        const REJECTS: u64 = 1 << Reason::RuleReject.number()
            | 1 << Reason::PolicyReject.number()
            | 1 << Reason::NatExhausted.number();
        if number < Self::FIRST_DROP {
            Verdict::Accept
        } else if (REJECTS >> (number & 63)) & 1 == 0 {
            Verdict::Drop
        } else {
            Verdict::Reject
        }
    }

    /// Tells whether a person who watches wants to see decisions for the reason of a number.
    #[inline(always)]
    pub const fn is_notable(number: u8) -> bool {
        const QUIET: u64 = 1 << Reason::Established.number()
            | 1 << Reason::Fragment.number()
            | 1 << Reason::FragmentHeld.number()
            | 1 << Reason::Neighbour.number()
            | 1 << Reason::NotIp.number()
            | 1 << Reason::Unconfirmed.number();
        (QUIET >> (number & 63)) & 1 == 0
    }
}

numbered! {
    /// What is counted beside packets; the numbers follow those of the reasons.
    pub enum Counter: u8 {
        /// Requests that began a transaction.
        Requests = 32 "requests",
        /// Replies of open transactions.
        Replies = 33 "replies",
        /// Replies that no open transaction asked for.
        RepliesUnasked = 34 "replies-unasked",
        /// Datagrams of control flows that are not Amanda's.
        NotAmanda = 35 "not-amanda",
        /// Expectations that a reply created or renewed.
        ExpectationsCreated = 36 "expectations-created",
        /// Expectations that a connection used.
        ExpectationsUsed = 37 "expectations-used",
        /// Expectations that met no room in the table.
        ExpectationsFull = 38 "expectations-full",
        /// Requests that met no room in the table.
        TransactionsFull = 39 "transactions-full",
        /// CONNECT lines of services that have no streams.
        RefusedService = 40 "refused-service",
        /// CONNECT lines that are not well formed.
        RefusedSyntax = 41 "refused-syntax",
        /// CONNECT lines with streams that do not belong together.
        RefusedLayout = 42 "refused-layout",
        /// CONNECT lines with a number that is no port in the range.
        RefusedPort = 43 "refused-port",
        /// Events that the rate limit kept back.
        EventsSuppressed = 44 "events-suppressed",
        /// Events that found the ring full.
        EventsLost = 45 "events-lost",
        /// Log lines that the rate of their rule kept back.
        LogsSuppressed = 46 "logs-suppressed",
        /// Rejections of which the sender was told.
        RejectsSent = 47 "rejects-sent",
        /// Rejections of which the sender was not told: too many, or not to be answered.
        RejectsSuppressed = 48 "rejects-suppressed",
        /// Replies with a wrong UDP checksum, which open nothing.
        RefusedChecksum = 49 "refused-checksum",
        /// Answers that open nothing, since the two hosts have too many transactions open.
        TransactionsCapped = 50 "transactions-capped",
        /// Sources that were given an endpoint outside.
        BindingsCreated = 56 "bindings-created",
        /// Translations that met no room in the tables.
        NatFull = 57 "nat-full",
        /// Lines of replies in which a port was written anew.
        RepliesRewritten = 58 "replies-rewritten",
        /// Announced ports that clashed with others, and for which there was no other.
        RefusedClash = 59 "refused-clash",
    }
}

/// What one counter holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Count {
    /// Packets, or occurrences.
    pub packets: u64,
    /// Bytes of the packets.
    pub bytes: u64,
}

/// How many counters there are: a power of two above the highest number.
pub const COUNTERS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_place_among_the_counters() {
        let reasons = Reason::ALL.iter().map(|r| r.number());
        let counters = Counter::ALL.iter().map(|c| c.number());
        let mut numbers: Vec<u8> = reasons.chain(counters).collect();
        assert!(numbers.iter().all(|&n| u32::from(n) < COUNTERS));
        numbers.dedup();
        assert_eq!(numbers.len(), Reason::ALL.len() + Counter::ALL.len());
        assert!(numbers.is_sorted());
    }
}
