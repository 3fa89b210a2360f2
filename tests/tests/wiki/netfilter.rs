//! iptables on a host of the page, and what `amanda-fw import` makes of it.

use std::fs;

use amanda_fw_tests::bench::unique_name;
use amanda_fw_tests::firewall::loader::Loader;

use crate::recipes::{ASSUMED, Recipe};
use crate::site::Site;

/// Returns everything that is run on a host with iptables.
pub(crate) fn script(recipe: &Recipe) -> String {
    format!("{ASSUMED}{}", recipe.commands)
}

/// Drafts a config from a file of commands, or from what iptables-save writes.
pub(crate) fn draft(site: &Site, rules: &str) -> String {
    let path = site.bench.path(unique_name("rules"));
    fs::write(&path, rules).expect("a file can be written");
    let loader = Loader::new(&site.bench, &site.host, "").expect("amanda-fw can be found");
    let path = path.display().to_string();
    let finished = loader.run(&["import", "iptables", &path]).expect("amanda-fw can be run");
    assert!(finished.is_success(), "{finished}");
    finished.stdout
}
