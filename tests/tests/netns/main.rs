//! Live traffic through the real amanda-fw: two hosts in network namespaces, and a wire.

mod bulk;
mod fragments;
mod life;
mod refusals;
mod site;
mod traffic;
