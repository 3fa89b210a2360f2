//! The schema and the reader agree.

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::*;
use crate::config::schema::schema;

const README: &str = include_str!("../../../../README.md");
const AMANDA: &str = include_str!("../../../../docs/amanda.md");
const KERNEL_HELPER: &str = include_str!("../../../../docs/kernel-helper.md");

/// Compares what the schema says of a configuration.
fn check(text: &str, is_right: bool) {
    let value = value(text);
    let errors: Vec<String> = validator().iter_errors(&value).map(|e| e.to_string()).collect();
    assert_eq!(errors.is_empty(), is_right, "{text}\n{errors:?}");
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("a schema")
}

fn value(text: &str) -> Value {
    let document = DeTable::parse(text).expect("a document");
    table(document.get_ref())
}

fn table(table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&toml::Spanned<_>, &section::Value<'_>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.to_string(), json_of(value.get_ref()))
    };
    Value::Object(table.iter().map(entry).collect::<Map<_, _>>())
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(integer) => json!(integer.as_str().parse::<i64>().expect("an integer")),
        DeValue::Boolean(boolean) => json!(boolean),
        DeValue::Array(elements) => elements.iter().map(|e| json_of(e.get_ref())).collect(),
        DeValue::Table(fields) => table(fields),
        DeValue::Float(_) | DeValue::Datetime(_) => panic!("no key holds {value:?}"),
    }
}

/// Returns the configurations that the manual shows; a block may have a file's name in its first line.
fn examples() -> Vec<&'static str> {
    let blocks = [README, AMANDA, KERNEL_HELPER].map(|page| page.split("```toml").skip(1));
    let texts = blocks.into_iter().flatten().filter_map(|block| block.split_once('\n'));
    texts.filter_map(|(_, text)| text.split("```").next()).collect()
}

#[test]
fn the_schema_is_one() {
    jsonschema::meta::validate(&schema()).expect("a schema");
}

#[test]
fn every_example_is_right_by_the_schema_and_by_the_reader() {
    let examples = examples();
    assert!(examples.len() >= 4, "{examples:?}");
    for text in examples.into_iter().chain([EMBEDDED, TSHOST]) {
        check(text, true);
        sound(text);
    }
}

#[test]
fn no_example_of_the_manual_is_warned_of() {
    for text in examples() {
        let config = parsed(text).expect("a configuration");
        assert_eq!(warnings(&config, &gateway::router()).render(false), "");
    }
}

#[test]
fn the_manual_names_every_key() {
    let named = |keys: &keys::Keys| {
        for key in keys.keys {
            assert!(README.contains(&format!("`{}`", key.name)), "{}", key.name);
        }
    };
    let tables = [
        &keys::POLICY,
        &keys::AMANDA,
        &keys::INTERFACE,
        &keys::EVENTS,
        &keys::LIMITS,
        &keys::RULE,
        &keys::NAT,
    ];
    tables.into_iter().for_each(named);
}

#[test]
fn every_shape_that_a_key_may_have_is_right() {
    check(
        r#"
        hosts = { a = "10.0.0.1", b = ["fd00::/8", "10.0.0.0/8"], c = [] }
        policy = { incoming = "reject", outgoing = "drop", icmp = false, log = "x: " }
        amanda = { servers = "self", clients = ["a", "on-link"], control_port = 10081,
            auth = ["bsd", "classic"],
            control_source_ports = 700, stream_ports = "50000:50100",
            transaction_timeout = "6h", expectation_timeout = "250ms" }
        interfaces.eth0.mode = "tc"
        events.rate = "10/s"
        limits = { flows = 1, expectations = 2, transactions = 3, fragments = 16777216 }
        zones = { inside = ["eth1", "eth2"], outside = "ppp0" }
        [[rule]]
        name = "a"
        direction = "out"
        interface = ["eth0", "!ppp0"]
        protocol = ["tcp", 132, "!udp"]
        from = ["a", "!10.0.0.0/8", "::/0"]
        to = "any"
        ports = [22, "80:90", "!85"]
        source_ports = "1024:65535"
        state = ["new", "invalid"]
        action = "accept"
        limit = "3/min"
        limit_per_source = { rate = "1/day", burst = 7 }
        log = { prefix = "a", rate = "1/h" }
        [[rule]]
        service = ["ssh", "amanda-client"]
        action = "reject"
        reject_with = "admin-prohibited"
        [[rule]]
        protocol = "icmp"
        icmp_type = ["echo-request", 13]
        action = "log"
        [[rule]]
        direction = "forward"
        in = ["inside", "!eth1"]
        out = "outside"
        action = "accept"
        [[nat]]
        name = "a"
        kind = "masquerade"
        out = ["outside"]
        protocol = ["tcp", "udp"]
        from = ["a", "!10.0.0.0/8"]
        destination = "any"
        ports = [22, "80:90"]
        source_ports = 1
        to_ports = "1024:65535"
        filtering = "address-dependent"
        [[nat]]
        kind = "source"
        to = "192.0.2.1-192.0.2.9"
        [[nat]]
        kind = "destination"
        in = "outside"
        service = "ssh"
        to = "10.0.0.2"
        to_port = 2222
        [[nat]]
        kind = "none"
        in = "!outside"
        "#,
        true,
    );
}

#[test]
fn what_the_reader_refuses_the_schema_refuses() {
    for text in [
        "polcy = {}",
        "policy.incomming = \"drop\"",
        "policy.incoming = \"log\"",
        "policy.icmp = 1",
        "amanda.control_port = 70000",
        "amanda.auth = \"rsh\"",
        "amanda.auth = []",
        "amanda.stream_ports = \"a\"",
        "amanda.transaction_timeout = 60",
        "events.rate = \"10\"",
        "limits.flows = 0",
        "interfaces.eth0.mode = \"fast\"",
        "hosts.a = \"b\"",
        "rule = {}",
        "rule = [{}]",
        "rule = [{ action = \"acept\" }]",
        "rule = [{ action = \"drop\", port = 1 }]",
        "rule = [{ action = \"drop\", from = [] }]",
        "rule = [{ action = \"drop\", service = \"shs\" }]",
        "rule = [{ action = \"drop\", state = \"old\" }]",
        "rule = [{ action = \"accept\", limit = \"1/m\" }]",
        "rule = [{ action = \"accept\", limit = { burst = 1 } }]",
        "rule = [{ action = \"accept\", log = { prefx = \"a\" } }]",
        "rule = [{ action = \"translate\" }]",
        "policy.forward = \"log\"",
        "zones.inside = []",
        "nat = [{}]",
        "nat = [{ kind = \"snat\" }]",
        "nat = [{ kind = \"masquerade\", outside = \"ppp0\" }]",
        "nat = [{ kind = \"masquerade\", filtering = \"none\" }]",
    ] {
        check(text, false);
        assert!(compiled(text).is_err(), "{text}");
    }
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    for (name, keys) in [
        ("policy", &keys::POLICY),
        ("amanda", &keys::AMANDA),
        ("events", &keys::EVENTS),
        ("limits", &keys::LIMITS),
    ] {
        let without = sound(&format!("{name} = {{}}"));
        for key in keys.keys.iter().filter(|key| !key.default.is_empty()) {
            let with = format!("{name} = {{ {} = {} }}", key.name, key.default);
            assert_eq!(sound(&with), without, "{with}");
        }
    }
    let rule = |keys: &str| sound(&format!("rule = [{{ action = \"accept\"{keys} }}]"));
    for key in keys::RULE.keys.iter().filter(|key| !key.default.is_empty() && key.name != "name") {
        assert_eq!(rule(&format!(", {} = {}", key.name, key.default)), rule(""), "{}", key.name);
    }
    let nat = |keys: &str| sound(&format!("nat = [{{ kind = \"masquerade\"{keys} }}]"));
    for key in keys::NAT.keys.iter().filter(|key| !key.default.is_empty() && key.name != "name") {
        assert_eq!(nat(&format!(", {} = {}", key.name, key.default)), nat(""), "{}", key.name);
    }
    assert_eq!(rule(", limit = { rate = \"1/h\", burst = 5 }"), rule(", limit = \"1/h\""));
    assert_eq!(rule(", log = { rate = \"10/s\" }"), rule(", log = {}"));
}
