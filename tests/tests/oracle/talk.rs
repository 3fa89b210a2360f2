//! The datagrams of one transaction, as steps of a case.

use crate::case::{FLOWS, Step};

/// A transaction on one of the flows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    flow: u16,
    handle: u32,
    sequence: u32,
}

impl Talk {
    /// Makes the first transaction of a flow.
    pub(crate) fn on(flow: usize) -> Self {
        Self { flow: FLOWS[flow], handle: 0, sequence: 1_700_000_000 }
    }

    /// Makes the transaction that follows on the same flow.
    pub(crate) fn next(self) -> Self {
        Self { handle: self.handle + 1, sequence: self.sequence + 7, ..self }
    }

    pub(crate) fn request(&self, service: &str) -> Step {
        let body = format!("SECURITY USER backup\nSERVICE {service}\nOPTIONS maxdumps=1;\n");
        Step::Asks(self.flow, self.text("REQ", &body))
    }

    /// The responder's ACK of the request.
    pub(crate) fn receipt(&self) -> Step {
        self.answer("ACK", "")
    }

    pub(crate) fn partial(&self, body: &str) -> Step {
        self.answer("PREP", body)
    }

    pub(crate) fn reply(&self, body: &str) -> Step {
        self.answer("REP", body)
    }

    /// A reply in fragments, of which the last one comes first.
    pub(crate) fn backwards(&self, body: &str) -> Step {
        Step::AnswersBackwards(self.flow, self.text("REP", body))
    }

    pub(crate) fn refusal(&self, body: &str) -> Step {
        self.answer("NAK", body)
    }

    /// A datagram of nothing.
    pub(crate) fn nothing(&self) -> Step {
        Step::Answers(self.flow, Vec::new())
    }

    /// The initiator's ACK of the reply.
    pub(crate) fn thanks(&self) -> Step {
        Step::Asks(self.flow, self.text("ACK", ""))
    }

    fn answer(&self, kind: &str, body: &str) -> Step {
        Step::Answers(self.flow, self.text(kind, body))
    }

    fn text(&self, kind: &str, body: &str) -> Vec<u8> {
        let Self { handle, sequence, .. } = self;
        format!("Amanda 3.5 {kind} HANDLE 000-{handle:08x} SEQ {sequence}\n{body}").into_bytes()
    }
}
