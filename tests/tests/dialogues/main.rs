//! Dialogues: packets against the packet path with its tables in memory, without root or kernel.

mod auths;
mod capture;
mod captures;
mod checksums;
mod conversations;
mod exchange;
mod flows;
mod fragments;
mod gateway;
mod headers;
mod hex;
mod host;
mod nat;
mod pairs;
mod properties;
mod rejections;
mod rulesets;
mod vectors;
