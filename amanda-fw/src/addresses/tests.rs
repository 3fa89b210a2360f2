//! Addresses as netlink lists them, and what comes of their changes.

use std::net::Ipv4Addr;

use super::*;

const WAN: u32 = 3;

fn bits(address: &str) -> u32 {
    address.parse::<Ipv4Addr>().expect("an address").to_bits()
}

fn message(interface: u32, address: &str) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = interface;
    message.attributes = vec![AddressAttribute::Local(IpAddr::V4(bits(address).into()))];
    message
}

fn secondary(address: &str) -> AddressMessage {
    let mut message = message(WAN, address);
    message.header.flags = AddressHeaderFlags::Secondary;
    message
}

fn of_scope(address: &str, scope: AddressScope) -> AddressMessage {
    let mut message = message(WAN, address);
    message.header.scope = scope;
    message
}

fn of(messages: &[AddressMessage]) -> Addresses {
    Addresses::of(messages, &HashSet::from([WAN]))
}

#[track_caller]
fn check_lent(messages: &[AddressMessage], lent: Option<&str>) {
    assert_eq!(of(messages).lent(WAN), lent.map(bits));
}

#[test]
fn the_first_primary_address_is_lent() {
    let (first, second) = (message(WAN, "192.0.2.1"), message(WAN, "198.51.100.1"));
    check_lent(&[first, second.clone()], Some("192.0.2.1"));
    check_lent(&[secondary("192.0.2.9"), second.clone()], Some("198.51.100.1"));
    check_lent(&[message(WAN + 1, "192.0.2.7"), second], Some("198.51.100.1"));
}

#[test]
fn what_is_no_address_for_the_whole_network_is_not_lent() {
    check_lent(&[], None);
    check_lent(&[secondary("192.0.2.9")], None);
    check_lent(&[of_scope("169.254.7.7", AddressScope::Link)], None);
    check_lent(&[of_scope("127.0.0.1", AddressScope::Host)], None);
    let mut of_peer = message(WAN, "192.0.2.1");
    of_peer.attributes = vec![AddressAttribute::Address(IpAddr::V4(bits("192.0.2.254").into()))];
    check_lent(&[of_peer], None);
}

#[test]
fn an_interface_that_is_down_lends_nothing() {
    let addresses = Addresses::of(&[message(WAN, "192.0.2.1")], &HashSet::new());
    assert_eq!(addresses, Addresses::default());
}

/// Checks what is said where an interface has lent an address and has these now, and whether the one
/// before is lost.
#[track_caller]
fn check_change(before: &[&str], now: &[&str], attached: &[u32], expected: Option<(&str, bool)>) {
    let messages: Vec<_> = now.iter().map(|address| message(WAN, address)).collect();
    let before = before.iter().map(|address| (WAN, bits(address))).collect();
    let attached = attached.iter().copied().collect();
    let changes = change::find(&before, &attached, &of(&messages));
    let name = device::called(WAN);
    let found = changes.iter().map(|change| (change.text(), change.is_lost));
    let expected = expected.map(|(text, is_lost)| (format!("{name} {text}"), is_lost));
    assert!(found.eq(expected), "{changes:?}");
}

#[test]
fn a_change_of_address_is_told() {
    let (old, new) = ("192.0.2.1", "192.0.2.2");
    check_change(&[], &[old], &[WAN], Some(("lends 192.0.2.1", false)));
    let text = "lends 192.0.2.2 in place of 192.0.2.1";
    check_change(&[old], &[new], &[WAN], Some((text, true)));
    check_change(&[old], &[], &[WAN], Some(("lends 192.0.2.1 no more", true)));
    check_change(&[old], &[old, new], &[WAN], None);
    check_change(&[], &[], &[WAN], None);
}

#[test]
fn an_address_that_is_only_no_longer_the_first_is_not_lost() {
    let text = "lends 192.0.2.2 in place of 192.0.2.1";
    check_change(&["192.0.2.1"], &["192.0.2.2", "192.0.2.1"], &[WAN], Some((text, false)));
}

#[test]
fn an_interface_without_the_firewall_lends_nothing() {
    check_change(&[], &["192.0.2.1"], &[], None);
    let text = "lends 192.0.2.1 no more";
    check_change(&["192.0.2.1"], &["192.0.2.1"], &[], Some((text, false)));
}

#[test]
fn flows_that_have_ended_are_counted() {
    let text = |ended| {
        let (before, after) = (Some(bits("192.0.2.1")), Some(bits("192.0.2.2")));
        Change { interface: WAN, before, after, is_lost: true, ended }.text()
    };
    let what = text(0);
    assert!(what.ends_with("lends 192.0.2.2 in place of 192.0.2.1"), "{what}");
    assert_eq!(text(1), format!("{what}, ended 1 flow"));
    assert_eq!(text(2), format!("{what}, ended 2 flows"));
}
