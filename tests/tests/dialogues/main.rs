//! Dialogues: packets against the packet path with its tables in memory, without root or kernel.

mod capture;
mod captures;
mod conversations;
mod exchange;
mod flows;
mod fragments;
mod headers;
mod hex;
mod host;
mod properties;
mod rejections;
mod rulesets;
mod vectors;
