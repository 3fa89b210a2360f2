//! What would happen to a packet, without anything happening to it.

mod frame;
mod kernel;
mod offline;
mod packet;

use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::verdict::Reason;

pub(crate) use kernel::by_programs;
pub(crate) use offline::by_config;
pub(crate) use packet::{Packet, PacketWords};

/// What was decided, and what it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    /// Why; the verdict follows from it.
    pub(crate) reason: Reason,
    /// The slot of the rule that decided, or that let the packet's flow in, else 0.
    pub(crate) rule: u16,
    /// The slot of the rule that would log it, else 0.
    pub(crate) log: u16,
    /// The slots of the translations that it meets.
    pub(crate) translations: Vec<u16>,
    /// The flow that the packet belongs to.
    pub(crate) flow: Option<(FlowKey, Flow)>,
    /// The expectation that the packet would use.
    pub(crate) expectation: Option<(ExpectationKey, Expectation)>,
    /// What decided.
    pub(crate) by: String,
}
