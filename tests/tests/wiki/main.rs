//! The wiki page "How To: Set Up iptables for Amanda" in iptables and in amanda-fw: the same packets
//! come in, and the same lines are logged.

mod differences;
mod log;
mod matrix;
mod netfilter;
mod recipes;
mod site;
mod verdicts;
