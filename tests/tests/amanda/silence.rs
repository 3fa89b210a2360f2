//! Streams that are silent for longer than connections may be, while another of their dump moves.

use std::io::Write;
use std::time::Duration;

use amanda_fw_tests::amanda::{CLIENT, Gate, Plan, client_policy, server_policy};
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::sockets::Connection;
use amanda_fw_tests::wait;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::setting::{
    PROGRESS, check_gated_dump, check_recovery_of, firewalls_of, json, open_sessions, packets,
    site, start_gated_dump,
};

/// For how long a TCP connection may be silent here.
const IDLE: Duration = Duration::from_secs(4);

/// The silence to reach: the loader, which looks every 10 s and gives entries 5 s more, has swept
/// away by then what it takes for dead.
const SILENCE: u64 = 20;

/// A port of the client's that has nothing to do with Amanda.
const PORT: u16 = 2001;

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn silent_streams_live_as_long_as_the_data_of_their_dump_moves() {
    let site = site(Plan { disk_count: 1, gates: 1, gate: Gate::Drips, ..Plan::default() });
    let (server, client) = firewalls_of(&site, &server_policy(), &with_port(&client_policy()));
    for firewall in [&server, &client] {
        let shorten = firewall.revise(|settings| {
            settings.timeouts.tcp.fill(IDLE.as_nanos().try_into().expect("a short time"));
        });
        shorten.expect("connections time out sooner");
    }
    let amdump = start_gated_dump(&site);
    // Like the streams, the server opens it and the client is heard on it.
    let address = format!("{CLIENT}:{PORT}").parse().expect("an address");
    let stranger = Connection::open(site.server.network(), site.client.network(), address);
    let mut stranger = stranger.expect("a rule lets it in");
    stranger.exchange().expect("it works while it is young");
    for firewall in [&server, &client] {
        wait::until("silent streams", PROGRESS, || are_silent(firewall)).expect("they fall silent");
    }

    assert_eq!(packets(&server, "policy-drop").expect("status answers"), 0);
    stranger.server.write_all(b"still there?").expect("the client may send");
    let dropped = || Ok((packets(&server, "policy-drop")? > 0).then_some(()));
    wait::until("the drop of a silent connection", PROGRESS, dropped).expect("it is cut off");

    check_gated_dump(&site, amdump);
    check_recovery_of(&site, &site.plan.gated_disks()[0]);
}

fn with_port(policy: &str) -> String {
    format!(
        "{policy}\n[[rule]]\nname = \"stranger\"\nprotocol = \"tcp\"\nports = {PORT}\n\
         action = \"accept\"\n"
    )
}

/// Tells whether MESG and INDEX of the gated dump are silent for long, while DATA moves.
fn are_silent(firewall: &Firewall<'_>) -> Result<Option<()>> {
    // The other dump is over soon.
    let sessions = open_sessions(firewall, "sendbackup", "DATA")?;
    let [session] = sessions.as_slice() else { return Ok(None) };
    let Value::Array(mut flows) = json(firewall, &["list", "flows"])? else { return Ok(None) };
    flows.retain(|flow| flow["transaction"] == session["transaction"]);
    let silence_of = |stream: &str| {
        let flow = flows.iter().find(|flow| flow["stream"] == stream);
        flow.and_then(|flow| flow["silent_seconds"].as_u64())
            .with_context(|| format!("find the flow of {stream}"))
    };
    ensure!(silence_of("DATA")? < IDLE.as_secs(), "DATA stands still: {flows:?}");
    for stream in ["MESG", "INDEX"] {
        if silence_of(stream)? < SILENCE {
            return Ok(None);
        }
    }
    Ok(Some(()))
}
