//! `amanda-fw list`: shows a table, without loading a program or changing a map.

use amanda_fw_common::label::RuleInfo;
use anyhow::Result;
use serde::Serialize;

use crate::cli::{Global, ListArgs, ListTable};
use crate::clock;
use crate::maps::{self, ExpectationTable};
use crate::output;
use crate::output::list::{self, ExpectationRow, FlowRow, Row, RuleRow};
use crate::view::View;

/// Runs the command.
pub(crate) fn run(args: &ListArgs, global: &Global) -> Result<()> {
    let view = View::open(global)?;
    let text = match args.table {
        ListTable::Flows => rows(&flows(&view)?, args.json)?,
        ListTable::Expectations => rows(&expectations(&view)?, args.json)?,
        ListTable::Rules => rows(&rules(&view)?, args.json)?,
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
    let mut rows: Vec<_> = view.flows()?;
    rows.sort_by_key(|(_, flow)| flow.started);
    Ok(rows.iter().map(|(key, flow)| FlowRow::new(key, flow, &names, now)).collect())
}

fn expectations(view: &View) -> Result<Vec<ExpectationRow>> {
    let table = ExpectationTable::open(view.maps(), maps::EXPECTATIONS)?;
    let now = clock::monotonic();
    let live = table.entries().filter(|(_, expectation)| !expectation.is_expired(now));
    Ok(live.map(|(key, expectation)| ExpectationRow::new(&key, &expectation, now)).collect())
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
