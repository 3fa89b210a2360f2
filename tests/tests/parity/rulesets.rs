//! Random rules: the kernel decides by the first rule that a packet fits, and counts it there.

use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire;
use amanda_fw_tests::frames::Packet;
use amanda_fw_tests::kernel::Hook;
use amanda_fw_tests::rulesets::{Dice, first};

use crate::pair::Pair;

const RULESETS: u64 = 50;
const PACKETS: usize = 40;
const HOOKS: [Hook; 4] = [Hook::TcIngress, Hook::TcEgress, Hook::Xdp, Hook::TcEgress];

/// The interface that test runs take place on.
const INTERFACE: u32 = 1;

#[test]
#[ignore = "needs root: BPF"]
fn random_rules_decide_alike() {
    let mut pair = Pair::ruled(&Dice(0).rules(1));
    let mut decided = 0;
    for seed in 0..RULESETS {
        let mut dice = Dice(seed);
        let rules = dice.rules(60);
        pair.set_rules(&rules);
        for hook in HOOKS.into_iter().cycle().take(PACKETS) {
            let packet = dice.packet();
            let parsed = parse(&packet);
            let place = |is_log| first(&rules, &parsed, (hook.way(), INTERFACE, 0), is_log);
            let slot = place(false).map(|place| rules[place].rule.slot);
            let logging = place(true).filter(|log| place(false).is_some_and(|by| *log < by));
            let slots = [slot, logging.map(|place| rules[place].rule.slot)];
            let before = slots.map(|slot| slot.map(|slot| pair.fitted(slot)));
            let reason = pair.meets(hook, &packet).expect("a packet");
            let after = slots.map(|slot| slot.map(|slot| pair.fitted(slot)));
            let by_rule = u64::from(is_by_rule(reason));
            let expected = before.map(|count| count.map(|count| count + by_rule));
            assert_eq!(after, expected, "{reason} of {slots:?}: {hook:?} {packet:?} {rules:#?}");
            assert!(slot.is_some() || by_rule == 0, "{reason} of no rule: {packet:?}");
            decided += by_rule;
        }
    }
    assert!(decided > 1000, "{decided} packets were decided by rules");
}

fn parse(packet: &Packet) -> wire::Packet {
    let mut parsed = wire::Packet::default();
    let sound = wire::parse(&packet.bytes()[..], wire::Link::Raw, &mut parsed);
    assert_eq!(sound, Ok(()), "{packet:?}");
    parsed
}

fn is_by_rule(reason: Reason) -> bool {
    use Reason::{PolicyAccept, PolicyDrop, PolicyReject, Rule, RuleDrop, RuleReject};
    matches!(reason, Rule | RuleDrop | RuleReject | PolicyAccept | PolicyDrop | PolicyReject)
}
