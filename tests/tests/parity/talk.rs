//! What Amanda's hosts say to each other: datagrams of a control flow, and the streams' segments.

use std::net::{IpAddr, SocketAddr};

use amanda_fw_tests::frames::{self, ACK, FIN_ACK, Packet, SYN, SYN_ACK};

use crate::pair::{CLIENT, SERVER, ip};

/// The port that amandad listens on.
pub(crate) const AMANDAD: u16 = 10080;

/// One transaction.
#[derive(Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) initiator: SocketAddr,
    pub(crate) responder: SocketAddr,
    pub(crate) sequence: u32,
}

impl Talk {
    /// Makes one that the server begins, over IPv4 (0) or IPv6 (1).
    pub(crate) fn backup(family: usize) -> Self {
        Self::between(ip(SERVER[family]), ip(CLIENT[family]))
    }

    /// Makes one that the client begins.
    pub(crate) fn recovery(family: usize) -> Self {
        Self::between(ip(CLIENT[family]), ip(SERVER[family]))
    }

    fn between(initiator: IpAddr, responder: IpAddr) -> Self {
        Self {
            initiator: SocketAddr::new(initiator, 850),
            responder: SocketAddr::new(responder, AMANDAD),
            sequence: 1_795_180_617,
        }
    }

    /// A datagram from the initiator.
    pub(crate) fn says(&self, text: &str) -> Packet {
        frames::udp(self.initiator, self.responder, text.as_bytes())
    }

    /// A datagram from the responder.
    pub(crate) fn answers(&self, text: &str) -> Packet {
        frames::udp(self.responder, self.initiator, text.as_bytes())
    }

    /// A header line and a body.
    pub(crate) fn text(&self, packet_type: &str, body: &str) -> String {
        format!("Amanda 3.5 {packet_type} HANDLE 000-00000000 SEQ {}\n{body}", self.sequence)
    }

    pub(crate) fn request(&self, service: &str) -> Packet {
        let body = format!("SECURITY USER backup\nSERVICE {service}\nOPTIONS features=ff;\n");
        self.says(&self.text("REQ", &body))
    }

    pub(crate) fn receipt(&self) -> Packet {
        self.answers(&self.text("ACK", ""))
    }

    pub(crate) fn reply(&self, body: &str) -> Packet {
        self.answers(&self.text("REP", body))
    }

    pub(crate) fn thanks(&self) -> Packet {
        self.says(&self.text("ACK", ""))
    }

    /// The four datagrams of a whole transaction.
    pub(crate) fn whole(&self, service: &str, body: &str) -> Vec<Packet> {
        vec![self.request(service), self.receipt(), self.reply(body), self.thanks()]
    }

    /// A stream's connection, from its first segment to its last.
    pub(crate) fn stream(&self, port: u16) -> Vec<Packet> {
        let from = SocketAddr::new(self.initiator.ip(), port - 10_000);
        connection(from, SocketAddr::new(self.responder.ip(), port))
    }
}

/// A TCP connection, from its first segment to its last.
pub(crate) fn connection(from: SocketAddr, to: SocketAddr) -> Vec<Packet> {
    vec![
        frames::tcp(from, to, SYN),
        frames::tcp(to, from, SYN_ACK),
        frames::tcp(from, to, ACK),
        frames::tcp_with(from, to, ACK | 8, b"to be kept"),
        frames::tcp_with(to, from, ACK, &[7; 1400]),
        frames::tcp(to, from, FIN_ACK),
        frames::tcp(from, to, ACK),
        frames::tcp(from, to, FIN_ACK),
        frames::tcp(to, from, ACK),
        // Another one from the same port.
        frames::tcp(from, to, SYN),
    ]
}
