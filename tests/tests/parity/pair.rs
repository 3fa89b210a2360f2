//! One firewall twice: the kernel's programs over their maps, and the same code over memory.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::Hash;

use amanda_fw_common::addr::Network;
use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::expect::{Expectation, ExpectationKey};
use amanda_fw_common::flow::Flow;
use amanda_fw_common::fragment::{FragmentKey, Fragments};
use amanda_fw_common::memory::{MemoryTable, MemoryTables};
use amanda_fw_common::rules::{ANY_TYPE, Rule, Way, role};
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::Table;
use amanda_fw_common::transaction::Transaction;
use amanda_fw_common::verdict::{COUNTERS, Counter, Reason};
use amanda_fw_common::wire::{Link, Packet};
use amanda_fw_tests::frames::{self, ICMP, ICMPV6, TCP, UDP};
use amanda_fw_tests::kernel::{Hook, Kernel, now};

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
pub(crate) const SIZES: [(&str, u32); 6] = [
    ("FLOWS", 1024),
    ("EMBRYOS", 2048),
    ("FRAGMENTS", 2048),
    ("EXPECTATIONS", 1024),
    ("REQUESTS", 2048),
    ("TRANSACTIONS", 1024),
];

/// Lists the kinds of devices that this kernel has.
pub(crate) fn devices() -> impl Iterator<Item = Device> {
    DEVICES.into_iter().filter(|device| device.iter().all(|hook| hook.is_there()))
}

/// A firewall in the kernel and its twin in memory, which must agree after each frame.
pub(crate) struct Pair {
    kernel: Kernel,
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
    /// Loads the programs, and gives both the same settings, rules and roles.
    pub(crate) fn new() -> Self {
        Self::with(settings(), MemoryTables::default(), &SIZES)
    }

    /// Does so with other settings, and other sizes of the tables.
    pub(crate) fn with(settings: Settings, tables: MemoryTables, sizes: &[(&str, u32)]) -> Self {
        let mut kernel = Kernel::load(sizes).unwrap_or_else(|error| panic!("{error:?}"));
        let tables = MemoryTables { rules: rules(), roles: roles(), ..tables };
        let mut settings = settings;
        settings.rules = tables.rules.len().try_into().expect("a few rules");
        kernel.configure(&settings, &tables.rules, &tables.roles).expect("the maps can be filled");
        let bytes = [0; COUNTERS as usize];
        Self { kernel, settings, tables, bytes, seen: 0, refused: 0 }
    }

    /// Forgets all flows, transactions and expectations, but not what was counted.
    pub(crate) fn clear(&mut self) {
        self.tables = MemoryTables {
            rules: self.tables.rules.clone(),
            roles: self.tables.roles.clone(),
            counters: self.tables.counters,
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
        let Some(answer) = self.kernel.run(hook, frame).expect("the program can be run") else {
            self.refused += 1;
            return None;
        };
        self.seen += 1;
        let before = self.tables.counters;
        let reason = self.decide(hook, frame);
        let (packets, bytes) = self.kernel_counts();
        let told = format!(
            "\n{hook:?}, {} bytes: {}\nkernel: {:?}, {}\nmemory: {:?}, {}\n",
            frame.len(),
            hex(frame),
            answer.verdict,
            increments(&before, &packets),
            reason.verdict(),
            increments(&before, &self.tables.counters),
        );
        assert_eq!(answer.verdict, reason.verdict(), "verdicts differ{told}");
        assert!(answer.bytes == frame, "bytes were changed to {}{told}", hex(&answer.bytes));
        assert!(packets == self.tables.counters, "counters differ{told}");
        assert!(bytes == self.bytes, "counted bytes differ{told}");
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

    fn decide(&mut self, hook: Hook, frame: &[u8]) -> Reason {
        let now = now();
        let arrival = Arrival { way: hook.way(), link: hook.link(), interface: 1, now };
        let mut packet = Packet::default();
        let Self { settings, tables, bytes, .. } = self;
        let decision = datapath::decide(frame, &arrival, settings, tables, &mut packet);
        if decision.is_control() {
            datapath::inspect(frame, &packet, &decision, settings, tables, now);
        }
        bytes[usize::from(decision.reason_number())] += frame.len() as u64;
        decision.reason()
    }

    fn kernel_counts(&self) -> ([u64; COUNTERS as usize], [u64; COUNTERS as usize]) {
        let counts = self.kernel.counts().expect("the counters can be read");
        let at = |index: usize| counts[index];
        (std::array::from_fn(|i| at(i).packets), std::array::from_fn(|i| at(i).bytes))
    }

    fn write_kernel(&mut self) {
        let Self { kernel, tables, .. } = self;
        let mut write = || {
            kernel.flows()?.replace(tables.flows.iter())?;
            kernel.embryos()?.replace(tables.embryos.iter())?;
            kernel.fragments()?.replace(tables.fragments.iter())?;
            kernel.expectations()?.replace(tables.expectations.iter())?;
            kernel.requests()?.replace(tables.requests.iter())?;
            kernel.transactions()?.replace(tables.transactions.iter())
        };
        write().expect("the tables can be written");
    }

    /// Tells what the two remember differently, but for times, which are no two the same.
    fn difference(&mut self) -> String {
        let Self { kernel, tables, .. } = self;
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
            anyhow::Ok(())
        };
        compare().expect("the tables can be read");
        text
    }
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
fn rules() -> Vec<Rule> {
    let any = Rule {
        from: Network::ANY,
        number: 0,
        port_low: 0,
        port_high: u16::MAX,
        source_port_low: 0,
        source_port_high: u16::MAX,
        protocol: 0,
        way: Way::In as u8,
        icmp_type: ANY_TYPE,
        accept: 1,
        pad: 0,
    };
    let tcp = |port| Rule { protocol: TCP, port_low: port, port_high: port, ..any };
    let strangers = Network::new(ip(STRANGER[0]).into(), 96 + 29);
    let rules = [
        tcp(22),
        Rule { protocol: ICMP, icmp_type: 8, ..any },
        Rule { protocol: ICMPV6, icmp_type: 128, ..any },
        Rule { protocol: UDP, port_low: 53, port_high: 53, from: strangers, ..any },
        Rule { way: Way::Out as u8, accept: 0, ..tcp(25) },
        Rule { source_port_low: 67, source_port_high: 68, protocol: UDP, ..any },
    ];
    (1..).zip(rules).map(|(number, rule)| Rule { number, ..rule }).collect()
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

/// Names what was counted between two readings.
fn increments(before: &[u64], after: &[u64]) -> String {
    let grown = (0_u8..).zip(before.iter().zip(after)).filter(|(_, (b, a))| b != a);
    let name = |number: u8| {
        let reason = Reason::from_number(number).map(Reason::name);
        reason.or(Counter::from_number(number).map(Counter::name)).unwrap_or("nothing known")
    };
    grown.map(|(number, _)| name(number)).collect::<Vec<_>>().join(", ")
}
