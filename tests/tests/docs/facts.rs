//! Numbers and names on the page about Amanda are those of the program.

use std::time::Duration;

use amanda_fw_common::connect::{MAX_LINE, MAX_STREAMS, Refusal};
use amanda_fw_common::flow::FlowState;
use amanda_fw_common::settings::{FRAGMENT_TIMEOUT, REQUEST_TIMEOUT, Settings, Silence};
use amanda_fw_common::transaction::{StreamState, TransactionState};
use amanda_fw_common::verdict::Counter;

use crate::page::AMANDA;

#[test]
fn the_page_has_every_timeout_with_its_value() {
    let Settings { timeouts, expectation_timeout, transaction_timeout, .. } = Settings::default();
    check("request without a receipt", REQUEST_TIMEOUT);
    check("request with a receipt", transaction_timeout);
    check("announced port", expectation_timeout);
    check("later fragments of a datagram", FRAGMENT_TIMEOUT);
    check("control flow, nobody has answered", of(&timeouts.control, FlowState::New));
    check("control flow, answered", of(&timeouts.control, FlowState::Established));
    check("TCP, asked for", of(&timeouts.tcp, FlowState::New));
    check("TCP, answered", of(&timeouts.tcp, FlowState::Replied));
    check("TCP, open", of(&timeouts.tcp, FlowState::Established));
    check("TCP, closed by one side", of(&timeouts.tcp, FlowState::HalfClosed));
    check("TCP, closed by both sides", of(&timeouts.tcp, FlowState::TimeWait));
    check("TCP, reset", of(&timeouts.tcp, FlowState::Closed));
    check("other UDP, nobody has answered", of(&timeouts.udp, FlowState::New));
    check("other UDP, answered", of(&timeouts.udp, FlowState::Replied));
}

#[test]
fn the_page_names_whatever_status_and_decisions_name_of_amanda() {
    let counters = Counter::ALL.iter().filter(|counter| counter.number() < 44);
    let names = counters
        .map(|counter| counter.name())
        .chain(Refusal::ALL.iter().map(|refusal| refusal.name()))
        .chain(TransactionState::ALL.iter().map(|state| state.name()))
        .chain(StreamState::ALL.iter().skip(1).map(|state| state.name()));
    for name in names {
        assert!(AMANDA.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_page_has_the_bounds_of_a_line() {
    for words in [format!("{MAX_LINE} bytes"), format!("{MAX_STREAMS} streams")] {
        assert!(AMANDA.contains(&words), "{words}");
    }
}

/// Looks for the row of a timeout.
#[track_caller]
fn check(what: &str, nanoseconds: u64) {
    let row = format!("| {what} | {} |", time(Duration::from_nanos(nanoseconds)));
    assert!(AMANDA.contains(&row), "{row}");
}

fn of(silence: &Silence, state: FlowState) -> u64 {
    silence[usize::from(state.number())]
}

/// Writes a time in the largest unit that fits.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
