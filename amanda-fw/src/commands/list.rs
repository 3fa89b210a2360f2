//! `amanda-fw list`: shows a table, without loading a program or changing a map.

use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::{Flow, FlowKey};
use amanda_fw_common::label::RuleInfo;
use anyhow::Result;
use clap::CommandFactory;
use clap::error::ErrorKind;
use serde::Serialize;

use crate::cli::{Cli, Global, ListArgs, ListFormat, ListTable};
use crate::maps::{self, BindingTable, ExpectationTable, TransactionTable};
use crate::output::list::{self, ExpectationRow, FlowRow, NatTables, Row, RuleRow};
use crate::output::{self, conntrack};
use crate::view::View;
use crate::{clock, device};

/// Runs the command.
pub(crate) fn run(args: &ListArgs, global: &Global) -> Result<()> {
    let view = View::open(global)?;
    if let Some(ListFormat::Conntrack) = args.output {
        let lines = conntrack_lines(args.table, &view)?;
        return lines.iter().try_for_each(|line| global.terminal().print(line));
    }
    let text = match args.table {
        ListTable::Flows => rows(&flows(&view)?, args.json)?,
        ListTable::Expectations => rows(&expectations(&view)?, args.json)?,
        ListTable::Rules => rows(&rules(&view)?, args.json)?,
        ListTable::Nat if args.json => output::json(&nat(&view)?)?,
        ListTable::Nat => nat(&view)?.text(),
        ListTable::Sessions if args.json => output::json(&view.sessions()?)?,
        ListTable::Sessions => list::sessions_text(&view.sessions()?),
    };
    global.terminal().print(&text)
}

fn rows<R: Row + Serialize>(rows: &[R], json: bool) -> Result<String> {
    if json { output::json(&rows) } else { Ok(list::text(rows)) }
}

fn flows(view: &View) -> Result<Vec<FlowRow>> {
    let (now, names) = (clock::monotonic(), view.rule_names()?);
    let openings = view.settings()?.openings;
    let row = |(key, flow): &(FlowKey, Flow)| FlowRow::new(key, flow, &names, &openings, now);
    Ok(oldest_first(view)?.iter().map(row).collect())
}

fn oldest_first(view: &View) -> Result<Vec<(FlowKey, Flow)>> {
    let mut flows = view.flows()?;
    flows.sort_by_key(|(_, flow)| flow.started);
    Ok(flows)
}

fn nat(view: &View) -> Result<NatTables> {
    let bindings = BindingTable::open(view.maps(), maps::BINDINGS)?;
    let (flows, now) = (oldest_first(view)?, clock::monotonic());
    Ok(NatTables::new(&flows, bindings.entries(), &device::called, now))
}

/// Writes a table as conntrack(8) would, which knows two of them.
fn conntrack_lines(table: ListTable, view: &View) -> Result<Vec<String>> {
    Ok(match table {
        ListTable::Flows => {
            let (timeouts, now) = (view.settings()?.timeouts, clock::monotonic());
            let line = |(key, flow): &(FlowKey, Flow)| conntrack::flow(key, flow, &timeouts, now);
            oldest_first(view)?.iter().map(line).collect()
        }
        ListTable::Expectations => {
            let transactions = TransactionTable::open(view.maps(), maps::TRANSACTIONS)?;
            let line = |(key, expected): &(ExpectationKey, Expectation)| {
                let transaction = transactions.get(&expected.transaction);
                conntrack::expectation(key, expected, transaction.as_ref(), clock::monotonic())
            };
            live_expectations(view)?.iter().map(line).collect()
        }
        ListTable::Sessions | ListTable::Rules | ListTable::Nat => {
            let message = "conntrack lists flows and expectations alone";
            Cli::command().error(ErrorKind::ArgumentConflict, message).exit()
        }
    })
}

fn expectations(view: &View) -> Result<Vec<ExpectationRow>> {
    let now = clock::monotonic();
    let row = |(key, expectation): &(ExpectationKey, Expectation)| {
        ExpectationRow::new(key, expectation, now)
    };
    Ok(live_expectations(view)?.iter().map(row).collect())
}

fn live_expectations(view: &View) -> Result<Vec<(ExpectationKey, Expectation)>> {
    let table = ExpectationTable::open(view.maps(), maps::EXPECTATIONS)?;
    let now = clock::monotonic();
    Ok(table.entries().filter(|(_, expectation)| !expectation.is_expired(now)).collect())
}

fn rules(view: &View) -> Result<Vec<RuleRow>> {
    let infos = view.rules()?;
    let rules: Vec<&[RuleInfo]> = infos.chunk_by(|a, b| a.slot == b.slot).collect();
    let firsts: Vec<&RuleInfo> = rules.iter().filter_map(|parts| parts.first()).collect();
    let slots: Vec<u16> = firsts.iter().map(|info| info.slot).collect();
    let counts = maps::read_rule_counts(view.maps(), &slots)?;
    let numbered = (1..).zip(firsts).zip(rules).zip(&counts);
    let row = |(((number, info), parts), count)| RuleRow::new(number, info, parts, count);
    Ok(numbered.map(row).collect())
}
