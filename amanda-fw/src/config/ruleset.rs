//! The compiler: from what people write to what the packet path reads.

use std::time::Duration;

use amanda_fw_common::addr::Network;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::flow::FlowState;
use amanda_fw_common::rules::{ANY_TYPE, MAX_RULES, Rule};
use amanda_fw_common::settings::Settings;

use super::Config;
use super::addresses::HostAddresses;
use super::amanda::Amanda;
use super::hosts::Place;
use super::mistake::{Mistake, Mistakes};
use super::policy::{Action, Policy};
use super::roles::{self, MAX_ROLES};
use super::rule::ConfigRule;
use super::sizes::Sizes;

/// Everything that the kernel is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ruleset {
    /// Policy, ports, timeouts and limits; the seed is left for the loader to choose.
    pub(crate) settings: Settings,
    /// The entries of all rules, in order.
    pub(crate) rules: Vec<Rule>,
    /// The names of the rules by their place; the first has number 1.
    pub(crate) rule_names: Vec<String>,
    /// What networks are to Amanda: the bits of the longest prefix decide.
    pub(crate) roles: Vec<(Network, u8)>,
    /// How many entries each table has room for.
    pub(crate) sizes: Sizes,
}

/// Compiles a configuration for a machine with these addresses.
pub(crate) fn compile(config: &Config, host: &HostAddresses) -> Result<Ruleset, Mistakes> {
    let Config { source, policy, amanda, modes: _, event_rate, rules: config_rules, sizes } =
        config;
    let fail = |mistake| Mistakes::new(source.clone(), vec![mistake]);
    let rules = compile_rules(config_rules, host).map_err(fail)?;
    let roles = roles::compile(&resolve(&amanda.servers, host), &resolve(&amanda.clients, host));
    if roles.len() > MAX_ROLES {
        let message = format!("[amanda] names {} networks, and {MAX_ROLES} fit", roles.len());
        return Err(fail(Mistake::new(0..0, message).way_out("name wider networks")));
    }
    let mut settings = settings(policy, amanda);
    settings.event_rate = *event_rate;
    settings.rules = rules.len() as u32;
    let rule_names = config_rules.iter().map(|rule| rule.name.clone()).collect();
    Ok(Ruleset { settings, rules, rule_names, roles, sizes: *sizes })
}

fn settings(policy: &Policy, amanda: &Amanda) -> Settings {
    let Policy { incoming, outgoing } = policy;
    let Amanda {
        servers: _,
        clients: _,
        control_port,
        control_source_ports,
        stream_ports,
        transaction_timeout,
        expectation_timeout,
    } = amanda;
    let mut settings = Settings::default();
    settings.accept_incoming = u8::from(*incoming == Action::Accept);
    settings.accept_outgoing = u8::from(*outgoing == Action::Accept);
    settings.control_port = *control_port;
    settings.control_source_low = control_source_ports.low;
    settings.control_source_high = control_source_ports.high;
    settings.stream_low = stream_ports.low;
    settings.stream_high = stream_ports.high;
    settings.transaction_timeout = nanoseconds(*transaction_timeout);
    settings.expectation_timeout = nanoseconds(*expectation_timeout);
    // A control flow must live for as long as the reply on it may take.
    for state in [FlowState::Replied, FlowState::Established, FlowState::HalfClosed] {
        settings.timeouts.control[usize::from(state.number())] = settings.transaction_timeout;
    }
    settings
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn resolve(places: &[Place], host: &HostAddresses) -> Vec<Network> {
    let mut networks = Vec::new();
    for place in places {
        match place {
            Place::Any => networks.push(Network::ANY),
            Place::Own => networks.extend(host.own_networks()),
            Place::OnLink => networks.extend(host.on_link_networks()),
            Place::Network(network) => networks.push(*network),
        }
    }
    networks.sort_by_key(|network| (network.addr().octets(), network.prefix()));
    networks.dedup();
    networks
}

fn compile_rules(rules: &[ConfigRule], host: &HostAddresses) -> Result<Vec<Rule>, Mistake> {
    let mut entries = Vec::new();
    for (rule, number) in rules.iter().zip(1..) {
        entries.extend(expand(rule, number, host));
    }
    if entries.len() <= MAX_RULES {
        return Ok(entries);
    }
    let over = entries.get(MAX_RULES).map_or(0, |entry| usize::from(entry.number));
    let rule = rules.get(over.saturating_sub(1));
    Err(too_many(entries.len(), rule))
}

fn too_many(entries: usize, rule: Option<&ConfigRule>) -> Mistake {
    let (span, name) = rule.map_or((0..0, ""), |rule| (rule.span.clone(), rule.name.as_str()));
    let message = format!(
        "the rules make {entries} entries, one for each network, port range and protocol, and \
         {MAX_RULES} fit: rule \"{name}\" has no room"
    );
    Mistake::new(span, message).way_out("name wider networks or port ranges")
}

/// Makes an entry for each combination of what a rule lists.
fn expand(rule: &ConfigRule, number: u16, host: &HostAddresses) -> Vec<Rule> {
    let ConfigRule {
        span: _,
        name: _,
        way,
        protocols,
        from,
        ports,
        source_ports,
        icmp_types,
        action,
    } = rule;
    let mut entries = Vec::new();
    for from in resolve(from, host) {
        for &protocol in protocols {
            for icmp_type in icmp_types_in(protocol, icmp_types) {
                for port in ranges(ports) {
                    for source_port in ranges(source_ports) {
                        entries.push(Rule {
                            from,
                            number,
                            port_low: port.low,
                            port_high: port.high,
                            source_port_low: source_port.low,
                            source_port_high: source_port.high,
                            protocol,
                            way: *way as u8,
                            icmp_type,
                            accept: u8::from(*action == Action::Accept),
                            pad: 0,
                        });
                    }
                }
            }
        }
    }
    entries
}

fn ranges(ports: &[PortRange]) -> Vec<PortRange> {
    if ports.is_empty() { vec![PortRange { low: 0, high: u16::MAX }] } else { ports.to_vec() }
}

fn icmp_types_in(protocol: u8, icmp_types: &[super::protocol::IcmpType]) -> Vec<u16> {
    if icmp_types.is_empty() {
        return vec![ANY_TYPE];
    }
    icmp_types.iter().filter_map(|t| t.in_protocol(protocol)).map(u16::from).collect()
}
