//! What the kernel must grant before anything is tried.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// Fails with the names of the capabilities that are missing.
pub(crate) fn check() -> Result<()> {
    let Ok(sets) = capabilities(None) else {
        return Ok(());
    };
    let has = |set: CapabilitySet| sets.effective.contains(set);
    let admin = has(CapabilitySet::SYS_ADMIN);
    let mut missing = Vec::new();
    if !admin && !has(CapabilitySet::BPF) {
        missing.push("CAP_BPF");
    }
    if !has(CapabilitySet::NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this needs {}; run it as root, for example with sudo", missing.join(" and "))
}

/// Fails where the kernel takes no BTF, by which the verifier knows the programs' functions.
pub(crate) fn check_btf() -> Result<()> {
    if aya::features().btf().is_some_and(|btf| btf.btf_func_global()) {
        return Ok(());
    }
    bail!(
        "this kernel takes no BTF, which the programs need; boot one that does \
         (CONFIG_DEBUG_INFO_BTF, as in Debian's since 5.10)"
    )
}

/// Lets maps take the memory that they need: kernels before 5.11 count it against a limit.
pub(crate) fn raise_memlock() {
    let unlimited = Rlimit { current: None, maximum: None };
    // Where it is refused, newer kernels do not care, and older ones say so when the maps are made.
    let _ = setrlimit(Resource::Memlock, unlimited);
}
