//! The differences that are meant: by name, why, and of which cases.

use crate::case::{Answer, Case, Step};
use crate::reading::{self, HELPER_ORDER};

/// Something that one of the two does, and the other does not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Finding {
    /// The helper alone opens a port.
    HelperOpens(u16),
    /// amanda-fw alone opens a port.
    FirewallOpens(u16),
    /// Across the helper alone the packet of a step is lost.
    HelperLoses(usize),
    /// Across amanda-fw alone.
    FirewallLoses(usize),
}

/// A reason for which amanda-fw takes no stream from an answer.
pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    /// What the helper does.
    pub(crate) helper: &'static str,
    /// What amanda-fw does, and why.
    pub(crate) firewall: &'static str,
    /// Tells whether it is one for this answer, whatever the others are.
    pub(crate) holds: fn(&Answer<'_>) -> bool,
}

/// Any other difference.
pub(crate) struct Divergence {
    pub(crate) name: &'static str,
    /// What the helper does.
    pub(crate) helper: &'static str,
    /// What amanda-fw does, and why.
    pub(crate) firewall: &'static str,
    /// Tells whether it explains what was found.
    pub(crate) explains: fn(&Case, Finding) -> bool,
}

/// In the order in which they are asked.
pub(crate) const DIVERGENCES: &[Divergence] = &[
    Divergence {
        name: "unknown-stream",
        helper: "Knows DATA, MESG, INDEX and STATE alone. CTL and CMD stay closed, so recoveries \
                 (`amrecover`), restores and `amdump_client` fail.",
        firewall: "Opens every stream that a service of Amanda 2.4 to 4.0 announces.",
        explains: |case, finding| {
            is_announced(case, finding, |streams, port| {
                streams.contains(&("CTL", port)) || streams.contains(&("CMD", port))
            })
        },
    },
    Divergence {
        name: "stop-at-minus-one",
        helper: "Stops reading at a stream that is not used (`INDEX -1`). STATE stays closed, so \
                 dumps without an index fail.",
        firewall: "Passes over the stream that is not used, and opens the others.",
        explains: |case, finding| {
            is_announced(case, finding, |streams, port| {
                let of = |number| streams.iter().filter(move |stream| stream.1 == number);
                let place = |name| HELPER_ORDER.iter().position(|known| *known == name);
                let unused = of("-1").filter_map(|stream| place(stream.0)).min();
                let wanted = of(port).filter_map(|stream| place(stream.0)).max();
                unused.is_some_and(|unused| wanted.is_some_and(|wanted| unused < wanted))
            })
        },
    },
    Divergence {
        name: "eviction",
        helper: "Keeps four ports for each control flow. A further one pushes the oldest out.",
        firewall: "Keeps the ports of each reply until their time is over.",
        explains: |case, finding| {
            const KEPT: usize = 4;
            let Finding::FirewallOpens(port) = finding else {
                return false;
            };
            let ports: Vec<_> = case.answers().flat_map(|a| reading::of_helper(a.text)).collect();
            let last = ports.iter().rposition(|&found| found == port);
            last.is_some_and(|last| ports.len() - last > KEPT)
        },
    },
    Divergence {
        name: "forgotten-flow",
        helper: "Forgets a control flow 300 s (`master_timeout`) after the client's last datagram, \
                 but 30 s after the server's where the flow is younger than 2 s, else 120 s. Ports \
                 that wait go with it, and a reply that comes later is dropped.",
        firewall: "Ports wait 60 s of their own. A reply may come 60 s after the last request, or \
                   6 h after its receipt (`transaction_timeout`).",
        explains: |case, finding| {
            let silence = case.steps.iter().position(|step| matches!(step, Step::Silence(_)));
            silence.is_some_and(|silence| match finding {
                Finding::FirewallOpens(_) => true,
                Finding::HelperLoses(step) => silence < step,
                Finding::HelperOpens(_) | Finding::FirewallLoses(_) => false,
            })
        },
    },
    Divergence {
        name: "port-clash",
        helper: "Drops a reply that announces a port which waits for another control flow. The \
                 dump fails.",
        firewall: "Delivers the reply. The port is the later reply's.",
        explains: |case, finding| {
            let Finding::HelperLoses(step) = finding else {
                return false;
            };
            let lost = case.answers().find(|answer| answer.step == step);
            lost.is_some_and(|lost| {
                let ports = reading::of_helper(lost.text);
                case.answers().any(|other| {
                    let is_before = other.step < lost.step && other.flow != lost.flow;
                    is_before && ports.iter().any(|&port| other.announces(port))
                })
            })
        },
    },
    Divergence {
        name: "fragment-order",
        helper: "Holds fragments until the datagram is whole, in any order.",
        firewall: "Drops a fragment that comes before the first one of its datagram. Amanda \
                   repeats the reply after 10 s.",
        explains: |case, finding| {
            let Finding::FirewallLoses(step) = finding else {
                return false;
            };
            matches!(case.steps[step], Step::AnswersBackwards(..))
        },
    },
    Divergence {
        name: "privileged-source",
        helper: "Lets the server connect to a stream from any port.",
        firewall: "Wants a port from 1024 up, as Amanda uses.",
        explains: |case, finding| {
            let is_privileged = |step: &Step, wanted: Option<u16>| matches!(step, Step::Connects(..1024, to) if wanted.is_none_or(|port| port == *to));
            match finding {
                Finding::FirewallLoses(step) => is_privileged(&case.steps[step], None),
                Finding::FirewallOpens(port) => {
                    case.steps.iter().any(|step| is_privileged(step, Some(port)))
                }
                Finding::HelperOpens(_) | Finding::HelperLoses(_) => false,
            }
        },
    },
    Divergence {
        name: "used-stream",
        helper: "Opens a port again when the reply is repeated, although somebody has connected.",
        firewall: "Opens each stream once.",
        explains: |case, finding| {
            let Finding::HelperOpens(port) = finding else {
                return false;
            };
            let is_to = |step: &Step| matches!(step, Step::Connects(_, to) if *to == port);
            let used = case.steps.iter().position(is_to);
            used.is_some_and(|used| case.answers().any(|a| a.step > used && a.announces(port)))
        },
    },
    Divergence {
        name: "multiplex-id",
        helper: "Cuts the id of a multiplexed stream (`MESG 499999`, auth bsdudp) after five \
                 digits and opens TCP 49999, which nobody listens on.",
        firewall: "Knows that the id is no port, and opens nothing for it.",
        explains: |case, finding| {
            let Finding::HelperOpens(port) = finding else {
                return false;
            };
            let is_id = |word: &str| {
                let id: Option<u32> = word.parse().ok();
                id.is_some_and(|id| is_multiplexed(id) && id / 10 == u32::from(port))
            };
            case.answers().any(|answer| {
                let text = String::from_utf8_lossy(answer.text);
                answer.announces(port) && text.split_whitespace().any(is_id)
            })
        },
    },
];

/// In the order in which they are asked: that of the datagram.
pub(crate) const REFUSALS: &[Refusal] = &[
    Refusal {
        name: "header",
        helper: "Does not look at the first line.",
        firewall: "Opens nothing for a datagram whose first line is not Amanda's to the letter.",
        holds: |answer| answer.header.is_none(),
    },
    Refusal {
        name: "packet-type",
        helper: "Reads any datagram of the client.",
        firewall: "Reads replies (REP) alone.",
        holds: |answer| answer.header.is_some_and(|header| header.kind != "REP"),
    },
    Refusal {
        name: "unasked",
        helper: "Knows no requests.",
        firewall: "Wants the HANDLE and SEQ of a request that went before on the same control \
                   flow.",
        holds: |answer| answer.service.is_none(),
    },
    Refusal {
        name: "answered-before",
        helper: "Opens ports for every reply.",
        firewall: "Takes the streams from the first reply to a request. A later one changes \
                   nothing.",
        holds: |answer| answer.is_repeated,
    },
    Refusal {
        name: "service",
        helper: "Does not know what was asked for.",
        firewall: "Opens nothing for a service that announces no streams, such as noop or \
                   sendsize.",
        holds: |answer| answer.service.is_some_and(|service| layouts(service).is_empty()),
    },
    Refusal {
        name: "place",
        helper: "Finds `CONNECT ` anywhere in a datagram, so also in the name of a file that an \
                 error message quotes.",
        firewall: "Wants it at the beginning of the reply's body.",
        holds: |answer| answer.header.is_some_and(|header| !reading::is_connect(header.body)),
    },
    Refusal {
        name: "syntax",
        helper: "Takes names and numbers out of anything on the line.",
        firewall: "Takes the whole line or nothing. It must be names and numbers with single \
                   blanks between, and no longer than 160 bytes.",
        holds: |answer| {
            let body = answer.header.map(|header| header.body);
            body.is_some_and(|body| reading::is_connect(body) && reading::streams(body).is_none())
        },
    },
    Refusal {
        name: "number-syntax",
        helper: "Reads up to five digits wherever a number should be.",
        firewall: "Refuses a line with a number that has a sign, a leading zero or anything but \
                   digits.",
        holds: |answer| has_number(answer, |number, _| decimal(number).is_none()),
    },
    Refusal {
        name: "privileged-port",
        helper: "Opens ports below 1024.",
        firewall: "Refuses a line with one: Amanda never listens there.",
        holds: |answer| has_number(answer, |number, _| matches!(decimal(number), Some(1..1024))),
    },
    Refusal {
        name: "port-too-large",
        helper: "Cuts numbers above 65535 to five digits and 16 bits: 65558 opens 22.",
        firewall: "Refuses a line with one, unless it is the id of a further multiplexed stream.",
        holds: |answer| {
            has_number(answer, |number, is_first| {
                decimal(number).is_some_and(|n| n > 65535 && (is_first || !is_multiplexed(n)))
            })
        },
    },
    Refusal {
        name: "own-port",
        helper: "Opens Amanda's own ports 10080 to 10083.",
        firewall: "Refuses a line with one: no stream has them.",
        holds: |answer| has_number(answer, |n, _| matches!(decimal(n), Some(10080..=10083))),
    },
    Refusal {
        name: "first-stream",
        helper: "Opens the rest of a line whose first stream has no port.",
        firewall: "Refuses the line: Amanda gives up without its first stream.",
        holds: |answer| streams(answer).first().is_some_and(|(_, number)| *number == "-1"),
    },
    Refusal {
        name: "duplicate-port",
        helper: "Opens a port that two streams have.",
        firewall: "Refuses the line: only one of them can listen.",
        holds: |answer| {
            let streams = streams(answer);
            let ports = || streams.iter().filter_map(|(_, number)| port_of(number));
            ports().enumerate().any(|(at, port)| ports().take(at).any(|other| other == port))
        },
    },
    Refusal {
        name: "layout",
        helper: "Takes the names in any number and order, and as parts of others (`METADATA`).",
        firewall: "Takes the lines that some version of the service sends.",
        holds: |answer| {
            let names: Vec<_> = streams(answer).iter().map(|stream| stream.0).collect();
            let names = names.join(" ");
            let sent = answer.service.map(layouts).unwrap_or_default();
            !names.is_empty() && !sent.contains(&names.as_str())
        },
    },
];

/// Lists the ports that a line without any reason to refuse it has.
pub(crate) fn announced(answer: &Answer<'_>) -> Vec<u16> {
    streams(answer).iter().filter_map(|(_, number)| port_of(number)).collect()
}

/// Lists the lines that a service sends, by their names (amandad's services, Amanda 2.4 to 4.0).
fn layouts(service: &str) -> &'static [&'static str] {
    match service {
        "sendbackup" => &[
            "DATA MESG INDEX",
            "DATA MESG INDEX STATE",
            "DATA MESG INDEX STATE CMD",
            "DATA MESG INDEX CMD",
        ],
        "amindexd" => &["MESG"],
        "amidxtaped" => &["CTL DATA", "CTL DATA STATE"],
        "restore" => &["CTL DATA MESG", "CTL DATA MESG STATE"],
        "amdumpd" => &["CTL"],
        "ambackupd" => &["DATA MESG INDEX", "DATA MESG INDEX STATE"],
        _ => &[],
    }
}

/// Tells whether amanda-fw alone opens a port, or lets a connection to it through, and the line that
/// announces it is one of these.
fn is_announced(case: &Case, finding: Finding, is: fn(&[(&str, &str)], &str) -> bool) -> bool {
    let port = match finding {
        Finding::FirewallOpens(port) => port,
        Finding::HelperLoses(step) => {
            let Step::Connects(_, port) = case.steps[step] else {
                return false;
            };
            port
        }
        Finding::HelperOpens(_) | Finding::FirewallLoses(_) => return false,
    };
    case.answers().any(|answer| is(&streams(&answer), &port.to_string()))
}

fn streams<'a>(answer: &Answer<'a>) -> Vec<(&'a str, &'a str)> {
    answer.header.and_then(|header| reading::streams(header.body)).unwrap_or_default()
}

/// Tells whether a line has such a number, among those that are not -1.
fn has_number(answer: &Answer<'_>, is: impl Fn(&str, bool) -> bool) -> bool {
    let streams = streams(answer);
    let mut numbers = streams.iter().enumerate();
    numbers.any(|(at, (_, number))| *number != "-1" && is(number, at == 0))
}

/// Reads a number that begins with no zero; one of very many digits is as large as can be.
fn decimal(number: &str) -> Option<u32> {
    let is_digits = number.bytes().all(|byte| byte.is_ascii_digit());
    (is_digits && !number.starts_with('0')).then(|| number.parse().unwrap_or(u32::MAX))
}

fn port_of(number: &str) -> Option<u16> {
    number.parse().ok()
}

/// Tells whether it is the id of a multiplexed stream (bsdudp counts down from 500000).
fn is_multiplexed(id: u32) -> bool {
    (400_000..500_000).contains(&id)
}
