//! One firewall twice: the kernel's programs over their maps, and the same code over memory.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use amanda_fw_common::addr::Network;
use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::connect::PortRange;
use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::Flow;
use amanda_fw_common::fragment::{FragmentKey, Fragments};
use amanda_fw_common::memory::{MemoryTable, MemoryTables};
use amanda_fw_common::nat::Crossing;
use amanda_fw_common::rules::{Action, Rule, Way, role};
use amanda_fw_common::ruleset::{Places, Protocol, Protocols, RuleSpec};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::{Table, Tables};
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::verdict::{COUNTERS, Count, Counter, Reason, Verdict};
use amanda_fw_common::wire::{Link, Packet};
use amanda_fw_tests::answers::{self, Layer};
use amanda_fw_tests::frames::{self, ICMP, ICMPV6, TCP, UDP};
use amanda_fw_tests::kernel::{Answer, Hook, Kernel, now, rule_sizes};

/// The backup server's addresses, IPv4 and IPv6.
pub(crate) const SERVER: [&str; 2] = ["10.0.0.1", "fd00::1"];
/// The client's.
pub(crate) const CLIENT: [&str; 2] = ["10.0.0.2", "fd00::2"];
/// Those of a host that is neither.
pub(crate) const STRANGER: [&str; 2] = ["10.0.0.9", "fd00::9"];

/// The hooks that incoming and outgoing frames meet on one device.
pub(crate) type Device = [Hook; 2];
/// Every kind of device.
pub(crate) const DEVICES: [Device; 4] = [
    [Hook::Xdp, Hook::TcEgress],
    [Hook::XdpFrags, Hook::TcEgress],
    [Hook::TcIngress, Hook::TcEgress],
    [Hook::TcIngressRaw, Hook::TcEgressRaw],
];

/// Sizes of tables that are never filled here, small since each look at one walks all of it.
const SIZES: [(&str, u32); 7] = [
    ("FLOWS", 1024),
    ("EMBRYOS", 2048),
    ("FRAGMENTS", 2048),
    ("EXPECTATIONS", 1024),
    ("REQUESTS", 2048),
    ("TRANSACTIONS", 1024),
    ("PAIRS", 1024),
];

/// The tables that rules are looked up in, but for those that are the same for all.
const RULE_TABLES: [&str; 6] =
    ["RULES", "VECTORS", "NODES", "INTERFACES", "SOURCES", "DESTINATIONS"];

/// Programs that no test uses now: loading them takes longer than most tests.
static IDLE: Mutex<Vec<Kernel>> = Mutex::new(Vec::new());

/// Lists the kinds of devices that this kernel has.
pub(crate) fn devices() -> impl Iterator<Item = Device> {
    DEVICES.into_iter().filter(|device| device.iter().all(|hook| hook.is_there()))
}

/// A firewall in the kernel and its twin in memory, which must agree after each frame.
pub(crate) struct Pair {
    // Nothing once it was given back.
    kernel: Option<Kernel>,
    is_lent: bool,
    settings: Settings,
    tables: MemoryTables,
    /// Bytes of the packets, by the number of their reason.
    bytes: [u64; COUNTERS as usize],
    /// Frames that both have seen.
    pub(crate) seen: usize,
    /// Frames that the kernel would not make a packet of.
    pub(crate) refused: usize,
}

impl Pair {
    /// Gives both the usual settings, rules and roles.
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    /// Gives both other settings.
    pub(crate) fn with(settings: Settings) -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kernel = idle.unwrap_or_else(|| load(&SIZES));
        let mut pair = Self::of(kernel, settings, MemoryTables::default());
        pair.is_lent = true;
        pair.clear();
        pair
    }

    /// Loads the programs over tables of other sizes.
    pub(crate) fn sized(tables: MemoryTables, sizes: &[(&str, u32)]) -> Self {
        Self::of(load(sizes), settings(), tables)
    }

    /// Gives both other rules, which end with the policies; there is room for others like them.
    pub(crate) fn ruled(rules: &[RuleSpec]) -> Self {
        let room = RULE_TABLES.map(|name| (name, 8192));
        let (tables, mut settings) = (MemoryTables::default(), settings());
        let tables = ruled(tables, rules, &mut settings);
        Self::over(load(&[&SIZES[..], &room].concat()), settings, tables)
    }

    /// Puts other rules in force, and forgets flows.
    pub(crate) fn set_rules(&mut self, rules: &[RuleSpec]) {
        self.clear();
        let tables = std::mem::take(&mut self.tables);
        self.tables = ruled(tables, rules, &mut self.settings);
        let Self { kernel, settings, tables, .. } = self;
        let kernel = kernel.as_mut().expect("it is given back last");
        kernel.configure(settings, &tables.rules, &tables.roles).expect("the maps can be filled");
    }

    /// Returns how many packets the kernel has counted for the rule of a slot.
    pub(crate) fn fitted(&self, slot: u16) -> u64 {
        self.kernel().rule_count(slot).expect("a counter can be read").packets
    }

    fn of(kernel: Kernel, mut settings: Settings, mut tables: MemoryTables) -> Self {
        tables.set_rules(&rules(), &mut settings).expect("a few rules");
        Self::over(kernel, settings, tables)
    }

    fn over(mut kernel: Kernel, settings: Settings, tables: MemoryTables) -> Self {
        let mut tables = MemoryTables { roles: roles(), ..tables };
        kernel.configure(&settings, &tables.rules, &tables.roles).expect("the maps can be filled");
        let mut bytes = [0; COUNTERS as usize];
        for (number, (packets, bytes)) in (0..).zip(tables.counters.iter_mut().zip(&mut bytes)) {
            let count = kernel.count(number).expect("a counter can be read");
            (*packets, *bytes) = (count.packets, count.bytes);
        }
        for slot in tables.rules.rules.iter().map(|rule| rule.slot) {
            let count = kernel.rule_count(slot).expect("a counter can be read");
            tables.rule_counts.insert(slot, count);
        }
        let kernel = Some(kernel);
        Self { kernel, is_lent: false, settings, tables, bytes, seen: 0, refused: 0 }
    }

    /// Forgets all flows, transactions and expectations, but not what was counted.
    pub(crate) fn clear(&mut self) {
        self.check_counters();
        self.tables = MemoryTables {
            rules: self.tables.rules.clone(),
            roles: self.tables.roles.clone(),
            counters: self.tables.counters,
            rule_counts: std::mem::take(&mut self.tables.rule_counts),
            ..MemoryTables::default()
        };
        self.write_kernel();
    }

    /// Shows a packet to both, as a device carries it, and checks that they agree.
    #[track_caller]
    pub(crate) fn meets(&mut self, hook: Hook, packet: &frames::Packet) -> Option<Reason> {
        let frame = match hook.link() {
            Link::Ethernet => packet.ethernet(),
            Link::Raw => packet.bytes(),
        };
        self.meets_frame(hook, &frame)
    }

    /// Shows a frame to both, and checks that they agree on what they do and what they remember.
    ///
    /// Returns nothing where the kernel does not take the frame.
    #[track_caller]
    pub(crate) fn meets_frame(&mut self, hook: Hook, frame: &[u8]) -> Option<Reason> {
        let Some(answer) = self.kernel().run(hook, frame).expect("the program can be run") else {
            self.refused += 1;
            return None;
        };
        self.seen += 1;
        let before = self.tables.counters;
        let (reason, expected) = self.decide(hook, frame);
        let counted = self.counted_otherwise(grown(&before, &self.tables.counters));
        let told = format!(
            "\n{hook:?}, {} bytes: {}\nkernel: {:?}\nmemory: {:?}, {reason}\n{counted}",
            frame.len(),
            hex(frame),
            answer.verdict,
            expected.verdict,
        );
        assert_eq!(answer.verdict, expected.verdict, "verdicts differ{told}");
        let bytes = (hex(&answer.bytes), hex(&expected.bytes));
        assert!(bytes.0 == bytes.1, "bytes differ{told}\nkernel: {}\nmemory: {}", bytes.0, bytes.1);
        assert!(counted.is_empty(), "counters differ{told}");
        let difference = self.difference();
        assert!(difference.is_empty(), "tables differ{told}{difference}");
        Some(reason)
    }

    /// Makes every entry of both so much older, in nanoseconds.
    pub(crate) fn wait(&mut self, time: u64) {
        update(&mut self.tables.flows, |flow| age_flow(flow, time));
        update(&mut self.tables.embryos, |flow| age_flow(flow, time));
        update(&mut self.tables.fragments, |f| f.expires -= time);
        update(&mut self.tables.expectations, |e| e.expires -= time);
        update(&mut self.tables.requests, |request| age_transaction(request, time));
        update(&mut self.tables.transactions, |transaction| age_transaction(transaction, time));
        self.write_kernel();
    }

    /// Decides a frame in memory, and answers it where it is rejected.
    fn decide(&mut self, hook: Hook, frame: &[u8]) -> (Reason, Answer) {
        let now = now();
        let arrival = Arrival { way: hook.way(), link: hook.link(), interface: 1, from: 0, now };
        let mut packet = Packet::default();
        let Self { settings, tables, bytes, .. } = self;
        let mut crossing = Crossing::NONE;
        let decision =
            datapath::decide(frame, &arrival, settings, tables, &mut packet, &mut crossing);
        if decision.is_inspected() {
            datapath::inspect(frame, &packet, &decision, &crossing, settings, tables, &arrival);
        }
        bytes[usize::from(decision.reason_number())] += frame.len() as u64;
        let untouched = |verdict| Answer { verdict, bytes: frame.to_vec() };
        if decision.verdict() != Verdict::Reject {
            return (decision.reason(), untouched(decision.verdict()));
        }
        // So much later the rate allows one answer more.
        std::thread::sleep(Duration::from_millis(1));
        let layer = match hook {
            Hook::Xdp | Hook::XdpFrags => Layer::Xdp,
            Hook::TcIngress | Hook::TcEgress | Hook::TcIngressRaw | Hook::TcEgressRaw => Layer::Tc,
        };
        let answer = answers::assemble(frame, &packet, decision.rejection(), layer);
        let sent = if answer.is_some() { Counter::RejectsSent } else { Counter::RejectsSuppressed };
        tables.count(sent);
        let answer = answer.map(|bytes| Answer { verdict: Verdict::Reject, bytes });
        (decision.reason(), answer.unwrap_or_else(|| untouched(Verdict::Drop)))
    }

    /// Checks every counter; after a frame only those are checked that it was to change.
    #[track_caller]
    fn check_counters(&self) {
        let counted = self.counted_otherwise(0..COUNTERS as u8);
        assert!(counted.is_empty(), "counters differ after the last frames:\n{counted}");
        for (slot, memory) in &self.tables.rule_counts {
            let kernel = self.kernel().rule_count(*slot).expect("a counter can be read");
            assert_eq!(kernel, *memory, "what the rule of slot {slot} counts");
        }
    }

    /// Tells which of some counters the two have differently.
    fn counted_otherwise(&self, numbers: impl Iterator<Item = u8>) -> String {
        let mut text = String::new();
        for number in numbers {
            let index = usize::from(number);
            let memory = Count { packets: self.tables.counters[index], bytes: self.bytes[index] };
            let kernel = self.kernel().count(number).expect("a counter can be read");
            if kernel != memory {
                let _ = writeln!(text, "{}: kernel {kernel:?}, memory {memory:?}", name(number));
            }
        }
        text
    }

    fn kernel(&self) -> &Kernel {
        self.kernel.as_ref().expect("it is given back last")
    }

    fn write_kernel(&mut self) {
        let Self { kernel, tables, .. } = self;
        let kernel = kernel.as_mut().expect("it is given back last");
        let mut write = || {
            kernel.flows()?.replace(tables.flows.iter())?;
            kernel.embryos()?.replace(tables.embryos.iter())?;
            kernel.fragments()?.replace(tables.fragments.iter())?;
            kernel.expectations()?.replace(tables.expectations.iter())?;
            kernel.requests()?.replace(tables.requests.iter())?;
            kernel.transactions()?.replace(tables.transactions.iter())?;
            kernel.pairs()?.replace(tables.pairs.iter())
        };
        write().expect("the tables can be written");
    }

    /// Tells what the two remember differently, but for times, which are no two the same.
    fn difference(&mut self) -> String {
        let Self { kernel, tables, .. } = self;
        let kernel = kernel.as_mut().expect("it is given back last");
        let mut text = String::new();
        let mut compare = || {
            let flows = kernel.flows()?.entries()?;
            differ(&mut text, "flow", flows, &tables.flows, timeless_flow);
            let embryos = kernel.embryos()?.entries()?;
            differ(&mut text, "embryo", embryos, &tables.embryos, timeless_flow);
            let fragments: HashMap<FragmentKey, Fragments> = kernel.fragments()?.entries()?;
            let timeless = |f: &mut Fragments| f.expires = 0;
            differ(&mut text, "fragments", fragments, &tables.fragments, timeless);
            let expectations: HashMap<ExpectationKey, Expectation> =
                kernel.expectations()?.entries()?;
            let timeless = |e: &mut Expectation| e.expires = 0;
            differ(&mut text, "expectation", expectations, &tables.expectations, timeless);
            let requests = kernel.requests()?.entries()?;
            differ(&mut text, "request", requests, &tables.requests, timeless_transaction);
            let transactions = kernel.transactions()?.entries()?;
            let memory = &tables.transactions;
            differ(&mut text, "transaction", transactions, memory, timeless_transaction);
            differ(&mut text, "pair", kernel.pairs()?.entries()?, &tables.pairs, |_| ());
            anyhow::Ok(())
        };
        compare().expect("the tables can be read");
        text
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.check_counters();
        if self.is_lent {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).extend(self.kernel.take());
        }
    }
}

/// Puts rules in force that end with the policies.
fn ruled(tables: MemoryTables, rules: &[RuleSpec], settings: &mut Settings) -> MemoryTables {
    let rules = Classifier::compile(rules).expect("a few rules");
    settings.rule_fields = rules.fields;
    MemoryTables { rules, ..tables }
}

/// Loads the programs over tables of some sizes, and with room for the rules.
fn load(sizes: &[(&str, u32)]) -> Kernel {
    let mut tables = MemoryTables::default();
    tables.set_rules(&rules(), &mut settings()).expect("a few rules");
    let sizes = [&rule_sizes(&tables.rules), sizes].concat();
    Kernel::load(&sizes).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Returns settings with a range of streams, and without a limit to events.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.seed = 0x0123_4567_89ab_cdef;
    settings.event_rate = u32::MAX;
    (settings.stream_low, settings.stream_high) = (50_000, 50_100);
    settings
}

/// SSH and pings are let in, DNS from one network alone; mail is kept from going out.
fn rules() -> Vec<RuleSpec> {
    let any = || RuleSpec::all(Way::In, Rule::new(Action::Accept, 0));
    let only = |number, icmp_type| Protocols::Only(vec![Protocol { number, icmp_type }]);
    let port = |port| vec![PortRange { low: port, high: port }];
    let strangers = Network::new(ip(STRANGER[0]).into(), 96 + 29);
    vec![
        RuleSpec { protocols: only(TCP, None), destination_ports: port(22), ..any() },
        RuleSpec { protocols: only(ICMP, Some(8)), ..any() },
        RuleSpec { protocols: only(ICMPV6, Some(128)), ..any() },
        RuleSpec {
            protocols: only(UDP, None),
            destination_ports: port(53),
            sources: Places { within: vec![strangers], except: Vec::new() },
            ..any()
        },
        RuleSpec {
            protocols: only(TCP, None),
            destination_ports: port(25),
            ..RuleSpec::all(Way::Out, Rule::new(Action::Drop, 0))
        },
        RuleSpec {
            protocols: only(UDP, None),
            source_ports: vec![PortRange { low: 67, high: 68 }],
            ..any()
        },
    ]
}

fn roles() -> Vec<(Network, u8)> {
    let host = |address: &str| Network::new(ip(address).into(), 128);
    let servers = SERVER.iter().map(|address| (host(address), role::SERVER));
    let clients = CLIENT.iter().map(|address| (host(address), role::CLIENT));
    servers.chain(clients).collect()
}

pub(crate) fn ip(address: &str) -> std::net::IpAddr {
    address.parse().expect("an address")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}

fn age_flow(flow: &mut Flow, time: u64) {
    flow.seen -= time;
    flow.started -= time;
}

fn timeless_flow(flow: &mut Flow) {
    (flow.seen, flow.started) = (0, 0);
}

fn age_transaction(transaction: &mut Transaction, time: u64) {
    transaction.opened -= time;
    transaction.seen -= time;
}

fn timeless_transaction(transaction: &mut Transaction) {
    (transaction.opened, transaction.seen) = (0, 0);
}

fn update<K: Copy + Eq + Hash, V: Copy>(table: &mut MemoryTable<K, V>, change: impl Fn(&mut V)) {
    let keys: Vec<K> = table.iter().map(|(key, _)| *key).collect();
    for key in keys {
        change(table.get(&key).expect("an entry that is there"));
    }
}

/// Writes down the entries that only one of the two has, or that they have differently.
fn differ<K: Copy + Eq + Hash + Debug, V: Copy + PartialEq + Debug>(
    text: &mut String,
    what: &str,
    kernel: HashMap<K, V>,
    memory: &MemoryTable<K, V>,
    timeless: impl Fn(&mut V),
) {
    let mut memory: HashMap<K, V> = memory.iter().map(|(key, value)| (*key, *value)).collect();
    memory.values_mut().for_each(&timeless);
    for (key, mut value) in kernel {
        timeless(&mut value);
        let twin = memory.remove(&key);
        if twin != Some(value) {
            let _ = writeln!(text, "{what} {key:?}\n  kernel: {value:?}\n  memory: {twin:?}");
        }
    }
    for (key, value) in memory {
        let _ = writeln!(text, "{what} {key:?}\n  kernel: None\n  memory: {value:?}");
    }
}

/// Lists the counters that have grown.
fn grown(before: &[u64], after: &[u64]) -> impl Iterator<Item = u8> {
    let changes: Vec<bool> = before.iter().zip(after).map(|(b, a)| b != a).collect();
    (0..).zip(changes).filter_map(|(number, has_grown)| has_grown.then_some(number))
}

fn name(counter: u8) -> &'static str {
    let reason = Reason::from_number(counter).map(Reason::name);
    reason.or(Counter::from_number(counter).map(Counter::name)).unwrap_or("a counter of no name")
}
