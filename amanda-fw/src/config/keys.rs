//! Every key that a configuration may have: what the reader asks for, and what the schema tells.

use amanda_fw_common::rules::{Action, Rejection};

use super::policy::OnReload;
use super::rate::MOST_AT_ONCE;
use super::scalar::choices;
use super::sizes::MOST as MOST_ENTRIES;
use super::{amanda, effect, hosts, nat, protocol, rule, services};
use crate::device::Mode;

/// The keys of one table.
#[derive(Debug)]
pub(super) struct Keys {
    /// The keys, in the order in which people want them.
    pub(super) keys: &'static [Key],
    /// Keys that are planned, and refused until there is something behind them.
    pub(super) absent: &'static [&'static str],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// What is written.
    pub(super) name: &'static str,
    /// What its value may be.
    pub(super) shape: Shape,
    /// What it holds where it is not written, as it would be written; empty for nothing.
    pub(super) default: &'static str,
    /// What it means, in a sentence.
    pub(super) about: &'static str,
    /// Whether it must be there.
    pub(super) required: bool,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number(u32, u32),
    /// A string that a regular expression fits.
    Word(&'static str),
    /// A string that a regular expression fits and that a list names as well, for completion.
    Suggested(fn() -> Vec<String>, &'static str),
    /// One of some names.
    Choice(fn() -> Vec<String>),
    /// Either of several.
    Either(&'static [Shape]),
    /// One value or a list of them.
    Many(&'static Shape, Empty),
    /// A table.
    Table(&'static Keys),
    /// A table whose keys are names that people choose.
    Named(&'static Shape),
    /// A list of tables.
    Tables(&'static Keys),
}

/// Whether a list may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// It may.
    Allowed,
    /// It may not.
    Refused,
}

impl Keys {
    /// Tells whether there is a key of a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Lists the names of the keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

const fn key(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Key {
    Key { name, shape, default, about, required: false }
}

/// A key that must be there.
const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, default: "", about, required: true }
}

const TEXT: Shape = Shape::Word("^[^\\p{Cc}]*$");
const RATE: Shape = Shape::Word("^[0-9]+/(s|min|h|day)$");
const TIME: Shape = Shape::Word("^[0-9]+(ms|s|m|h|d)$");
const PORT: Shape = Shape::Number(1, 65_535);
const PORT_OR_RANGE: Shape = Shape::Either(&[PORT, Shape::Word("^[0-9]+(:[0-9]+)?$")]);
const PORTS: Shape =
    Shape::Many(&Shape::Either(&[PORT, Shape::Word("^!? *[0-9]+(:[0-9]+)?$")]), Empty::Refused);
const PLACE: Shape = Shape::Suggested(hosts::words, "^!?.+$");
const PLACES: Shape = Shape::Many(&PLACE, Empty::Refused);
const INTERFACES: Shape = Shape::Many(&Shape::Word("^!? *[^/ ]{1,15}$"), Empty::Refused);
const SERVICES: Shape = Shape::Many(&Shape::Choice(services::names), Empty::Refused);
const PROTOCOLS: Shape = Shape::Many(
    &Shape::Either(&[
        Shape::Number(0, 255),
        Shape::Suggested(protocol::names, "^!? *[a-z0-9.-]+$"),
    ]),
    Empty::Refused,
);
const LIMIT_SHAPE: Shape = Shape::Either(&[RATE, Shape::Table(&LIMIT)]);
const LOG_SHAPE: Shape = Shape::Either(&[TEXT, Shape::Table(&LOG)]);
const VERDICT: Shape = Shape::Choice(verdicts);

fn verdicts() -> Vec<String> {
    [Action::Accept, Action::Drop, Action::Reject].iter().map(ToString::to_string).collect()
}

fn actions() -> Vec<String> {
    effect::ACTIONS.iter().map(ToString::to_string).collect()
}

fn rejections() -> Vec<String> {
    let named = Rejection::ALL.iter().filter(|rejection| **rejection != Rejection::Default);
    named.map(ToString::to_string).collect()
}

/// The whole configuration.
pub(super) static ROOT: Keys = Keys {
    keys: &[
        key(
            "hosts",
            Shape::Named(&Shape::Many(
                &Shape::Word("^[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*(/[0-9]+)?$"),
                Empty::Allowed,
            )),
            "",
            "Names for addresses and networks.",
        ),
        key("policy", Shape::Table(&POLICY), "", "What happens to packets that no rule decides."),
        key(
            "amanda",
            Shape::Table(&AMANDA),
            "",
            "Who backs whom up; without the section nobody talks to amandad but by a rule.",
        ),
        key(
            "interfaces",
            Shape::Named(&Shape::Table(&INTERFACE)),
            "",
            "What is special about an interface.",
        ),
        key(
            "zones",
            Shape::Named(&Shape::Many(&Shape::Word("^[^/ ,!]{1,15}$"), Empty::Refused)),
            "",
            "Names for groups of interfaces.",
        ),
        key("events", Shape::Table(&EVENTS), "", "How much is told of decisions."),
        key("limits", Shape::Table(&LIMITS), "", "How many entries each table has room for."),
        key(
            "rule",
            Shape::Tables(&RULE),
            "",
            "Rules for packets of no flow, in order: the first that a packet fits decides.",
        ),
        key(
            "nat",
            Shape::Tables(&NAT),
            "",
            "What the addresses of IPv4 packets become, in order: the first that a packet fits \
             decides.",
        ),
    ],
    absent: &[],
};

/// `[policy]`.
pub(super) static POLICY: Keys = Keys {
    keys: &[
        key("incoming", VERDICT, "\"drop\"", "What happens to what comes in."),
        key("outgoing", VERDICT, "\"accept\"", "What happens to what goes out."),
        key(
            "forward",
            VERDICT,
            "",
            "What happens to what goes through the host; \"drop\" where a rule or a translation \
             is about that, else it is not told from what comes in.",
        ),
        key(
            "log",
            LOG_SHAPE,
            "",
            "Logs what the policy of any direction drops or rejects: a prefix, or a table.",
        ),
        key(
            "icmp",
            Shape::Boolean,
            "true",
            "Whether echo requests come in and neighbour discovery passes (RFC 4890), after all \
             rules.",
        ),
        key(
            "on_reload",
            Shape::Choice(choices::<OnReload>),
            "\"keep\"",
            "Whether a reload keeps or ends flows that could not begin any more.",
        ),
    ],
    absent: &[],
};

/// `[amanda]`.
pub(super) static AMANDA: Keys = Keys {
    keys: &[
        key(
            "servers",
            Shape::Many(&PLACE, Empty::Allowed),
            "[\"self\", \"on-link\"]",
            "Who may start dumps.",
        ),
        key(
            "clients",
            Shape::Many(&PLACE, Empty::Allowed),
            "[\"self\", \"on-link\"]",
            "Whom they may reach, and who may recover from them.",
        ),
        key(
            "auth",
            Shape::Many(&Shape::Choice(amanda::auth_names), Empty::Refused),
            "[\"bsd\", \"bsdudp\", \"bsdtcp\", \"ssl\"]",
            "How they prove themselves to each other, as in amanda.conf; \"classic\" is \
             amoldrecover's way.",
        ),
        key("control_port", PORT, "10080", "The port that amandad listens on."),
        key(
            "control_source_ports",
            PORT_OR_RANGE,
            "\"1:1023\"",
            "The UDP ports that requests come from: reserved-udp-port.",
        ),
        key(
            "stream_ports",
            PORT_OR_RANGE,
            "\"1024:65535\"",
            "The TCP ports that streams may have: unreserved-tcp-port.",
        ),
        key(
            "transaction_timeout",
            TIME,
            "\"6h\"",
            "For how long a request may wait for its reply.",
        ),
        key(
            "expectation_timeout",
            TIME,
            "\"1m\"",
            "For how long an announced port stays open that nobody connects to.",
        ),
    ],
    absent: &[],
};

/// `[interfaces.NAME]`.
pub(super) static INTERFACE: Keys = Keys {
    keys: &[key("mode", Shape::Choice(choices::<Mode>), "\"auto\"", "Where packets are met.")],
    absent: &["log"],
};

/// `[events]`.
pub(super) static EVENTS: Keys = Keys {
    keys: &[key(
        "rate",
        Shape::Word("^[0-9]+/s$"),
        "\"1000/s\"",
        "Events that one CPU may send in a second.",
    )],
    absent: &[],
};

const ENTRIES: Shape = Shape::Number(1, MOST_ENTRIES);

/// `[limits]`.
pub(super) static LIMITS: Keys = Keys {
    keys: &[
        key("flows", ENTRIES, "65536", "Flows with both ends proven, and as many without."),
        key("expectations", ENTRIES, "16384", "Announced ports that wait for a connection."),
        key("transactions", ENTRIES, "8192", "Requests and their replies."),
        key("fragments", ENTRIES, "8192", "Datagrams whose fragments are under way."),
        key("nat", ENTRIES, "65536", "Translated flows, where addresses are translated."),
    ],
    absent: &[],
};

/// `[[rule]]`.
pub(super) static RULE: Keys = Keys {
    keys: &[
        key("name", TEXT, "\"rule N\"", "What people call it."),
        key("direction", Shape::Choice(choices::<rule::Direction>), "\"in\"", "Which way it goes."),
        key(
            "interface",
            INTERFACES,
            "",
            "Which interfaces or zones it crosses; \"!eth0\" excludes one.",
        ),
        key("in", INTERFACES, "", "Where a packet through the host comes by."),
        key("out", INTERFACES, "", "Where a packet through the host leaves."),
        key("service", SERVICES, "", "Ready-made protocols and ports, by firewalld's names."),
        key(
            "protocol",
            PROTOCOLS,
            "",
            "Protocols by IANA's name or number; \"!tcp\" excludes one.",
        ),
        key("from", PLACES, "\"any\"", "Where it comes from; \"!10.0.0.0/8\" excludes a network."),
        key("to", PLACES, "\"any\"", "Where it goes."),
        key("ports", PORTS, "", "Destination ports; \"!22\" excludes one."),
        key("source_ports", PORTS, "", "Source ports."),
        key(
            "icmp_type",
            Shape::Many(
                &Shape::Either(&[Shape::Number(0, 255), Shape::Choice(protocol::icmp_types)]),
                Empty::Refused,
            ),
            "",
            "Types of ICMP or ICMPv6.",
        ),
        key(
            "state",
            Shape::Many(&Shape::Choice(choices::<rule::ConfigState>), Empty::Refused),
            "",
            "\"new\": it may begin a flow; \"invalid\": TCP of no flow, or ICMP that answers \
             nothing; without the key all but such ICMP.",
        ),
        required(
            "action",
            Shape::Choice(actions),
            "What happens to it; \"log\" asks the next rule.",
        ),
        key(
            "reject_with",
            Shape::Choice(rejections),
            "",
            "How its sender is told: tcp-reset for TCP, port-unreachable for all else.",
        ),
        key("log", LOG_SHAPE, "", "Logs it: a prefix, or a table."),
        key(
            "limit",
            LIMIT_SHAPE,
            "",
            "New flows by this rule; more are dropped, and no later rule is asked.",
        ),
        key("limit_per_source", LIMIT_SHAPE, "", "The same for each source address."),
    ],
    absent: &[],
};

/// `[[nat]]`.
pub(super) static NAT: Keys = Keys {
    keys: &[
        key("name", TEXT, "\"nat N\"", "What people call it."),
        required(
            "kind",
            Shape::Choice(nat::kinds),
            "\"masquerade\" gives sources the address of the interface that packets leave by, \
             \"source\" another address; \"destination\" sends packets to another host; \"none\" \
             exempts packets from the translations behind it.",
        ),
        key("in", INTERFACES, "", "Where packets come by whose destination is translated."),
        key("out", INTERFACES, "", "Where packets leave whose source is translated."),
        key("service", SERVICES, "", "Ready-made protocols and ports, by firewalld's names."),
        key("protocol", PROTOCOLS, "", "Protocols by IANA's name or number."),
        key("from", PLACES, "\"any\"", "Where packets come from."),
        key("destination", PLACES, "\"any\"", "Where packets go before they are translated."),
        key("ports", PORTS, "", "Destination ports before they are translated."),
        key("source_ports", PORTS, "", "Source ports before they are translated."),
        key(
            "to",
            Shape::Word("^[^!]+$"),
            "",
            "What the address becomes: an address or a name of [hosts], for sources also a range \
             such as \"192.0.2.1-192.0.2.9\".",
        ),
        key("to_port", PORT, "", "What the first of `ports` becomes; the others follow."),
        key("to_ports", PORT_OR_RANGE, "", "Which ports sources may get."),
        key(
            "filtering",
            Shape::Choice(nat::filterings),
            "\"address-and-port-dependent\"",
            "Who may send to what a source has become (RFC 4787).",
        ),
    ],
    absent: &[],
};

/// `log` as a table.
pub(super) static LOG: Keys = Keys {
    keys: &[
        key("prefix", TEXT, "", "What each line begins with."),
        key("rate", RATE, "\"10/s\"", "How often at most."),
        key("burst", Shape::Number(1, MOST_AT_ONCE), "5", "How many may come at once."),
    ],
    absent: &[],
};

/// `limit` as a table.
pub(super) static LIMIT: Keys = Keys {
    keys: &[
        required("rate", RATE, "How often, as N/s, N/min, N/h or N/day."),
        key("burst", Shape::Number(1, MOST_AT_ONCE), "5", "How many may come at once."),
    ],
    absent: &[],
};
