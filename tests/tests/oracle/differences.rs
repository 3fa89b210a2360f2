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
    pub(crate) reason: &'static str,
    /// Tells whether it is one for this answer, whatever the others are.
    pub(crate) holds: fn(&Answer<'_>) -> bool,
}

/// Any other difference.
pub(crate) struct Divergence {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    /// Tells whether it explains what was found.
    pub(crate) explains: fn(&Case, Finding) -> bool,
}

/// In the order in which they are asked.
pub(crate) const DIVERGENCES: &[Divergence] = &[
    Divergence {
        name: "unknown-stream",
        reason: "The helper knows neither CTL nor CMD, so recoveries, restores and amdump_client \
                 fail behind it.",
        explains: |case, finding| {
            is_announced(case, finding, |streams, port| {
                streams.contains(&("CTL", port)) || streams.contains(&("CMD", port))
            })
        },
    },
    Divergence {
        name: "stop-at-minus-one",
        reason: "At a stream that is not used (`INDEX -1`) the helper stops reading, so STATE of a \
                 dump without an index stays closed.",
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
        reason: "The helper keeps four ports a flow, and each further one pushes the oldest out.",
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
        reason: "The helper forgets a young flow 30 s after the initiator's last datagram, with the ports \
                 of a reply and with a reply that is still to come; amanda-fw waits a minute for \
                 either, and six hours for the reply to a request that was received.",
        explains: |case, finding| {
            let silence = case.steps.iter().position(|step| matches!(step, Step::Silence));
            silence.is_some_and(|silence| match finding {
                Finding::FirewallOpens(_) => true,
                Finding::HelperLoses(step) => silence < step,
                Finding::HelperOpens(_) | Finding::FirewallLoses(_) => false,
            })
        },
    },
    Divergence {
        name: "port-clash",
        reason: "The helper drops a reply that announces a port which another flow has announced; \
                 amanda-fw delivers it, and the port is the later reply's.",
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
        name: "privileged-source",
        reason: "The helper lets the initiator connect to a stream from any port, amanda-fw from \
                 1024 up, as Amanda does.",
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
        reason: "A repeated reply opens ports again for the helper even when they have been \
                 connected to; amanda-fw opens each stream once.",
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
        reason: "The helper cuts the id of a multiplexed stream (`MESG 499999`) after five digits \
                 and opens TCP 49999, which nobody uses.",
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
        reason: "The helper does not look at the header; amanda-fw opens nothing for a datagram \
                 whose first line is not Amanda's to the letter.",
        holds: |answer| answer.header.is_none(),
    },
    Refusal {
        name: "packet-type",
        reason: "The helper reads any datagram of the responder, amanda-fw replies (REP) only.",
        holds: |answer| answer.header.is_some_and(|header| header.kind != "REP"),
    },
    Refusal {
        name: "unasked",
        reason: "The helper knows no requests; amanda-fw wants the HANDLE and SEQ of one that went \
                 before on the flow.",
        holds: |answer| answer.service.is_none(),
    },
    Refusal {
        name: "answered-before",
        reason: "Every reply opens ports for the helper; for amanda-fw the first one to a request \
                 fixes its streams.",
        holds: |answer| answer.is_repeated,
    },
    Refusal {
        name: "service",
        reason: "The helper does not know what was asked for; amanda-fw opens nothing for a \
                 service that never announces streams, such as noop.",
        holds: |answer| answer.service.is_some_and(|service| layouts(service).is_empty()),
    },
    Refusal {
        name: "place",
        reason: "The helper finds `CONNECT ` anywhere in a datagram, so also in file names and \
                 messages; amanda-fw at the beginning of the body only.",
        holds: |answer| answer.header.is_some_and(|header| !reading::is_connect(header.body)),
    },
    Refusal {
        name: "syntax",
        reason: "The helper takes names and numbers out of anything on the line; amanda-fw takes \
                 the whole line or nothing, and the line must be names and numbers between single \
                 blanks.",
        holds: |answer| {
            let body = answer.header.map(|header| header.body);
            body.is_some_and(|body| reading::is_connect(body) && reading::streams(body).is_none())
        },
    },
    Refusal {
        name: "number-syntax",
        reason: "The helper reads up to five digits wherever a number should be; amanda-fw refuses \
                 a line with a number that has a sign, leading zeros or anything but digits.",
        holds: |answer| has_number(answer, |number, _| decimal(number).is_none()),
    },
    Refusal {
        name: "privileged-port",
        reason: "The helper opens ports below 1024, which Amanda never listens on; amanda-fw \
                 refuses the line.",
        holds: |answer| has_number(answer, |number, _| matches!(decimal(number), Some(1..1024))),
    },
    Refusal {
        name: "port-too-large",
        reason: "The helper cuts numbers above 65535 to five digits and 16 bits (65558 opens 22); \
                 amanda-fw refuses a line with one that is not the id of a further stream.",
        holds: |answer| {
            has_number(answer, |number, is_first| {
                decimal(number).is_some_and(|n| n > 65535 && (is_first || !is_multiplexed(n)))
            })
        },
    },
    Refusal {
        name: "own-port",
        reason: "The helper opens Amanda's own ports 10080 to 10083, which no stream has; \
                 amanda-fw refuses the line.",
        holds: |answer| has_number(answer, |n, _| matches!(decimal(n), Some(10080..=10083))),
    },
    Refusal {
        name: "first-stream",
        reason: "The helper opens the rest of a line whose first stream has no port, without which \
                 Amanda gives up; amanda-fw refuses the line.",
        holds: |answer| streams(answer).first().is_some_and(|(_, number)| *number == "-1"),
    },
    Refusal {
        name: "duplicate-port",
        reason: "The helper opens a port that two streams have, on which only one can listen; \
                 amanda-fw refuses the line.",
        holds: |answer| {
            let streams = streams(answer);
            let ports = || streams.iter().filter_map(|(_, number)| port_of(number));
            ports().enumerate().any(|(at, port)| ports().take(at).any(|other| other == port))
        },
    },
    Refusal {
        name: "layout",
        reason: "The helper takes the names in any number and order, and as parts of others \
                 (METADATA); amanda-fw the lines that some version of the service sends.",
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

/// Tells whether amanda-fw alone opens a port, and the line that announces it is one of these.
fn is_announced(case: &Case, finding: Finding, is: fn(&[(&str, &str)], &str) -> bool) -> bool {
    let Finding::FirewallOpens(port) = finding else {
        return false;
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
