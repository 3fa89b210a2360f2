//! The BPF programs as user space sees them: the only file that names one.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use aya::maps::{MapData, PerfEventArray};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::XdpLink;
use aya::programs::{LinkOrder, Program, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use crate::bpffs::{self, PinDirectory};
use crate::clsact;
use crate::config::Ruleset;
use crate::device::{Device, Mode};
use crate::maps;

static OBJECT: &[u8] = include_bytes_aligned!(env!("AMANDA_FW_OBJECT"));

/// Pins of an interface's links; [`clsact`] has its own.
const XDP: &str = "xdp";
const XDP_GENERIC: &str = "xdp-generic";
const TC_INGRESS: &str = "tc-ingress";
const TC_EGRESS: &str = "tc-egress";

/// The programs, loaded as they are needed, over the pinned maps.
pub(crate) struct Firewall {
    ebpf: Ebpf,
    pins: PinDirectory,
}

impl Firewall {
    /// Makes the maps, or takes those that are pinned, and prepares the programs.
    pub(crate) fn load(pins: &PinDirectory, ruleset: &Ruleset, log_level: u8) -> Result<Self> {
        let directory = pins.maps();
        let paths: Vec<_> = maps::PINNED.iter().map(|name| (*name, directory.join(name))).collect();
        let mut loader = EbpfLoader::new();
        loader.override_global(aya_log::LEVEL, &log_level, true);
        for (name, path) in &paths {
            loader.map_pin_path(name, path);
        }
        for (name, entries) in ruleset.sizes.by_map() {
            loader.map_max_entries(name, entries);
        }
        let ebpf = loader.load(OBJECT).context("make the BPF maps")?;
        Ok(Self { ebpf, pins: pins.clone() })
    }

    /// Writes a ruleset into the maps; the secret of a firewall that runs already stays.
    pub(crate) fn configure(&self, ruleset: &Ruleset) -> Result<()> {
        let directory = self.pins.maps();
        let mut settings = ruleset.settings;
        settings.seed = maps::read_settings(&directory)?.seed;
        while settings.seed == 0 {
            let mut bytes = [0; 8];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
                .context("draw a secret")?;
            settings.seed = u64::from_ne_bytes(bytes);
        }
        maps::write_rules(&directory, &ruleset.rules)?;
        maps::write_roles(&directory, &ruleset.roles)?;
        maps::write_settings(&directory, &settings)
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

    /// Attaches to both directions of a device, or to none, and returns the mode.
    ///
    /// Where an earlier loader attached the device, the programs are exchanged under its links.
    pub(crate) fn attach(&mut self, device: &Device, mode: Mode) -> Result<Mode> {
        let directory = self.pins.create_interface(&device.name)?;
        let fresh = bpffs::list(&directory)?.is_empty();
        let attached = self.attach_both(device, mode, &directory);
        if attached.is_err() && fresh {
            // The first error is the one to report.
            let _ = detach(&self.pins, &device.name);
        }
        attached
    }

    fn attach_both(&mut self, device: &Device, mode: Mode, directory: &Path) -> Result<Mode> {
        self.attach_tc(device, TcAttachType::Egress, directory)?;
        let chosen = if mode == Mode::Auto { device.best_mode() } else { mode };
        let is_ours = self.free_xdp(device, chosen, directory)?;
        let attached = match chosen {
            Mode::Xdp | Mode::XdpGeneric if device.has_xdp && !is_ours => Err(other_xdp(device)),
            Mode::Xdp => self.attach_xdp(device, XdpMode::Driver, directory, XDP),
            Mode::XdpGeneric => self.attach_xdp(device, XdpMode::Skb, directory, XDP_GENERIC),
            Mode::Tc | Mode::Auto => self.attach_tc(device, TcAttachType::Ingress, directory),
        };
        let taken = match attached {
            Err(_) if mode == Mode::Auto && chosen == Mode::Xdp && !device.has_xdp => {
                self.attach_tc(device, TcAttachType::Ingress, directory)?;
                Mode::Tc
            }
            attached => attached.map(|()| chosen)?,
        };
        remove_other_ingress(device, directory, taken)?;
        Ok(taken)
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

    fn attach_xdp(
        &mut self,
        device: &Device,
        mode: XdpMode,
        directory: &Path,
        pin: &str,
    ) -> Result<()> {
        let pin = directory.join(pin);
        // Frames of more than one piece are handed to programs that say so since 5.18.
        let name = if is_at_least(5, 18) { "xdp_ingress_frags" } else { "xdp_ingress" };
        let program: &mut Xdp = self.program(name)?.try_into().context("use it for XDP")?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("load program {name}"))?;
        }
        let id = match open_link(&pin)? {
            Some(link) => program.attach_to_link(XdpLink::try_from(link)?),
            None => program.attach_to_if_index(device.index, mode),
        };
        let id = id.with_context(|| format!("attach XDP to {}", device.name))?;
        let link = program.take_link(id).context("take the link of XDP")?;
        pin_link(FdLink::try_from(link).map_err(|_| no_link())?, &pin)
    }

    fn attach_tc(&mut self, device: &Device, way: TcAttachType, directory: &Path) -> Result<()> {
        let name = tc_program(device, way);
        let program: &mut SchedClassifier =
            self.program(name)?.try_into().context("use it for TC")?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("load program {name}"))?;
        }
        if has_tcx() {
            attach_tcx(program, device, way, directory)
        } else {
            clsact::attach(program, &device.name, way, directory)
        }
        .with_context(|| format!("attach TC to {}", device.name))
    }
}

/// Tells whether TC programs are attached by links (Linux 6.6).
fn has_tcx() -> bool {
    is_at_least(6, 6)
}

fn is_at_least(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|v| v >= KernelVersion::new(major, minor, 0))
}

fn tc_program(device: &Device, way: TcAttachType) -> &'static str {
    match (way, device.is_ethernet) {
        (TcAttachType::Egress, true) => "tc_egress",
        (TcAttachType::Egress, false) => "tc_egress_raw",
        (_, true) => "tc_ingress",
        (_, false) => "tc_ingress_raw",
    }
}

fn attach_tcx(
    program: &mut SchedClassifier,
    device: &Device,
    way: TcAttachType,
    directory: &Path,
) -> Result<()> {
    let pin = directory.join(if way == TcAttachType::Egress { TC_EGRESS } else { TC_INGRESS });
    let id = match open_link(&pin)? {
        Some(link) => program.attach_to_link(SchedClassifierLink::try_from(link)?)?,
        None => {
            let order = TcAttachOptions::TcxOrder(LinkOrder::default());
            program.attach_with_options(&device.name, way, order)?
        }
    };
    let link = program.take_link(id).context("take the link of TC")?;
    pin_link(FdLink::try_from(link).map_err(|_| no_link())?, &pin)
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
pub(crate) fn mode_of(pins: &[String]) -> &'static str {
    let has = |name: &str| pins.iter().any(|pin| pin == name);
    match () {
        () if has(XDP) => "xdp",
        () if has(XDP_GENERIC) => "xdp-generic",
        () if has(TC_INGRESS) => "tc",
        () if pins.iter().any(|pin| clsact::is_ingress(pin)) => "tc (clsact)",
        () => "egress only",
    }
}
