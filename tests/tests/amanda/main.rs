//! Real Amanda: dumps and recoveries across the firewall, across its peers, and without any.

mod across;
mod fetchdump;
mod long;
mod many;
mod peers;
mod scans;
mod setting;
mod silence;
