//! Test bench: network namespaces, real Amanda on private hosts, and the firewalls between them.

pub mod amanda;
pub mod answers;
pub mod bench;
pub mod firewall;
pub mod frames;
pub mod host;
pub mod kernel;
pub mod kernel_log;
pub mod lan;
pub mod netns;
pub mod nft;
pub mod probes;
pub mod process;
pub mod random;
pub mod rewriting;
pub mod rulesets;
pub mod scan;
pub mod sockets;
pub mod ssh;
pub mod wait;
pub mod wire;
