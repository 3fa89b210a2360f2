//! TC programs on kernels without links for them (before 6.6): filters of the clsact qdisc.
//!
//! A filter outlives the loader by itself. The pinned program says that it is there, and its name
//! says which it is: `clsact-egress:49152:1`, with the filter's priority and handle.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{SchedClassifier, TcAttachType};

use crate::bpffs;

const INGRESS: &str = "clsact-ingress";
const EGRESS: &str = "clsact-egress";

/// Attaches a program, and then takes off those that were attached before.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    way: TcAttachType,
    directory: &Path,
) -> Result<()> {
    let before: Vec<String> =
        bpffs::list(directory)?.into_iter().filter(|pin| way_of(pin) == Some(way)).collect();
    // Where the qdisc is there already, this fails and the next call succeeds.
    let _ = qdisc_add_clsact(interface);
    let options = TcAttachOptions::Netlink(NlOptions::default());
    let id = program.attach_with_options(interface, way, options)?;
    let link = program.take_link(id).context("take the filter")?;
    let pin = format!("{}:{}:{}", name(way), link.priority()?, u32::from(link.handle()?));
    // Dropped, it would detach.
    std::mem::forget(link);
    program.pin(directory.join(pin)).context("pin the program")?;
    for pin in before {
        detach(interface, &pin);
        fs::remove_file(directory.join(&pin)).context("remove the pin of the filter before")?;
    }
    Ok(())
}

/// Takes off the filter that a pin stands for; an interface that is gone has none.
pub(crate) fn detach(interface: &str, pin: &str) {
    let mut parts = pin.split(':').skip(1);
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let (Some(way), Some(priority), Some(handle)) = (way_of(pin), number(), number()) else {
        return;
    };
    let Ok(priority) = u16::try_from(priority) else {
        return;
    };
    if let Ok(link) =
        SchedClassifierLink::attached(interface, way, priority, TcHandle::from(handle), None)
    {
        // That it is gone already is as well.
        let _ = aya::programs::links::Link::detach(link);
    }
}

/// Tells whether a pin stands for a filter of incoming packets.
pub(crate) fn is_ingress(pin: &str) -> bool {
    way_of(pin) == Some(TcAttachType::Ingress)
}

/// Tells whether a pin stands for a filter of outgoing packets.
pub(crate) fn is_egress(pin: &str) -> bool {
    way_of(pin) == Some(TcAttachType::Egress)
}

fn way_of(pin: &str) -> Option<TcAttachType> {
    match pin.split(':').next()? {
        INGRESS => Some(TcAttachType::Ingress),
        EGRESS => Some(TcAttachType::Egress),
        _ => None,
    }
}

fn name(way: TcAttachType) -> &'static str {
    if way == TcAttachType::Egress { EGRESS } else { INGRESS }
}
