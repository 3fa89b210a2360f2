//! Every seed and every saved crasher, run through its target.

use std::panic::catch_unwind;

use amanda_fw_fuzz::seeds::{self, Seed};
use amanda_fw_fuzz::{packet_path, parser};

#[test]
fn the_parser_reads_every_seed_as_the_reference_does() {
    check(parser::run, seeds::parser());
}

#[test]
fn the_parser_reads_every_crasher_as_the_reference_does() {
    check(parser::run, seeds::crashers("parser"));
}

#[test]
fn the_packet_path_plays_every_seed() {
    check(packet_path::run, seeds::packet_path());
}

#[test]
fn the_packet_path_plays_every_crasher() {
    check(packet_path::run, seeds::crashers("packet_path"));
}

/// Runs a target on its inputs, and lists those that it panics on.
#[track_caller]
fn check(target: fn(&[u8]), seeds: Vec<Seed>) {
    assert!(!seeds.is_empty());
    let is_failed = |seed: &Seed| catch_unwind(|| target(&seed.bytes)).is_err();
    let failed = seeds.into_iter().filter(is_failed).map(|seed| seed.name);
    assert_eq!(failed.collect::<Vec<_>>(), [""; 0]);
}
