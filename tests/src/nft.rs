//! The peer: netfilter's stateful default-deny policy, with and without the kernel's Amanda helper.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    netns::Namespace,
    process::{run, run_fed},
};

/// The table of the bench in a namespace.
const TABLE: &str = "inet amanda_bench";

/// Selects Amanda's control flows among conntrack's entries.
const CONTROL: [&str; 4] = ["-p", "udp", "--orig-port-dst", "10080"];

/// The longest that an `nft` or `conntrack` command may take.
const NFT_TIMEOUT: Duration = Duration::from_secs(20);

/// What both policies have: new connections in to the control port only, all out.
const INPUT: &str = "
  chain input {
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state established,related accept
    meta l4proto ipv6-icmp accept
    udp dport 10080 accept
  }
";

/// The kernel's helper on every control flow: the responder's side needs it for the streams, and
/// on both it keeps the flow longer than others.
const HELPER: &str = "
  ct helper control {
    type \"amanda\" protocol udp;
  }
  chain watch {
    type filter hook prerouting priority filter;
    udp dport 10080 ct helper set \"control\"
  }
  chain watch_out {
    type filter hook output priority filter;
    udp dport 10080 ct helper set \"control\"
  }
";

/// A gateway between `eth0` and `ppp0`: hosts inside go out under its address, and requests to the
/// control port go on to the server inside.
const GATEWAY: &str = "
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iif eth0 oif ppp0 accept
    udp dport 10080 accept
  }
  chain destinations {
    type nat hook prerouting priority dstnat;
    iif ppp0 udp dport 10080 dnat ip to 192.168.2.2
  }
  chain sources {
    type nat hook postrouting priority srcnat;
    oif ppp0 masquerade
  }
";

/// An nft table in a namespace, deleted when dropped.
#[derive(Debug)]
pub struct NftPolicy<'a> {
    namespace: &'a Namespace,
}

impl<'a> NftPolicy<'a> {
    /// Drops what comes in, except to the control port or on known connections.
    pub fn without_helper(namespace: &'a Namespace) -> Result<Self> {
        Self::load(namespace, "")
    }

    /// Drops the same, and lets the kernel's helper expect the streams that it understands.
    pub fn with_helper(namespace: &'a Namespace) -> Result<Self> {
        Self::load(namespace, HELPER)
    }

    /// Makes a gateway that translates, with the kernel's helper on both sides of it.
    pub fn gateway(namespace: &'a Namespace) -> Result<Self> {
        Self::load(namespace, &[HELPER, GATEWAY].concat())
    }

    /// Returns conntrack's entries of Amanda's control flows, a line each.
    pub fn control_flows(&self) -> Result<String> {
        self.conntrack("-L")
    }

    /// Has conntrack forget Amanda's control flows, as it does by itself after 300 s of silence.
    pub fn forget_control_flows(&self) -> Result<()> {
        self.conntrack("-D").map(drop)
    }

    fn conntrack(&self, action: &str) -> Result<String> {
        let mut conntrack = self.namespace.enter_net_only("conntrack");
        conntrack.arg(action).args(CONTROL);
        Ok(run(&mut conntrack, NFT_TIMEOUT)?.require_success()?.stdout)
    }

    fn load(namespace: &'a Namespace, helper: &str) -> Result<Self> {
        let ruleset = format!("table {TABLE} {{\n{helper}{INPUT}}}\n");
        run_fed(namespace.enter_net_only("nft").args(["-f", "-"]), &ruleset, NFT_TIMEOUT)?
            .require_success()
            .context("load an nft ruleset")?;
        Ok(Self { namespace })
    }
}

impl Drop for NftPolicy<'_> {
    fn drop(&mut self) {
        // The ruleset goes with its namespace at the latest.
        let mut nft = self.namespace.enter_net_only("nft");
        let _ = nft.args(["delete", "table"]).args(TABLE.split(' ')).output();
    }
}
