//! What accepted frames have said so far, read by the reference and never forgotten.

use std::collections::HashSet;

use amanda_fw_common::addr::{Addr, Endpoint};
use amanda_fw_common::flow::FlowKey;
use amanda_fw_common::rules::Way;
use amanda_fw_common::wire::{Fragment, Packet};

use crate::reference::{self, Header};
use crate::witness::{Witness, flow_key};

/// The requests and replies of the past, who was heard on which flow, and where the host sent.
#[derive(Debug, Default)]
pub(crate) struct History {
    requests: Vec<Request>,
    heard: HashSet<(FlowKey, bool)>,
    sent: HashSet<FlowKey>,
}

/// A request, and what its replies have announced.
#[derive(Debug)]
struct Request {
    initiator: Endpoint,
    responder: Endpoint,
    handle: String,
    sequence: String,
    service: &'static str,
    ports: Vec<u16>,
    /// When the last reply came.
    replied: u64,
}

impl History {
    /// Adds a frame that was let through.
    pub(crate) fn add(&mut self, witness: &Witness, packet: &Packet) {
        if !witness.is_accepted() || packet.fragment == Fragment::Later {
            return;
        }
        self.heard.insert(FlowKey::new(packet.protocol, packet.source, packet.destination));
        if witness.way == Way::Out {
            self.sent.insert(flow_key(packet));
        }
        let text = witness.text(packet);
        let Some(header) = reference::header(text) else {
            return;
        };
        let body = &text[header.body..];
        let control = witness.settings.control_port;
        if header.packet_type == "REQ" && packet.destination.port == control {
            self.add_request(packet, &header, reference::service(body));
        } else if header.packet_type == "REP" && packet.source.port == control {
            self.add_reply(witness, packet, &header, body);
        }
    }

    fn add_request(&mut self, packet: &Packet, header: &Header, service: &'static str) {
        let is_known = |r: &Request| r.service == service && r.is_asked_by(packet, header);
        if self.requests.iter().any(is_known) {
            return;
        }
        self.requests.push(Request {
            initiator: packet.source,
            responder: packet.destination,
            handle: header.handle.to_owned(),
            sequence: header.sequence.to_owned(),
            service,
            ports: Vec::new(),
            replied: 0,
        });
    }

    fn add_reply(&mut self, witness: &Witness, packet: &Packet, header: &Header, body: &[u8]) {
        for request in self.requests.iter_mut().filter(|r| r.is_answered_by(packet, header)) {
            request.ports.extend(announced(witness, body, request.service));
            request.replied = witness.now;
        }
    }

    /// Returns when a responder last announced a port to an initiator who had asked.
    pub(crate) fn announced(&self, initiator: Addr, responder: Addr, port: u16) -> Option<u64> {
        let is_so = |r: &&Request| {
            (r.initiator.addr, r.responder.addr) == (initiator, responder)
                && r.ports.contains(&port)
        };
        self.requests.iter().filter(is_so).map(|request| request.replied).max()
    }

    /// Tells whether a packet's flow has both its ends, or the host itself, to vouch for it.
    pub(crate) fn has_proven(&self, packet: &Packet) -> bool {
        let (key, forward) = FlowKey::new(packet.protocol, packet.source, packet.destination);
        self.heard.contains(&(key, !forward)) || self.sent.contains(&key)
    }
}

impl Request {
    fn is_asked_by(&self, packet: &Packet, header: &Header) -> bool {
        (self.initiator, self.responder) == (packet.source, packet.destination)
            && (self.handle.as_str(), self.sequence.as_str()) == (header.handle, header.sequence)
    }

    fn is_answered_by(&self, packet: &Packet, header: &Header) -> bool {
        let Packet { source, destination, .. } = *packet;
        self.is_asked_by(&Packet { source: destination, destination: source, ..*packet }, header)
    }
}

/// Lists the ports that the reply of a service announces.
pub(crate) fn announced(witness: &Witness, body: &[u8], service: &str) -> Vec<u16> {
    let range = witness.settings.stream_low..=witness.settings.stream_high;
    let line = reference::is_connect(body).then(|| reference::connect(body, service, range));
    let streams = line.and_then(Result::ok).unwrap_or_default();
    streams.into_iter().filter_map(|(_, port)| port).collect()
}
