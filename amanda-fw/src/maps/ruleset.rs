//! The maps of one ruleset: written once before any program meets them, and exchanged whole.

use std::path::Path;

use amanda_fw_common::addr::Network;
use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::label::{Origin, RuleInfo};
use amanda_fw_common::nat::Translation;
use amanda_fw_common::rules::{Block, Node, Rule, Vector};
use amanda_fw_common::settings::Settings;
use anyhow::{Context, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData};
use bytemuck::Pod;

use super::open;

const SETTINGS: &str = "SETTINGS";
const RULES: &str = "RULES";
const RULE_INFO: &str = "RULE_INFO";
const VECTORS: &str = "VECTORS";
const CLASSES: &str = "CLASSES";
const NODES: &str = "NODES";
const INTERFACES: &str = "INTERFACES";
const SOURCES: &str = "SOURCES";
const DESTINATIONS: &str = "DESTINATIONS";
const ROLES: &str = "ROLES";
const ORIGIN: &str = "ORIGIN";
const TRANSLATIONS: &str = "TRANSLATIONS";

/// The maps of a ruleset.
pub(crate) const PINNED: [&str; 12] = [
    SETTINGS,
    RULES,
    RULE_INFO,
    VECTORS,
    CLASSES,
    NODES,
    INTERFACES,
    SOURCES,
    DESTINATIONS,
    ROLES,
    ORIGIN,
    TRANSLATIONS,
];

/// What the maps of a ruleset hold.
pub(crate) struct Contents<'a> {
    /// Policy, ports, timeouts and limits.
    pub(crate) settings: Settings,
    /// The rules as they are looked up.
    pub(crate) classifier: &'a Classifier,
    /// What people call the rules, by place.
    pub(crate) infos: &'a [RuleInfo],
    /// The configuration file, empty for none.
    pub(crate) origin: &'a str,
    /// What networks are to Amanda.
    pub(crate) roles: &'a [(Network, u8)],
    /// What rules of translation translate to, by their numbers.
    pub(crate) translations: &'a [Translation],
}

impl Contents<'_> {
    /// Returns how many entries each map needs.
    pub(crate) fn sizes(&self) -> [(&'static str, u32); 9] {
        let Classifier { rules, vectors, nodes, interfaces, sources, destinations, .. } =
            self.classifier;
        // A map has one entry at least.
        let size = |length: usize| length.max(1) as u32;
        [
            (RULES, size(rules.len())),
            (RULE_INFO, size(self.infos.len())),
            (VECTORS, size(vectors.len())),
            (NODES, size(nodes.len())),
            (INTERFACES, size(interfaces.len())),
            (SOURCES, size(sources.len())),
            (DESTINATIONS, size(destinations.len())),
            (ROLES, size(self.roles.len())),
            (TRANSLATIONS, size(self.translations.len())),
        ]
    }

    /// Writes the maps that are pinned in a directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let Self { settings, classifier, infos, origin, roles, translations } = self;
        let Classifier { rules, vectors, blocks, nodes, interfaces, sources, destinations, .. } =
            *classifier;
        fill::<Rule, { size_of::<Rule>() }>(directory, RULES, rules)?;
        fill::<RuleInfo, { size_of::<RuleInfo>() }>(directory, RULE_INFO, infos)?;
        fill::<Vector, { size_of::<Vector>() }>(directory, VECTORS, vectors)?;
        fill::<Block, { size_of::<Block>() }>(directory, CLASSES, blocks)?;
        fill::<Node, { size_of::<Node>() }>(directory, NODES, nodes)?;
        let mut map = HashMap::<_, u32, u32>::try_from(open(directory, INTERFACES)?)
            .with_context(|| other_version(INTERFACES))?;
        for (interface, class) in interfaces {
            map.insert(interface, class, 0).context("write the class of an interface")?;
        }
        write_networks(directory, SOURCES, sources)?;
        write_networks(directory, DESTINATIONS, destinations)?;
        write_networks(directory, ROLES, roles)?;
        let name = TRANSLATIONS;
        fill::<Translation, { size_of::<Translation>() }>(directory, name, translations)?;
        fill::<Origin, { size_of::<Origin>() }>(directory, ORIGIN, &[Origin::new(origin)])?;
        write_settings(directory, settings)
    }
}

fn other_version(name: &str) -> String {
    format!("use map {name}: it is another version's")
}

fn array<const N: usize>(directory: &Path, name: &str) -> Result<Array<MapData, [u8; N]>> {
    Array::try_from(open(directory, name)?).with_context(|| other_version(name))
}

fn fill<T: Pod, const N: usize>(directory: &Path, name: &str, entries: &[T]) -> Result<()> {
    let mut map = array::<N>(directory, name)?;
    for (index, entry) in (0..).zip(entries) {
        map.set(index, bytemuck::pod_read_unaligned::<[u8; N]>(bytemuck::bytes_of(entry)), 0)
            .with_context(|| format!("write entry {index} of map {name}"))?;
    }
    Ok(())
}

fn write_networks<V: aya::Pod>(
    directory: &Path,
    name: &str,
    networks: &[(Network, V)],
) -> Result<()> {
    let mut map = LpmTrie::<_, [u8; 16], V>::try_from(open(directory, name)?)
        .with_context(|| other_version(name))?;
    for (network, value) in networks {
        map.insert(&Key::new(network.prefix(), network.addr().octets()), value, 0)
            .with_context(|| format!("write network {:?} to map {name}", network.addr()))?;
    }
    Ok(())
}

/// Reads the settings of a ruleset.
pub(crate) fn read_settings(directory: &Path) -> Result<Settings> {
    let map = array::<{ size_of::<Settings>() }>(directory, SETTINGS)?;
    Ok(bytemuck::pod_read_unaligned(&map.get(&0, 0).context("read the settings")?))
}

/// Writes the settings of a ruleset.
pub(crate) fn write_settings(directory: &Path, settings: &Settings) -> Result<()> {
    fill::<Settings, { size_of::<Settings>() }>(directory, SETTINGS, &[*settings])
}

/// Reads what people call the rules of a ruleset, by place.
pub(crate) fn read_infos(directory: &Path) -> Result<Vec<RuleInfo>> {
    let map = array::<{ size_of::<RuleInfo>() }>(directory, RULE_INFO)?;
    let read = |index| {
        let bytes = map.get(&index, 0).with_context(|| format!("read rule {index}"))?;
        Ok(bytemuck::pod_read_unaligned(&bytes))
    };
    (0..map.len()).map(read).collect()
}

/// Reads which configuration file a ruleset was read from.
pub(crate) fn read_origin(directory: &Path) -> Result<String> {
    let map = array::<{ size_of::<Origin>() }>(directory, ORIGIN)?;
    let bytes = map.get(&0, 0).context("read where the ruleset comes from")?;
    Ok(bytemuck::pod_read_unaligned::<Origin>(&bytes).text().to_owned())
}
