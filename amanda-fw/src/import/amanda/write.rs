//! The drafts for a backup server and its clients.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::{Auth, CONTROL_PORT, Client};
use super::conf::{Conf, Range};
use crate::import::draft::{Draft, Value};

/// An address of nobody's (RFC 5737), where the real one is not known.
const PLACEHOLDER: &str = "192.0.2.1";

/// How drafts call the backup server.
const SERVER: &str = "backup-server";

/// Writes the draft for the backup server.
pub(super) fn server(title: &str, conf: &Conf, clients: &BTreeMap<String, Client>) -> String {
    let mut draft = Draft::default();
    head(&mut draft, title, "the backup server");
    let named: Vec<(&String, &Client)> =
        clients.iter().filter(|(name, client)| is_remote(name, client)).collect();
    hosts(&mut draft, &named);
    policy(&mut draft);
    draft.gap();
    draft.table("[amanda]");
    draft.entry("servers", &Value::List(vec![Value::text("self")]));
    let known = named.iter().filter(|(_, client)| !client.addresses.is_empty());
    draft.entry("clients", &Value::List(known.map(|(name, _)| Value::text(*name)).collect()));
    auth(&mut draft, named.iter().flat_map(|(_, client)| &client.auths));
    draft.comment(
        "The clients' amanda-client.conf says by which auth they recover: add it where it is \
         another one, and \"classic\" for amoldrecover.",
    );
    let asked = named.iter().filter(|(_, client)| client.has_control_port());
    let ports: BTreeSet<u16> = asked.flat_map(|(_, c)| c.ports.iter().copied()).collect();
    control_port(&mut draft, &ports);
    let announces = |(_, client): &(_, &Client)| client.auths.iter().any(|auth| auth.announces());
    match conf.unreserved_tcp_port {
        _ if !named.iter().any(announces) => {}
        Some(range) => {
            let remark = "unreserved-tcp-port: what this host announces in recoveries";
            draft.entry_with("stream_ports", &ports_of(range), remark);
        }
        None => draft.comment(
            "amanda.conf does not set unreserved-tcp-port: streams may have any port from 1024.",
        ),
    }
    notes(&mut draft, conf, clients);
    ssh(&mut draft);
    draft.finish()
}

/// Writes the draft for one client.
pub(super) fn client(
    title: &str,
    name: &str,
    client: &Client,
    conf: &Conf,
    server: &[String],
) -> String {
    let mut draft = Draft::default();
    head(&mut draft, title, name);
    for auth in &client.auths {
        draft.comment(&format!("auth \"{}\": {}.", auth.name(), auth.needs()));
    }
    server_name(&mut draft, server);
    policy(&mut draft);
    if client.auths.iter().any(|auth| auth.is_opened()) {
        client_section(&mut draft, client, conf);
    }
    for auth in &client.auths {
        rule_of(&mut draft, *auth);
    }
    ssh(&mut draft);
    draft.finish()
}

fn head(draft: &mut Draft, title: &str, host: &str) {
    draft.comment(&format!("A draft for {host}, made by `amanda-fw import amanda {title}`."));
    draft.comment("Read it, then `amanda-fw check FILE`.");
}

/// Tells whether a host is asked through the network, by what `[amanda]` opens.
fn is_remote(name: &str, client: &Client) -> bool {
    name != "localhost" && client.auths.iter().any(|auth| auth.is_opened())
}

fn hosts(draft: &mut Draft, clients: &[(&String, &Client)]) {
    draft.gap();
    draft.table("[hosts]");
    for (name, client) in clients {
        let addresses: Vec<Value> =
            client.addresses.iter().map(|ip| Value::text(ip.to_string())).collect();
        if addresses.is_empty() {
            draft
                .comment(&format!("{name} has no address here: write it, and name it in clients."));
            draft.example(|draft| draft.entry(&key(name), &Value::text(PLACEHOLDER)));
        } else {
            draft.entry(&key(name), &Value::one_or_more(addresses));
        }
    }
}

/// Writes a name as a key, in quotes where it has dots.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.chars().all(is_bare) { name.to_owned() } else { format!("{name:?}") }
}

fn server_name(draft: &mut Draft, server: &[String]) {
    draft.gap();
    draft.table("[hosts]");
    if server.is_empty() {
        draft.comment("Write the address from which the backup server asks; this one is nobody's.");
        draft.entry(SERVER, &Value::text(PLACEHOLDER));
    } else {
        let addresses = server.iter().map(Value::text).collect();
        draft.entry(SERVER, &Value::one_or_more(addresses));
    }
}

fn policy(draft: &mut Draft) {
    draft.gap();
    draft.table("[policy]");
    draft.entry("incoming", &Value::text("drop"));
    draft.entry("outgoing", &Value::text("accept"));
}

fn client_section(draft: &mut Draft, client: &Client, conf: &Conf) {
    draft.gap();
    draft.table("[amanda]");
    draft.entry("servers", &Value::List(vec![Value::text(SERVER)]));
    draft.entry("clients", &Value::List(vec![Value::text("self")]));
    auth(draft, client.auths.iter());
    if client.has_control_port() {
        control_port(draft, &client.ports);
    }
    if !client.auths.iter().any(|auth| auth.announces()) {
        return;
    }
    match conf.reserved_udp_port {
        Some(range) => {
            let remark = "reserved-udp-port of the server";
            draft.entry_with("control_source_ports", &ports_of(range), remark);
        }
        None => draft.comment("The server's amanda.conf does not set reserved-udp-port."),
    }
    draft.comment(
        "Which ports this host announces is said by its own build or amanda-client.conf \
         (unreserved-tcp-port), which the server does not know: as it is, any port from 1024.",
    );
    let example = conf.unreserved_tcp_port.unwrap_or((50000, 50100));
    draft.example(|draft| draft.entry("stream_ports", &ports_of(example)));
}

fn ports_of((low, high): Range) -> Value {
    Value::text(format!("{low}:{high}"))
}

/// Writes which auths `[amanda]` is to open the ports of.
fn auth<'a>(draft: &mut Draft, auths: impl Iterator<Item = &'a Auth>) {
    let opened: BTreeSet<&Auth> = auths.filter(|auth| auth.is_opened()).collect();
    if !opened.is_empty() {
        let names = opened.into_iter().map(|auth| Value::text(auth.name()));
        draft.entry("auth", &Value::List(names.collect()));
    }
}

/// Writes the port on which clients listen; `[amanda]` has room for one.
fn control_port(draft: &mut Draft, ports: &BTreeSet<u16>) {
    match ports.iter().copied().collect::<Vec<_>>().as_slice() {
        [] | [CONTROL_PORT] => {}
        [port] => {
            draft.entry_with("control_port", &Value::Number((*port).into()), "client-port");
        }
        ports => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            draft.comment(&format!(
                "NOT CARRIED OVER: disks have several ports as client-port ({}), and [amanda] has \
                 room for one: it is {CONTROL_PORT}.",
                ports.join(", ")
            ));
        }
    }
}

/// Says what each auth of the clients needs, and what the drafts leave as it is.
fn notes(draft: &mut Draft, conf: &Conf, clients: &BTreeMap<String, Client>) {
    draft.comment(
        "control_source_ports is left as it is: recoveries come from the clients' own \
         reserved-udp-port.",
    );
    if let Some((low, high)) = conf.reserved_tcp_port {
        draft.comment(&format!(
            "reserved-tcp-port {low},{high} is where this host's connections come from: outgoing, \
             so no rule is needed."
        ));
    }
    draft.comment("");
    for (name, client) in clients {
        for auth in &client.auths {
            draft.comment(&format!("{name}, auth \"{}\": {}.", auth.name(), auth.needs()));
            if let Some(port) = auth.rule_port() {
                draft.comment(&format!("Recoveries by it come to port {port} of this host: if there are any, write a rule."));
            }
        }
    }
}

fn rule_of(draft: &mut Draft, auth: Auth) {
    let Some(port) = auth.rule_port() else { return };
    draft.gap();
    draft.table("[[rule]]");
    draft.entry("name", &Value::text(format!("amanda by {}", auth.name())));
    draft.entry("protocol", &Value::text("tcp"));
    draft.entry("from", &Value::text(SERVER));
    draft.entry("ports", &Value::Number(port));
    draft.entry("action", &Value::text("accept"));
}

fn ssh(draft: &mut Draft) {
    draft.gap();
    draft.comment("Not for Amanda: that whoever reads this can still log in. Say from where.");
    draft.table("[[rule]]");
    draft.entry("name", &Value::text("ssh"));
    draft.entry("protocol", &Value::text("tcp"));
    draft.entry("ports", &Value::Number(22));
    draft.entry("action", &Value::text("accept"));
}
