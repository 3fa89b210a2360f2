//! The compiler: from what people write to what the packet path reads.

use std::time::Duration;

use amanda_fw_common::addr::Network;
use amanda_fw_common::flow::FlowState;
use amanda_fw_common::nat::Translation;
use amanda_fw_common::rules::{Action, MAX_PLACES, Rule, State, Way};
use amanda_fw_common::ruleset::{Interfaces, Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::{Settings, gateway};
use amanda_fw_common::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6};

use super::Config;
use super::amanda::Amanda;
use super::effect::logging;
use super::host::Host;
use super::mistake::{Mistake, Mistakes};
use super::nat::ConfigNat;
use super::network::is_v4;
use super::places::{self, narrowed, places};
use super::policy::Policy;
use super::roles::{self, MAX_ROLES};
use super::rule::ConfigRule;
use super::section::Spans;
use super::selection::Selection;
use super::sizes::Sizes;
use super::timeouts;
use super::zones::Interface;

/// Everything that the kernel is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ruleset {
    /// Policy, ports, timeouts and limits; what the loader chooses is 0.
    pub(crate) settings: Settings,
    /// The rules in order, the implicit ones last.
    pub(crate) rules: Vec<RuleEntry>,
    /// What networks are to Amanda: the bits of the longest prefix decide.
    pub(crate) roles: Vec<(Network, u8)>,
    /// What rules of translation translate to, by their numbers.
    pub(crate) translations: Vec<Translation>,
    /// How many entries each table has room for.
    pub(crate) sizes: Sizes,
}

/// A rule, or one of the parts of a rule that names services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleEntry {
    /// What people call it.
    pub(crate) name: String,
    /// What it means; the loader gives it a slot.
    pub(crate) spec: RuleSpec,
    /// What it translates to, if that is what it does.
    pub(crate) translation: Option<Translation>,
    /// What each line of its log begins with.
    pub(crate) log_prefix: Option<String>,
    /// Its line in the file, from 1; 0 where it is written nowhere.
    pub(crate) line: usize,
}

/// Compiles a configuration for a machine.
pub(crate) fn compile(config: &Config, host: &Host) -> Result<Ruleset, Mistakes> {
    let Config {
        source,
        policy,
        amanda,
        modes: _,
        zones,
        event_rate,
        rules,
        nats,
        sizes,
        networks: _,
    } = config;
    let lines = Lines::of(&source.text);
    let gateway = config.gateway();
    let mut entries: Vec<RuleEntry> =
        rules.iter().flat_map(|rule| written(rule, &lines, host)).collect();
    entries.extend((0..).zip(nats).flat_map(|(number, nat)| translated(nat, number, &lines, host)));
    entries.extend(implicit(policy, gateway));
    let roles = roles(amanda, host);
    let too_many = [too_many_rules(config, entries.len()), too_many_roles(amanda, roles.len())];
    let mistakes: Vec<Mistake> =
        too_many.into_iter().flatten().chain(zones.clashing(host)).collect();
    if !mistakes.is_empty() {
        return Err(Mistakes::new(source.clone(), mistakes));
    }
    let mut settings = settings(policy, amanda);
    settings.event_rate = *event_rate;
    settings.open(if roles.is_empty() { 0 } else { amanda.auths });
    settings.gateway = gateway;
    if settings.translates() {
        timeouts::for_translation(&mut settings.timeouts);
    }
    let translations = nats.iter().map(|nat| nat.translation).collect();
    Ok(Ruleset { settings, rules: entries, roles, translations, sizes: *sizes })
}

fn too_many_rules(config: &Config, entries: usize) -> Option<Mistake> {
    let rules = config.rules.iter().map(|rule| &rule.spans);
    let last = rules.chain(config.nats.iter().map(|nat| &nat.spans)).last();
    let last = last.and_then(Spans::whole);
    let message = format!(
        "the rules make {entries} entries with the policies, one for each rule and for each \
         different part of its services, and {MAX_PLACES} fit"
    );
    let mistake = last.map_or_else(|| Mistake::whole(&*message), |at| Mistake::new(at, &*message));
    (entries > MAX_PLACES).then(|| mistake.way_out("list networks and ports in one rule"))
}

fn too_many_roles(amanda: &Amanda, roles: usize) -> Option<Mistake> {
    let span = amanda.spans.whole().unwrap_or_default();
    let message = format!("[amanda] names {roles} networks, and {MAX_ROLES} fit");
    (roles > MAX_ROLES).then(|| Mistake::new(span, message).way_out("name wider networks"))
}

/// Returns what networks are to Amanda.
pub(super) fn roles(amanda: &Amanda, host: &Host) -> Vec<(Network, u8)> {
    let [servers, clients] =
        [&amanda.servers, &amanda.clients].map(|named| places::networks(named, host));
    roles::compile(&servers, &clients)
}

fn settings(policy: &Policy, amanda: &Amanda) -> Settings {
    let Policy { incoming, outgoing, forward: _, log: _, icmp, end_flows: _, spans: _ } = policy;
    let Amanda {
        servers: _,
        clients: _,
        auths: _,
        control_port,
        control_source_ports,
        stream_ports,
        transaction_timeout,
        expectation_timeout,
        spans: _,
    } = amanda;
    let mut settings = Settings::default();
    settings.accept_incoming = u8::from(*incoming == Action::Accept);
    settings.accept_outgoing = u8::from(*outgoing == Action::Accept);
    settings.neighbours = u8::from(*icmp);
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

/// Where the lines of a text end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// Returns the line of a byte, from 1.
    fn number(&self, at: usize) -> usize {
        self.0.partition_point(|&end| end < at) + 1
    }
}

fn written(rule: &ConfigRule, lines: &Lines, host: &Host) -> Vec<RuleEntry> {
    let line = rule.spans.whole().map_or(0, |span| lines.number(span.start));
    let entry = |spec| RuleEntry {
        name: rule.name.clone(),
        spec,
        translation: None,
        log_prefix: rule.effect.log_prefix(),
        line,
    };
    specs(rule, host).into_iter().map(entry).collect()
}

fn translated(nat: &ConfigNat, number: u16, lines: &Lines, host: &Host) -> Vec<RuleEntry> {
    let line = nat.spans.whole().map_or(0, |span| lines.number(span.start));
    let entry = |spec| RuleEntry {
        name: nat.name.clone(),
        spec,
        translation: Some(nat.translation),
        log_prefix: None,
        line,
    };
    nat_specs(nat, number, host).into_iter().map(entry).collect()
}

/// Returns what a rule means on a machine: one rule, or more where it names services.
pub(super) fn specs(rule: &ConfigRule, host: &Host) -> Vec<RuleSpec> {
    let ConfigRule {
        spans: _,
        name: _,
        way,
        interfaces,
        outputs,
        traffic,
        from,
        to,
        states,
        effect,
    } = rule;
    let (from, to) = (places(from, host), places(to, host));
    let spec = |traffic: &super::traffic::Traffic| RuleSpec {
        way: *way,
        interfaces: self::interfaces(interfaces, host),
        outputs: self::interfaces(outputs, host),
        protocols: traffic.protocols.clone(),
        states: states.clone(),
        sources: from.clone(),
        destinations: narrowed(to.clone(), &traffic.to),
        source_ports: traffic.source_ports.clone(),
        destination_ports: traffic.destination_ports.clone(),
        rule: effect.rule(),
    };
    traffic.iter().map(spec).collect()
}

/// Returns what a translation of a number means on a machine: one rule, or more where it names
/// services.
pub(super) fn nat_specs(nat: &ConfigNat, number: u16, host: &Host) -> Vec<RuleSpec> {
    let ConfigNat {
        spans: _,
        name: _,
        way,
        interfaces,
        traffic,
        from,
        destination,
        translation: _,
    } = nat;
    let [from, destination] = [from, destination].map(|named| without_v6(places(named, host)));
    let rule = Rule { translation: number, ..Rule::new(Action::Translate, 0) };
    let spec = |traffic: &super::traffic::Traffic| RuleSpec {
        interfaces: self::interfaces(interfaces, host),
        protocols: traffic.protocols.clone(),
        states: vec![State::New],
        sources: from.clone(),
        destinations: narrowed(destination.clone(), &traffic.to),
        source_ports: traffic.source_ports.clone(),
        destination_ports: traffic.destination_ports.clone(),
        ..RuleSpec::all(*way, rule)
    };
    traffic.iter().map(spec).collect()
}

/// Leaves what is meant of IPv4, or of any family.
fn without_v6(Places { mut within, mut except }: Places) -> Places {
    within.retain(|network| is_v4(network) || *network == Network::ANY);
    except.retain(is_v4);
    Places { within, except }
}

/// An interface that the machine lacks has no index, and so no packet crosses it.
fn interfaces(named: &Selection<Interface>, host: &Host) -> Interfaces {
    let indexes = |interfaces: &[Interface]| -> Vec<u32> {
        interfaces.iter().filter_map(|i| host.interfaces.get(&i.name).copied()).collect()
    };
    let except = indexes(&named.except);
    match (named.only.is_empty(), named.except.is_empty()) {
        (true, true) => Interfaces::Any,
        (true, false) => Interfaces::Except(except),
        (false, _) => {
            let only = indexes(&named.only);
            Interfaces::Only(only.into_iter().filter(|index| !except.contains(index)).collect())
        }
    }
}

/// Returns what stands after all rules.
fn implicit(policy: &Policy, bits: u8) -> Vec<RuleEntry> {
    let entry = |name: &str, spec: RuleSpec| {
        let log = policy.log.as_ref().filter(|_| spec.rule.logs == 1);
        let log_prefix = log.and_then(|log| log.prefix.clone());
        RuleEntry { name: name.to_owned(), spec, translation: None, log_prefix, line: 0 }
    };
    let icmp = entry("icmp", echo_requests());
    let incoming = RuleSpec::all(Way::In, policy_rule(policy, policy.incoming));
    let outgoing = RuleSpec::all(Way::Out, policy_rule(policy, policy.outgoing));
    // What the host itself sends is not asked whether anything answers to it.
    let outgoing = RuleSpec { states: State::ALL.to_vec(), ..outgoing };
    let forward = policy_rule(policy, policy.forward.unwrap_or(Action::Drop));
    let forward = entry("policy forward", RuleSpec::all(Way::Forward, forward));
    let policies = [entry("policy incoming", incoming), entry("policy outgoing", outgoing)];
    let policies = policies.into_iter().chain((bits & gateway::FORWARDS != 0).then_some(forward));
    policy.icmp.then_some(icmp).into_iter().chain(policies).collect()
}

fn policy_rule(policy: &Policy, action: Action) -> Rule {
    let log = policy.log.as_ref().filter(|_| action != Action::Accept);
    Rule { policy: 1, ..logging(action, log) }
}

/// Lets echo requests of both families in (RFC 4890, 4.3.1).
fn echo_requests() -> RuleSpec {
    let echo = |number, icmp_type| Protocol { number, icmp_type: Some(icmp_type) };
    let protocols = vec![echo(PROTOCOL_ICMP, 8), echo(PROTOCOL_ICMPV6, 128)];
    let rule = Rule::new(Action::Accept, 0);
    RuleSpec { protocols: Protocols::Only(protocols), ..RuleSpec::all(Way::In, rule) }
}
