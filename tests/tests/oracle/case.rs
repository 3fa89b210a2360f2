//! A case: what is said and connected between two hosts, and what the helper is known to make of it.

use std::collections::BTreeSet;

use crate::reading::{self, Header};

/// The UDP ports of the initiator, one a control flow.
pub(crate) const FLOWS: [u16; 2] = [601, 602];

/// A sequence of steps from a state without any flow.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) ipv6: bool,
    pub(crate) steps: Vec<Step>,
    /// What the helper made of it when it was measured (Linux 6.18), or is described to.
    pub(crate) known: Effects,
    /// What amanda-fw is to make of it, where that is said.
    pub(crate) wanted: Option<Effects>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The initiator sends a datagram on a flow.
    Asks(u16, Vec<u8>),
    /// The responder sends one.
    Answers(u16, Vec<u8>),
    /// The responder sends one in fragments, of which the last one comes first.
    AnswersBackwards(u16, Vec<u8>),
    /// The initiator connects from a TCP port to one of the responder's.
    Connects(u16, u16),
    /// A host that is neither does.
    Intrudes(u16, u16),
    /// Nothing happens for so many seconds.
    Silence(u64),
}

/// What a firewall has made of a case in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// The responder's TCP ports that are open to the initiator.
    pub(crate) open: BTreeSet<u16>,
    /// The steps whose packet did not arrive.
    pub(crate) lost: BTreeSet<usize>,
}

impl Step {
    fn question(&self) -> Option<(u16, &[u8])> {
        if let Self::Asks(flow, text) = self { Some((*flow, text)) } else { None }
    }

    fn answer(&self) -> Option<(u16, &[u8])> {
        match self {
            Self::Answers(flow, text) | Self::AnswersBackwards(flow, text) => Some((*flow, text)),
            Self::Asks(..) | Self::Connects(..) | Self::Intrudes(..) | Self::Silence(_) => None,
        }
    }
}

impl Effects {
    pub(crate) fn open(ports: impl IntoIterator<Item = u16>) -> Self {
        Self { open: ports.into_iter().collect(), lost: BTreeSet::new() }
    }

    pub(crate) fn losing(self, steps: impl IntoIterator<Item = usize>) -> Self {
        Self { lost: steps.into_iter().collect(), ..self }
    }
}

/// A datagram of the responder, with what went before it.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    /// Its place among the steps.
    pub(crate) step: usize,
    pub(crate) flow: u16,
    pub(crate) text: &'a [u8],
    pub(crate) header: Option<Header<'a>>,
    /// The service that was asked for under its HANDLE and SEQ.
    pub(crate) service: Option<&'a str>,
    /// Whether the request has had its reply, or its refusal, before.
    pub(crate) is_repeated: bool,
}

impl Answer<'_> {
    /// Tells whether the helper takes a number in it for this port.
    pub(crate) fn announces(&self, port: u16) -> bool {
        reading::of_helper(self.text).contains(&port)
    }
}

impl Case {
    /// Makes the case of one request and its answer.
    pub(crate) fn answered(name: String, request: Vec<u8>, answer: Vec<u8>) -> Self {
        let known = Effects::open(reading::of_helper(&answer));
        let steps = vec![Step::Asks(FLOWS[0], request), Step::Answers(FLOWS[0], answer)];
        Self { name, ipv6: false, steps, known, wanted: None }
    }

    /// Lists the datagrams of the responder.
    pub(crate) fn answers(&self) -> impl Iterator<Item = Answer<'_>> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(step, what)| {
            let (flow, text) = what.answer()?;
            Some(self.answer(step, flow, text))
        })
    }

    /// Returns the answer that is all that the responder does, if it is.
    pub(crate) fn single_answer(&self) -> Option<Answer<'_>> {
        match self.steps.as_slice() {
            [Step::Asks(..), Step::Answers(..)] => self.answers().next(),
            _ => None,
        }
    }

    fn answer<'a>(&'a self, step: usize, flow: u16, text: &'a [u8]) -> Answer<'a> {
        let header = reading::header(text);
        let name = header.map(|header| (header.handle, header.sequence));
        let is_of = |other: &Header<'_>| Some((other.handle, other.sequence)) == name;
        let on_flow = |&(on, _): &(u16, &[u8])| on == flow;
        let before = self.steps[..step].iter();
        let mut requests = before.clone().filter_map(Step::question).filter(on_flow);
        let request = requests.find_map(|(_, text)| {
            reading::header(text).filter(|other| other.kind == "REQ" && is_of(other))
        });
        let mut answers = before.filter_map(Step::answer).filter(on_flow);
        let is_repeated = answers.any(|(_, text)| {
            let other = reading::header(text).filter(is_of);
            other.is_some_and(|other| ["REP", "NAK"].contains(&other.kind))
        });
        Answer {
            step,
            flow,
            text,
            header,
            service: request.map(|request| reading::service(request.body)),
            is_repeated,
        }
    }
}
