//! The BPF programs as user space sees them: the only file that names one.

mod restore;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use amanda_fw_common::classifier::Classifier;
use amanda_fw_common::label::RuleInfo;
use amanda_fw_common::rules::Way;
use amanda_fw_common::settings::gateway;
use anyhow::{Context, Result, anyhow, bail};
use aya::maps::{MapData, PerfEventArray};
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{
    LinkOrder, Program, ProgramError, ProgramInfo, SchedClassifier, TcAttachType, TestRun,
    TestRunOptions, Xdp, XdpMode,
};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use restore::Saved;
use rustix::io::Errno;

use crate::bpffs::{self, PinDirectory};
use crate::config::{Host, Ruleset};
use crate::device::{Device, Mode};
use crate::maps::FlowTable;
use crate::maps::ruleset::{self, Contents};
use crate::{clsact, maps, slots};

static OBJECT: &[u8] = include_bytes_aligned!(env!("AMANDA_FW_OBJECT"));

/// Pins of an interface's links; [`clsact`] has its own.
const XDP: &str = "xdp";
const XDP_GENERIC: &str = "xdp-generic";
const TC_INGRESS: &str = "tc-ingress";
const TC_EGRESS: &str = "tc-egress";

/// How many fragments are held, of all datagrams whose first one has not come yet: 4 MiB of frames.
const HELD_FRAGMENTS: u32 = 2048;

/// The longest that the kernel may take to let a program go, and the pause between two looks.
const RELEASE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// The programs over the maps of one ruleset, and over those that outlive it.
pub(crate) struct Firewall {
    ebpf: Ebpf,
    pins: PinDirectory,
    next: PathBuf,
}

/// What is known of the ruleset in force.
#[derive(Default)]
struct Before {
    infos: Vec<RuleInfo>,
    seed: u64,
    translates: bool,
}

impl Before {
    fn read(pins: &PinDirectory) -> Result<Self> {
        if pins.generation()?.is_none() {
            return Ok(Self::default());
        }
        let directory = pins.ruleset()?;
        let settings = ruleset::read_settings(&directory)?;
        let (seed, translates) = (settings.seed, settings.translates());
        Ok(Self { infos: ruleset::read_infos(&directory)?, seed, translates })
    }

    /// Keeps the secret, or draws one.
    fn seed(&self) -> Result<u64> {
        let mut seed = self.seed;
        while seed == 0 {
            let mut bytes = [0; 8];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
                .context("draw a secret")?;
            seed = u64::from_ne_bytes(bytes);
        }
        Ok(seed)
    }
}

fn open_object(
    pins: &PinDirectory,
    next: &Path,
    ruleset: &Ruleset,
    contents: &Contents<'_>,
    log_level: u8,
) -> Result<Ebpf> {
    let directory = pins.maps();
    let lasting = maps::PINNED.iter().map(|name| (*name, directory.join(name)));
    let of_ruleset = ruleset::PINNED.iter().map(|name| (*name, next.join(name)));
    let paths: Vec<_> = lasting.chain(of_ruleset).collect();
    let mut loader = EbpfLoader::new();
    loader.override_global(aya_log::LEVEL, &log_level, true);
    for (name, path) in &paths {
        loader.map_pin_path(name, path);
    }
    let tables = sizes(ruleset).into_iter().chain(contents.sizes());
    for (name, entries) in tables.chain(sizes_of_holding(ruleset)) {
        loader.map_max_entries(name, entries);
    }
    loader.load(OBJECT).context("make the BPF maps")
}

/// Returns how many entries each table needs that outlives a ruleset: hardly any those of translation
/// where none takes place.
pub(crate) fn sizes(ruleset: &Ruleset) -> Vec<(&'static str, u32)> {
    let translates = ruleset.settings.translates();
    let is_idle = |name| !translates && maps::NAT_TABLES.contains(&name);
    let size = |(name, entries)| (name, if is_idle(name) { 1 } else { entries });
    ruleset.sizes.by_map().into_iter().map(size).collect()
}

/// Returns how many entries the tables of held fragments need, which go with their ruleset: hardly any
/// where no address is translated, since nothing is held then.
fn sizes_of_holding(ruleset: &Ruleset) -> [(&'static str, u32); 2] {
    let entries = if ruleset.settings.translates() { HELD_FRAGMENTS } else { 1 };
    [(maps::WAITING, entries), (maps::HELD, entries)]
}

/// Has the tables of translation made anew where the ruleset in force has not used them, and this one
/// needs more room.
fn remove_idle_tables(pins: &PinDirectory, before: &Before, ruleset: &Ruleset) -> Result<()> {
    if before.translates || !ruleset.settings.translates() {
        return Ok(());
    }
    for (name, entries) in sizes(ruleset) {
        let pin = pins.maps().join(name);
        if maps::NAT_TABLES.contains(&name)
            && pin.exists()
            && maps::capacity(&pins.maps(), name)? != entries
        {
            fs::remove_file(&pin).with_context(|| format!("remove {}", pin.display()))?;
        }
    }
    Ok(())
}

/// Tells whether there are flows whose addresses are translated.
fn has_translated_flows(pins: &PinDirectory) -> Result<bool> {
    for name in [maps::EMBRYOS, maps::FLOWS] {
        let flows = FlowTable::open(&pins.maps(), name)?;
        if flows.entries().any(|(_, flow)| flow.source.is_set() || flow.destination.is_set()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is to be put in force.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The compiled configuration.
    pub(crate) ruleset: &'a Ruleset,
    /// The machine that it was compiled for.
    pub(crate) host: &'a Host,
    /// The path of the configuration, empty for none.
    pub(crate) origin: &'a str,
    /// The level up to which the programs log.
    pub(crate) log_level: u8,
}

/// A device, and where its packets are to be met.
pub(crate) type Placement = (Device, Mode);

impl Firewall {
    /// Makes the maps of a ruleset, takes the pinned ones that outlive it, and prepares the
    /// programs; nothing that is in force changes.
    pub(crate) fn load(pins: &PinDirectory, wanted: &Wanted<'_>) -> Result<Self> {
        let Wanted { ruleset, host, origin, log_level } = *wanted;
        let before = Before::read(pins)?;
        let slots = slots::assign(&ruleset.rules, &before.infos, host);
        let classifier = Classifier::compile(&slots.specs)
            .map_err(|error| anyhow!("{error}: name wider networks or port ranges"))?;
        let mut settings = ruleset.settings;
        settings.seed = before.seed()?;
        settings.rule_fields = classifier.fields;
        let mut contents = Contents {
            settings,
            classifier: &classifier,
            infos: &slots.infos,
            origin,
            roles: &ruleset.roles,
            translations: &ruleset.translations,
        };
        if before.translates && has_translated_flows(pins)? {
            // They go on as they are, although there may be no rule of translation any more.
            contents.settings.gateway |= gateway::TRANSLATES;
        }
        let next = pins.prepare_ruleset()?;
        remove_idle_tables(pins, &before, ruleset)?;
        let ebpf = open_object(pins, &next, ruleset, &contents, log_level)?;
        maps::clear_slots(&pins.maps(), &slots.fresh)?;
        contents.write(&next)?;
        Ok(Self { ebpf, pins: pins.clone(), next })
    }

    /// Puts the ruleset in force on devices, or leaves everything as it was; returns the modes.
    pub(crate) fn enforce(&mut self, placements: &[Placement]) -> Result<Vec<Mode>> {
        for (device, mode) in placements {
            self.load_programs(device, *mode)?;
        }
        let mut saved = Vec::new();
        let attached = self
            .attach_all(placements, &mut saved)
            .and_then(|modes| self.pins.enforce_ruleset().map(|()| modes));
        let modes = attached.map_err(|error| restore::restore(&self.pins, &saved, error))?;
        for ((device, _), mode) in placements.iter().zip(&modes) {
            remove_other_ingress(device, &self.pins.interface(&device.name), *mode)?;
        }
        Ok(modes)
    }

    /// Attaches to devices one after another, and saves how each one was.
    fn attach_all<'a>(
        &mut self,
        placements: &'a [Placement],
        saved: &mut Vec<Saved<'a>>,
    ) -> Result<Vec<Mode>> {
        let mut modes = Vec::new();
        for (device, mode) in placements {
            saved.push(Saved::of(&self.pins, device)?);
            let directory = self.pins.create_interface(&device.name)?;
            modes.push(self.attach(device, *mode, &directory)?);
        }
        Ok(modes)
    }

    /// Has the verifier check what a device needs, before anything is exchanged.
    fn load_programs(&mut self, device: &Device, mode: Mode) -> Result<()> {
        self.load_tc(tc_program(device, TcAttachType::Egress))?;
        let chosen = if mode == Mode::Auto { device.best_mode() } else { mode };
        match chosen {
            Mode::Xdp | Mode::XdpGeneric => self.load_xdp().map(drop),
            Mode::Tc | Mode::Auto => {
                self.load_tc(tc_program(device, TcAttachType::Ingress)).map(drop)
            }
        }
    }

    /// Lends the programs to whoever reads their log.
    pub(crate) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Takes the rings that events travel in.
    pub(crate) fn take_events(&mut self) -> Result<PerfEventArray<MapData>> {
        let map = self.ebpf.take_map(maps::EVENTS).context("find the map of events")?;
        PerfEventArray::try_from(map).context("use the map of events")
    }

    /// Attaches to both directions of a device, and returns the mode.
    ///
    /// Where an earlier loader attached the device, the programs are exchanged under its links.
    fn attach(&mut self, device: &Device, mode: Mode, directory: &Path) -> Result<Mode> {
        self.attach_tc(device, TcAttachType::Egress, directory)?;
        let chosen = if mode == Mode::Auto { device.best_mode() } else { mode };
        let is_ours = self.free_xdp(device, chosen, directory)?;
        let attached = match chosen {
            Mode::Xdp | Mode::XdpGeneric if device.has_xdp && !is_ours => Err(other_xdp(device)),
            Mode::Xdp => self.attach_xdp(device, directory, XDP),
            Mode::XdpGeneric => self.attach_xdp(device, directory, XDP_GENERIC),
            Mode::Tc | Mode::Auto => self.attach_tc(device, TcAttachType::Ingress, directory),
        };
        match attached {
            Err(_) if mode == Mode::Auto && chosen == Mode::Xdp && !device.has_xdp => {
                self.attach_tc(device, TcAttachType::Ingress, directory)?;
                Ok(Mode::Tc)
            }
            attached => attached.map(|()| chosen),
        }
    }

    /// Takes our own program off the other kind of XDP, since a device has one kind at a time, and
    /// tells whether there was a program of ours; TC guards the device meanwhile.
    fn free_xdp(&mut self, device: &Device, chosen: Mode, directory: &Path) -> Result<bool> {
        let other = match chosen {
            Mode::Xdp => XDP_GENERIC,
            Mode::XdpGeneric => XDP,
            Mode::Tc | Mode::Auto => return Ok(true),
        };
        let is_ours = [XDP, XDP_GENERIC].iter().any(|pin| directory.join(pin).exists());
        if directory.join(other).exists() {
            self.attach_tc(device, TcAttachType::Ingress, directory)?;
            remove_pin(&device.name, directory, other)?;
        }
        Ok(is_ours)
    }

    fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.ebpf.program_mut(name).with_context(|| format!("find program {name}"))
    }

    /// Loads the program for XDP, and pins it beside the maps of its ruleset.
    fn load_xdp(&mut self) -> Result<&mut Xdp> {
        let (name, pin) = (xdp_program(), self.next.join(xdp_program()));
        let program: &mut Xdp = self.program(name)?.try_into().context("use it for XDP")?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("load program {name}"))?;
            program.pin(&pin).with_context(|| format!("pin program {name}"))?;
        }
        Ok(program)
    }

    /// Loads a program for TC, and pins it beside the maps of its ruleset.
    fn load_tc(&mut self, name: &str) -> Result<&mut SchedClassifier> {
        let pin = self.next.join(name);
        let program: &mut SchedClassifier =
            self.program(name)?.try_into().context("use it for TC")?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("load program {name}"))?;
            program.pin(&pin).with_context(|| format!("pin program {name}"))?;
        }
        Ok(program)
    }

    fn attach_xdp(&mut self, device: &Device, directory: &Path, pin: &str) -> Result<()> {
        attach_xdp(self.load_xdp()?, device, directory, pin)
    }

    fn attach_tc(&mut self, device: &Device, way: TcAttachType, directory: &Path) -> Result<()> {
        attach_tc(self.load_tc(tc_program(device, way))?, device, way, directory)
    }
}

/// The programs of the ruleset in force once more, over tables of their own.
pub(crate) struct Rehearsal {
    ebpf: Ebpf,
    name: &'static str,
}

impl Rehearsal {
    /// Loads the program that a device's packets meet in TC, whose decisions are those of XDP too.
    pub(crate) fn load(pins: &PinDirectory, device: &Device, way: Way) -> Result<Self> {
        let directory = pins.ruleset()?;
        let paths: Vec<_> =
            ruleset::PINNED.iter().map(|name| (*name, directory.join(name))).collect();
        let mut loader = EbpfLoader::new();
        for (name, path) in &paths {
            loader.map_pin_path(name, path);
        }
        for (name, entries) in maps::copies::SIZES {
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader.load(OBJECT).context("make maps to rehearse over")?;
        let way = if way == Way::Out { TcAttachType::Egress } else { TcAttachType::Ingress };
        let name = tc_program(device, way);
        let program = ebpf.program_mut(name).with_context(|| format!("find program {name}"))?;
        let program: &mut SchedClassifier = program.try_into().context("use it for TC")?;
        program.load().with_context(|| format!("load program {name}"))?;
        let pin = directory.join(name);
        let tag = program.info().context("ask about the program")?.tag();
        if ProgramInfo::from_pin(&pin).is_ok_and(|loaded| loaded.tag() != tag) {
            bail!(
                "the programs that enforce are another version's: `amanda-fw reload` loads those \
                 of this one, and then they can be asked"
            );
        }
        Ok(Self { ebpf, name })
    }

    /// Lends the maps.
    pub(crate) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Returns the name of the program.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Has a frame decided that an interface meets (BPF_PROG_TEST_RUN).
    pub(crate) fn run(&self, frame: &[u8], interface: u32) -> Result<()> {
        // struct __sk_buff, as long as in Linux 5.10, and the place of `ifindex` in it.
        const CONTEXT: usize = 192;
        const IFINDEX: usize = 40;
        let mut context = [0; CONTEXT];
        for (to, from) in context.iter_mut().skip(IFINDEX).zip(interface.to_ne_bytes()) {
            *to = from;
        }
        let program = self.ebpf.program(self.name).context("find the program")?;
        let program: &SchedClassifier = program.try_into().context("use it for TC")?;
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        program.test_run(options).map(drop).context("run the program on the packet")
    }
}

/// Tells whether TC programs are attached by links (Linux 6.6).
fn has_tcx() -> bool {
    is_at_least(6, 6)
}

fn is_at_least(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|v| v >= KernelVersion::new(major, minor, 0))
}

fn xdp_program() -> &'static str {
    // Frames of more than one piece are handed to programs that say so since 5.18.
    if is_at_least(5, 18) { "xdp_ingress_frags" } else { "xdp_ingress" }
}

fn tc_program(device: &Device, way: TcAttachType) -> &'static str {
    match (way, device.is_ethernet) {
        (TcAttachType::Egress, true) => "tc_egress",
        (TcAttachType::Egress, false) => "tc_egress_raw",
        (_, true) => "tc_ingress",
        (_, false) => "tc_ingress_raw",
    }
}

fn attach_xdp(program: &mut Xdp, device: &Device, directory: &Path, pin: &str) -> Result<()> {
    let mode = if pin == XDP { XdpMode::Driver } else { XdpMode::Skb };
    let pin = directory.join(pin);
    let exchanged = open_link(&pin)?
        .map(|link| Ok::<_, LinkError>(program.attach_to_link(XdpLink::try_from(link)?)))
        .transpose()?;
    let id = match live(exchanged, &pin)? {
        Some(id) => id,
        None => attach_xdp_anew(program, device, mode)
            .with_context(|| format!("attach XDP to {}", device.name))?,
    };
    let link = program.take_link(id).context("take the link of XDP")?;
    pin_link(FdLink::try_from(link).map_err(|_| no_link())?, &pin)
}

/// Attaches XDP to a device without it; the kernel lets a program of the other kind go a moment
/// after its last pin.
fn attach_xdp_anew(
    program: &mut Xdp,
    device: &Device,
    mode: XdpMode,
) -> Result<XdpLinkId, ProgramError> {
    let began = Instant::now();
    loop {
        match program.attach_to_if_index(device.index, mode) {
            Err(ProgramError::SyscallError(error))
                if maps::is(&error, &[Errno::BUSY, Errno::EXIST]) && began.elapsed() < RELEASE =>
            {
                thread::sleep(PAUSE);
            }
            attached => return attached,
        }
    }
}

fn attach_tc(
    program: &mut SchedClassifier,
    device: &Device,
    way: TcAttachType,
    directory: &Path,
) -> Result<()> {
    if has_tcx() {
        attach_tcx(program, device, way, directory)
    } else {
        clsact::attach(program, &device.name, way, directory)
    }
    .with_context(|| format!("attach TC to {}", device.name))
}

fn attach_tcx(
    program: &mut SchedClassifier,
    device: &Device,
    way: TcAttachType,
    directory: &Path,
) -> Result<()> {
    let pin = directory.join(if way == TcAttachType::Egress { TC_EGRESS } else { TC_INGRESS });
    let exchanged = open_link(&pin)?
        .map(|link| {
            Ok::<_, LinkError>(program.attach_to_link(SchedClassifierLink::try_from(link)?))
        })
        .transpose()?;
    let id = match live(exchanged, &pin)? {
        Some(id) => id,
        None => {
            let order = TcAttachOptions::TcxOrder(LinkOrder::default());
            program.attach_with_options(&device.name, way, order)?
        }
    };
    let link = program.take_link(id).context("take the link of TC")?;
    pin_link(FdLink::try_from(link).map_err(|_| no_link())?, &pin)
}

/// Returns what came of exchanging the program of a pinned link; one of a device that has gone, as
/// one that has come again under its name shows, is forgotten.
fn live<T>(exchanged: Option<Result<T, ProgramError>>, pin: &Path) -> Result<Option<T>> {
    match exchanged {
        Some(Err(ProgramError::SyscallError(error))) if maps::is(&error, &[Errno::NOLINK]) => {
            fs::remove_file(pin).with_context(|| format!("remove {}", pin.display()))?;
            Ok(None)
        }
        Some(exchanged) => {
            let context = || format!("exchange the program of the link {}", pin.display());
            exchanged.map(Some).with_context(context)
        }
        None => Ok(None),
    }
}

/// Opens a link that an earlier loader pinned, if there is one.
fn open_link(pin: &Path) -> Result<Option<FdLink>> {
    if !pin.exists() {
        return Ok(None);
    }
    let link = PinnedLink::from_pin(pin)
        .with_context(|| format!("open the pinned link {}", pin.display()))?;
    Ok(Some(FdLink::from(link)))
}

fn pin_link(link: FdLink, pin: &Path) -> Result<()> {
    if pin.exists() {
        return Ok(());
    }
    link.pin(pin).map(drop).with_context(|| format!("pin the link as {}", pin.display()))
}

fn other_xdp(device: &Device) -> anyhow::Error {
    anyhow!(
        "{0} has an XDP program already (`ip link show {0}` tells which); \
         take it off, or attach with --mode tc",
        device.name
    )
}

fn no_link() -> anyhow::Error {
    anyhow!("the kernel gave no link for the program, and it would not outlive the loader")
}

/// Takes off what an earlier loader attached in another mode.
fn remove_other_ingress(device: &Device, directory: &Path, taken: Mode) -> Result<()> {
    let kept = |pin: &str| match taken {
        Mode::Xdp => pin == XDP,
        Mode::XdpGeneric => pin == XDP_GENERIC,
        Mode::Tc | Mode::Auto => pin == TC_INGRESS || clsact::is_ingress(pin),
    };
    for pin in bpffs::list(directory)? {
        if is_ingress(&pin) && !kept(&pin) {
            remove_pin(&device.name, directory, &pin)?;
        }
    }
    Ok(())
}

fn is_ingress(pin: &str) -> bool {
    [XDP, XDP_GENERIC, TC_INGRESS].contains(&pin) || clsact::is_ingress(pin)
}

/// Removes one pin, and with it the attachment.
fn remove_pin(interface: &str, directory: &Path, pin: &str) -> Result<()> {
    let path = directory.join(pin);
    if !path.exists() {
        return Ok(());
    }
    clsact::detach(interface, pin);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Takes the firewall off an interface.
pub(crate) fn detach(pins: &PinDirectory, interface: &str) -> Result<()> {
    let directory = pins.interface(interface);
    for pin in bpffs::list(&directory)? {
        remove_pin(interface, &directory, &pin)?;
    }
    bpffs::remove_dir(&directory)
}

/// Tells the mode of an interface by its pins.
pub(crate) fn mode(pins: &[String]) -> Mode {
    let has = |name: &str| pins.iter().any(|pin| pin == name);
    match () {
        () if has(XDP) => Mode::Xdp,
        () if has(XDP_GENERIC) => Mode::XdpGeneric,
        () => Mode::Tc,
    }
}

/// Tells a person the mode of an interface by its pins.
pub(crate) fn mode_of(pins: &[String]) -> String {
    let is_clsact = pins.iter().any(|pin| clsact::is_ingress(pin));
    let is_incoming = pins.iter().any(|pin| is_ingress(pin));
    match mode(pins) {
        Mode::Tc if is_clsact => "tc (clsact)".to_owned(),
        Mode::Tc if !is_incoming => "egress only".to_owned(),
        mode @ (Mode::Auto | Mode::Xdp | Mode::XdpGeneric | Mode::Tc) => mode.to_string(),
    }
}
