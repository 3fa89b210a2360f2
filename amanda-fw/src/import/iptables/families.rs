//! The rules of both families in one list, with those that both have in one rule.

use super::flat::Flat;

/// Merges two lists; a rule of one family never meets a packet of the other, so that only the
/// order within each list counts.
pub(super) fn merge(v4: Vec<Flat>, v6: Vec<Flat>) -> Vec<Flat> {
    let lengths = common_lengths(&v4, &v6);
    let longest =
        |i: usize, j: usize| lengths.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default();
    let mut out = Vec::with_capacity(v4.len() + v6.len());
    let (mut ones, mut others) =
        (v4.into_iter().enumerate().peekable(), v6.into_iter().enumerate().peekable());
    while let (Some((i, one)), Some((j, other))) = (ones.peek(), others.peek()) {
        let (i, j) = (*i, *j);
        if is_same(one, other) {
            out.extend(
                ones.next().zip(others.next()).map(|((_, one), (_, other))| both(one, other)),
            );
        } else if longest(i + 1, j) >= longest(i, j + 1) {
            out.extend(ones.next().map(|(_, rule)| rule));
        } else {
            out.extend(others.next().map(|(_, rule)| rule));
        }
    }
    out.extend(ones.map(|(_, rule)| rule));
    out.extend(others.map(|(_, rule)| rule));
    out
}

/// For each pair of places, how many rules the rests of both lists have in common, in order.
fn common_lengths(v4: &[Flat], v6: &[Flat]) -> Vec<Vec<u16>> {
    let mut rows = vec![vec![0; v6.len() + 1]];
    for one in v4.iter().rev() {
        let mut row = vec![0];
        let below = rows.last().map(Vec::as_slice).unwrap_or_default();
        for (other, pair) in v6.iter().rev().zip(below.windows(2).rev()) {
            let &[under, beyond] = pair else { continue };
            let beside = row.last().copied().unwrap_or_default();
            let length = if is_same(one, other) { beyond + 1 } else { under.max(beside) };
            row.push(length);
        }
        row.reverse();
        rows.push(row);
    }
    rows.reverse();
    rows
}

/// Tells whether two rules differ in nothing but their family and where they stand.
fn is_same(one: &Flat, other: &Flat) -> bool {
    let Flat { places: _, families: _, remarks: _, way, matching, state, action, name, log } = one;
    matching.from.is_any()
        && matching.to.is_any()
        && (way, matching, state) == (&other.way, &other.matching, &other.state)
        && (action, name, log) == (&other.action, &other.name, &other.log)
}

fn both(one: Flat, other: Flat) -> Flat {
    let mut remarks = one.remarks;
    remarks.extend(
        other.remarks.into_iter().filter(|remark| !remarks.contains(remark)).collect::<Vec<_>>(),
    );
    Flat {
        places: [one.places, other.places].concat(),
        families: [one.families, other.families].concat(),
        remarks,
        ..one
    }
}

#[cfg(test)]
mod tests {
    use super::super::Input;
    use super::super::chains::{Chains, Family};
    use super::super::flat::{Action, Way};
    use super::super::follow::Flattening;
    use super::*;
    use crate::import::report::Report;

    fn rules(ports: &str, tool: &str, family: Family) -> Vec<Flat> {
        let line = |port: &str| format!("{tool} -A INPUT -p tcp --dport {port} -j ACCEPT\n");
        let text = ports.split_whitespace().map(line).collect();
        let input = Input { name: tool.to_owned(), text };
        let mut report = Report::default();
        let chains = Chains::read(&[input], &mut report);
        let tables = chains.families.get(&family).cloned().unwrap_or_default();
        Flattening::new(&tables, family, Way::In, Action::Drop, &mut report).follow(&["INPUT"])
    }

    fn check(v4: &str, v6: &str, expected: &str) {
        let (v4, v6) = (rules(v4, "iptables", Family::V4), rules(v6, "ip6tables", Family::V6));
        let name = |rule: &Flat| {
            let families: String =
                rule.families.iter().map(|f| if *f == Family::V4 { '4' } else { '6' }).collect();
            format!("{}/{families}", rule.matching.ports.wanted[0].0)
        };
        let found: Vec<String> = merge(v4, v6).iter().map(name).collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn rules_of_both_families_are_one_and_the_order_of_each_is_kept() {
        check("22 80", "22 80", "22/46 80/46");
        check("22 25 80", "22 80 443", "22/46 25/4 80/46 443/6");
        check("1 2", "2 1", "1/4 2/46 1/6");
        check("", "22", "22/6");
    }
}
