//! What commands print: each line of the manual's outputs is one that they really print, but for
//! names, numbers and how far something has come.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use amanda_fw_tests::amanda::{Plan, Site, client_policy, server_policy};
use amanda_fw_tests::firewall::Firewall;
use amanda_fw_tests::lan::INTERFACE;
use amanda_fw_tests::wait;

use crate::page::{PAGES, commands};
use crate::walk::{self, Outputs};

const PATIENCE: Duration = Duration::from_secs(120);

/// The subcommands whose output depends on what goes on.
pub(crate) const LIVE: [&str; 4] = ["attach", "status", "list", "explain"];

#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn every_line_of_the_manual_s_outputs_is_really_printed() {
    let mut printed = walk::outputs();
    for (command, lines) in backup_and_recovery() {
        printed.entry(command).or_default().extend(lines);
    }
    let mut complaints = String::new();
    for (page, command, line) in shown() {
        let lines = printed.get(key(command)).map(Vec::as_slice).unwrap_or_default();
        let shapes: BTreeSet<String> = lines.iter().map(|line| shape(line)).collect();
        if !shapes.contains(&shape(line)) {
            writeln!(complaints, "{page}: {command}: {line}").expect("a string takes all");
        }
    }
    complaints.push_str(&missing_sections(&printed));
    if !complaints.is_empty() {
        panic!("no such lines are printed:\n{complaints}\nprinted are:\n{}", transcript(&printed));
    }
}

/// Lists the lines of output in the manual, each with its page and its command.
fn shown() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut lines = Vec::new();
    for (page, text) in PAGES {
        for command in commands(text) {
            if command.subcommand().is_some_and(|subcommand| LIVE.contains(&subcommand)) {
                let shown = command.output.into_iter().filter(|line| !line.is_empty());
                lines.extend(shown.map(|line| (page, command.line, line)));
            }
        }
    }
    lines
}

/// Looks for sections of `status` that the manual does not show where it leaves nothing out.
fn missing_sections(printed: &Outputs) -> String {
    let titles = |lines: &[&str]| {
        let is_title = |line: &&str| !line.is_empty() && !line.starts_with(' ');
        lines.iter().copied().filter(is_title).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let real: Vec<&str> = printed["status"].iter().map(String::as_str).collect();
    let all = PAGES
        .into_iter()
        .flat_map(|(page, text)| commands(text).into_iter().map(move |command| (page, command)));
    all.filter(|(_, command)| command.line == "amanda-fw status" && command.is_whole)
        .filter(|(_, command)| !command.output.is_empty())
        .flat_map(|(page, command)| {
            let missing = &titles(&real) - &titles(&command.output);
            missing.into_iter().map(move |title| format!("{page}: status has a section {title}\n"))
        })
        .collect()
}

/// Returns the name under which outputs of a command line are kept.
fn key(line: &str) -> &str {
    let line = line.strip_prefix("amanda-fw ").unwrap_or(line);
    if line.starts_with("attach") { "attach" } else { line }
}

/// A real dump and a real recovery, at both hosts.
fn backup_and_recovery() -> Outputs {
    let site = Site::new(Plan { disk_count: 3, gates: 1, ..Plan::default() })
        .unwrap_or_else(|error| panic!("{error:?}"));
    let attach = |network, policy: &str| {
        let attached = Firewall::attach(site.bench(), network, INTERFACE, policy);
        attached.unwrap_or_else(|error| panic!("{error:?}"))
    };
    let firewalls = [
        attach(site.server.network(), &server_policy()),
        attach(site.client.network(), &client_policy()),
    ];
    site.close_gate().expect("the gate can be closed");
    let amdump = site.start_amdump().expect("amdump can be started");
    wait::until("the gated dump", PATIENCE, || Ok(site.is_gate_reached()?.then_some(())))
        .expect("the gated dump begins");
    let mut outputs = Outputs::new();
    let mut see = |words: [&str; 2]| {
        let [subcommand, table] = words;
        for firewall in &firewalls {
            let arguments: Vec<&str> = table.split_whitespace().collect();
            let said = firewall.ask(subcommand, &arguments).expect("amanda-fw answers");
            let command = words.join(" ").trim_end().to_owned();
            outputs.entry(command).or_default().extend(said.lines().map(str::to_owned));
        }
    };
    see(["status", ""]);
    site.open_gate().expect("the gate can be opened");
    let dump = site.finish_amdump(amdump, PATIENCE).expect("amdump ends");
    assert!(dump.finished.is_success(), "{}", dump.account());
    let recovery = site.amrecover(&site.plan.disks()[0], PATIENCE).expect("amrecover can be run");
    assert!(recovery.bytes.is_some(), "{}", recovery.finished);
    ["flows", "sessions"].into_iter().for_each(|table| see(["list", table]));
    see(["status", ""]);
    let decisions = firewalls.iter().map(|firewall| firewall.events()?.text());
    let decisions: Result<Vec<String>, _> = decisions.collect();
    let decisions = decisions.expect("events can be read");
    let lines = decisions.iter().flat_map(|text| text.lines()).map(str::to_owned);
    outputs.entry("attach".to_owned()).or_default().extend(lines);
    outputs
}

/// Writes a line without what is another each time.
fn shape(line: &str) -> String {
    const STATES: [&str; 6] = ["requested", "running", "replied", "done", "expected", "open"];
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let line = line.replace("  silent ", " SILENT ");
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let (bare, comma) = word.strip_suffix(',').map_or((word, ""), |bare| (bare, ","));
        let kind = match bare {
            bare if bare.contains(|letter: char| letter.is_ascii_digit() || letter == '/') => "N",
            bare if STATES.contains(&bare) || bare == "closed" => "STATE-OF-IT",
            bare if UNITS.contains(&bare) => "UNIT",
            bare => bare,
        };
        // How long something has been silent is said after two seconds.
        if words.last().is_some_and(|last| last == "SILENT") {
            words.pop();
        } else {
            words.push(format!("{kind}{comma}"));
        }
    }
    words.join(" ")
}

fn transcript(printed: &Outputs) -> String {
    let section =
        |(command, lines): (&String, &Vec<String>)| format!("== {command}\n{}\n", lines.join("\n"));
    printed.iter().map(section).collect()
}

#[test]
fn lines_are_alike_but_for_names_numbers_and_states() {
    let check = |one, other, alike| assert_eq!(shape(one) == shape(other), alike, "{one}");
    check("  established  314 packets  3.1 MiB", "  established  9 packets  420 B", true);
    check("  established  314 packets  3.1 MiB", "  expected  314 packets  3.1 MiB", false);
    check("done  age 8s  silent 7s", "running  age 1m 2s", false);
    check("done  age 8s  silent 7s", "running  age 2s", true);
    check("DATA 50002 open 1 B, MESG 50003 closed", "DATA 1 closed 2 KiB, MESG 2 open", true);
}
