//! From rules to the tables that the packet path looks them up in.

extern crate std;

use core::fmt;
use std::collections::{BTreeMap, HashMap};
use std::vec;
use std::vec::Vec;

use crate::addr::{Addr, Network};
use crate::connect::PortRange;
use crate::rules::{
    Action, BLOCK, BLOCKS, Block, CLASS_ALL, CLASS_DECIDING, CLASS_LOGGING, INNER, MAX_PLACES,
    NODE, NODE_SHIFTS, Node, OUTPUT_BIT, Rule, RuleTables, State, Vector, Way, destination_index,
    destination_port_index, field, kind_index, source_index, source_port_index,
};
use crate::ruleset::{ANY_PORT, Interfaces, Places, RuleSpec};
use crate::wire::{PROTOCOL_ICMP, PROTOCOL_ICMPV6};

/// There are more rules than places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRules {
    /// How many there are.
    pub rules: usize,
}

impl fmt::Display for TooManyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules with the policies, and {MAX_PLACES} fit", self.rules)
    }
}

/// The tables that rules are looked up in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// What the rules do, by their places.
    pub rules: Vec<Rule>,
    /// The rules of each class.
    pub vectors: Vec<Vector>,
    /// Classes of values that are small numbers.
    pub blocks: Vec<Block>,
    /// Classes of interfaces, and with [`OUTPUT_BIT`] of those that packets leave by; index 0 stands
    /// for those that no rule names.
    pub interfaces: BTreeMap<u32, u32>,
    /// Nodes for the second halves of IPv4 addresses.
    pub nodes: Vec<Node>,
    /// Classes of networks of IPv6 sources; the longest prefix decides.
    pub sources: Vec<(Network, u32)>,
    /// Classes of networks of IPv6 destinations.
    pub destinations: Vec<(Network, u32)>,
    /// The [`field`]s that any rule looks at.
    pub fields: u32,
}

impl Default for Classifier {
    /// Makes the tables of no rule.
    fn default() -> Self {
        Self::compile(&[]).unwrap_or_else(|_| Self {
            rules: Vec::new(),
            vectors: Vec::new(),
            blocks: Vec::new(),
            nodes: Vec::new(),
            interfaces: BTreeMap::new(),
            sources: Vec::new(),
            destinations: Vec::new(),
            fields: 0,
        })
    }
}

impl Classifier {
    /// Makes the tables of rules; the first that a packet fits decides.
    pub fn compile(specs: &[RuleSpec]) -> Result<Self, TooManyRules> {
        if specs.len() > MAX_PLACES {
            return Err(TooManyRules { rules: specs.len() });
        }
        let mut classes = Classes::new(specs);
        let mut interfaces = interfaces(specs, |spec| &spec.interfaces, 0, &mut classes);
        interfaces.extend(self::interfaces(specs, |spec| &spec.outputs, OUTPUT_BIT, &mut classes));
        let places = |side: fn(&RuleSpec) -> &Places| specs.iter().map(side).collect::<Vec<_>>();
        let sources = networks(&places(|spec| &spec.sources), &mut classes);
        let destinations = networks(&places(|spec| &spec.destinations), &mut classes);
        let blocks = blocks(specs, &mut classes);
        let mut trees = Trees { blocks, nodes: Vec::new() };
        trees.grow(&sources, source_index);
        trees.grow(&destinations, destination_index);
        let is_v6 = |(network, _): &(Network, u32)| !is_v4(network);
        Ok(Self {
            rules: specs.iter().map(|spec| spec.rule).collect(),
            vectors: classes.vectors,
            blocks: trees.blocks,
            nodes: trees.nodes,
            interfaces,
            sources: sources.into_iter().filter(is_v6).collect(),
            destinations: destinations.into_iter().filter(is_v6).collect(),
            fields: fields(specs),
        })
    }

    /// Returns the rule at a place.
    pub fn rule(&self, place: u32) -> Option<&Rule> {
        self.rules.get(place as usize)
    }
}

impl RuleTables for Classifier {
    fn direct_class(&self, index: u32) -> u32 {
        let (block, entry) = (index as usize / BLOCK, index as usize % BLOCK);
        let class = self.blocks.get(block).and_then(|block| block.get(entry));
        class.copied().unwrap_or(CLASS_ALL)
    }

    fn interface_class(&self, interface: u32) -> u32 {
        let unnamed = interface & OUTPUT_BIT;
        let class = self.interfaces.get(&interface).or_else(|| self.interfaces.get(&unnamed));
        class.copied().unwrap_or(CLASS_ALL)
    }

    fn source_class(&self, addr: Addr) -> u32 {
        longest(&self.sources, addr)
    }

    fn destination_class(&self, addr: Addr) -> u32 {
        longest(&self.destinations, addr)
    }

    fn node_entry(&self, node: u32, bits: u32) -> u32 {
        let node = self.nodes.get(node as usize);
        node.and_then(|node| node.get(bits as usize % NODE)).copied().unwrap_or(CLASS_ALL)
    }

    fn vector(&self, class: u32) -> Option<&Vector> {
        self.vectors.get(class as usize)
    }
}

fn longest(networks: &[(Network, u32)], addr: Addr) -> u32 {
    longest_of(networks.iter(), addr)
}

fn longest_of<'a>(networks: impl Iterator<Item = &'a (Network, u32)>, addr: Addr) -> u32 {
    let fitting = networks.filter(|(network, _)| network.contains(addr));
    fitting.max_by_key(|(network, _)| network.prefix()).map_or(CLASS_ALL, |&(_, class)| class)
}

/// The classes, each once.
struct Classes {
    vectors: Vec<Vector>,
    known: HashMap<Vector, u32>,
}

impl Classes {
    /// Makes the classes that have a number of their own.
    fn new(specs: &[RuleSpec]) -> Self {
        let mut classes = Self { vectors: Vec::new(), known: HashMap::new() };
        let only_logs = |spec: &RuleSpec| spec.rule.action == Action::Log.number();
        let deciding = vector(specs, |spec| !only_logs(spec));
        let logging = vector(specs, only_logs);
        for (class, vector) in
            [(CLASS_ALL, Vector::ALL), (CLASS_DECIDING, deciding), (CLASS_LOGGING, logging)]
        {
            classes.vectors.push(vector);
            classes.known.entry(vector).or_insert(class);
        }
        classes
    }

    fn class(&mut self, vector: &Vector) -> u32 {
        if let Some(class) = self.known.get(vector) {
            return *class;
        }
        let class = self.vectors.len() as u32;
        self.vectors.push(*vector);
        self.known.insert(*vector, class);
        class
    }
}

fn vector(specs: &[RuleSpec], fits: impl Fn(&RuleSpec) -> bool) -> Vector {
    let mut vector = Vector::EMPTY;
    for (place, _) in specs.iter().enumerate().filter(|(_, spec)| fits(spec)) {
        vector.set(place, true);
    }
    vector
}

fn fields(specs: &[RuleSpec]) -> u32 {
    let any = |bit, looks: fn(&RuleSpec) -> bool| if specs.iter().any(looks) { bit } else { 0 };
    any(field::INTERFACE, |spec| spec.interfaces != Interfaces::Any)
        | any(field::OUTPUT, |spec| spec.outputs != Interfaces::Any)
        | any(field::SOURCE, |spec| !spec.sources.is_any())
        | any(field::DESTINATION, |spec| !spec.destinations.is_any())
        | any(field::SOURCE_PORT, |spec| spec.source_ports != [ANY_PORT])
        | any(field::DESTINATION_PORT, |spec| spec.destination_ports != [ANY_PORT])
        | any(field::LOGGING, |spec| spec.rule.action == Action::Log.number())
}

fn interfaces(
    specs: &[RuleSpec],
    side: fn(&RuleSpec) -> &Interfaces,
    bit: u32,
    classes: &mut Classes,
) -> BTreeMap<u32, u32> {
    let named = specs.iter().flat_map(|spec| side(spec).named());
    let indexes: Vec<u32> = named.copied().chain([0]).collect();
    let class = |&index: &u32| {
        let fitting = vector(specs, |spec| side(spec).contains(index));
        (index | bit, classes.class(&fitting))
    };
    indexes.iter().map(class).collect()
}

/// Which rules begin or end at a network.
#[derive(Default)]
struct Named {
    within: Vec<usize>,
    except: Vec<usize>,
}

/// The rules that hold the addresses of a network, and those that except them.
struct Nested {
    network: Network,
    within: Vector,
    except: Vector,
}

/// Gives each network that any rule names the class of its addresses that lie in no smaller one.
fn networks(places: &[&Places], classes: &mut Classes) -> Vec<(Network, u32)> {
    let mut outer: Vec<Nested> = Vec::new();
    let mut found = Vec::new();
    // In the order of address and prefix, a network comes after those that hold it.
    for (network, named) in by_network(places).into_values() {
        while outer.last().is_some_and(|last| !last.network.contains(network.addr())) {
            outer.pop();
        }
        let (mut within, mut except) =
            outer.last().map_or((Vector::EMPTY, Vector::EMPTY), |o| (o.within, o.except));
        named.within.iter().for_each(|&place| within.set(place, true));
        named.except.iter().for_each(|&place| except.set(place, true));
        found.push((network, classes.class(&within.without(&except))));
        outer.push(Nested { network, within, except });
    }
    found
}

/// Sorts the rules by the networks that they name; every address lies in one.
fn by_network(places: &[&Places]) -> BTreeMap<([u8; 16], u32), (Network, Named)> {
    let mut networks = BTreeMap::new();
    let mut name = |network: Network, list: fn(&mut Named) -> &mut Vec<usize>, place: usize| {
        let key = (network.addr().octets(), network.prefix());
        let (_, named) = networks.entry(key).or_insert_with(|| (network, Named::default()));
        list(named).push(place);
    };
    for (place, networks) in places.iter().enumerate() {
        networks.within.iter().for_each(|&network| name(network, |n| &mut n.within, place));
        networks.except.iter().for_each(|&network| name(network, |n| &mut n.except, place));
    }
    networks.entry(([0; 16], 0)).or_insert_with(|| (Network::ANY, Named::default()));
    networks
}

/// The length of the prefix that all of IPv4 has in its mapped form.
const V4_BITS: u32 = 96;

fn is_v4(network: &Network) -> bool {
    network.prefix() > V4_BITS && network.addr().v4_bits().is_some()
}

/// The trees in which IPv4 addresses are looked up: a step of 16 bits, then steps of four.
struct Trees {
    blocks: Vec<Block>,
    nodes: Vec<Node>,
}

impl Trees {
    /// Writes the classes of networks, whose first halves have their places.
    fn grow(&mut self, networks: &[(Network, u32)], index: fn(u32) -> u32) {
        let all = networks.iter().filter(|(network, _)| network.prefix() <= V4_BITS);
        let class = longest_of(all, Addr::v4([0; 4]));
        (0..1 << 16).for_each(|half: u32| self.set(index(half << 16), class));
        let mut inner: Vec<_> = networks.iter().filter(|(network, _)| is_v4(network)).collect();
        // A shorter prefix comes first, so that nothing is written over what lies within.
        inner.sort_by_key(|(network, _)| network.prefix());
        for &&(network, class) in &inner {
            let bits = network.addr().v4_bits().unwrap_or(0);
            self.write(bits, network.prefix().saturating_sub(V4_BITS), class, index);
        }
    }

    fn write(&mut self, bits: u32, prefix: u32, class: u32, index: fn(u32) -> u32) {
        let Some(mut below) = prefix.checked_sub(16).filter(|&below| below > 0) else {
            let size = 1_u32.checked_shl(16_u32.saturating_sub(prefix)).unwrap_or(1);
            for half in (bits >> 16..).take(size as usize) {
                self.set(index(half << 16), class);
            }
            return;
        };
        let mut node = self.child_of(index(bits));
        for shift in NODE_SHIFTS {
            let entry = (bits >> shift) as usize % NODE;
            if below <= 4 {
                let size = 1_usize.checked_shl(4_u32.saturating_sub(below)).unwrap_or(1);
                let entries = self.nodes.get_mut(node).into_iter().flatten();
                entries.skip(entry).take(size).for_each(|place| *place = class);
                return;
            }
            below = below.saturating_sub(4);
            node = self.child(node, entry);
        }
    }

    fn entry(&mut self, index: u32) -> Option<&mut u32> {
        self.blocks.get_mut(index as usize / BLOCK)?.get_mut(index as usize % BLOCK)
    }

    fn set(&mut self, index: u32, value: u32) {
        if let Some(entry) = self.entry(index) {
            *entry = value;
        }
    }

    /// Returns the node of a first half, made of its class where there is none.
    fn child_of(&mut self, index: u32) -> usize {
        let next = self.nodes.len() as u32;
        let Some(entry) = self.entry(index) else { return 0 };
        let (node, class) = split(entry, next);
        self.nodes.extend(class.map(|class| [class; NODE]));
        node
    }

    /// Returns the node of an entry, made of its class where there is none.
    fn child(&mut self, node: usize, entry: usize) -> usize {
        let next = self.nodes.len() as u32;
        let entry = self.nodes.get_mut(node).and_then(|node| node.get_mut(entry));
        let Some(entry) = entry else { return 0 };
        let (node, class) = split(entry, next);
        self.nodes.extend(class.map(|class| [class; NODE]));
        node
    }
}

/// Makes an entry lead to a node, and returns the node, and the class that it had instead.
fn split(entry: &mut u32, next: u32) -> (usize, Option<u32>) {
    if *entry & INNER != 0 {
        return ((*entry & !INNER) as usize, None);
    }
    let class = core::mem::replace(entry, next | INNER);
    (next as usize, Some(class))
}

/// Fills the classes of ports and kinds.
fn blocks(specs: &[RuleSpec], classes: &mut Classes) -> Vec<Block> {
    let mut blocks = vec![[CLASS_ALL; BLOCK]; BLOCKS];
    let mut set = |index: u32, class: u32| {
        let block = blocks.get_mut(index as usize / BLOCK);
        if let Some(entry) = block.and_then(|block| block.get_mut(index as usize % BLOCK)) {
            *entry = class;
        }
    };
    ports(
        specs,
        |spec| &spec.source_ports,
        classes,
        |port, class| {
            set(source_port_index(port), class);
        },
    );
    ports(
        specs,
        |spec| &spec.destination_ports,
        classes,
        |port, class| {
            set(destination_port_index(port), class);
        },
    );
    for (index, class) in kinds(specs, classes) {
        set(index, class);
    }
    blocks
}

/// Gives each port the class of the rules that name it.
fn ports(
    specs: &[RuleSpec],
    ranges: fn(&RuleSpec) -> &[PortRange],
    classes: &mut Classes,
    mut set: impl FnMut(u16, u32),
) {
    // A rule is asked anew only where one of its ranges begins or has ended.
    let mut changes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, spec) in specs.iter().enumerate() {
        for range in ranges(spec) {
            changes.entry(u32::from(range.low)).or_default().push(place);
            changes.entry(u32::from(range.high).saturating_add(1)).or_default().push(place);
        }
    }
    let (mut vector, mut class) = (Vector::EMPTY, classes.class(&Vector::EMPTY));
    for port in 0..=u16::MAX {
        if let Some(places) = changes.get(&u32::from(port)) {
            for &place in places {
                let named = specs.get(place).is_some_and(|spec| has(ranges(spec), port));
                vector.set(place, named);
            }
            class = classes.class(&vector);
        }
        set(port, class);
    }
}

fn has(ranges: &[PortRange], port: u16) -> bool {
    ranges.iter().any(|range| range.contains(port))
}

/// Lists the classes of every direction, state, protocol and ICMP type.
fn kinds(specs: &[RuleSpec], classes: &mut Classes) -> Vec<(u32, u32)> {
    // Rules that fit the same kinds are one, and kinds that fit the same of those share a class.
    let alike = alike(specs);
    let mut known: HashMap<Vec<usize>, u32> = HashMap::new();
    let mut found = Vec::new();
    for (way, state, number, icmp_type) in every_kind() {
        let fits = |&(_, (spec, _)): &(usize, &(&RuleSpec, Vector))| {
            spec.fits_kind(way, state, number, icmp_type)
        };
        let fitting: Vec<usize> =
            alike.iter().enumerate().filter(fits).map(|(index, _)| index).collect();
        let union = || fitting.iter().filter_map(|&i| alike.get(i)).map(|(_, v)| v);
        let class = match known.get(&fitting) {
            Some(&class) => class,
            None => classes.class(&union().fold(Vector::EMPTY, |all, v| all.with(v))),
        };
        known.insert(fitting, class);
        found.push((kind_index(way, state, number, icmp_type), class));
    }
    found
}

/// Groups the rules by the kinds that they fit.
fn alike(specs: &[RuleSpec]) -> Vec<(&RuleSpec, Vector)> {
    let mut groups: Vec<(&RuleSpec, Vector)> = Vec::new();
    let mut known = HashMap::new();
    for (place, spec) in specs.iter().enumerate() {
        let next = groups.len();
        let index = *known.entry((spec.way, &spec.states, &spec.protocols)).or_insert(next);
        if index == next {
            groups.push((spec, Vector::EMPTY));
        }
        if let Some((_, vector)) = groups.get_mut(index) {
            vector.set(place, true);
        }
    }
    groups
}

fn every_kind() -> impl Iterator<Item = (Way, State, u8, u8)> {
    let of_state = |way, state: State| {
        (0..=u8::MAX).flat_map(move |number| {
            let last = match number {
                PROTOCOL_ICMP | PROTOCOL_ICMPV6 => u8::MAX,
                _ => 0,
            };
            (0..=last).map(move |icmp_type| (way, state, number, icmp_type))
        })
    };
    Way::ALL
        .iter()
        .flat_map(move |&way| State::ALL.iter().flat_map(move |&state| of_state(way, state)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Endpoint;
    use crate::rules::{Query, Rate, first_match};
    use crate::ruleset::{Protocol, Protocols};
    use crate::wire::{Icmp, Packet, TcpFlags};

    fn net(text: &str) -> Network {
        let (addr, prefix) = text.split_once('/').expect("a prefix");
        let addr: core::net::IpAddr = addr.parse().expect("an address");
        let mapped = if addr.is_ipv4() { 96 } else { 0 };
        Network::new(addr.into(), prefix.parse::<u8>().expect("a number") + mapped)
    }

    fn accept(slot: u16) -> RuleSpec {
        RuleSpec::all(Way::In, Rule::new(Action::Accept, slot))
    }

    fn syn(source: &str, port: u16) -> Packet {
        let addr = source.parse::<core::net::IpAddr>().expect("an address").into();
        Packet {
            source: Endpoint { addr, port: 40_000 },
            destination: Endpoint { addr, port },
            protocol: 6,
            tcp: TcpFlags(2),
            icmp: Icmp::None,
            ..Packet::default()
        }
    }

    /// Checks that tables and naive matching find the same place for a packet.
    fn check(specs: &[RuleSpec], packet: &Packet, expected: Option<u32>) {
        let tables = Classifier::compile(specs).expect("room");
        let query = Query::deciding(packet, Way::In, 3, 0, tables.fields);
        assert_eq!(first_match(&tables, packet, &query), expected);
        let naive = specs.iter().position(|s| {
            s.rule.action != Action::Log.number() && s.matches(packet, Way::In, 3, 0)
        });
        assert_eq!(naive.map(|place| place as u32), expected);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let narrow =
            RuleSpec { destination_ports: vec![PortRange { low: 22, high: 22 }], ..accept(1) };
        let specs = [narrow, accept(2)];
        check(&specs, &syn("10.0.0.1", 22), Some(0));
        check(&specs, &syn("10.0.0.1", 23), Some(1));
        check(&specs[..1], &syn("10.0.0.1", 23), None);
        check(&[], &syn("10.0.0.1", 23), None);
    }

    #[test]
    fn an_exception_leaves_a_network_out_and_what_lies_in_it() {
        let mut spec = accept(1);
        spec.sources.within = vec![net("10.0.0.0/8"), net("10.1.2.0/24"), net("fd00::/8")];
        spec.sources.except = vec![net("10.1.0.0/16")];
        for (source, fits) in [
            ("10.0.0.1", true),
            ("10.1.0.1", false),
            ("10.1.2.3", false),
            ("10.1.3.3", false),
            ("10.2.0.0", true),
            ("9.255.255.255", false),
            ("fd00::1", true),
            ("fc00::1", false),
            ("11.0.0.1", false),
        ] {
            check(&[spec.clone()], &syn(source, 22), fits.then_some(0));
        }
    }

    #[test]
    fn every_length_of_a_prefix_is_followed_to_its_edges() {
        for prefix in 0..=32_u32 {
            let first = 0x0a41_8231_u32 & u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            let last = first | u32::MAX.checked_shr(prefix).unwrap_or(0);
            let ip = |bits: u32| std::net::Ipv4Addr::from_bits(bits).to_string();
            let mut spec = accept(1);
            spec.sources.within = vec![net(&format!("{}/{prefix}", ip(first)))];
            for (bits, fits) in [
                (first, true),
                (last, true),
                (first.wrapping_sub(1), prefix == 0),
                (last.wrapping_add(1), prefix == 0),
            ] {
                check(&[spec.clone()], &syn(&ip(bits), 22), fits.then_some(0));
            }
        }
    }

    #[test]
    fn a_place_far_behind_is_found() {
        let mut specs: Vec<RuleSpec> = (0..9_000_u16)
            .map(|n| RuleSpec {
                destination_ports: vec![PortRange { low: n + 1, high: n + 1 }],
                ..accept(n)
            })
            .collect();
        check(&specs, &syn("10.0.0.1", 9_000), Some(8_999));
        check(&specs, &syn("10.0.0.1", 9_001), None);
        specs.push(accept(9_001));
        check(&specs, &syn("10.0.0.1", 9_001), Some(9_000));
    }

    #[test]
    fn a_rule_that_only_logs_decides_nothing() {
        let log = RuleSpec::all(
            Way::In,
            Rule { logs: 1, log_rate: Rate::UNLIMITED, ..Rule::new(Action::Log, 1) },
        );
        check(&[log, accept(2)], &syn("10.0.0.1", 22), Some(1));
    }

    #[test]
    fn an_icmp_type_is_told_from_others() {
        let echo = Protocol { number: PROTOCOL_ICMP, icmp_type: Some(8) };
        let spec = RuleSpec { protocols: Protocols::Only(vec![echo]), ..accept(1) };
        let ping = |icmp_type| Packet {
            protocol: PROTOCOL_ICMP,
            icmp_type,
            icmp: Icmp::Request,
            ..syn("10.0.0.1", 7)
        };
        let specs = [spec];
        check(&specs, &ping(8), Some(0));
        check(&specs, &ping(13), None);
    }

    #[test]
    fn more_rules_than_places_are_refused() {
        let specs = vec![accept(1); MAX_PLACES + 1];
        assert_eq!(Classifier::compile(&specs), Err(TooManyRules { rules: MAX_PLACES + 1 }));
    }
}
