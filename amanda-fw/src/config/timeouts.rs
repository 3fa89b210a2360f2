//! For how long flows may be silent where addresses are translated.

use amanda_fw_common::flow::FlowState;
use amanda_fw_common::settings::{Silence, Timeouts};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// RFC 4787, REQ-5: two minutes at least, five or more by default.
const UDP_ALONE: u64 = 2 * MINUTE;
const UDP: u64 = 5 * MINUTE;

/// RFC 5382, REQ-5 and RFC 7857, 2.1: partially open and closing connections; RFC 7857, 2.2: after
/// a reset.
const TCP_TRANSITORY: u64 = 4 * MINUTE;

/// RFC 5508, REQ-2.
const ICMP_QUERY: u64 = 60 * SECOND;

/// The states in which a datagram's other side has answered.
const ANSWERED: [FlowState; 3] =
    [FlowState::Replied, FlowState::Established, FlowState::HalfClosed];

/// Raises what is shorter than a translator may have it.
pub(super) fn for_translation(timeouts: &mut Timeouts) {
    let Timeouts { tcp, udp, control, icmp, other: _ } = timeouts;
    let transitory = [FlowState::New, FlowState::Replied, FlowState::TimeWait, FlowState::Closed];
    raise(tcp, &transitory, TCP_TRANSITORY);
    for datagrams in [udp, control] {
        raise(datagrams, &[FlowState::New], UDP_ALONE);
        raise(datagrams, &ANSWERED, UDP);
    }
    raise(icmp, &[FlowState::New], ICMP_QUERY);
    raise(icmp, &ANSWERED, ICMP_QUERY);
}

fn raise(silence: &mut Silence, states: &[FlowState], least: u64) {
    for state in states {
        let time = &mut silence[usize::from(state.number())];
        *time = (*time).max(least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translator_waits_for_as_long_as_the_standards_want() {
        let mut timeouts = Timeouts::default();
        timeouts.control[2] = SECOND;
        for_translation(&mut timeouts);
        let minutes = |silence: &Silence| silence.map(|time| time / MINUTE);
        assert_eq!(minutes(&timeouts.tcp), [4, 4, 7200, 7200, 4, 4, 0, 0]);
        assert_eq!(minutes(&timeouts.udp)[..4], [2, 5, 5, 5]);
        assert_eq!(minutes(&timeouts.control)[..4], [2, 360, 5, 360]);
        assert_eq!(minutes(&timeouts.icmp)[..4], [1, 1, 1, 1]);
        assert_eq!(timeouts.other, Timeouts::default().other);
    }
}
