//! `attach`: loads, attaches, enforces, and says what is decided until it is told to stop.

use std::time::Duration;

use amanda_fw_common::connect::Service;
use amanda_fw_common::event::Event;
use amanda_fw_common::label::Label;
use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::aging::Aging;
use crate::bpffs::PinDirectory;
use crate::cli::{AttachArgs, Global};
use crate::config::{self, Config, HostAddresses, Ruleset};
use crate::device::{self, Device};
use crate::events::{self, Message};
use crate::firewall::{self, Firewall};
use crate::lock::Lock;
use crate::maps::{self, LabelTable, TransactionTable};
use crate::output::event::EventLines;
use crate::output::terminal::Terminal;
use crate::output::wall_clock::WallClock;
use crate::{clock, privileges};

/// How often the tables are swept.
const SWEEP: Duration = Duration::from_secs(10);

/// Events between the rings and the terminal.
const BACKLOG: usize = 4096;

/// Runs the command to its end.
pub(crate) fn run(args: &AttachArgs, global: &Global) -> Result<()> {
    let config = config::load(global.config.as_deref())?;
    let ruleset = config::compile(&config, &HostAddresses::read()?)?;
    privileges::check()?;
    privileges::check_btf()?;
    privileges::raise_memlock();
    let _lock = Lock::take(&global.bpffs)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    LocalSet::new().block_on(&runtime, serve(args, global, &config, &ruleset))
}

async fn serve(
    args: &AttachArgs,
    global: &Global,
    config: &Config,
    ruleset: &Ruleset,
) -> Result<()> {
    let mut devices = Vec::new();
    for name in &args.interfaces {
        devices.push(device::find(name).await?);
    }
    let pins = PinDirectory::new(&global.bpffs);
    pins.create()?;
    let before: Vec<String> = pins.interfaces()?.into_iter().map(|(name, _)| name).collect();
    let served = enforce(args, global, config, ruleset, &devices, &pins).await;
    let released = match &served {
        Ok(()) if args.keep => global.terminal().print("left on; `amanda-fw detach` takes it off"),
        Ok(()) => {
            release(&args.interfaces, &[], &pins).and_then(|()| global.terminal().print("detached"))
        }
        Err(_) => release(&args.interfaces, &before, &pins),
    };
    // What failed first is what to report.
    served.and(released)
}

/// Attaches, tells, and stays until a signal.
async fn enforce(
    args: &AttachArgs,
    global: &Global,
    config: &Config,
    ruleset: &Ruleset,
    devices: &[Device],
    pins: &PinDirectory,
) -> Result<()> {
    let mut firewall = Firewall::load(pins, ruleset, log_level(global))?;
    firewall.configure(ruleset)?;
    let (sender, receiver) = mpsc::channel(BACKLOG);
    events::follow(firewall.take_events()?, &sender)?;
    if log_level(global) > 0 {
        events::follow_log(firewall.ebpf())?;
    }
    let mut terminal = global.terminal();
    for device in devices {
        let configured = config.modes.get(&device.name).copied();
        let mode = firewall.attach(device, args.mode.or(configured).unwrap_or_default())?;
        terminal.print(&format!("attached {} ({mode}) with {}", device.name, config.name()))?;
    }
    let interface_name = |index| name_of(devices, index);
    let lines = EventLines {
        clock: &WallClock::now(),
        interface_name: &interface_name,
        rule_names: &ruleset.rule_names,
        color: terminal.has_color(),
    };
    watch(pins, receiver, &lines, &mut terminal).await
}

/// Returns the level up to which the programs log, in aya-log's numbers.
fn log_level(global: &Global) -> u8 {
    const NONE: u8 = 0;
    const DEBUG: u8 = 4;
    const TRACE: u8 = 5;
    match global.verbose {
        0 => NONE,
        1 => DEBUG,
        _ => TRACE,
    }
}

/// Passes decisions to the terminal and ages the tables.
async fn watch(
    pins: &PinDirectory,
    mut receiver: Receiver<Message>,
    lines: &EventLines<'_>,
    terminal: &mut Terminal,
) -> Result<()> {
    let mut aging = Aging::open(pins)?;
    let transactions = TransactionTable::open(&pins.maps(), maps::TRANSACTIONS)?;
    let mut labels = LabelTable::open(&pins.maps(), maps::LABELS)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = sweep.tick() => {
                if pins.interfaces()?.is_empty() {
                    return terminal.print("detached by another amanda-fw");
                }
                aging.sweep(clock::monotonic())?;
            }
            Some(message) = receiver.recv() => {
                let line = match message {
                    Message::Decision(event, about) => {
                        let line = lines.line(&event, service_of(&event, &transactions));
                        match about {
                            Some(about) => {
                                labels.insert(&event.amanda.transaction, &Label::new(&about));
                                format!("{line} {about}")
                            }
                            None => line,
                        }
                    }
                    Message::Lost(count) => format!("{count} events lost: the ring was full"),
                };
                terminal.print(&line)?;
            }
        }
    }
}

fn name_of(devices: &[Device], index: u32) -> String {
    let device = devices.iter().find(|device| device.index == index);
    device.map_or_else(|| format!("if{index}"), |device| device.name.clone())
}

/// Finds the service of a stream's transaction.
fn service_of(event: &Event, transactions: &TransactionTable) -> Option<Service> {
    let transaction = (event.transaction != 0).then_some(event.transaction)?;
    Service::from_number(transactions.get(&transaction)?.service)
}

/// Takes interfaces off but for some, and everything with the last of them.
fn release(interfaces: &[String], kept: &[String], pins: &PinDirectory) -> Result<()> {
    for name in interfaces {
        if !kept.contains(name) {
            firewall::detach(pins, name)?;
        }
    }
    pins.remove_if_unused().map(drop)
}
