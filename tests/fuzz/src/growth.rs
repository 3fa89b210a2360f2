//! What the tables gained by a frame, held against what it may add.

use std::hash::Hash;

use amanda_fw_common::connect::{MAX_STREAMS, Service};
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::fragment::Fragments;
use amanda_fw_common::memory::MemoryTable;
use amanda_fw_common::rules::Way;
use amanda_fw_common::settings::{FRAGMENT_TIMEOUT, REQUEST_TIMEOUT};
use amanda_fw_common::transaction::{StreamSlot, StreamState, Transaction, TransactionState};
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{Fragment, Packet};

use crate::history::{self, History};
use crate::packet_path::Limits;
use crate::reference::{self, Header};
use crate::witness::{Witness, find, flow_key, fragment_key};

/// Checks what every table gained.
pub(crate) fn check(witness: &Witness, history: &History, packet: &Packet) {
    check_limits(witness);
    check_flows(witness, history, packet);
    check_fragments(witness, packet);
    check_expectations(witness, packet);
    check_transactions(witness, packet);
}

fn check_limits(witness: &Witness) {
    let Limits { flows, embryos, fragments, expectations, requests, transactions } = witness.limits;
    let after = witness.after;
    assert!(after.flows.len() <= flows);
    assert!(after.embryos.len() <= embryos);
    assert!(after.fragments.len() <= fragments);
    assert!(after.expectations.len() <= expectations);
    assert!(after.requests.len() <= requests);
    assert!(after.transactions.len() <= transactions);
    for (id, _) in after.transactions.iter() {
        let own = after.expectations.iter().filter(|(_, e)| e.transaction == *id).count();
        assert!(own <= MAX_STREAMS);
    }
}

fn check_flows(witness: &Witness, history: &History, packet: &Packet) {
    let (before, after) = (witness.before, witness.after);
    let reason = witness.decision.reason();
    let own = flow_key(packet);
    let is_trusted = witness.way == Way::Out || reason == Reason::Expected;
    for (key, _) in gained(&before.embryos, &after.embryos) {
        assert_eq!(key, own, "a flow of another packet");
        assert!(witness.is_accepted(), "a flow of a dropped packet");
    }
    for (key, _) in gained(&before.flows, &after.flows) {
        assert_eq!(key, own, "a flow of another packet");
        assert!(witness.is_accepted(), "a flow of a dropped packet");
        let is_proven = find(&before.embryos, &key).is_some() && history.has_proven(packet);
        assert!(is_trusted || is_proven, "a flow that has proven nothing");
    }
    // Where a trusted flow follows an outsider's on its ports, the old entry stays behind it.
    let is_hidden = |(key, flow): (&FlowKey, &Flow)| {
        find(&after.embryos, key).is_none_or(|embryo| embryo.seen <= flow.seen)
    };
    assert!(after.flows.iter().all(is_hidden), "a flow in both tables");
}

fn check_fragments(witness: &Witness, packet: &Packet) {
    for (key, fragments) in gained(&witness.before.fragments, &witness.after.fragments) {
        assert!(witness.is_accepted() && packet.fragment == Fragment::First);
        assert_eq!(key, fragment_key(packet));
        assert_eq!(fragments.expires, witness.now + FRAGMENT_TIMEOUT);
    }
}

/// Checks that a reply to a request that waits for it opens its ports, and that nothing else does.
fn check_expectations(witness: &Witness, packet: &Packet) {
    let gained = gained(&witness.before.expectations, &witness.after.expectations);
    let allowed = allowed(witness, packet);
    for (key, expectation) in &gained {
        let (initiator, responder) = (packet.destination.addr, packet.source.addr);
        assert_eq!(*key, ExpectationKey::new(initiator, responder, key.port));
        assert!(allowed.contains(&key.port), "{} is none of {allowed:?}", key.port);
        assert!(witness.may_be_stream(key.port) && !(10080..=10083).contains(&key.port));
        assert_eq!(expectation.expires, witness.now + witness.settings.expectation_timeout);
    }
    if !gained.is_empty() {
        assert!(witness.knows(packet.destination, packet.source));
    }
    let Limits { expectations, transactions, .. } = witness.limits;
    let has_room = witness.before.expectations.len() + allowed.len() <= expectations
        && witness.before.transactions.len() < transactions;
    for port in allowed.into_iter().filter(|_| has_room) {
        let key = ExpectationKey::new(packet.destination.addr, packet.source.addr, port);
        let expires = find(&witness.after.expectations, &key).map(|e| e.expires);
        let expected = witness.now + witness.settings.expectation_timeout;
        assert_eq!(expires, Some(expected), "{port} is announced, but not open");
    }
}

/// Lists the ports that a packet opens: where it is a reply, those of its line while it is waited
/// for, and those that nobody has opened where it comes again.
fn allowed(witness: &Witness, packet: &Packet) -> Vec<u16> {
    let is_answer = witness.decision.is_control() && !witness.decision.is_from_initiator();
    let text = if is_answer { witness.text(packet) } else { &[] };
    let reply = reference::header(text).filter(|header| header.packet_type == "REP");
    let known = reply.and_then(|header| Some((header, asked(witness, packet, &header)?)));
    let Some((header, known)) = known else {
        return Vec::new();
    };
    let service = Service::from_number(known.service).map_or("", Service::name);
    match TransactionState::from_number(known.state) {
        Some(TransactionState::Requested | TransactionState::Running) => {
            if !witness.is_believed(packet) {
                return Vec::new();
            }
            history::announced(witness, &text[header.body..], service)
        }
        Some(TransactionState::Replied) => {
            let is_expected = |slot: &&StreamSlot| slot.state == StreamState::Expected.number();
            known.streams.iter().filter(is_expected).map(|slot| slot.port).collect()
        }
        Some(TransactionState::Refused) | None => Vec::new(),
    }
}

/// Finds the live transaction that a packet answers.
fn asked(witness: &Witness, packet: &Packet, header: &Header) -> Option<Transaction> {
    let (responder, initiator) = (packet.source, packet.destination);
    let is_of = |t: &Transaction| {
        (t.initiator, t.initiator_port) == (initiator.addr, initiator.port)
            && (t.responder, t.responder_port) == (responder.addr, responder.port)
            && t.handle.to_string() == header.handle
            && t.sequence.to_string() == header.sequence
            && is_awaited(witness, t)
    };
    let tables = [&witness.before.transactions, &witness.before.requests];
    tables.into_iter().flat_map(MemoryTable::iter).map(|(_, t)| *t).find(is_of)
}

/// Tells whether a transaction has not waited for its answer for too long.
fn is_awaited(witness: &Witness, transaction: &Transaction) -> bool {
    let allowed = match TransactionState::from_number(transaction.state) {
        Some(TransactionState::Requested) => REQUEST_TIMEOUT,
        Some(TransactionState::Running) => witness.settings.transaction_timeout,
        Some(TransactionState::Replied | TransactionState::Refused) | None => u64::MAX,
    };
    witness.now.saturating_sub(transaction.seen) <= allowed
}

/// Checks that a request alone begins a transaction, that an answer alone opens it unless the host
/// itself has asked, and that the first reply fixes its streams.
fn check_transactions(witness: &Witness, packet: &Packet) {
    let (before, after) = (witness.before, witness.after);
    for (id, known) in after.requests.iter() {
        match find(&before.requests, id) {
            Some(request) if request.opened == known.opened => check_streams(&request, known),
            _ => check_request(witness, packet, known),
        }
    }
    for (id, known) in after.transactions.iter() {
        match find(&before.transactions, id) {
            Some(transaction) if transaction.opened == known.opened => {
                check_streams(&transaction, known);
            }
            // What the host itself asks is there at once.
            _ if witness.way == Way::Out && packet.source.addr == known.initiator => {
                assert_eq!(known.opened, witness.now);
                check_request(witness, packet, known);
            }
            _ => {
                let request = find(&before.requests, id).expect("the request");
                assert!(find(&after.requests, id).is_none(), "a request that was answered");
                assert_eq!(packet.source.addr, known.responder);
                assert_eq!(packet.source.port, known.responder_port);
                check_streams(&request, known);
            }
        }
    }
}

fn check_request(witness: &Witness, packet: &Packet, known: &Transaction) {
    assert!(matches!(witness.decision.reason(), Reason::Control | Reason::Established));
    assert!(witness.knows(packet.source, packet.destination));
    assert_eq!((known.initiator, known.initiator_port), (packet.source.addr, packet.source.port));
    assert_eq!(known.responder, packet.destination.addr);
    assert_eq!(known.responder_port, witness.settings.control_port);
    let text = witness.text(packet);
    let header = reference::header(text).expect("a header");
    assert_eq!(header.packet_type, "REQ");
    let service = Service::from_number(known.service).map(Service::name);
    assert_eq!(service, Some(reference::service(&text[header.body..])));
    assert!(!known.has_streams());
}

fn check_streams(before: &Transaction, after: &Transaction) {
    let ports = |transaction: &Transaction| transaction.streams.map(|s| (s.stream, s.port));
    assert!(
        before.is_waiting() || ports(before) == ports(after),
        "the first reply fixes the ports"
    );
    assert!(before.state <= after.state, "a transaction goes on");
    assert_eq!((before.opened, before.service), (after.opened, after.service));
}

/// Lists the entries that are new in a table, or count as such.
fn gained<K, V>(before: &MemoryTable<K, V>, after: &MemoryTable<K, V>) -> Vec<(K, V)>
where
    K: Copy + Eq + Hash,
    V: Copy + Gain,
{
    let is_gained =
        |(key, value): &(&K, &V)| find(before, key).is_none_or(|known| V::is_gained(&known, value));
    after.iter().filter(is_gained).map(|(key, value)| (*key, *value)).collect()
}

/// Tells when an entry that was there counts as new.
trait Gain {
    fn is_gained(before: &Self, after: &Self) -> bool;
}

impl Gain for Flow {
    fn is_gained(before: &Self, after: &Self) -> bool {
        before.started != after.started
    }
}

impl Gain for Fragments {
    fn is_gained(before: &Self, after: &Self) -> bool {
        before != after
    }
}

impl Gain for Expectation {
    fn is_gained(before: &Self, after: &Self) -> bool {
        before != after
    }
}
