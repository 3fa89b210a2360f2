//! Sessions: a transaction with its streams, as an administrator thinks of them.

use std::net::IpAddr;

use amanda_fw_common::connect::{Service, Stream};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::transaction::{
    StreamBytes, StreamSlot, StreamState, Transaction, TransactionState,
};
use serde::Serialize;

use super::table::{Column, table};
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
    /// Bytes that all streams have carried.
    pub(crate) bytes: u64,
    /// Bytes of a second, the mean since the request, or up to the last packet where all is done.
    pub(crate) bytes_per_second: u64,
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
    /// Seconds since the connection was opened, while it is open.
    pub(crate) age_seconds: Option<u64>,
    /// Seconds since its last packet, while it is open.
    pub(crate) idle_seconds: Option<u64>,
    /// Bytes of a second, the mean since it was opened, while it is open.
    pub(crate) bytes_per_second: Option<u64>,
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
        let is_done = state == Some(TransactionState::Replied) && !transaction.has_streams();
        let streams: Vec<SessionStream> = slots
            .filter_map(|((slot, place), carried)| stream(slot, place, carried, &flows, now))
            .collect();
        let bytes = streams.iter().map(SessionStream::bytes).sum();
        let until = if is_done { transaction.seen } else { now };
        Self {
            transaction: hex(id),
            service: Service::from_number(transaction.service).unwrap_or(Service::Other).name(),
            about: None,
            initiator: transaction.initiator.ip(),
            responder: transaction.responder.ip(),
            handle: transaction.handle.to_string(),
            sequence: transaction.sequence.to_string(),
            state: match state {
                _ if is_done => "done",
                Some(state) => state.name(),
                None => "unknown",
            },
            age_seconds: units::elapsed_seconds(transaction.opened, now),
            silent_seconds: units::elapsed_seconds(transaction.seen, now),
            bytes,
            bytes_per_second: units::per_second(bytes, transaction.opened, until),
            streams,
        }
    }

    /// Writes the session in a line or two, and each of its streams in another.
    pub(crate) fn text(&self, indent: usize) -> String {
        let margin = " ".repeat(indent);
        let silent = match self.silent_seconds {
            0 | 1 => String::new(),
            silent => format!("  silent {}", units::seconds(silent)),
        };
        let who = format!("{} > {}", self.initiator, self.responder);
        let rate = match self.bytes_per_second {
            0 => String::new(),
            rate => format!("  {}/s", units::bytes(rate)),
        };
        let age = units::seconds(self.age_seconds);
        let how = format!("{}  age {age}{silent}{rate}", self.state);
        let about = self.about.as_deref().unwrap_or_default();
        let gap = if about.is_empty() { "" } else { "  " };
        let head = format!("{margin}{}{gap}{about}  {who}  {how}\n", self.service);
        let head = if head.len() <= WIDTH || about.is_empty() {
            head
        } else {
            format!("{margin}{}  {who}  {how}\n{margin}  {about}\n", self.service)
        };
        let cells: Vec<_> = self.streams.iter().map(SessionStream::cells).collect();
        head + &table(indent + 2, &STREAM_COLUMNS, &cells)
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
    now: u64,
) -> Option<SessionStream> {
    let StreamSlot { port, stream, state } = *slot;
    let name = Stream::from_number(stream)?.name();
    // The flow of a closed stream may be another session's already: its ports come again at once.
    let flow = flows.iter().find(|flow| flow.stream == stream && flow.slot == place);
    let StreamBytes { initiator, responder } = *carried;
    let (from_initiator, from_responder) =
        flow.map_or((0, 0), |flow| (flow.bytes_original, flow.bytes_reply));
    let open = flow.filter(|_| state == StreamState::Open.number());
    let rate = |flow: &Flow| {
        let bytes = flow.bytes_original.saturating_add(flow.bytes_reply);
        units::per_second(bytes, flow.started, now)
    };
    Some(SessionStream {
        name,
        port: (port != 0).then_some(port),
        state: StreamState::from_number(state).map_or("unknown", StreamState::name),
        initiator_bytes: initiator.max(from_initiator),
        responder_bytes: responder.max(from_responder),
        age_seconds: open.map(|flow| units::elapsed_seconds(flow.started, now)),
        idle_seconds: open.map(|flow| units::elapsed_seconds(flow.seen, now)),
        bytes_per_second: open.map(rate),
    })
}

/// Name, port, state, bytes, rate and silence.
const STREAM_COLUMNS: [Column; 6] = [
    Column::Left(""),
    Column::Left(""),
    Column::Left(""),
    Column::Right(""),
    Column::Right(""),
    Column::Left(""),
];

impl SessionStream {
    fn bytes(&self) -> u64 {
        self.initiator_bytes.saturating_add(self.responder_bytes)
    }

    fn cells(&self) -> Vec<String> {
        let Some(port) = self.port else {
            return vec![self.name.to_owned(), "-".to_owned()];
        };
        let written = |count: u64| if count == 0 { String::new() } else { units::bytes(count) };
        let rate = self.bytes_per_second.filter(|rate| *rate > 0);
        // The kernel notes the time of a flow's packets once a second.
        let idle = self.idle_seconds.filter(|idle| *idle > 1);
        vec![
            self.name.to_owned(),
            port.to_string(),
            self.state.to_owned(),
            written(self.bytes()),
            rate.map(|rate| format!("{}/s", units::bytes(rate))).unwrap_or_default(),
            idle.map(|idle| format!("idle {}", units::seconds(idle))).unwrap_or_default(),
        ]
    }
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
    fn a_session_shows_every_stream_in_a_line() {
        check(
            &backup(),
            "  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s  245.8 KiB/s
    DATA   50093  open      1.2 MiB  245.8 KiB/s  idle 5s
    MESG   50094  closed
    INDEX  50095  expected
    STATE  -
",
        );
    }

    #[test]
    fn columns_align_within_80_characters() {
        let mut session = backup();
        (session.silent_seconds, session.bytes_per_second) = (75, 1023 << 30);
        for stream in &mut session.streams {
            (stream.responder_bytes, stream.bytes_per_second) = ((1 << 50) - 1, Some(1023 << 30));
            stream.idle_seconds = Some(450_000);
        }
        let text = session.text(2);
        check(
            &session,
            "  sendbackup  10.84.0.1 > 10.84.0.2  replied  age 5s  silent 1m 15s  1023.0 GiB/s
    DATA   50093  open      1.0 PiB  1023.0 GiB/s  idle 5d 5h
    MESG   50094  closed    1.0 PiB  1023.0 GiB/s  idle 5d 5h
    INDEX  50095  expected  1.0 PiB  1023.0 GiB/s  idle 5d 5h
    STATE  -
",
        );
        assert!(text.lines().skip(1).all(|line| line.len() <= WIDTH), "{text}");
    }

    #[test]
    fn what_is_done_has_its_rate_up_to_the_last_packet() {
        let mut transaction = Transaction::default();
        (transaction.opened, transaction.seen) = (100 * SECOND, 104 * SECOND);
        transaction.state = TransactionState::Replied.number();
        transaction.streams[0] = StreamSlot { port: 50093, stream: 1, state: 4 };
        transaction.carried[0] = StreamBytes { initiator: 0, responder: 8192 };
        let session = Session::from(7, &transaction, [].into_iter(), 900 * SECOND);
        assert_eq!((session.bytes, session.bytes_per_second), (8192, 2048));
        let stream = &session.streams[0];
        assert_eq!((stream.age_seconds, stream.bytes_per_second), (None, None));
    }

    #[test]
    fn an_open_stream_has_its_age_and_silence() {
        let session = backup();
        let times = |stream: &SessionStream| (stream.age_seconds, stream.idle_seconds);
        assert_eq!(times(&session.streams[0]), (Some(5), Some(5)));
        assert_eq!(times(&session.streams[1]), (None, None));
    }

    #[test]
    fn what_a_session_is_about_stands_where_there_is_room() {
        let about = |text: &str| Some(text.to_owned());
        let about_a = about("lhost:/a level 0");
        let short =
            Session { streams: Vec::new(), bytes_per_second: 0, about: about_a, ..backup() };
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
        let (streams, state) = (Vec::new(), "running");
        let session = Session { streams, state, bytes_per_second: 0, ..backup() };
        check(&session, "  sendbackup  10.84.0.1 > 10.84.0.2  running  age 5s\n");
    }

    #[test]
    fn bytes_are_those_of_the_session_s_own_flows() {
        let data = &backup().streams[0];
        assert_eq!((data.initiator_bytes, data.responder_bytes), (1024, 1_257_267));
    }
}
