//! What a configuration says that is allowed, and yet is hardly meant.

mod amanda;
mod forward;
mod interfaces;
mod nat;
mod never;
mod policy;
mod rules;
mod typo;

use amanda_fw_common::ruleset::RuleSpec;

use super::mistake::{Mistake, Span, Warnings};
use super::rule::ConfigRule;
use super::{Config, Host, ruleset};

/// A rule with what it means where every interface is there that a rule names.
struct Meant<'a> {
    rule: &'a ConfigRule,
    specs: Vec<RuleSpec>,
}

/// Finds what is hardly meant on a machine.
pub(crate) fn warnings(config: &Config, host: &Host) -> Warnings {
    let whole = interfaces::complete(config, host);
    let rules: Vec<Meant<'_>> = config
        .rules
        .iter()
        .map(|rule| Meant { rule, specs: ruleset::specs(rule, &whole) })
        .collect();
    let found = [
        amanda::warnings(&config.amanda, host),
        policy::warnings(&config.policy, &rules),
        forward::warnings(config, &rules, host),
        interfaces::warnings(config, host),
        rules::warnings(&rules, &config.policy, &config.amanda),
        nat::warnings(&config.nats, host, &whole),
        typo::warnings(&config.networks, host),
    ];
    Warnings::new(config.source.clone(), found.concat())
}

/// Warns of a part of the text, or of the whole where that is not written.
fn at(span: Option<Span>, message: impl Into<String>) -> Mistake {
    match span {
        Some(span) => Mistake::new(span, message),
        None => Mistake::whole(message),
    }
}
