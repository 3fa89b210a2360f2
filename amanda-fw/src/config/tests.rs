//! Configurations, right and wrong.

mod compiled;
mod gateway;
mod mistaken;
mod schema;
mod shadowed;
mod warned;

use super::*;

/// TSHost of the wiki page, without what this version does not have.
const TSHOST: &str = r#"
[hosts]
tshost = "192.168.2.2"
lhost  = "192.168.2.3"
rhost  = "2.3.4.5"

[policy]
incoming = "drop"        # accept | drop | reject
outgoing = "accept"

[amanda]
servers = ["self"]                  # who may start dumps
clients = ["lhost", "rhost"]        # whom they may reach, and who may recover from them
control_port = 10080
control_source_ports = "700:710"    # --with-udpportrange
stream_ports = "50000:50100"        # --with-tcpportrange
transaction_timeout = "6h"
expectation_timeout = "60s"

[[rule]]
name = "amrecover-classic"
direction = "in"
protocol = "tcp"
from = "192.168.0.0/16"
ports = "10082:10083"
action = "accept"
"#;

/// Compiles for a host at 192.168.2.2/24 and 2001:db8::2/64 on eth0.
fn compiled(text: &str) -> Result<Ruleset, Mistakes> {
    compile(&parsed(text)?, &host())
}

/// Compiles what has no mistake.
fn sound(text: &str) -> Ruleset {
    compiled(text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn host() -> Host {
    let own = [("127.0.0.1", 8), ("::1", 128), ("192.168.2.2", 24), ("2001:db8::2", 64)];
    let own = own.map(|(ip, prefix)| (ip.parse().expect("an address"), prefix));
    let interfaces = [("lo", 1), ("eth0", 2)].map(|(name, index)| (name.to_owned(), index));
    Host { own: own.to_vec(), interfaces: interfaces.into(), ..Host::default() }
}

#[test]
fn the_named_file_is_read() {
    let missing = Path::new("/nonexistent/amanda-fw.toml");
    let error = find(Some(missing), missing).expect_err("no such file");
    assert!(error.is::<Unreadable>());
    assert_eq!(
        format!("{error:#}"),
        "read the configuration /nonexistent/amanda-fw.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn without_a_file_the_built_in_defaults_hold() {
    let source = find(None, Path::new("/nonexistent/amanda-fw.toml")).expect("a source");
    let config = parse(source).expect("a configuration");
    assert_eq!(config.name(), "built-in defaults");
    compile(&config, &host()).expect("a ruleset");
    assert_eq!(warnings(&config, &host()).findings(), []);
}
