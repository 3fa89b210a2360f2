//! Live traffic through the real amanda-fw: two hosts in network namespaces, and a wire.

mod adoption;
mod auths;
mod bulk;
mod checksums;
mod confirm;
mod explain;
mod flows;
mod fragments;
mod life;
mod operator;
mod refusals;
mod rejections;
mod reload;
mod rule_effects;
mod rules;
mod site;
mod ssh;
mod steady;
mod switch;
mod traffic;
