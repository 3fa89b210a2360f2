//! Conversations: what a sequence of datagrams and connections between two hosts opens, and when.

use std::time::Duration;

use amanda_fw_common::rules::role;
use amanda_fw_common::verdict::{Counter, Reason};
use amanda_fw_tests::frames::{self, FIN_ACK, SYN, SYN_ACK};

use crate::exchange::{Exchange, NO_PORTS, THREE_PORTS, THREE_STREAMS};
use crate::host::{CLIENT, STRANGER, Site, endpoint, seconds};

/// How long a port stays open that nobody connects to.
const EXPECTATION: Duration = seconds(60);

#[test]
fn a_repeated_reply_renews_the_streams_that_nobody_has_opened() {
    let (mut site, backup) = replied();
    site.wait(seconds(50));
    site.passes(&backup.reply(THREE_STREAMS));
    site.wait(seconds(50));
    assert_eq!(site.open_ports(), THREE_PORTS);
    site.check(&backup.stream(50000, 11001, SYN), Reason::Expected);
}

#[test]
fn a_repeated_reply_does_not_open_a_used_stream_again() {
    let (mut site, backup) = replied();
    backup.open(&mut site, 50000, 11001);
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), [11003, 11004]);
    assert_eq!(site.send(&backup.stream(50001, 11001, SYN)).reason(), Reason::PolicyDrop);
}

#[test]
fn a_repeated_reply_does_not_open_a_closed_stream_again() {
    let (mut site, backup) = replied();
    backup.open(&mut site, 50000, 11001);
    backup.close(&mut site, 50000, 11001);
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), [11003, 11004]);
}

#[test]
fn a_reply_without_a_request_opens_nothing() {
    let mut site = Site::new();
    site.check(&Exchange::backup(601).reply(THREE_STREAMS), Reason::PolicyDrop);
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn a_reply_of_another_handle_or_sequence_is_delivered_and_opens_nothing() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    for other in [Exchange { handle: 1, ..backup }, Exchange { sequence: 1, ..backup }] {
        site.passes(&other.reply(THREE_STREAMS));
    }
    assert_eq!(site.open_ports(), NO_PORTS);
    assert_eq!(site.server.counted(Counter::RepliesUnasked), 2);
}

#[test]
fn the_first_reply_fixes_the_ports() {
    let (mut site, backup) = replied();
    site.wait(seconds(20));
    site.passes(&backup.reply("CONNECT DATA 2222 MESG 3306 INDEX 3389\n"));
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_first_reply_without_streams_keeps_later_ones_from_having_any() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    backup.run(&mut site, "sendbackup", "ERROR [no such disk]\n");
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn a_refused_request_has_no_reply() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.refusal());
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn two_flows_that_announce_one_port_share_it() {
    let (mut site, _) = replied();
    let other = Exchange::backup(602);
    other.run(&mut site, "sendbackup", "CONNECT DATA 12001 MESG 12003 INDEX 11004\n");
    assert_eq!(site.open_ports(), [11001, 11003, 11004, 12001, 12003]);
    other.open(&mut site, 50000, 11004);
    assert_eq!(site.open_ports(), [11001, 11003, 12001, 12003]);
}

#[test]
fn numbers_of_multiplexed_streams_never_clash() {
    let mut site = Site::new();
    let first = "CONNECT DATA 50081 MESG 499999 INDEX 499998 STATE 499997\n";
    let second = "CONNECT DATA 50082 MESG 499996 INDEX -1 STATE 499995\n";
    Exchange::backup(601).run(&mut site, "sendbackup", first);
    Exchange::backup(602).run(&mut site, "sendbackup", second);
    assert_eq!(site.open_ports(), [50081, 50082]);
}

#[test]
fn further_replies_push_no_port_out() {
    let (mut site, backup) = replied();
    for base in [12000, 13000] {
        let line = format!("CONNECT DATA {base} MESG {} INDEX {}\n", base + 1, base + 2);
        site.passes(&backup.reply(&line));
    }
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_further_request_on_the_flow_opens_ports_of_its_own() {
    let (mut site, backup) = replied();
    backup.next().run(&mut site, "sendbackup", "CONNECT DATA 12001 MESG 12002 INDEX -1\n");
    assert_eq!(site.open_ports(), [11001, 11003, 11004, 12001, 12002]);
}

#[test]
fn a_port_takes_one_connection() {
    let (mut site, backup) = replied();
    backup.open(&mut site, 50000, 11001);
    site.check(&backup.stream(50001, 11001, SYN), Reason::PolicyDrop);
}

#[test]
fn a_repeated_syn_is_the_same_connection() {
    let (mut site, backup) = replied();
    site.check(&backup.stream(50000, 11001, SYN), Reason::Expected);
    site.wait(seconds(1));
    site.check(&backup.stream(50000, 11001, SYN), Reason::Established);
    site.passes(&backup.stream_answer(50000, 11001, SYN_ACK));
}

#[test]
fn a_port_is_open_to_the_initiator_alone() {
    let (mut site, backup) = replied();
    let other = frames::tcp(endpoint(STRANGER, 50000), endpoint(CLIENT, 11001), SYN);
    site.client.receives(&other, Reason::PolicyDrop);
    assert_eq!(site.open_ports(), THREE_PORTS);
    backup.open(&mut site, 50000, 11001);
}

#[test]
fn a_port_is_not_open_to_a_privileged_one() {
    let (mut site, backup) = replied();
    for source_port in [20, 700, 1023] {
        site.check(&backup.stream(source_port, 11001, SYN), Reason::PolicyDrop);
    }
    site.check(&backup.stream(1024, 11001, SYN), Reason::Expected);
}

#[test]
fn only_a_syn_takes_an_open_port() {
    let (mut site, backup) = replied();
    for flags in [frames::ACK, SYN_ACK, FIN_ACK, frames::RST] {
        site.client.receives(&backup.stream(50000, 11001, flags), Reason::PolicyDrop);
    }
    assert_eq!(site.client.open_ports(), THREE_PORTS);
}

#[test]
fn a_connection_may_follow_another_on_the_same_ports_within_milliseconds() {
    let (mut site, backup) = replied();
    backup.open(&mut site, 50000, 11001);
    backup.close(&mut site, 50000, 11001);
    let next = Exchange::backup(602);
    next.run(&mut site, "sendbackup", THREE_STREAMS);
    site.wait(Duration::from_millis(17));
    site.check(&next.stream(50000, 11001, SYN), Reason::Expected);
    site.passes(&next.stream_answer(50000, 11001, SYN_ACK));
}

#[test]
fn a_connection_that_follows_another_must_be_announced() {
    let (mut site, backup) = replied();
    backup.open(&mut site, 50000, 11001);
    backup.close(&mut site, 50000, 11001);
    site.wait(Duration::from_millis(17));
    site.check(&backup.stream(50000, 11001, SYN), Reason::PolicyDrop);
}

#[test]
fn a_reply_may_come_hours_after_the_receipt_of_its_request() {
    for hours in [1, 5] {
        let mut site = Site::new();
        let backup = Exchange::backup(601);
        site.passes(&backup.request("sendbackup"));
        site.passes(&backup.receipt());
        site.wait(seconds(hours * 3600 + 3500));
        site.passes(&backup.reply(THREE_STREAMS));
        assert_eq!(site.open_ports(), THREE_PORTS, "after {hours} hours");
    }
}

#[test]
fn a_reply_comes_too_late_after_six_hours() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.receipt());
    site.wait(seconds(6 * 3600 + 1));
    site.send(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn a_reply_may_come_a_minute_after_a_request_whose_receipt_was_lost() {
    for wait in [34, 59] {
        let mut site = Site::new();
        let backup = Exchange::backup(601);
        site.passes(&backup.request("sendbackup"));
        site.wait(seconds(wait));
        site.passes(&backup.reply(THREE_STREAMS));
        assert_eq!(site.open_ports(), THREE_PORTS, "after {wait} s");
    }
}

#[test]
fn a_port_stays_open_for_a_time_of_its_own() {
    let (mut site, backup) = replied();
    site.wait(EXPECTATION - seconds(1));
    assert_eq!(site.open_ports(), THREE_PORTS);
    site.check(&backup.stream(50000, 11001, SYN), Reason::Expected);
    site.wait(seconds(1));
    site.check(&backup.stream(50000, 11003, SYN), Reason::PolicyDrop);
}

#[test]
fn a_repeated_request_shortens_nothing() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.receipt());
    site.wait(seconds(1));
    site.passes(&backup.request("sendbackup"));
    site.wait(seconds(3600));
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_request_repeated_after_its_reply_opens_nothing_anew() {
    let (mut site, backup) = replied();
    backup.open(&mut site, 50000, 11001);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), [11003, 11004]);
}

#[test]
fn parts_of_a_reply_keep_a_transaction_alive() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.receipt());
    for _ in 0..6 {
        site.wait(seconds(5 * 3600));
        site.passes(&backup.partial("/home 0 SIZE 4711\n"));
    }
    assert_eq!(site.open_ports(), NO_PORTS);
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_part_of_a_reply_opens_nothing() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.partial(THREE_STREAMS));
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn an_empty_answer_is_delivered_and_changes_nothing() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&frames::udp(backup.responder, backup.initiator, b""));
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), THREE_PORTS);
    assert_eq!(site.server.counted(Counter::NotAmanda), 1);
}

#[test]
fn a_reply_in_fragments_opens_its_ports_and_arrives_whole() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    let reply = backup.reply(&format!("{THREE_STREAMS}{}", "x".repeat(9000)));
    for fragment in reply.fragments(77, 1480) {
        site.passes(&fragment);
    }
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_fragment_that_outruns_the_first_one_is_lost_until_the_reply_is_repeated() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    let reply = backup.reply(&format!("{THREE_STREAMS}{}", "x".repeat(2000)));
    let [first, last] = reply.fragments(77, 1480).try_into().expect("two fragments");
    site.server.receives(&last, Reason::FragmentWithoutFirst);
    site.server.receives(&first, Reason::Established);
    assert_eq!(site.server.open_ports(), THREE_PORTS);
    for fragment in reply.fragments(78, 1480) {
        site.passes(&fragment);
    }
}

#[test]
fn thanks_that_outrun_the_reply_do_no_harm() {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    site.passes(&backup.request("sendbackup"));
    site.passes(&backup.receipt());
    site.passes(&backup.thanks());
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_service_without_streams_opens_nothing_whatever_it_answers() {
    let mut site = Site::new();
    let noop = Exchange::backup(601);
    noop.run(&mut site, "noop", "OPTIONS features=ff;\n");
    let backup = noop.next();
    site.passes(&backup.request("sendbackup"));
    site.passes(&noop.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), NO_PORTS);
    site.passes(&backup.reply(THREE_STREAMS));
    assert_eq!(site.open_ports(), THREE_PORTS);
}

#[test]
fn a_first_answer_of_noop_with_streams_is_refused() {
    let mut site = Site::new();
    Exchange::backup(601).run(&mut site, "noop", THREE_STREAMS);
    assert_eq!(site.open_ports(), NO_PORTS);
    assert_eq!(site.client.counted(Counter::RefusedService), 1);
}

#[test]
fn a_recovery_opens_its_ports_on_the_server() {
    let mut site = Site::new();
    let index = Exchange::recovery(858);
    index.run(&mut site, "amindexd", "CONNECT MESG 50056\n\n");
    index.open(&mut site, 50000, 50056);
    let data = index.next();
    data.run(&mut site, "amidxtaped", "CONNECT CTL 50008 DATA 50009 STATE 50010\n\n");
    for port in [50008, 50009, 50010] {
        data.open(&mut site, 50000, port);
    }
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn a_request_from_a_port_that_is_not_privileged_opens_no_control_flow() {
    let mut site = Site::new();
    site.check(&Exchange::backup(1024).request("sendbackup"), Reason::PolicyDrop);
}

#[test]
fn hosts_that_are_not_named_open_no_control_flow() {
    let mut site = Site::new();
    let stranger = Exchange { initiator: endpoint(STRANGER, 601), ..Exchange::backup(601) };
    site.client.receives(&stranger.request("sendbackup"), Reason::PolicyDrop);
}

#[test]
fn a_repeated_request_reaches_an_initiator_that_was_silent_when_its_firewall_began() {
    // The reply to a request from before leaves first, and must not make the flow another's.
    let mut site = Site::new();
    let before = Exchange::backup(601);
    site.client.sends(&before.reply(THREE_STREAMS), Reason::PolicyAccept);
    before.next().run(&mut site, "sendbackup", THREE_STREAMS);
    assert_eq!(site.client.open_ports(), THREE_PORTS);
}

#[test]
fn a_client_may_not_ask_another_client() {
    let mut site = Site::new();
    site.client.knows(STRANGER, role::CLIENT);
    let other = Exchange { initiator: endpoint(STRANGER, 601), ..Exchange::backup(601) };
    site.client.receives(&other.request("sendbackup"), Reason::PolicyDrop);
}

/// Returns two hosts after a backup's reply with [`THREE_STREAMS`].
fn replied() -> (Site, Exchange) {
    let mut site = Site::new();
    let backup = Exchange::backup(601);
    backup.run(&mut site, "sendbackup", THREE_STREAMS);
    assert_eq!(site.open_ports(), THREE_PORTS);
    (site, backup)
}
