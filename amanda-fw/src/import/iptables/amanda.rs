//! What of the rules is about Amanda, and so belongs into `[amanda]`.

use super::field::{Field, Net, Part, Ports, Word};
use super::flat::{Action, Flat, State, Way};
use super::matching::Match;
use crate::import::report::{Place, Report};

/// Amanda's control port, and what the classic amoldrecover asks (IANA's registry).
const CONTROL: Ports = Ports(10080, 10080);
const OLD_RECOVERY: Ports = Ports(10082, 10083);

/// Ranges of fewer ports are taken for something else than streams: a dump announces four.
const FEW: u16 = 10;

/// What `[amanda]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Amanda {
    /// The hosts whose requests this host answered.
    pub(super) servers: Vec<Net>,
    /// The hosts that this host asked.
    pub(super) clients: Vec<Net>,
    /// Whether this host answered servers.
    pub(super) is_client: bool,
    /// Whether this host asked clients.
    pub(super) is_server: bool,
    pub(super) control_source_ports: Option<Ports>,
    pub(super) stream_ports: Option<Ports>,
    /// The rules that `[amanda]` takes the place of.
    pub(super) replaced: Vec<Flat>,
    /// Rules that kept some of those packets out before, and now come after.
    pub(super) overtaken: Vec<Place>,
}

impl Amanda {
    /// Takes the rules for Amanda out of a list, and leaves remarks on those that stay.
    pub(super) fn take(rules: &mut Vec<Flat>, report: &mut Report) -> Self {
        let mut amanda = Self { overtaken: overtaken(rules), ..Self::default() };
        let (control, others) = rules.drain(..).partition(is_control);
        amanda.replaced = control;
        for rule in &amanda.replaced {
            match rule.way {
                Way::In => {
                    amanda.is_client = true;
                    add(&mut amanda.servers, &rule.matching.from);
                }
                Way::Out => {
                    amanda.is_server = true;
                    add(&mut amanda.clients, &rule.matching.to);
                }
                Way::Forward | Way::Prerouting | Way::Postrouting => {
                    add(&mut amanda.servers, &rule.matching.from);
                    add(&mut amanda.clients, &rule.matching.to);
                }
            }
        }
        amanda.control_source_ports = amanda.replaced.iter().find_map(requests_from);
        let (streams, others): (Vec<Flat>, Vec<Flat>) =
            others.into_iter().partition(|rule| amanda.covers(rule));
        amanda.stream_ports = streams.iter().filter_map(stream_ports).reduce(hull);
        amanda.replaced.extend(streams);
        amanda.replaced.iter().for_each(|rule| lose_log(rule, report));
        for place in &amanda.overtaken {
            report.lose(place, "[amanda] comes before it, and lets in some of what it keeps out");
        }
        rules.extend(others.into_iter().map(|rule| amanda.remarked(rule)));
        amanda
    }

    /// Tells whether the rules name no host.
    pub(super) fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.clients.is_empty()
    }

    /// Tells whether a rule opens streams to hosts that `[amanda]` opens them to.
    fn covers(&self, rule: &Flat) -> bool {
        let all_known = |hosts: &Field<Net>, known: &[Net]| {
            let is_known = |net: &Net| known.iter().any(|known| known.covers(net));
            !hosts.wanted.is_empty() && hosts.wanted.iter().all(is_known)
        };
        let Match { from, to, .. } = &rule.matching;
        let all = [self.servers.as_slice(), self.clients.as_slice()].concat();
        stream_ports(rule).is_some()
            && match rule.way {
                Way::In => all_known(from, &self.servers),
                Way::Out => all_known(to, &self.clients),
                Way::Forward | Way::Prerouting | Way::Postrouting => {
                    all_known(from, &all) && all_known(to, &all)
                }
            }
    }

    fn remarked(&self, mut rule: Flat) -> Flat {
        if let (Some(_), Action::Accept) = (stream_ports(&rule), rule.action) {
            let what = "these look like the ports of Amanda's streams. [amanda] opens those that a \
                        client announces, one by one and only to its backup server: once it names \
                        both, take this rule out";
            rule.remarks.push(what.to_owned());
        }
        if asks(&rule, CONTROL) && rule.action == Action::Accept {
            let what = "Amanda's control port, open to hosts that no line names: with [amanda] \
                        naming the backup server, take this rule out. As long as it is here, \
                        nothing reads what a client announces";
            rule.remarks.push(what.to_owned());
        }
        if is_old_recovery(&rule) {
            let what = "for amoldrecover alone: amrecover since Amanda 2.5 asks port 10080, which \
                        [amanda] lets it";
            rule.remarks.push(what.to_owned());
        }
        rule
    }
}

/// Finds rules that keep out some of what a later rule lets Amanda do.
fn overtaken(rules: &[Flat]) -> Vec<Place> {
    let keeps_out = |rule: &&Flat| {
        matches!(rule.action, Action::Drop | Action::Reject(_)) && rule.state != State::Invalid
    };
    let mut found = Vec::new();
    for (index, control) in rules.iter().enumerate().filter(|(_, rule)| is_control(rule)) {
        let before = rules.iter().take(index).filter(keeps_out);
        let meets =
            |rule: &&Flat| rule.way == control.way && rule.matching.and(&control.matching).is_ok();
        found.extend(before.filter(meets).filter_map(|rule| rule.places.last().cloned()));
    }
    found.dedup();
    found
}

/// Adds networks that are not known yet.
fn add(known: &mut Vec<Net>, field: &Field<Net>) {
    known.extend(
        field.wanted.iter().filter(|net| !known.contains(net)).copied().collect::<Vec<_>>(),
    );
}

fn hull(one: Ports, other: Ports) -> Ports {
    Ports(one.0.min(other.0), one.1.max(other.1))
}

fn asks(rule: &Flat, ports: Ports) -> bool {
    rule.matching.ports.wanted == [ports]
}

/// Tells whether a rule lets named hosts ask, or be asked, on Amanda's control port.
fn is_control(rule: &Flat) -> bool {
    let Match { from, to, .. } = &rule.matching;
    let hosts = match rule.way {
        Way::In => vec![from],
        Way::Out => vec![to],
        Way::Forward | Way::Prerouting | Way::Postrouting => vec![from, to],
    };
    let protocols = &rule.matching.protocol.wanted;
    let has_ports = |Word(name): &Word| name == "udp" || name == "tcp";
    rule.action == Action::Accept
        && rule.state != State::Invalid
        && !rule.matching.is_limited()
        && !protocols.is_empty()
        && protocols.iter().all(has_ports)
        && asks(rule, CONTROL)
        && hosts.iter().all(|hosts| !hosts.wanted.is_empty() && hosts.unwanted.is_empty())
}

/// Returns the ports that a rule for requests lets them come from.
fn requests_from(rule: &Flat) -> Option<Ports> {
    rule.matching.source_ports.wanted.first().copied()
}

/// Returns the ports of a rule that opens a range of TCP ports.
pub(super) fn stream_ports(rule: &Flat) -> Option<Ports> {
    let is_tcp = rule.matching.protocol.wanted == [Word("tcp".to_owned())];
    let &[ports @ Ports(low, high)] = rule.matching.ports.wanted.as_slice() else { return None };
    let is_range = low >= 1024 && high.saturating_sub(low) >= FEW;
    let is_open = rule.action == Action::Accept && rule.state != State::Invalid;
    (is_tcp && is_range && is_open).then_some(ports)
}

fn is_old_recovery(rule: &Flat) -> bool {
    let ports = &rule.matching.ports.wanted;
    rule.action == Action::Accept
        && !ports.is_empty()
        && ports.iter().all(|ports| OLD_RECOVERY.covers(ports))
}

fn lose_log(rule: &Flat, report: &mut Report) {
    let place: Option<&Place> = rule.places.first();
    if let (Some(_), Some(place)) = (&rule.log, place) {
        report.lose(place, "[amanda] has no log of its own: `attach` shows each decision");
    }
}
