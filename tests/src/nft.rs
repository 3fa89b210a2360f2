//! The peer: netfilter's stateful default-deny policy, with and without the kernel's Amanda helper.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{netns::Namespace, process::run_fed};

/// The table of the bench in a namespace.
const TABLE: &str = "inet amanda_bench";

/// The longest that an `nft` command may take.
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

/// The kernel's helper on every control flow that comes in: the responder's side needs it.
const HELPER: &str = "
  ct helper control {
    type \"amanda\" protocol udp;
  }
  chain watch {
    type filter hook prerouting priority filter;
    udp dport 10080 ct helper set \"control\"
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
