//! What a rule comes to here, where known flows pass before all rules and loopback is not filtered.

use super::field::{Field, Word};
use super::flat::{self, Action, Flat, State, Way};
use super::follow::Flattening;
use super::matching::Match;
use super::rule::{Log, Rule};
use crate::import::report::Place;

impl Flattening<'_> {
    /// Adds the rules that a rule comes to, or notes why there are none.
    pub(super) fn emit(
        &mut self,
        rule: &Rule,
        places: Vec<Place>,
        mut matching: Match,
        action: Action,
        mut log: Option<Log>,
    ) {
        let Some(place) = places.last().cloned() else { return };
        let mut remarks: Vec<String> = rule.remarks.iter().map(|r| (*r).to_owned()).collect();
        let state = match self.state(&place, rule, &matching, action) {
            Some(state) => state,
            None => return,
        };
        matching.state = Field::default();
        matching.syn = Field::default();
        if !self.place_interfaces(&place, &mut matching) {
            return;
        }
        if !self.leave_loopback_out(&place, rule, &mut matching, action) {
            return;
        }
        if !matching.icmp_type.unwanted.is_empty() {
            self.lose(&place, rule, "a rule cannot exclude an ICMP type");
            return;
        }
        if let Some(log) = &mut log {
            log.rate = matching.limit.take().map(|limit| limit.rate);
        }
        match action {
            Action::Drop | Action::Reject(_) if matching.limit.is_some() => {
                self.lose(&place, rule, "a limit is for what is let in");
                return;
            }
            Action::Accept if matching.limit.is_some() => remarks.push(
                "iptables asks the rules below about what exceeds the limit; here it is dropped"
                    .to_owned(),
            ),
            Action::Accept
            | Action::Drop
            | Action::Reject(_)
            | Action::Log
            | Action::Translate(_) => {}
        }
        self.report.carry(&place);
        let flat = Flat {
            places,
            families: vec![self.family],
            way: self.way,
            matching,
            state,
            action,
            name: rule.comment.clone(),
            log,
            remarks,
        };
        self.rules.extend(flat::split(flat));
    }

    /// Returns what the rule asks of packets of no flow; nothing where it is not about them.
    fn state(
        &mut self,
        place: &Place,
        rule: &Rule,
        asked: &Match,
        action: Action,
    ) -> Option<State> {
        let allows = |name: &str| {
            let word = Field::new(vec![Word(name.to_owned())], false);
            asked.state.and(&word).is_some()
        };
        let is_syn = !asked.syn.wanted.is_empty();
        let is_no_syn = !asked.syn.unwanted.is_empty();
        let state = match (allows("NEW"), allows("INVALID")) {
            (true, _) if is_syn => Some(State::New),
            (_, true) if is_syn => Some(State::Invalid),
            (true, _) | (_, true) if is_no_syn && action != Action::Accept => Some(State::Invalid),
            (true, true) if !is_no_syn => Some(State::Any),
            (true, false) if !is_no_syn => Some(State::New),
            (false, true) if !is_no_syn => Some(State::Invalid),
            _ => None,
        };
        if state.is_none() {
            let is_of_flow =
                asked.state.wanted.is_empty() || allows("ESTABLISHED") || allows("RELATED");
            match action {
                _ if !is_of_flow => {
                    self.lose(place, rule, "a rule knows the states NEW and INVALID alone");
                }
                Action::Accept => {
                    self.report.cover(place, "packets of a known flow always pass");
                }
                Action::Drop | Action::Reject(_) | Action::Log | Action::Translate(_) => {
                    self.lose(place, rule, "packets of a known flow pass before all rules");
                }
            }
        }
        state
    }

    /// Leaves the interfaces that a packet of this way crosses; tells whether one can fit.
    pub(super) fn place_interfaces(&mut self, place: &Place, asked: &mut Match) -> bool {
        let absent = match self.way {
            Way::Forward => return true,
            Way::In | Way::Prerouting => std::mem::take(&mut asked.output),
            Way::Out | Way::Postrouting => {
                let output = std::mem::take(&mut asked.output);
                std::mem::replace(&mut asked.interface, output)
            }
        };
        let fits = absent.wanted.is_empty();
        if !fits {
            self.report.cover(place, "no packet meets it");
        }
        fits
    }

    /// Takes loopback out of a rule; tells whether anything is left.
    fn leave_loopback_out(
        &mut self,
        place: &Place,
        rule: &Rule,
        asked: &mut Match,
        action: Action,
    ) -> bool {
        let loopback = Word("lo".to_owned());
        asked.interface.unwanted.retain(|name| *name != loopback);
        let is_only = asked.interface.wanted == [loopback];
        if is_only && action == Action::Accept {
            self.report.cover(place, "loopback is never filtered");
        } else if is_only {
            self.lose(place, rule, "loopback is never filtered");
        }
        !is_only
    }
}
