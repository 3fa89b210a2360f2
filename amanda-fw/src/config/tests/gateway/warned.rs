//! What is hardly meant about packets through the host.

use super::*;

const SSH: &str = "{ service = \"ssh\", action = \"accept\" }";

/// A rule without which nothing goes through.
const THROUGH: &str = "{ direction = \"forward\", in = \"eth0\", action = \"accept\" }";

fn check_on(host: &Host, text: &str, expected: &[(&str, &str)]) {
    let config = parsed(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let found = warnings(&config, host).findings();
    let found: Vec<(&str, &str)> =
        found.iter().map(|f| (f.message.as_str(), f.help.as_deref().unwrap_or_default())).collect();
    assert_eq!(found, expected, "{text}");
}

/// Compares the warnings of translations beside which nothing is to be warned of.
fn check_nats(nats: &str, expected: &[(&str, &str)]) {
    check_on(&router(), &format!("rule = [{SSH}, {THROUGH}]\nnat = [{nats}]"), expected);
}

#[test]
fn a_gateway_lets_something_through_and_something_not() {
    let forward = |text: &str, expected: &[(&str, &str)]| check_on(&router(), text, expected);
    let closed = (
        "nothing goes through this host: no rule lets anything through",
        "add a rule with direction = \"forward\" and action = \"accept\"",
    );
    let open = (
        "whoever reaches this host reaches every network behind it: the policy for packets \
         through it is \"accept\", and no rule keeps anything out",
        "write \"drop\", and rules with direction = \"forward\" for what goes through",
    );
    let masquerade = "nat = [{ kind = \"masquerade\", out = \"ppp0\" }]";
    forward(&format!("rule = [{SSH}]\npolicy.forward = \"reject\""), &[closed]);
    forward(&format!("rule = [{SSH}]\n{masquerade}"), &[closed]);
    forward(&format!("rule = [{SSH}, {THROUGH}]\n{masquerade}"), &[]);
    // Amanda's flows go through without a rule.
    let amanda = "amanda = { servers = \"10.0.0.1\", clients = \"2.3.4.5\" }";
    forward(&format!("{amanda}\nrule = [{SSH}]\n{masquerade}"), &[]);
    forward(&format!("policy.forward = \"accept\"\nrule = [{SSH}]"), &[open]);
    let drop = "{ direction = \"forward\", in = \"ppp0\", action = \"drop\" }";
    forward(&format!("policy.forward = \"accept\"\nrule = [{SSH}, {drop}]"), &[]);
}

#[test]
fn a_kernel_that_forwards_nothing_is_told_to() {
    let idle = Host { forwards: Some(false), ..router() };
    let expected = (
        "the kernel sends no IPv4 packet through this host: net.ipv4.ip_forward is 0",
        "sysctl -w net.ipv4.ip_forward=1, and write it to a file in /etc/sysctl.d",
    );
    check_on(&idle, &format!("rule = [{SSH}, {THROUGH}]"), &[expected]);
    check_on(&idle, &format!("rule = [{SSH}]"), &[]);
}

#[test]
fn a_rule_that_lets_everything_through_leaves_nothing_to_the_others() {
    let rule = "{ name = \"a\", direction = \"forward\", action = \"accept\" }";
    let expected = (
        "rule \"a\" lets everything through",
        "say what it is for: from, in, out, service or protocol",
    );
    check_on(&router(), &format!("rule = [{SSH}, {rule}]"), &[expected]);
}

#[test]
fn rules_for_other_interfaces_do_not_stand_behind_one_another() {
    let rules = |first: &str, second: &str| {
        format!(
            "rule = [{SSH}, {{ name = \"a\", direction = \"forward\", action = \"accept\", {first} }},
            {{ name = \"b\", direction = \"forward\", action = \"drop\", {second} }}]"
        )
    };
    let never = (
        "rule \"b\" is never asked: rule \"a\" decides before it",
        "remove it, or move it before rule \"a\"",
    );
    check_on(&router(), &rules("in = \"eth0\"", "in = \"eth0\", out = \"ppp0\""), &[never]);
    check_on(&router(), &rules("in = \"eth0\", out = \"ppp0\"", "in = \"eth0\""), &[]);
    let nothing = (
        "rule \"b\" fits no packet: it leaves no interface",
        "name something that is not excluded",
    );
    check_on(&router(), &rules("in = \"eth0\"", "out = [\"lo\", \"!lo\"]"), &[nothing]);
}

#[test]
fn a_translation_says_where_it_is_meant() {
    let inside = |what: &str| format!("nat \"nat 1\" translates {what} as well");
    check_nats(
        "{ kind = \"masquerade\" }",
        &[(&inside("what goes to the hosts inside"), "say where packets leave: out = \"ppp0\"")],
    );
    let to = "kind = \"destination\", protocol = \"tcp\", ports = 80, to = \"10.0.0.2\"";
    check_nats(
        &format!("{{ {to} }}"),
        &[(&inside("what the hosts inside send out"), "say where packets come by: in = \"ppp0\"")],
    );
    check_nats(&format!("{{ {to}, destination = \"self\" }}"), &[]);
    check_nats("{ kind = \"masquerade\", from = \"10.0.0.0/8\" }", &[]);
}

#[test]
fn a_translation_behind_one_that_fits_all_its_packets_does_nothing() {
    let exempt = "{ kind = \"none\", out = \"ppp0\", destination = \"10.0.0.0/8\" }";
    let masquerade = "{ kind = \"masquerade\", out = \"ppp0\" }";
    check_nats(&format!("{exempt}, {masquerade}"), &[]);
    check_nats(
        &format!("{masquerade}, {exempt}"),
        &[(
            "nat \"nat 2\" is never asked: nat \"nat 1\" decides before it",
            "remove it, or move it before nat \"nat 1\"",
        )],
    );
    check_nats(
        "{ kind = \"masquerade\", out = [\"ppp0\", \"!ppp0\"], destination = \"10.0.0.1\" }",
        &[(
            "nat \"nat 1\" fits no packet: it leaves no interface",
            "name something that is not excluded",
        )],
    );
}

#[test]
fn an_interface_without_an_address_lends_none() {
    let mut host = router();
    host.addressed.remove("ppp0");
    let text = format!(
        "zones.outside = [\"ppp0\", \"ppp7\"]\nrule = [{SSH}, {THROUGH}]
        nat = [{{ kind = \"masquerade\", out = \"outside\" }},
            {{ kind = \"destination\", in = \"outside\", to = \"10.0.0.2\" }}]"
    );
    let expected = [
        (
            "ppp0 has no IPv4 address to lend: what leaves by it is dropped until it has one",
            "give it one, or write kind = \"source\" with an address in to",
        ),
        (
            "there is no interface \"ppp7\": no packet crosses it until the rules are loaded again",
            "did you mean `ppp0`?",
        ),
    ];
    check_on(&host, &text, &expected);
}
