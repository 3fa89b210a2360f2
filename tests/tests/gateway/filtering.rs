//! What the gateway keeps out.

use amanda_fw_tests::sockets::{self, Connection};

use crate::network::{GATEWAY, RHOST, RHOST_V6, TSHOST, TSHOST_V6, endpoint, ip};
use crate::site::{MASQUERADE, Site, bind, listen};

/// A service inside that IPv6 reaches without a translation.
const WEB: &str = r#"
[[rule]]
name = "web"
direction = "forward"
in = "ppp0"
protocol = "tcp"
ports = 80
to = "fd00:2::2"
action = "accept"
"#;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn nothing_comes_in_from_outside_by_itself() {
    let site = Site::new();
    let _listener = listen(&site.network.tshost, TSHOST, 80);
    let to = endpoint(TSHOST, 80);
    ip(&site.network.rhost, &["route", "add", "192.168.2.0/24", "via", GATEWAY]);
    sockets::connect(&site.network.rhost, to).expect("without a firewall, the host is reached");
    let _firewall = site.firewall(MASQUERADE);
    assert!(sockets::connect(&site.network.rhost, to).is_err());
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn a_mapping_lets_in_only_who_was_asked() {
    let check = |filtering: &str, others: [bool; 2]| {
        let site = Site::new();
        let _firewall = site.firewall(&format!("{MASQUERADE}{filtering}"));
        ip(&site.network.rhost, &["address", "add", "2.3.4.6/32", "dev", "eth0"]);
        let inside = bind(&site.network.tshost, TSHOST, 5000);
        let asked = bind(&site.network.rhost, RHOST, 7000);
        let to = endpoint(GATEWAY, 5000);
        assert!(!sockets::delivers(&asked, &inside, to, 10).expect("sent"), "{filtering}");
        let seen = sockets::deliver(&inside, &asked, endpoint(RHOST, 7000), 10).expect("sent");
        assert_eq!(seen, Some(to), "{filtering}");
        assert!(sockets::delivers(&asked, &inside, to, 10).expect("sent"), "{filtering}");
        for ((address, port), expected) in
            [(RHOST, 7001), ("2.3.4.6", 7000)].into_iter().zip(others)
        {
            let other = bind(&site.network.rhost, address, port);
            let seen = sockets::deliver(&other, &inside, to, 10).expect("sent");
            let source = expected.then_some(endpoint(address, port));
            assert_eq!(seen, source, "{filtering} {address}:{port}");
        }
    };
    check("", [false, false]);
    check("filtering = \"address-dependent\"\n", [true, false]);
    check("filtering = \"endpoint-independent\"\n", [true, true]);
}

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn ipv6_is_forwarded_as_it_is_and_filtered() {
    let site = Site::new();
    let _firewall = site.firewall(&[MASQUERADE, WEB].concat());
    let (inside, outside) = (&site.network.tshost, &site.network.rhost);
    for (from, to, address, port, opens) in [
        (inside, outside, RHOST_V6, 7000, true),
        (outside, inside, TSHOST_V6, 80, true),
        (outside, inside, TSHOST_V6, 81, false),
    ] {
        let connection = Connection::open(from, to, endpoint(address, port));
        assert_eq!(connection.is_ok(), opens, "{address}:{port}: {connection:?}");
        if let Ok(connection) = connection {
            connection.transfer(300_000).expect("bytes arrive as they are");
            let local = connection.client.local_addr().expect("an address");
            assert_eq!(connection.server.peer_addr().expect("an address"), local);
        }
    }
}
