//! What flows still need of the tables of translation.

use std::collections::{HashMap, HashSet};

use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::nat::{AliasKey, BindingKey};

use crate::nat;

/// For how long a binding stays after the last packet of its last flow, in nanoseconds (RFC 4787,
/// REQ-5: never less than two minutes, better five).
const KEPT: u64 = 300_000_000_000;

/// What is needed, as a pass over all flows has found it.
#[derive(Default)]
pub(super) struct Uses {
    aliases: HashSet<AliasKey>,
    bindings: HashMap<BindingKey, Use>,
}

/// How a binding is used.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Monotonic time of the last packet, in nanoseconds.
    seen: u64,
    is_live: bool,
}

impl Uses {
    /// Begins another pass; what was used before is still known.
    pub(super) fn restart(&mut self, now: u64) {
        self.aliases = HashSet::new();
        self.bindings.retain(|_, used| !is_stale(used.seen, now) || used.is_live);
        self.bindings.values_mut().for_each(|used| used.is_live = false);
    }

    /// Notes what a flow needs.
    pub(super) fn note(&mut self, key: &FlowKey, flow: &Flow) {
        self.aliases.extend(nat::aliases(key, flow));
        for outside in nat::bindings(key, flow) {
            let used = self.bindings.entry(outside).or_default();
            *used = Use { seen: used.seen.max(flow.seen), is_live: true };
        }
    }

    /// Tells whether a flow needs an alias.
    pub(super) fn has_alias(&self, key: &AliasKey) -> bool {
        self.aliases.contains(key)
    }

    /// Tells whether no flow has a binding, by its key of the outside, nor had it lately; it was last
    /// given to a flow at a time.
    pub(super) fn is_over(&self, outside: &BindingKey, given: u64, now: u64) -> bool {
        let used = self.bindings.get(outside).copied().unwrap_or_default();
        !used.is_live && is_stale(used.seen.max(given), now)
    }
}

fn is_stale(seen: u64, now: u64) -> bool {
    now.saturating_sub(seen) > KEPT
}

#[cfg(test)]
mod tests {
    use amanda_fw_common::wire::PROTOCOL_UDP;

    use super::*;
    use crate::nat::tests::{mapped, masqueraded};

    const SECOND: u64 = 1_000_000_000;
    const OUTSIDE: &str = "198.51.100.1:4000";

    fn flow(seen: u64) -> (FlowKey, Flow) {
        let (key, mut flow) = masqueraded(PROTOCOL_UDP, "192.168.0.7:4000", OUTSIDE);
        flow.seen = seen;
        (key, flow)
    }

    fn outside() -> BindingKey {
        BindingKey::outside(PROTOCOL_UDP, mapped(OUTSIDE))
    }

    #[test]
    fn an_alias_is_needed_while_its_flow_is_there() {
        let (mut uses, (key, flow)) = (Uses::default(), flow(0));
        let alias = nat::aliases(&key, &flow).next().expect("an alias");
        assert!(!uses.has_alias(&alias));
        uses.note(&key, &flow);
        assert!(uses.has_alias(&alias));
        uses.restart(0);
        assert!(!uses.has_alias(&alias));
    }

    #[test]
    fn a_binding_without_flows_stays_for_five_minutes_after_it_was_given() {
        let uses = Uses::default();
        assert!(!uses.is_over(&outside(), 10 * SECOND, 310 * SECOND));
        assert!(uses.is_over(&outside(), 10 * SECOND, 310 * SECOND + 1));
    }

    #[test]
    fn a_binding_stays_while_a_silent_flow_has_it() {
        let (mut uses, (key, flow)) = (Uses::default(), flow(20 * SECOND));
        uses.note(&key, &flow);
        assert!(!uses.is_over(&outside(), 10 * SECOND, 90_000 * SECOND));
        let other = BindingKey::outside(PROTOCOL_UDP, mapped("198.51.100.1:4001"));
        assert!(uses.is_over(&other, 10 * SECOND, 90_000 * SECOND));
    }

    #[test]
    fn a_binding_stays_for_five_minutes_after_the_last_packet() {
        let (mut uses, (key, flow)) = (Uses::default(), flow(1000 * SECOND));
        uses.note(&key, &flow);
        uses.restart(1030 * SECOND);
        assert!(!uses.is_over(&outside(), 10 * SECOND, 1300 * SECOND));
        assert!(uses.is_over(&outside(), 10 * SECOND, 1300 * SECOND + 1));
        uses.restart(1301 * SECOND);
        assert!(uses.bindings.is_empty());
    }
}
