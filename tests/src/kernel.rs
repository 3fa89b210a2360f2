//! The programs of the BPF object, run on single frames (BPF_PROG_TEST_RUN) over maps of their own.

use std::{
    collections::HashMap,
    hash::Hash,
    path::{Path, PathBuf},
    time::Duration,
};

use amanda_fw_common::{
    addr::Network,
    classifier::Classifier,
    expect::{Expectation, ExpectationKey},
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, Fragments},
    pair::{Pair, PairKey},
    rules::{Block, Node, Rule, Vector, Way},
    settings::Settings,
    transaction::Transaction,
    verdict::{Count, Verdict},
    wire::Link,
};
use anyhow::{Context, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun, TestRunOptions, TestRunResult,
    maps::{self, Array, LpmTrie, MapData, PerCpuArray, lpm_trie::Key},
    programs::{Program, ProgramError, ProgramInfo, SchedClassifier, TcAttachType},
    util::KernelVersion,
};
use bytemuck::Pod;
use rustix::time::{ClockId, clock_gettime};

use crate::{netns::Namespace, sockets};

/// The BPF object, below the workspace's root.
const OBJECT: &str = "target/bpf/amanda-fw-ebpf";

/// The first kernel with XDP for frames of several pieces.
const XDP_FRAGS: KernelVersion = KernelVersion::new(5, 18, 0);

/// The first kernel with tcx.
const TCX: KernelVersion = KernelVersion::new(6, 6, 0);

/// The longest frame that a test run gives in one piece: a page less the room before and behind it.
const ONE_PIECE: usize = 3000;

/// EINVAL: the kernel's test run refuses the frame itself.
const REFUSED: i32 = 22;

/// A place in the kernel where a frame meets the firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Incoming, at the driver, in one piece.
    Xdp,
    /// Incoming, at the driver, of any size.
    XdpFrags,
    /// Incoming, on a device with Ethernet headers.
    TcIngress,
    /// Outgoing, on a device with Ethernet headers.
    TcEgress,
    /// Incoming, on a device without a link header.
    TcIngressRaw,
    /// Outgoing, on a device without a link header.
    TcEgressRaw,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 6] = [
        Self::Xdp,
        Self::XdpFrags,
        Self::TcIngress,
        Self::TcEgress,
        Self::TcIngressRaw,
        Self::TcEgressRaw,
    ];

    /// Returns the name of the hook's program in the object.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Xdp => "xdp_ingress",
            Self::XdpFrags => "xdp_ingress_frags",
            Self::TcIngress => "tc_ingress",
            Self::TcEgress => "tc_egress",
            Self::TcIngressRaw => "tc_ingress_raw",
            Self::TcEgressRaw => "tc_egress_raw",
        }
    }

    /// Tells whether this kernel has the hook.
    #[must_use]
    pub fn is_there(self) -> bool {
        self != Self::XdpFrags || KernelVersion::current().is_ok_and(|v| v >= XDP_FRAGS)
    }

    /// Returns which way frames go there.
    #[must_use]
    pub fn way(self) -> Way {
        match self {
            Self::Xdp | Self::XdpFrags | Self::TcIngress | Self::TcIngressRaw => Way::In,
            Self::TcEgress | Self::TcEgressRaw => Way::Out,
        }
    }

    /// Returns what frames begin with there.
    #[must_use]
    pub fn link(self) -> Link {
        match self {
            Self::Xdp | Self::XdpFrags | Self::TcIngress | Self::TcEgress => Link::Ethernet,
            Self::TcIngressRaw | Self::TcEgressRaw => Link::Raw,
        }
    }

    fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpFrags)
    }

    /// Returns what a program's return value means.
    fn verdict(self, value: u32) -> Result<Verdict> {
        const XDP_DROP: u32 = 1;
        const XDP_PASS: u32 = 2;
        const XDP_TX: u32 = 3;
        const TC_ACT_REDIRECT: u32 = 7;
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        const TC_ACT_SHOT: u32 = 2;
        match (self.is_xdp(), value) {
            (true, XDP_PASS) | (false, TC_ACT_UNSPEC) => Ok(Verdict::Accept),
            (true, XDP_DROP) | (false, TC_ACT_SHOT) => Ok(Verdict::Drop),
            (true, XDP_TX) | (false, TC_ACT_REDIRECT) => Ok(Verdict::Reject),
            _ => bail!("{} returned {value}", self.program()),
        }
    }
}

/// What a program made of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What happens to the frame.
    pub verdict: Verdict,
    /// The frame's bytes afterwards.
    pub bytes: Vec<u8>,
}

/// Finds the object that `cargo xtask build-ebpf` has built.
pub fn object() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("find the workspace")?;
    let path = root.join(OBJECT);
    ensure!(path.is_file(), "{} is missing: run `cargo xtask build-ebpf`", path.display());
    Ok(path)
}

/// Lists the sizes of the maps that rules are looked up in.
#[must_use]
pub fn rule_sizes(rules: &Classifier) -> [(&'static str, u32); 6] {
    let Classifier { rules, vectors, nodes, interfaces, sources, destinations, .. } = rules;
    [
        ("RULES", rules.len()),
        ("VECTORS", vectors.len()),
        ("NODES", nodes.len()),
        ("INTERFACES", interfaces.len()),
        ("SOURCES", sources.len()),
        ("DESTINATIONS", destinations.len()),
    ]
    .map(|(name, entries)| (name, u32::try_from(entries).unwrap_or(u32::MAX).max(1)))
}

/// Opens the object with tables of these sizes beside those of their usual size; no program is
/// loaded yet.
pub fn open(sizes: &[(&str, u32)]) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    for (name, entries) in sizes {
        loader.map_max_entries(name, *entries);
    }
    let object = object()?;
    loader.load_file(&object).with_context(|| format!("open {}", object.display()))
}

/// Loads one program of an opened object.
pub fn load<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a Program> {
    let program = ebpf.program_mut(name).with_context(|| format!("find program {name}"))?;
    let loaded = if let Program::Xdp(xdp) = program {
        xdp.load()
    } else if let Program::SchedClassifier(classifier) = program {
        classifier.load()
    } else {
        Err(ProgramError::UnexpectedProgramType)
    };
    loaded.with_context(|| format!("load program {name}"))?;
    Ok(program)
}

/// Names the programs that packets of a namespace's interface meet at tcx, first those coming in;
/// nothing where the kernel has no tcx.
pub fn tcx(namespace: &Namespace, interface: &str) -> Result<Option<Vec<String>>> {
    describe_tcx(namespace, interface, |program| program.name_as_str().map(str::to_owned))
}

/// Lists the numbers of the programs that [`tcx`] names.
pub fn tcx_ids(namespace: &Namespace, interface: &str) -> Result<Option<Vec<u32>>> {
    describe_tcx(namespace, interface, |program| Some(program.id()))
}

fn describe_tcx<T: Send>(
    namespace: &Namespace,
    interface: &str,
    describe: impl Fn(&ProgramInfo) -> Option<T> + Send + Sync,
) -> Result<Option<Vec<T>>> {
    if KernelVersion::current().is_ok_and(|version| version < TCX) {
        return Ok(None);
    }
    let query = |way| {
        let (_, programs) = SchedClassifier::query_tcx(interface, way)
            .with_context(|| format!("list the programs of {interface}"))?;
        anyhow::Ok(programs.iter().filter_map(&describe).collect::<Vec<_>>())
    };
    sockets::inside(namespace, || {
        let (mut incoming, outgoing) =
            (query(TcAttachType::Ingress)?, query(TcAttachType::Egress)?);
        incoming.extend(outgoing);
        Ok(Some(incoming))
    })
}

/// Returns the time that the programs see, in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + rest
}

/// The programs that this kernel has, loaded over maps that nothing else uses.
#[derive(Debug)]
pub struct Kernel {
    ebpf: Ebpf,
}

impl Kernel {
    /// Loads the programs of every hook that this kernel has.
    pub fn load(sizes: &[(&str, u32)]) -> Result<Self> {
        let mut ebpf = open(sizes)?;
        for hook in Hook::ALL.into_iter().filter(|hook| hook.is_there()) {
            load(&mut ebpf, hook.program())?;
        }
        Ok(Self { ebpf })
    }

    /// Runs a hook's program on a frame; nothing where the kernel would not make a packet of it.
    pub fn run(&self, hook: Hook, frame: &[u8]) -> Result<Option<Answer>> {
        // A test run would give it a frame of several pieces, which no driver does.
        if hook == Hook::Xdp && frame.len() > ONE_PIECE {
            return Ok(None);
        }
        // An answer may be longer than what it answers.
        let mut bytes = vec![0; frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut bytes),
            ..TestRunOptions::default()
        };
        let name = hook.program();
        let result = match self.test_run(name, options)? {
            Err(ProgramError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(REFUSED) =>
            {
                return Ok(None);
            }
            ran => ran.with_context(|| format!("run {name} on {} bytes", frame.len()))?,
        };
        bytes.truncate(result.data_size_out as usize);
        Ok(Some(Answer { verdict: hook.verdict(result.return_value)?, bytes }))
    }

    /// Runs a program; what the kernel says of the run is inside.
    fn test_run(
        &self,
        name: &str,
        options: TestRunOptions<'_>,
    ) -> Result<Result<TestRunResult, ProgramError>> {
        let program = self.ebpf.program(name).with_context(|| format!("find program {name}"))?;
        Ok(if let Program::Xdp(xdp) = program {
            xdp.test_run(options)
        } else if let Program::SchedClassifier(classifier) = program {
            classifier.test_run(options)
        } else {
            Err(ProgramError::UnexpectedProgramType)
        })
    }

    /// Returns what a hook's program takes for a frame, the mean of many runs.
    pub fn time(&self, hook: Hook, frame: &[u8]) -> Result<Duration> {
        self.timed(hook, frame, 500_000)
    }

    /// Returns what a hook's program takes for a frame that it has not met yet.
    pub fn time_once(&self, hook: Hook, frame: &[u8]) -> Result<Duration> {
        self.timed(hook, frame, 1)
    }

    fn timed(&self, hook: Hook, frame: &[u8], repeat: u32) -> Result<Duration> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let name = hook.program();
        let ran = self.test_run(name, options)?;
        Ok(ran.with_context(|| format!("run {name} again and again"))?.duration)
    }

    /// Writes settings, rules and roles, in place of those before.
    pub fn configure(
        &mut self,
        settings: &Settings,
        rules: &Classifier,
        roles: &[(Network, u8)],
    ) -> Result<()> {
        self.fill::<_, { size_of::<Settings>() }>("SETTINGS", &[*settings])?;
        self.fill::<_, { size_of::<Rule>() }>("RULES", &rules.rules)?;
        self.fill::<_, { size_of::<Vector>() }>("VECTORS", &rules.vectors)?;
        self.fill::<_, { size_of::<Block>() }>("CLASSES", &rules.blocks)?;
        self.fill::<_, { size_of::<Node>() }>("NODES", &rules.nodes)?;
        let mut map = maps::HashMap::<_, u32, u32>::try_from(self.map_mut("INTERFACES")?)?;
        for key in map.keys().collect::<Result<Vec<_>, _>>().context("list the interfaces")? {
            map.remove(&key).context("empty the interfaces")?;
        }
        for (interface, class) in &rules.interfaces {
            map.insert(interface, class, 0)?;
        }
        self.fill_trie("SOURCES", &rules.sources)?;
        self.fill_trie("DESTINATIONS", &rules.destinations)?;
        self.fill_trie("ROLES", roles)
    }

    fn fill<T: Pod, const N: usize>(&mut self, name: &str, entries: &[T]) -> Result<()> {
        let mut array = Array::<_, [u8; N]>::try_from(self.map_mut(name)?)?;
        for (index, entry) in (0..).zip(entries) {
            let bytes = bytemuck::pod_read_unaligned::<[u8; N]>(bytemuck::bytes_of(entry));
            array.set(index, bytes, 0).with_context(|| format!("write entry {index} of {name}"))?;
        }
        Ok(())
    }

    fn fill_trie<V: aya::Pod>(&mut self, name: &str, networks: &[(Network, V)]) -> Result<()> {
        let mut trie = LpmTrie::<_, [u8; 16], V>::try_from(self.map_mut(name)?)?;
        for key in trie.keys().collect::<Result<Vec<_>, _>>().context("list networks")? {
            trie.remove(&key).with_context(|| format!("empty {name}"))?;
        }
        for (network, value) in networks {
            trie.insert(&Key::new(network.prefix(), network.addr().octets()), value, 0)
                .with_context(|| format!("write a network of {name}"))?;
        }
        Ok(())
    }

    /// Returns the flows.
    pub fn flows(&mut self) -> Result<FlowTable<'_>> {
        self.table("FLOWS")
    }

    /// Returns the flows that an outsider began.
    pub fn embryos(&mut self) -> Result<FlowTable<'_>> {
        self.table("EMBRYOS")
    }

    /// Returns the datagrams whose first fragment was accepted.
    pub fn fragments(&mut self) -> Result<FragmentTable<'_>> {
        self.table("FRAGMENTS")
    }

    /// Returns what is expected.
    pub fn expectations(&mut self) -> Result<ExpectationTable<'_>> {
        self.table("EXPECTATIONS")
    }

    /// Returns the requests that nobody has answered.
    pub fn requests(&mut self) -> Result<TransactionTable<'_>> {
        self.table("REQUESTS")
    }

    /// Returns the transactions whose request was answered.
    pub fn transactions(&mut self) -> Result<TransactionTable<'_>> {
        self.table("TRANSACTIONS")
    }

    /// Returns what pairs of hosts have open.
    pub fn pairs(&mut self) -> Result<PairTable<'_>> {
        self.table("PAIRS")
    }

    /// Sums a counter over all CPUs.
    pub fn count(&self, number: u8) -> Result<Count> {
        self.sum("COUNTERS", number.into())
    }

    /// Sums what fitted the rule of a slot.
    pub fn rule_count(&self, slot: u16) -> Result<Count> {
        self.sum("RULE_COUNTERS", slot.into())
    }

    fn sum(&self, name: &str, index: u32) -> Result<Count> {
        let map = self.ebpf.map(name).with_context(|| format!("find map {name}"))?;
        let array = PerCpuArray::<_, [u64; 2]>::try_from(map)?;
        let values = array.get(&index, 0).context("read a counter")?;
        let add = |sum: Count, [packets, bytes]: &[u64; 2]| Count {
            packets: sum.packets + packets,
            bytes: sum.bytes + bytes,
        };
        Ok(values.iter().fold(Count::default(), add))
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut maps::Map> {
        self.ebpf.map_mut(name).with_context(|| format!("find map {name}"))
    }

    fn table<K, V, const KEY: usize, const VALUE: usize>(
        &mut self,
        name: &str,
    ) -> Result<Table<'_, K, V, KEY, VALUE>> {
        let map = self.map_mut(name)?.try_into().with_context(|| format!("use map {name}"))?;
        Ok(Table { map, entry: std::marker::PhantomData })
    }
}

/// A hash map of the kernel's whose keys and values are plain data.
#[derive(Debug)]
pub struct Table<'a, K, V, const KEY: usize, const VALUE: usize> {
    map: maps::HashMap<&'a mut MapData, [u8; KEY], [u8; VALUE]>,
    entry: std::marker::PhantomData<(K, V)>,
}

/// Flows.
pub type FlowTable<'a> = Table<'a, FlowKey, Flow, { size_of::<FlowKey>() }, { size_of::<Flow>() }>;
/// Datagrams in fragments.
pub type FragmentTable<'a> =
    Table<'a, FragmentKey, Fragments, { size_of::<FragmentKey>() }, { size_of::<Fragments>() }>;
/// Expectations.
pub type ExpectationTable<'a> = Table<
    'a,
    ExpectationKey,
    Expectation,
    { size_of::<ExpectationKey>() },
    { size_of::<Expectation>() },
>;
/// Transactions.
pub type TransactionTable<'a> =
    Table<'a, u64, Transaction, { size_of::<u64>() }, { size_of::<Transaction>() }>;
/// What pairs of hosts have open.
pub type PairTable<'a> = Table<'a, PairKey, Pair, { size_of::<PairKey>() }, { size_of::<Pair>() }>;

impl<K: Pod + Eq + Hash, V: Pod, const KEY: usize, const VALUE: usize> Table<'_, K, V, KEY, VALUE> {
    /// Returns every entry.
    pub fn entries(&self) -> Result<HashMap<K, V>> {
        let mut entries = HashMap::new();
        for entry in self.map.iter() {
            let (key, value) = entry.context("read a table")?;
            entries
                .insert(bytemuck::pod_read_unaligned(&key), bytemuck::pod_read_unaligned(&value));
        }
        Ok(entries)
    }

    /// Replaces what the table holds.
    pub fn replace<'e>(&mut self, entries: impl IntoIterator<Item = (&'e K, &'e V)>) -> Result<()>
    where
        K: 'e,
        V: 'e,
    {
        for key in self.map.keys().collect::<Result<Vec<_>, _>>().context("list a table")? {
            self.map.remove(&key).context("empty a table")?;
        }
        for (key, value) in entries {
            let key: [u8; KEY] = bytemuck::pod_read_unaligned(bytemuck::bytes_of(key));
            let value: [u8; VALUE] = bytemuck::pod_read_unaligned(bytemuck::bytes_of(value));
            self.map.insert(key, value, 0).context("fill a table")?;
        }
        Ok(())
    }
}
