//! How much of the tables two hosts get, whoever asks and whatever is answered.

use amanda_fw_common::connect::Refusal;
use amanda_fw_common::pair::MAX_OPEN;
use amanda_fw_common::rules::{Way, role};
use amanda_fw_common::verdict::{Counter, Reason};
use amanda_fw_tests::frames::{FIN_ACK, SYN};

use crate::exchange::{Exchange, NO_PORTS, THREE_PORTS, THREE_STREAMS};
use crate::host::{CLIENT, STRANGER, Site, endpoint, ip, seconds};

#[test]
fn two_hosts_have_so_many_transactions_open_and_no_more() {
    let mut site = Site::new();
    for backup in backups().take(3 * MAX_OPEN) {
        site.passes(&backup.request("sendbackup"));
        site.passes(&backup.receipt());
    }
    for host in [&site.server, &site.client] {
        assert_eq!(host.tables.transactions.len(), MAX_OPEN);
        assert!(host.counted(Counter::TransactionsCapped) >= 2 * MAX_OPEN as u64);
    }
}

#[test]
fn a_reply_beyond_them_is_delivered_and_opens_nothing() {
    let mut site = Site::new();
    let mut backups = backups();
    for backup in backups.by_ref().take(MAX_OPEN) {
        site.passes(&backup.request("sendbackup"));
        site.passes(&backup.receipt());
    }
    let late = backups.next().expect("backups without end");
    site.passes(&late.request("sendbackup"));
    let passage = site.passes(&late.reply(THREE_STREAMS));
    let inspection = passage.departure.inspection.expect("a datagram of a control flow");
    assert_eq!(inspection.refusal, Refusal::Crowd.number());
    assert_eq!(site.open_ports(), NO_PORTS);
}

#[test]
fn other_hosts_have_as_much_as_before() {
    let mut site = Site::new();
    site.client.knows(STRANGER, role::SERVER);
    for backup in backups().take(2 * MAX_OPEN) {
        let initiator = endpoint(STRANGER, 601);
        let other = Exchange { initiator, ..backup };
        let accepted = [Reason::Control, Reason::Established];
        let asked = site.client.meets(Way::In, &other.request("sendbackup").ethernet());
        assert!(accepted.contains(&asked.reason()));
        site.client.meets(Way::Out, &other.reply(&line(&backup)).ethernet());
    }
    let open = |site: &Site, initiator: &str| {
        let all = site.client.tables.expectations.iter();
        all.filter(|(key, _)| key.initiator == ip(initiator).into()).count()
    };
    assert_eq!(open(&site, STRANGER), 3 * MAX_OPEN);
    Exchange::backup(602).run(&mut site, "sendbackup", THREE_STREAMS);
    assert_eq!(site.server.open_ports(), THREE_PORTS);
    assert_eq!(open(&site, STRANGER), 3 * MAX_OPEN);
}

#[test]
fn announced_ports_that_nobody_uses_make_room_when_their_time_is_over() {
    let mut site = Site::new();
    for backup in backups().take(2 * MAX_OPEN) {
        backup.run(&mut site, "sendbackup", &line(&backup));
    }
    assert_eq!(site.open_ports().len(), 3 * MAX_OPEN);
    site.wait(seconds(61));
    for backup in backups().skip(2 * MAX_OPEN).take(MAX_OPEN) {
        backup.run(&mut site, "sendbackup", &line(&backup));
    }
    for host in [&site.server, &site.client] {
        assert_eq!(host.open_ports().len(), 3 * MAX_OPEN);
        assert_eq!(host.tables.expectations.len(), 3 * MAX_OPEN, "nothing is left behind");
        assert_eq!(host.tables.transactions.len(), MAX_OPEN);
    }
}

#[test]
fn a_real_dump_of_a_thousand_disks_is_never_refused() {
    const DUMPERS: usize = 63;
    let mut site = Site::new();
    let mut dumps: Vec<Exchange> = Vec::new();
    for backup in backups().take(1000) {
        // Whoever has no dumper left waits for the oldest dump.
        if dumps.len() == DUMPERS {
            let over = dumps.remove(0);
            ports(&over).iter().for_each(|port| over.close(&mut site, 50000, *port));
        }
        backup.run(&mut site, "sendbackup", &line(&backup));
        ports(&backup).iter().for_each(|port| backup.open(&mut site, 50000, *port));
        dumps.push(backup);
    }
    for host in [&site.server, &site.client] {
        assert_eq!(host.counted(Counter::TransactionsCapped), 0);
        assert_eq!(host.counted(Counter::ExpectationsUsed), 3000);
    }
}

#[test]
fn a_long_dump_keeps_its_place_while_others_come_and_go() {
    let mut site = Site::new();
    let mut backups = backups();
    let long = backups.next().expect("backups without end");
    long.run(&mut site, "sendbackup", &line(&long));
    let [data, mesg, index] = ports(&long);
    long.open(&mut site, 50000, data);
    for backup in backups.take(3 * MAX_OPEN) {
        backup.run(&mut site, "noop", "OPTIONS ;\n");
    }
    // Those are over that nobody has opened in time, but not their transaction.
    assert_eq!(site.open_ports(), [mesg, index]);
    site.check(&long.stream(50000, mesg, SYN), Reason::Expected);
    site.check(&long.stream(50000, data, FIN_ACK), Reason::Established);
}

#[test]
fn what_the_host_itself_asks_is_not_pushed_out_by_a_flood() {
    const FLOOD: i64 = 10_000;
    let mut site = Site::new();
    site.client.knows(CLIENT, role::SERVER | role::CLIENT);
    let recovery = Exchange::recovery(601);
    site.passes(&recovery.request("amindexd"));
    for sequence in 0..FLOOD {
        let flood = Exchange { sequence, ..Exchange::backup(602) };
        site.client.meets(Way::In, &flood.request("sendbackup").ethernet());
    }
    site.client.meets(Way::In, &recovery.reply("CONNECT MESG 50010\n\n").ethernet());
    assert_eq!(site.client.open_ports(), [50010]);
}

/// Lists backups without end, each on a flow of its own as long as there are ports.
fn backups() -> impl Iterator<Item = Exchange> {
    let handles = (0..).zip((600..1000).cycle());
    handles.map(|(handle, port)| Exchange { handle, ..Exchange::backup(port) })
}

/// Returns the ports of a backup, which no other one of many has.
fn ports(backup: &Exchange) -> [u16; 3] {
    let first = 11_000 + 3 * u16::try_from(backup.handle).expect("a small number");
    [first, first + 1, first + 2]
}

fn line(backup: &Exchange) -> String {
    let [data, mesg, index] = ports(backup);
    format!("CONNECT DATA {data} MESG {mesg} INDEX {index}\n")
}
