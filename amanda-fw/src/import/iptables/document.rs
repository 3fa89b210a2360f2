//! The whole draft: what it is made of, the policy, Amanda, the rules.

use super::Site;
use super::amanda::{Amanda, stream_ports};
use super::chains::{Chains, Family};
use super::field::{Field, Net, Ports, Word};
use super::flat::{Action, Flat, Way};
use super::nat;
use super::rule::Target;
use super::write;
use crate::import::Input;
use crate::import::draft::{Draft, Value};
use crate::import::report::Report;

/// Without these, IPv6 does not find its neighbours (RFC 4861).
const NEIGHBOURS: [&str; 4] = [
    "router-solicitation",
    "router-advertisement",
    "neighbour-solicitation",
    "neighbour-advertisement",
];

/// Writes the draft.
pub(super) fn write(
    draft: &mut Draft,
    inputs: &[Input],
    chains: &Chains,
    site: &Site,
    report: &Report,
) {
    head(draft, inputs, chains);
    lines(draft, report);
    policy(draft, chains, site);
    amanda(draft, chains, site);
    if is_icmp_decided(chains, site) && !chains.families.contains_key(&Family::V6) {
        neighbours(draft, site);
    }
    site.rules.iter().for_each(|rule| write::rule(draft, rule));
    for flat in &site.nats {
        if let Action::Translate(translation) = &flat.action {
            nat::write(draft, flat, translation);
        }
    }
}

fn head(draft: &mut Draft, inputs: &[Input], chains: &Chains) {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    draft.comment(&format!("A draft, made by `amanda-fw import iptables {}`.", names.join(" ")));
    draft.comment("Read it, then `amanda-fw check FILE`.");
    draft.comment(
        "Rules meet packets of no flow alone: packets of known flows, errors about them and streams \
         that Amanda announced pass before.",
    );
    let missing = match (chains.families.contains_key(&Family::V4), chains.families.len()) {
        (_, 2) => return,
        (true, _) => ("IPv4", "IPv6", "ip6tables-save"),
        (false, _) => ("IPv6", "IPv4", "iptables-save"),
    };
    let (here, other, tool) = missing;
    draft.comment(&format!(
        "The input is about {here} alone, and so are the rules here. {other} meets only the policy: \
         give the output of {tool} as well.",
    ));
}

fn lines(draft: &mut Draft, report: &Report) {
    let covered: Vec<String> =
        report.covered().map(|(place, why)| format!("{}: {why}", place.quote())).collect();
    let lost: Vec<String> =
        report.lost().map(|(place, why)| format!("{}: {why}", place.quote())).collect();
    for (title, lines) in [("No rule needed for:", covered), ("NOT CARRIED OVER:", lost)] {
        if !lines.is_empty() {
            draft.comment("");
            draft.comment(title);
            lines.iter().for_each(|line| draft.comment(line));
        }
    }
}

fn policy(draft: &mut Draft, chains: &Chains, site: &Site) {
    let word = |accepts| Value::text(if accepts { "accept" } else { "drop" });
    draft.gap();
    draft.table("[policy]");
    if site.incoming.is_unsaid() {
        draft.comment(
            "The input does not say what happens to the rest; that of iptables is ACCEPT.",
        );
    }
    draft.entry("incoming", &word(site.incoming.accepts(false)));
    draft.entry("outgoing", &word(site.outgoing.accepts(true)));
    if site.is_gateway() {
        if site.forward.is_unsaid() {
            draft.comment(
                "The input does not say what happens to packets through the host; that of iptables \
                 is ACCEPT. Rules with direction = \"forward\" let some through.",
            );
        }
        draft.entry("forward", &word(site.forward.accepts(false)));
    }
    if let Some(log) = &site.log {
        draft.entry("log", &write::log_value(log));
    }
    if is_icmp_decided(chains, site) {
        draft.entry_with("icmp", &Value::Bool(false), "the rules decide, as they did");
    } else {
        draft.comment("icmp = false would keep echo requests out as well.");
    }
}

/// Tells whether the input decides what ICMP comes in.
fn is_icmp_decided(chains: &Chains, site: &Site) -> bool {
    let is_icmp = |Word(name): &Word| name == "icmp" || name == "icmpv6";
    let about_icmp = |rule: &Flat| rule.matching.protocol.wanted.iter().any(is_icmp);
    chains.is_saved || site.rules.iter().any(about_icmp)
}

fn neighbours(draft: &mut Draft, site: &Site) {
    if !site.incoming.accepts(false) {
        neighbours_rule(draft, Way::In);
    }
    if !site.outgoing.accepts(true) {
        neighbours_rule(draft, Way::Out);
    }
}

fn neighbours_rule(draft: &mut Draft, way: Way) {
    let types = NEIGHBOURS.map(Value::text).to_vec();
    draft.gap();
    draft.comment("No input is about IPv6, which needs its neighbours.");
    draft.table("[[rule]]");
    draft.entry("name", &Value::text("neighbour discovery"));
    if way == Way::Out {
        draft.entry("direction", &Value::text("out"));
    }
    draft.entry("protocol", &Value::text("icmpv6"));
    draft.entry("icmp_type", &Value::List(types));
    draft.entry("action", &Value::text("accept"));
}

fn amanda(draft: &mut Draft, chains: &Chains, site: &Site) {
    draft.gap();
    if site.amanda.is_empty() {
        suggestion(draft, chains, site);
    } else {
        section(draft, &site.amanda);
    }
}

fn section(draft: &mut Draft, amanda: &Amanda) {
    draft.comment(
        "Takes the place of the rules below: requests and recoveries between these hosts, over UDP and TCP, and each \
         stream that one of them announces, for one connection.",
    );
    for rule in &amanda.replaced {
        rule.places.iter().for_each(|place| draft.comment(&format!("  {}", place.quote())));
        if !rule.matching.interface.is_any() {
            draft.comment("  Note: [amanda] is for all interfaces");
        }
    }
    for place in &amanda.overtaken {
        let quote = place.quote();
        draft.comment(&format!(
            "Note: [amanda] comes before all rules, before this one too: {quote}"
        ));
    }
    roles(draft, amanda);
    if let Some(ports) = &amanda.control_source_ports {
        draft.entry("control_source_ports", &write::ports(ports));
    }
    if let Some(ports) = &amanda.stream_ports {
        draft.entry("stream_ports", &write::ports(ports));
    } else {
        draft.comment(
            "stream_ports = \"50000:50100\" if the hosts have unreserved-tcp-port 50000,50100",
        );
    }
}

fn roles(draft: &mut Draft, amanda: &Amanda) {
    let Amanda { servers, clients, is_client, is_server, .. } = amanda;
    let hosts = |nets: &[Net], is_own: bool| {
        let own = is_own.then(|| Value::text("self"));
        Value::List(nets.iter().map(write::net).chain(own).collect())
    };
    draft.table("[amanda]");
    draft.entry("servers", &hosts(servers, *is_server));
    draft.entry("clients", &hosts(clients, *is_client));
}

/// Shows what `[amanda]` could say, where the rules tell that Amanda runs here.
fn suggestion(draft: &mut Draft, chains: &Chains, site: &Site) {
    let own = site.rules.iter().filter(|rule| rule.way != Way::Forward);
    let streams = own.clone().find_map(|rule| Some((rule, stream_ports(rule)?)));
    let asks = |rule: &Flat| rule.matching.ports.wanted.contains(&Ports(10080, 10080));
    let is_amanda = streams.is_some() || own.into_iter().any(asks) || has_helper(chains);
    if !is_amanda {
        return;
    }
    draft.comment(
        "No line names this host's backup server. If Amanda runs here, name it, for a client:",
    );
    draft.example(|draft| {
        draft.table("[amanda]");
        draft.entry_with(
            "servers",
            &Value::List(vec![Value::text("192.0.2.1")]),
            "the backup server",
        );
        draft.entry("clients", &Value::List(vec![Value::text("self")]));
    });
    let Some((rule, ports)) = streams else { return };
    draft.comment("or for the backup server itself, and take the rule for the streams out:");
    let hosts = if rule.way == Way::Out { &rule.matching.to } else { &rule.matching.from };
    draft.example(|draft| {
        draft.table("[amanda]");
        draft.entry("servers", &Value::List(vec![Value::text("self")]));
        draft.entry("clients", &named(hosts));
        draft.entry("stream_ports", &write::ports(&ports));
    });
}

fn named(hosts: &Field<Net>) -> Value {
    match hosts.wanted.as_slice() {
        [] => Value::List(vec![Value::text("on-link")]),
        nets => Value::List(nets.iter().map(write::net).collect()),
    }
}

fn has_helper(chains: &Chains) -> bool {
    let rules = chains.families.values().flatten().flat_map(|(_, chain)| &chain.rules);
    let mut targets = rules.map(|(_, rule)| &rule.target);
    chains.helper.is_some() || targets.any(|t| *t == Target::Helper("amanda".to_owned()))
}
