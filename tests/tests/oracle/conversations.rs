//! Cases of more than one answer: what counts is what went before.

use crate::case::{Case, Effects, Step};
use crate::talk::Talk;

const THREE: &str = "CONNECT DATA 11001 MESG 11003 INDEX 11004\n";
const THREE_PORTS: [u16; 3] = [11001, 11003, 11004];

/// Lists the conversations, with what the helper makes of each.
pub(crate) fn conversations() -> Vec<Case> {
    [replies(), connections(), clashes(), silences(), services()].concat()
}

/// Repeated, changed and missing replies.
fn replies() -> Vec<Case> {
    let (talk, next) = (Talk::on(0), Talk::on(0).next());
    let privileged = "CONNECT DATA 22 MESG 3306 INDEX 3389\n";
    let four = |base: u16| {
        let [data, mesg, index, state] = [base, base + 1, base + 2, base + 3];
        format!("CONNECT DATA {data} MESG {mesg} INDEX {index} STATE {state}\n")
    };
    vec![
        case(
            "the same reply twice",
            vec![talk.request("sendbackup"), talk.reply(THREE), talk.reply(THREE)],
            Effects::open(THREE_PORTS),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a reply without a request",
            vec![talk.reply(THREE)],
            Effects::default().losing([0]),
            Effects::default().losing([0]),
        ),
        case(
            "another reply after the first one",
            vec![
                talk.request("sendbackup"),
                talk.receipt(),
                talk.reply(THREE),
                talk.thanks(),
                talk.reply(privileged),
            ],
            // The newest four.
            Effects::open([11004, 22, 3306, 3389]),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a reply after a refusal",
            vec![talk.request("sendbackup"), talk.refusal("ERROR x\n"), talk.reply(THREE)],
            Effects::open(THREE_PORTS),
            Effects::default(),
        ),
        case(
            "three replies with four ports each",
            vec![
                talk.request("sendbackup"),
                talk.reply(&four(12001)),
                talk.reply(&four(12011)),
                talk.reply(&four(12021)),
            ],
            Effects::open(12021..=12024),
            Effects::open(12001..=12004),
        ),
        case(
            "two transactions with four ports each",
            vec![
                talk.request("sendbackup"),
                talk.reply(&four(12001)),
                next.request("sendbackup"),
                next.reply(&four(12011)),
            ],
            Effects::open(12011..=12014),
            Effects::open((12001..=12004).chain(12011..=12014)),
        ),
        case(
            "an empty answer before the reply",
            vec![talk.request("sendbackup"), talk.nothing(), talk.reply(THREE)],
            Effects::open(THREE_PORTS),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a part of a reply that has a line",
            vec![talk.request("sendsize"), talk.partial(THREE)],
            Effects::open(THREE_PORTS),
            Effects::default(),
        ),
        case(
            "thanks before the reply",
            vec![talk.request("sendbackup"), talk.receipt(), talk.thanks(), talk.reply(THREE)],
            Effects::open(THREE_PORTS),
            Effects::open(THREE_PORTS),
        ),
    ]
}

/// Connections to ports that a reply has announced.
fn connections() -> Vec<Case> {
    let talk = Talk::on(0);
    let connected = |steps: &[Step]| {
        let replied = vec![talk.request("sendbackup"), talk.reply(THREE)];
        [replied, steps.to_vec()].concat()
    };
    let other = Talk::on(1);
    vec![
        case(
            "the same reply after a connection",
            connected(&[Step::Connects(50000, 11001), talk.reply(THREE)]),
            Effects::open(THREE_PORTS),
            Effects::open([11003, 11004]),
        ),
        case(
            "two connections to one port",
            connected(&[Step::Connects(50000, 11001), Step::Connects(50001, 11001)]),
            Effects::open([11003, 11004]).losing([3]),
            Effects::open([11003, 11004]).losing([3]),
        ),
        case(
            "a connection from a third host",
            connected(&[Step::Intrudes(50000, 11001)]),
            Effects::open(THREE_PORTS).losing([2]),
            Effects::open(THREE_PORTS).losing([2]),
        ),
        case(
            "a connection from a privileged port",
            connected(&[Step::Connects(700, 11001)]),
            Effects::open([11003, 11004]),
            Effects::open(THREE_PORTS).losing([2]),
        ),
        case(
            "a connection between the ports of one that is over",
            connected(&[
                Step::Connects(50000, 11001),
                other.request("sendbackup"),
                other.reply("CONNECT DATA 11001 MESG 12003 INDEX 12004\n"),
                Step::Connects(50000, 11001),
            ]),
            Effects::open([11003, 11004, 12003, 12004]),
            Effects::open([11003, 11004, 12003, 12004]),
        ),
    ]
}

/// Two flows that announce one number.
fn clashes() -> Vec<Case> {
    let (one, other) = (Talk::on(0), Talk::on(1));
    let both = |first, second| {
        vec![
            one.request("sendbackup"),
            one.reply(first),
            other.request("sendbackup"),
            other.reply(second),
        ]
    };
    vec![
        case(
            "one port on two flows",
            both(THREE, "CONNECT DATA 12001 MESG 12003 INDEX 11004\n"),
            Effects::open([11001, 11003, 11004, 12001, 12003]).losing([3]),
            Effects::open([11001, 11003, 11004, 12001, 12003]),
        ),
        case(
            "ids of multiplexed streams on two flows",
            both(
                "CONNECT DATA 50081 MESG 499999 INDEX 499998 STATE 499997\n",
                "CONNECT DATA 50082 MESG 499996 INDEX -1 STATE 499995\n",
            ),
            Effects::open([49999, 50081, 50082]).losing([3]),
            Effects::open([50081, 50082]),
        ),
    ]
}

/// What the helper still knows after a silence, and what arrives out of order.
fn silences() -> Vec<Case> {
    // Netfilter remembers a flow for 30 s that only one side spoke on, for 30 s after the
    // initiator's last datagram on a young one, and for 300 s after any of the responder's.
    const SHORT: Step = Step::Silence(34);
    const LONG: Step = Step::Silence(400);
    const BETWEEN: Step = Step::Silence(200);
    let talk = Talk::on(0);
    let large = format!("{THREE}OPTIONS features={};\n", "f".repeat(2000));
    let estimate = || talk.partial("OPTIONS features=ff;\n/srv 0 SIZE 100\n");
    let (request, receipt) = (talk.request("sendbackup"), talk.receipt());
    let (reply, thanks) = (talk.reply(THREE), talk.thanks());
    vec![
        case(
            "a silence after a reply",
            vec![request.clone(), reply.clone(), thanks, SHORT],
            Effects::default(),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a silence after a request",
            vec![request.clone(), SHORT, reply.clone()],
            Effects::default().losing([2]),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a silence after a repeated request",
            vec![request.clone(), receipt.clone(), request.clone(), SHORT, reply.clone()],
            Effects::default().losing([4]),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a silence after a receipt",
            vec![request.clone(), receipt.clone(), SHORT, reply.clone()],
            Effects::open(THREE_PORTS),
            Effects::open(THREE_PORTS),
        ),
        case(
            "a reply that takes longer than master_timeout",
            vec![request.clone(), receipt.clone(), LONG, reply],
            Effects::default().losing([3]),
            Effects::open(THREE_PORTS),
        ),
        case(
            "an estimate that takes longer, with parts of its reply between",
            vec![
                talk.request("sendsize"),
                receipt.clone(),
                BETWEEN,
                estimate(),
                BETWEEN,
                estimate(),
                BETWEEN,
                talk.reply("OPTIONS features=ff;\n/srv 0 SIZE 100\n"),
            ],
            Effects::default(),
            Effects::default(),
        ),
        case(
            "an estimate that takes longer, without",
            vec![
                talk.request("sendsize"),
                receipt.clone(),
                LONG,
                talk.reply("OPTIONS features=ff;\n/srv 0 SIZE 100\n"),
            ],
            Effects::default().losing([3]),
            Effects::default(),
        ),
        case(
            "a reply whose last fragment comes first, and the same reply in order",
            vec![request, receipt, talk.backwards(&large), talk.reply(&large)],
            Effects::open(THREE_PORTS),
            Effects::open(THREE_PORTS).losing([2]),
        ),
    ]
}

/// Lines that only the service that was asked for makes right or wrong.
fn services() -> Vec<Case> {
    let (talk, next) = (Talk::on(0), Talk::on(0).next());
    let answered = |service, line| vec![talk.request(service), talk.reply(line)];
    vec![
        case(
            "a reply of noop with streams",
            answered("noop", THREE),
            Effects::open(THREE_PORTS),
            Effects::default(),
        ),
        case(
            "a reply to a request that is over",
            vec![
                talk.request("noop"),
                talk.reply("OPTIONS features=ff;\n"),
                next.request("sendbackup"),
                talk.reply(THREE),
            ],
            Effects::open(THREE_PORTS),
            Effects::default(),
        ),
        case(
            "a first stream without a port",
            answered("amidxtaped", "CONNECT CTL -1 DATA 11002\n"),
            Effects::open([11002]),
            Effects::default(),
        ),
        case(
            "a stream on amandad's own port",
            answered("amindexd", "CONNECT MESG 10080\n"),
            Effects::open([10080]),
            Effects::default(),
        ),
    ]
}

/// Makes the case of a conversation: what the helper makes of it, and what amanda-fw is to make of it.
fn case(name: &str, steps: Vec<Step>, known: Effects, wanted: Effects) -> Case {
    let name = format!("conversation, {name}");
    Case { name, ipv6: false, steps, known, wanted: Some(wanted) }
}
