//! A gateway between an inside and an outside network: plain traffic, and Amanda.

mod amanda;
mod destinations;
mod errors;
mod filtering;
mod fragments;
mod network;
mod site;
mod sources;
