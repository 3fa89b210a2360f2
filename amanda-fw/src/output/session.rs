//! Sessions: a transaction with its streams, as an administrator thinks of them.

use std::net::IpAddr;

use amanda_fw_common::connect::{Service, Stream};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::transaction::{
    StreamBytes, StreamSlot, StreamState, Transaction, TransactionState,
};
use serde::Serialize;

use super::units;

/// The widest line that a session makes.
const WIDTH: usize = 80;

/// A transaction with its streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Session {
    /// Identifier of the transaction, in hexadecimal digits.
    pub(crate) transaction: String,
    /// The service that was asked for.
    pub(crate) service: &'static str,
    /// What the request is about, where it was read: host, disk and level.
    pub(crate) about: Option<String>,
    /// Who asked.
    pub(crate) initiator: IpAddr,
    /// Who answers.
    pub(crate) responder: IpAddr,
    /// Amanda's name of the transaction.
    pub(crate) handle: String,
    /// Amanda's number of the transaction.
    pub(crate) sequence: String,
    /// How far it has come.
    pub(crate) state: &'static str,
    /// Seconds since the request.
    pub(crate) age_seconds: u64,
    /// Seconds since the last packet of the control flow or of a stream.
    pub(crate) silent_seconds: u64,
    /// The streams that the reply announced.
    pub(crate) streams: Vec<SessionStream>,
}

/// One stream of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SessionStream {
    /// Its name.
    pub(crate) name: &'static str,
    /// The TCP port on the responder, nothing where there is no connection.
    pub(crate) port: Option<u16>,
    /// How far it has come.
    pub(crate) state: &'static str,
    /// Bytes that the initiator sent.
    pub(crate) initiator_bytes: u64,
    /// Bytes that the responder sent.
    pub(crate) responder_bytes: u64,
}

impl Session {
    /// Puts a transaction and its flows together; flows of others are passed over.
    pub(crate) fn from(
        id: u64,
        transaction: &Transaction,
        flows: impl Iterator<Item = (FlowKey, Flow)>,
        now: u64,
    ) -> Self {
        let flows: Vec<Flow> =
            flows.map(|(_, flow)| flow).filter(|flow| flow.transaction == id).collect();
        let state = TransactionState::from_number(transaction.state);
        let slots = transaction.streams.iter().zip(0_u8..).zip(&transaction.carried);
        let state_name = match state {
            Some(TransactionState::Replied) if !transaction.has_streams() => "done",
            Some(state) => state.name(),
            None => "unknown",
        };
        Self {
            transaction: hex(id),
            service: Service::from_number(transaction.service).unwrap_or(Service::Other).name(),
            about: None,
            initiator: transaction.initiator.ip(),
            responder: transaction.responder.ip(),
            handle: transaction.handle.to_string(),
            sequence: transaction.sequence.to_string(),
            state: state_name,
            age_seconds: units::elapsed_seconds(transaction.opened, now),
            silent_seconds: units::elapsed_seconds(transaction.seen, now),
            streams: slots
                .filter_map(|((slot, place), carried)| stream(slot, place, carried, &flows))
                .collect(),
        }
    }

    /// Writes the session in a line, and its streams in as many as they need.
    pub(crate) fn text(&self, indent: usize) -> String {
        let margin = " ".repeat(indent);
        let silent = match self.silent_seconds {
            0 | 1 => String::new(),
            silent => format!("  silent {}", units::seconds(silent)),
        };
        let who = format!("{} > {}", self.initiator, self.responder);
        let how = format!("{}  age {}{silent}", self.state, units::seconds(self.age_seconds));
        let about = self.about.as_deref().unwrap_or_default();
        let gap = if about.is_empty() { "" } else { "  " };
        let head = format!("{margin}{}{gap}{about}  {who}  {how}\n", self.service);
        let head = if head.len() <= WIDTH || about.is_empty() {
            head
        } else {
            format!("{margin}{}  {who}  {how}\n{margin}  {about}\n", self.service)
        };
        let streams: Vec<String> = self.streams.iter().map(SessionStream::text).collect();
        head + &wrap(&streams, indent + 2)
    }
}

/// Writes an identifier so that no reader of JSON rounds it.
pub(super) fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn stream(
    slot: &StreamSlot,
    place: u8,
    carried: &StreamBytes,
    flows: &[Flow],
) -> Option<SessionStream> {
    let StreamSlot { port, stream, state } = *slot;
    let name = Stream::from_number(stream)?.name();
    // The flow of a closed stream may be another session's already: its ports come again at once.
    let flow = flows.iter().find(|flow| flow.stream == stream && flow.slot == place);
    let StreamBytes { initiator, responder } = *carried;
    let (from_initiator, from_responder) =
        flow.map_or((0, 0), |flow| (flow.bytes_original, flow.bytes_reply));
    Some(SessionStream {
        name,
        port: (port != 0).then_some(port),
        state: StreamState::from_number(state).map_or("unknown", StreamState::name),
        initiator_bytes: initiator.max(from_initiator),
        responder_bytes: responder.max(from_responder),
    })
}

impl SessionStream {
    fn text(&self) -> String {
        let Some(port) = self.port else {
            return format!("{} -", self.name);
        };
        let head = format!("{} {port} {}", self.name, self.state);
        match self.initiator_bytes.saturating_add(self.responder_bytes) {
            0 => head,
            bytes => format!("{head} {}", units::bytes(bytes)),
        }
    }
}

/// Writes items with commas between, in lines that are not too wide.
fn wrap(items: &[String], indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.len() + item.len() + 2 <= WIDTH => {
                line.push_str(&format!(" {item}{comma}"));
            }
            _ => lines.push(format!("{}{item}{comma}", " ".repeat(indent))),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Makes sessions for the tests of whoever shows them.
#[cfg(test)]
pub(super) mod tests {
    use amanda_fw_common::addr::{Addr, Endpoint};
    use amanda_fw_common::rules::Way;
    use amanda_fw_common::text::Token;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Makes the session of a backup with one stream of every state.
    pub(in crate::output) fn backup() -> Session {
        let (server, client) = (Addr::v4([10, 84, 0, 1]), Addr::v4([10, 84, 0, 2]));
        let mut transaction = Transaction::default();
        transaction.initiator = server;
        transaction.responder = client;
        transaction.handle = Token::of("000-00000000");
        transaction.sequence = Token::of("1795180617");
        transaction.opened = 100 * SECOND;
        transaction.seen = 104 * SECOND;
        transaction.service = Service::Sendbackup.number();
        transaction.state = TransactionState::Replied.number();
        let states = [(50093, 1, 3), (50094, 2, 4), (50095, 3, 2), (0, 4, 1)];
        for (slot, (port, stream, state)) in transaction.streams.iter_mut().zip(states) {
            *slot = StreamSlot { port, stream, state };
        }
        let end = |addr, port| Endpoint { addr, port };
        let (key, forward) = FlowKey::new(6, end(server, 50000), end(client, 50093));
        let mut data = Flow::begin(forward, Way::In, false, 100 * SECOND);
        (data.transaction, data.stream, data.slot) = (7, 1, 0);
        (data.bytes_original, data.bytes_reply) = (1024, 1_257_267);
        let mut other = data;
        other.transaction = 9;
        Session::from(7, &transaction, [(key, data), (key, other)].into_iter(), 105 * SECOND)
    }

    fn check(session: &Session, expected: &str) {
        assert_eq!(session.text(2), expected);
    }

    #[test]
    fn a_session_shows_every_stream_within_80_columns() {
        check(
            &backup(),
            "  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s
    DATA 50093 open 1.2 MiB, MESG 50094 closed, INDEX 50095 expected, STATE -
",
        );
    }

    #[test]
    fn streams_that_do_not_fit_go_on_in_the_next_line() {
        let mut session = backup();
        session.silent_seconds = 75;
        session.streams.iter_mut().for_each(|stream| stream.responder_bytes = 1 << 33);
        check(
            &session,
            "  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s  silent 1m 15s
    DATA 50093 open 8.0 GiB, MESG 50094 closed 8.0 GiB,
    INDEX 50095 expected 8.0 GiB, STATE -
",
        );
    }

    #[test]
    fn what_a_session_is_about_stands_where_there_is_room() {
        let about = |text: &str| Some(text.to_owned());
        let short = Session { streams: Vec::new(), about: about("lhost:/a level 0"), ..backup() };
        check(&short, "  sendbackup  lhost:/a level 0  10.84.0.1 > 10.84.0.2  replied  age 5s\n");
        let long = Session { about: about("lhost.example.com:/srv/data level 0"), ..short };
        check(
            &long,
            "  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s\n    \
             lhost.example.com:/srv/data level 0\n",
        );
    }

    #[test]
    fn a_session_without_streams_is_one_line() {
        let session = Session { streams: Vec::new(), state: "running", ..backup() };
        check(&session, "  sendbackup  10.84.0.1 > 10.84.0.2  running  age 5s\n");
    }

    #[test]
    fn bytes_are_those_of_the_session_s_own_flows() {
        let data = &backup().streams[0];
        assert_eq!((data.initiator_bytes, data.responder_bytes), (1024, 1_257_267));
    }
}
