//! Mistakes about packets through the host, as they must read.

use super::*;

/// Compares the only mistake, and what to do about it.
fn check(text: &str, message: &str, way_out: &str) {
    let mistakes = match parsed(text).and_then(|config| compile(&config, &router())) {
        Ok(_) => panic!("no mistake found in {text}"),
        Err(mistakes) => mistakes,
    };
    let found = mistakes.findings();
    let [finding] = found.as_slice() else { panic!("{mistakes}") };
    let help = finding.help.as_deref().unwrap_or_default();
    assert_eq!((finding.message.as_str(), help), (message, way_out));
}

fn check_nat(keys: &str, message: &str, way_out: &str) {
    check(&format!("nat = [{{ {keys} }}]"), message, way_out);
}

#[test]
fn a_packet_through_the_host_crosses_two_interfaces_and_another_one() {
    let rule = |keys: &str, message: &str, way_out: &str| {
        check(&format!("rule = [{{ action = \"drop\", {keys} }}]"), message, way_out);
    };
    rule(
        "direction = \"forward\", interface = \"eth0\"",
        "`interface` means one interface, and a packet through the host crosses two",
        "write in for where packets come by, out for where they leave",
    );
    let way_out = "write interface, or direction = \"forward\" for packets through the host";
    rule("in = \"eth0\"", "`in` is for packets through the host", way_out);
    let out = "`out` is for packets through the host";
    rule("direction = \"out\", out = \"eth0\"", out, way_out);
}

#[test]
fn a_zone_is_no_interface() {
    let (choose, both) = ("choose another name for the zone", "is a zone and an interface");
    check("zones.eth1 = \"eth0\"", &format!("\"eth1\" {both}"), choose);
    check("zones = { a = [\"b\"], b = [\"eth0\"] }", &format!("\"b\" {both}"), choose);
    check("zones.a = \"a\"", &format!("\"a\" {both}"), choose);
    check("zones.a = \"!eth0\"", "nothing can be excluded here", "name the interfaces of the zone");
    check("zones.a = []", "an empty list fits no packet", "remove the key where anything fits");
    check("zones.\"a b\" = \"eth0\"", "`a b` is no name of 1 to 15 letters", "choose another name");
    check(
        "zones.a = \"eth0\"\ninterfaces.a = {}",
        "`a` is a zone, and modes are of interfaces",
        "write the section for each of its interfaces",
    );
}

#[test]
fn addresses_are_not_translated_in_xdp() {
    for mode in ["xdp", "xdp-generic"] {
        let text = format!("interfaces.eth0.mode = \"{mode}\"");
        parsed(&text).expect("a configuration");
        let message = format!(
            "the mode \"{mode}\" beside [[nat]]: addresses are translated in TC alone, since the \
             checksums of packets that XDP meets may be left to a device"
        );
        let way_out = "write mode = \"tc\", or remove it: \"auto\" takes TC";
        check(&format!("{text}\nnat = [{{ kind = \"masquerade\" }}]"), &message, way_out);
    }
    parsed("interfaces.eth0.mode = \"tc\"\nnat = [{ kind = \"masquerade\" }]").expect("right");
}

#[test]
fn each_kind_has_its_keys() {
    check_nat("out = \"ppp0\"", "nat 1 has no `kind`", "add it");
    check_nat("kind = \"masq\"", "\"masq\" is none of none, source, masquerade, destination", "");
    check_nat("kind = \"source\"", "nat 1 has no `to`", "add it");
    check_nat("name = \"a\", kind = \"destination\"", "nat \"a\" has no `to`", "add it");
    let refused = |kind: &str, key: &str, value: &str, way_out: &str| {
        let message = format!("`{key}` has no meaning where the kind is \"{kind}\"");
        check_nat(&format!("{key} = {value}, kind = \"{kind}\""), &message, way_out);
    };
    let leave = "write out: sources are translated where packets leave";
    refused("masquerade", "in", "\"eth0\"", leave);
    let source = "write kind = \"source\", or remove it: the interface has the address";
    refused("masquerade", "to", "\"10.0.0.1\"", source);
    let ports = "write to_ports: the ports that sources may get";
    refused("masquerade", "to_port", "22", ports);
    let none = "kind = \"none\", in = \"eth0\"";
    let meaningless = |key: &str| format!("`{key}` has no meaning where the kind is \"none\"");
    check_nat(
        &format!("{none}, to = \"10.0.0.1\""),
        &meaningless("to"),
        "remove it: addresses stay as they are",
    );
    check_nat(
        &format!("{none}, filtering = \"address-dependent\""),
        &meaningless("filtering"),
        "remove it",
    );
    let to = "kind = \"destination\", to = \"10.0.0.1\"";
    let meaningless =
        |key: &str| format!("`{key}` has no meaning where the kind is \"destination\"");
    check_nat(
        &format!("{to}, out = \"ppp0\""),
        &meaningless("out"),
        "write in: destinations are translated where packets come in",
    );
    check_nat(
        &format!("{to}, to_ports = 22"),
        &meaningless("to_ports"),
        "write to_port: what the first of `ports` becomes",
    );
    for none in ["kind = \"none\"", "kind = \"none\", in = \"eth0\", out = \"eth0\""] {
        check_nat(
            none,
            "the kind \"none\" needs one of `in` and `out`",
            "in exempts from the translation of destinations, out from that of sources",
        );
    }
    check("nat = {}", "translations are a list of tables", "write [[nat]]");
}

#[test]
fn addresses_of_ipv6_are_not_translated() {
    let message =
        "\"fd00::2\" is of IPv6, whose addresses are not translated: there are enough of them";
    let way_out = "write an IPv4 address; let IPv6 through by a rule with direction = \"forward\"";
    check_nat("kind = \"destination\", to = \"fd00::2\"", message, way_out);
    check_nat("kind = \"masquerade\", from = \"fd00::2\"", message, way_out);
    check_nat(
        "kind = \"masquerade\", destination = [\"10.0.0.1\", \"!fd00::2\"]",
        message,
        way_out,
    );
    check_nat(
        "kind = \"masquerade\", protocol = \"icmpv6\"",
        "\"icmpv6\" is of IPv6, whose addresses are not translated",
        "write \"icmp\", or remove it",
    );
}

#[test]
fn an_address_becomes_one_address_of_a_host() {
    let way_out = "write an address such as \"192.168.2.2\", or a name of [hosts] that has one";
    for to in ["10.0.0.0/24", "self", "any"] {
        let message = format!("\"{to}\" is not one address");
        check_nat(&format!("kind = \"destination\", to = \"{to}\""), &message, way_out);
    }
    check(
        "hosts.a = [\"10.0.0.1\", \"10.0.0.2\"]\nnat = [{ kind = \"destination\", to = \"a\" }]",
        "\"a\" is not one address",
        way_out,
    );
    check_nat("kind = \"source\", to = \"127.0.0.1\"", "127.0.0.1 is the address of no host", "");
    check_nat(
        "kind = \"source\", to = \"192.0.2.9-192.0.2.1\"",
        "\"192.0.2.9-192.0.2.1\" ends before it begins",
        "write \"192.0.2.1-192.0.2.9\"",
    );
    check_nat(
        "kind = \"destination\", to = \"tshots\"",
        "unknown host \"tshots\"",
        "add it to [hosts], or write its address",
    );
}

#[test]
fn ports_are_shifted_as_a_whole() {
    let to = |keys: &str, message: &str, way_out: &str| {
        check_nat(&format!("kind = \"destination\", to = \"10.0.0.1\", {keys}"), message, way_out);
    };
    to(
        "protocol = \"sctp\", ports = 80, to_port = 8080",
        "the ports of \"sctp\" cannot be translated: its checksum is over the whole packet",
        "make one without `to_port` for it: its address can be translated",
    );
    to(
        "to_port = 8080",
        "`to_port` needs protocols that all have ports",
        "add protocol = \"tcp\", or \"udp\", \"dccp\", \"udplite\"",
    );
    for keys in ["", ", ports = [80, 443]"] {
        to(
            &format!("protocol = \"tcp\", to_port = 8080{keys}"),
            "`to_port` needs one port or one range, which it says the beginning of",
            "write ports = \"5000:5009\" or the like, or remove it: ports are kept",
        );
    }
    to(
        "protocol = \"tcp\", ports = \"50000:60000\", to_port = 60000",
        "ports 50000:60000 that begin at 60000 end at 70000",
        "write 55535 or less: the last port is 65535",
    );
    check_nat(
        "kind = \"masquerade\", to_ports = \"1024:2047\"",
        "`to_ports` needs protocols that all have ports",
        "add protocol = \"tcp\", or \"udp\", \"dccp\", \"udplite\"",
    );
    // What is wrong is told once.
    to(
        "ports = 80, to_port = 8080",
        "`ports` needs protocols that all have ports",
        "add protocol = \"tcp\", or \"udp\", \"sctp\", \"dccp\", \"udplite\"",
    );
    to("protocol = \"tpc\", to_port = 8080", "unknown protocol \"tpc\"", "did you mean `tcp`?");
}
