//! The firewall's configs for a site: nothing comes in but what Amanda needs.

use super::{CLIENT, SERVER};

/// Returns the backup server's config.
#[must_use]
pub fn server_policy() -> String {
    policy("self", CLIENT)
}

/// Returns the backup client's config.
#[must_use]
pub fn client_policy() -> String {
    policy(SERVER, "self")
}

fn policy(server: &str, client: &str) -> String {
    format!(
        r#"[policy]
incoming = "drop"
outgoing = "accept"

[amanda]
servers = ["{server}"]
clients = ["{client}"]
control_source_ports = "512:1023"
stream_ports = "50000:50100"
"#
    )
}
