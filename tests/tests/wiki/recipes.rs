//! The page's rules, in its own commands and as users of amanda-fw write them.

/// A firewall of the page, both ways.
pub(crate) struct Recipe {
    /// What the page says to run on a host that has run [`ASSUMED`].
    pub(crate) commands: &'static str,
    /// The same for amanda-fw.
    pub(crate) config: &'static str,
}

/// What the page assumes of each host: "deny all incoming" and "accept all outgoing", "accept all
/// from localhost", and answers.
pub(crate) const ASSUMED: &str = "\
iptables -P INPUT DROP
iptables -P OUTPUT ACCEPT
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
";

/// TSHost, with the network as the page writes it: 129, which is nobody's of the example.
pub(crate) const TSHOST_AS_WRITTEN: Recipe = Recipe {
    commands: "\
iptables -t filter -A INPUT -p tcp -s 129.168.0.0/16 -m tcp --dport 50000:50100 -j ACCEPT
",
    config: r#"
[policy]
incoming = "drop"
outgoing = "accept"
icmp = false            # the page has no rule for pings

[[rule]]
protocol = "tcp"
from = "129.168.0.0/16"
ports = "50000:50100"
action = "accept"
"#,
};

/// TSHost, with the network that is meant.
pub(crate) const TSHOST_AS_MEANT: Recipe = Recipe {
    commands: "\
iptables -t filter -A INPUT -p tcp -s 192.168.0.0/16 -m tcp --dport 50000:50100 -j ACCEPT
",
    config: r#"
[hosts]
local = "192.168.0.0/16"

[policy]
incoming = "drop"
outgoing = "accept"
icmp = false

[[rule]]
name = "streams of the clients"
protocol = "tcp"
from = "local"
ports = "50000:50100"
action = "accept"
"#,
};

/// LHost, a client.
pub(crate) const LHOST: Recipe = Recipe {
    commands: "\
iptables -t filter -A INPUT -p udp -m udp -s 192.168.2.2 --dport 10080 -j ACCEPT
",
    config: r#"
[hosts]
tshost = "192.168.2.2"

[policy]
incoming = "drop"
outgoing = "accept"
icmp = false

[[rule]]
name = "amandad"
protocol = "udp"
from = "tshost"
ports = 10080
action = "accept"
"#,
};

/// RHost, a client that sees the firewall's address in place of the server's.
pub(crate) const RHOST: Recipe = Recipe {
    commands: "\
iptables -t filter -A INPUT -p udp -m udp -s 1.2.3.4 --dport 10080 -j ACCEPT
",
    config: r#"
[policy]
incoming = "drop"
outgoing = "accept"
icmp = false

[[rule]]
name = "amandad"
protocol = "udp"
from = "1.2.3.4"
ports = 10080
action = "accept"
"#,
};

/// FWHost, which is a client as well.
pub(crate) const FWHOST: Recipe = Recipe {
    commands: "\
iptables -t filter -A INPUT -p udp -m udp -s 192.168.2.2 --dport 10080 -j ACCEPT
",
    config: r#"
[policy]
incoming = "drop"
outgoing = "accept"
icmp = false

[[rule]]
name = "amandad of the firewall itself"
protocol = "udp"
from = ["192.168.2.2", "!self"]
ports = 10080
action = "accept"
"#,
};

/// The recovery of amrecover, with the chain that the page supposes.
pub(crate) const AMRECOVER: Recipe = Recipe {
    commands: r#"
IPT=iptables
$IPT -N tcp_inbound
$IPT -A INPUT -p TCP -j tcp_inbound
# amanda
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 10082:10083 -j LOG \
       --log-prefix "amanda high: "
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 10082:10083 -j ACCEPT
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 1100:1150 -j LOG \
       --log-prefix "amanda low: "
$IPT -A tcp_inbound -p TCP -s 0/0 --destination-port 1100:1150 -j ACCEPT
"#,
    config: r#"
[policy]
incoming = "drop"
outgoing = "accept"
icmp = false

[[rule]]
protocol = "tcp"
ports = "10082:10083"
log = "amanda high: "
action = "accept"

[[rule]]
protocol = "tcp"
ports = "1100:1150"
log = "amanda low: "
action = "accept"
"#,
};
