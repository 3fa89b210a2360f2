//! Test bench: network namespaces, real Amanda on private hosts, and the firewalls between them.

pub mod amanda;
pub mod bench;
pub mod firewall;
pub mod frames;
pub mod host;
pub mod kernel;
pub mod lan;
pub mod netns;
pub mod nft;
pub mod process;
pub mod random;
pub mod scan;
pub mod sockets;
pub mod wait;
