//! The datagrams of one transaction, and the streams that follow it.

use std::net::SocketAddr;

use amanda_fw_tests::frames::{self, ACK, FIN_ACK, Packet, SYN, SYN_ACK};

use crate::host::{CLIENT, SERVER, Site, endpoint};

/// The port that amandad listens on.
pub(crate) const AMANDAD: u16 = 10080;

/// The reply that most conversations turn on.
pub(crate) const THREE_STREAMS: &str = "CONNECT DATA 11001 MESG 11003 INDEX 11004\n";
/// The ports of [`THREE_STREAMS`].
pub(crate) const THREE_PORTS: [u16; 3] = [11001, 11003, 11004];

/// What is open where nothing is.
pub(crate) const NO_PORTS: [u16; 0] = [];

/// One transaction, by the two ends of its flow, HANDLE and SEQ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) initiator: SocketAddr,
    pub(crate) responder: SocketAddr,
    pub(crate) handle: u32,
    pub(crate) sequence: i64,
}

impl Exchange {
    /// Makes the first transaction on the flow from a port of the server to the client.
    pub(crate) fn backup(port: u16) -> Self {
        let (initiator, responder) = (endpoint(SERVER, port), endpoint(CLIENT, AMANDAD));
        Self { initiator, responder, handle: 0, sequence: 1_700_000_000 }
    }

    /// Makes the first transaction on the flow from a port of the client to the server.
    pub(crate) fn recovery(port: u16) -> Self {
        let (initiator, responder) = (endpoint(CLIENT, port), endpoint(SERVER, AMANDAD));
        Self { initiator, responder, ..Self::backup(port) }
    }

    /// Makes the transaction that follows on the same flow.
    pub(crate) fn next(self) -> Self {
        Self { handle: self.handle + 1, sequence: self.sequence + 7, ..self }
    }

    /// Asks for a service.
    pub(crate) fn request(&self, service: &str) -> Packet {
        let body = format!("SECURITY USER backup\nSERVICE {service}\nOPTIONS maxdumps=1;\n");
        frames::udp(self.initiator, self.responder, &self.text("REQ", &body))
    }

    /// The responder's ACK of the request.
    pub(crate) fn receipt(&self) -> Packet {
        self.answer("ACK", "")
    }

    /// A part of the reply.
    pub(crate) fn partial(&self, body: &str) -> Packet {
        self.answer("PREP", body)
    }

    /// The reply.
    pub(crate) fn reply(&self, body: &str) -> Packet {
        self.answer("REP", body)
    }

    /// The responder's NAK.
    pub(crate) fn refusal(&self) -> Packet {
        self.answer("NAK", "ERROR execute access denied\n")
    }

    /// The initiator's ACK of the reply.
    pub(crate) fn thanks(&self) -> Packet {
        frames::udp(self.initiator, self.responder, &self.text("ACK", ""))
    }

    /// Makes a segment from the initiator to a stream's port.
    pub(crate) fn stream(&self, source_port: u16, port: u16, flags: u8) -> Packet {
        let (from, to) = self.stream_ends(source_port, port);
        frames::tcp(from, to, flags)
    }

    /// Makes a segment from a stream's port to the initiator.
    pub(crate) fn stream_answer(&self, source_port: u16, port: u16, flags: u8) -> Packet {
        let (from, to) = self.stream_ends(source_port, port);
        frames::tcp(to, from, flags)
    }

    /// Takes the exchange as far as the initiator's ACK of the reply.
    #[track_caller]
    pub(crate) fn run(&self, site: &mut Site, service: &str, body: &str) {
        for packet in [self.request(service), self.receipt(), self.reply(body), self.thanks()] {
            site.passes(&packet);
        }
    }

    /// Opens a connection to a stream's port.
    #[track_caller]
    pub(crate) fn open(&self, site: &mut Site, source_port: u16, port: u16) {
        site.passes(&self.stream(source_port, port, SYN));
        site.passes(&self.stream_answer(source_port, port, SYN_ACK));
        site.passes(&self.stream(source_port, port, ACK));
    }

    /// Closes it, the responder first.
    #[track_caller]
    pub(crate) fn close(&self, site: &mut Site, source_port: u16, port: u16) {
        site.passes(&self.stream_answer(source_port, port, FIN_ACK));
        site.passes(&self.stream(source_port, port, FIN_ACK));
        site.passes(&self.stream_answer(source_port, port, ACK));
    }

    fn answer(&self, packet_type: &str, body: &str) -> Packet {
        frames::udp(self.responder, self.initiator, &self.text(packet_type, body))
    }

    fn text(&self, packet_type: &str, body: &str) -> Vec<u8> {
        let Self { handle, sequence, .. } = self;
        let text =
            format!("Amanda 3.5 {packet_type} HANDLE 000-{handle:08x} SEQ {sequence}\n{body}");
        text.into_bytes()
    }

    fn stream_ends(&self, source_port: u16, port: u16) -> (SocketAddr, SocketAddr) {
        let Self { initiator, responder, .. } = self;
        (SocketAddr::new(initiator.ip(), source_port), SocketAddr::new(responder.ip(), port))
    }
}
