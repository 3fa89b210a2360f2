//! Random rules: the tables find what naive matching finds, for decisions and for logs.

use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::rules::{CLASS_LOGGING, Query, Way, field, first_match};
use amanda_fw_common::ruleset::RuleSpec;
use amanda_fw_common::wire::{self, Link, Packet};
use amanda_fw_tests::rulesets::{Dice, INTERFACES, first};
use proptest::prelude::*;

const PACKETS: usize = 200;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_find_what_naive_matching_finds(seed in any::<u64>(), most in 1_usize..150) {
        let mut dice = Dice(seed);
        let rules = dice.rules(most);
        let tables = Classifier::compile(&rules).expect("few rules");
        for index in 0..PACKETS {
            let frame = dice.packet().bytes();
            let mut packet = Packet::default();
            prop_assert_eq!(wire::parse(&frame[..], Link::Raw, &mut packet), Ok(()));
            let way = Way::ALL[index % Way::ALL.len()];
            let interface = |index: usize| INTERFACES[index % INTERFACES.len()];
            let output = if way == Way::Forward { interface(index / 7) } else { 0 };
            check(&rules, &tables, &packet, (way, interface(index), output))?;
        }
    }
}

/// Checks which rule decides a packet, and which logs it.
fn check(
    rules: &[RuleSpec],
    tables: &Classifier,
    packet: &Packet,
    place: (Way, u32, u32),
) -> Result<(), TestCaseError> {
    let (way, interface, output) = place;
    let deciding = Query::deciding(packet, way, interface, output, tables.fields);
    let logging = Query { asked: CLASS_LOGGING, ..deciding };
    for (query, is_log) in [(deciding, false), (logging, true)] {
        let naive = first(rules, packet, place, is_log);
        let found = first_match(tables, packet, &query).map(|place| place as usize);
        prop_assert_eq!(found, naive, "logging: {}, {:?} {:?}", is_log, place, packet);
        // Nobody is asked who logs where nobody does.
        prop_assert!(!is_log || found.is_none() || tables.fields & field::LOGGING != 0);
    }
    Ok(())
}
