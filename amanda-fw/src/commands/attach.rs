//! `attach`: loads, attaches, enforces, and says what is decided until it is told to stop.

use std::collections::HashMap;
use std::time::Duration;

use amanda_fw_common::connect::Service;
use amanda_fw_common::event::Event;
use amanda_fw_common::label::Label;
use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::LocalSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::reload::{Guard, reload};
use crate::addresses::Follower;
use crate::adopt::Adoption;
use crate::aging::Aging;
use crate::bpffs::PinDirectory;
use crate::cli::{AttachArgs, Global};
use crate::config::{self, Config, Host, Ruleset};
use crate::device::{self, Device};
use crate::events::{self, Message};
use crate::firewall;
use crate::lock::Lock;
use crate::maps::{self, LabelTable, TransactionTable, ruleset};
use crate::output::event::EventLines;
use crate::output::log_line::log_line;
use crate::output::terminal::Terminal;
use crate::output::wall_clock::WallClock;
use crate::rule_names::RuleNames;
use crate::switch::{Switch, Switched};
use crate::{clock, lockout, privileges};

/// How often the tables are swept.
const SWEEP: Duration = Duration::from_secs(10);

/// How often is looked after another ruleset, and after the time to confirm.
const LOOK: Duration = Duration::from_secs(1);

/// How to attach although it would lock the caller out.
const IN_SPITE: &str = "try it with --confirm 30s, which takes the firewall off again unless you \
                        confirm, or attach with --force";

/// Events between the rings and the terminal.
const BACKLOG: usize = 4096;

/// Runs the command to its end.
pub(crate) fn run(args: &AttachArgs, global: &Global) -> Result<()> {
    let config = config::load(global.config.as_deref())?;
    let host = Host::read()?;
    let mut ruleset = config::compile(&config, &host)?;
    privileges::check()?;
    privileges::check_btf()?;
    privileges::raise_memlock();
    let _lock = Lock::take(&global.bpffs)?;
    let runtime = super::runtime()?;
    ruleset.settings.confirm_by = args.confirm.map_or(0, |time| {
        clock::monotonic().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    });
    LocalSet::new().block_on(
        &runtime,
        serve(args, global, &Meant { config: &config, ruleset: &ruleset, host: &host }),
    )
}

/// What is to be enforced.
struct Meant<'a> {
    config: &'a Config,
    ruleset: &'a Ruleset,
    host: &'a Host,
}

async fn serve(args: &AttachArgs, global: &Global, meant: &Meant<'_>) -> Result<()> {
    let mut devices = Vec::new();
    for name in &args.interfaces {
        devices.push(device::find(name).await?);
    }
    let pins = PinDirectory::new(&global.bpffs);
    let before: Vec<String> = pins.interfaces()?.into_iter().map(|(name, _)| name).collect();
    let others = before.iter().filter_map(|name| device::index_of(name));
    let interfaces: Vec<u32> = devices.iter().map(|device| device.index).chain(others).collect();
    if let Some(lock_out) = lockout::find(&interfaces, meant.ruleset).await? {
        if !args.force && args.confirm.is_none() {
            bail!(lock_out.refusal(meant.config.name(), IN_SPITE));
        }
        global.terminal().print(&format!("warning: {lock_out}"))?;
    }
    pins.create()?;
    let served = enforce(args, global, meant, &devices, &pins).await;
    let released = match &served {
        Ok(End::Stopped) if args.keep => {
            global.terminal().print("left on; `amanda-fw detach` takes it off")
        }
        Ok(End::Stopped) => {
            let released = release(global, &args.interfaces, &[], &pins);
            released.and_then(|()| global.terminal().print("detached"))
        }
        Ok(End::Detached) => global.terminal().print("detached by another amanda-fw"),
        Ok(End::Unconfirmed) => {
            let attached = pins.interfaces()?.into_iter().map(|(name, _)| name);
            release(global, &attached.collect::<Vec<_>>(), &[], &pins).and_then(|()| {
                bail!("not confirmed in time by `amanda-fw confirm`: everything is taken off again")
            })
        }
        Err(_) => release(global, &args.interfaces, &before, &pins),
    };
    // What failed first is what to report.
    served.map(drop).and(released)
}

/// Why the loader ends.
enum End {
    /// It was told to.
    Stopped,
    /// The firewall is off.
    Detached,
    /// Nobody confirmed the firewall in time.
    Unconfirmed,
}

/// Attaches, tells, and stays until there is a reason to end.
async fn enforce(
    args: &AttachArgs,
    global: &Global,
    meant: &Meant<'_>,
    devices: &[Device],
    pins: &PinDirectory,
) -> Result<End> {
    // From here on a signal waits until there is something to take off.
    let signals = Signals::watch()?;
    let lock = Lock::switch(&global.bpffs)?;
    let Meant { config, ruleset, host } = *meant;
    let (log_level, colors_errors) = (global.log_level(), global.colors_errors());
    let switch = Switch { pins, config, ruleset, host, log_level, colors_errors };
    let mut terminal = global.terminal();
    let mut adopted = None;
    let before = || {
        let adoption = adopted.insert(Adoption::open(&pins.maps())?);
        adopt(adoption, args, &mut terminal)
    };
    let Switched { mut firewall, placements, changes } =
        switch.run(devices, args.mode, before).await?;
    drop(lock);
    let (sender, receiver) = mpsc::channel(BACKLOG);
    events::follow(firewall.take_events()?, &sender)?;
    if global.log_level() > 0 {
        events::follow_log(firewall.ebpf())?;
    }
    for (device, mode) in &placements {
        terminal.print(&format!("attached {} ({mode}) with {}", device.name, config.name()))?;
    }
    for change in changes.iter().filter(|change| change.is_of_known()) {
        terminal.print(&change.text())?;
    }
    if let Some(mut adoption) = adopted {
        // Connections may have been opened meanwhile.
        adopt(&mut adoption, args, &mut terminal)?;
        adoption.report().map_or(Ok(()), |report| terminal.print(&report))?;
    }
    if let Some(time) = args.confirm {
        terminal
            .print(&format!("`amanda-fw confirm` within {time:?}, or it is taken off again"))?;
    }
    Watch::open(pins, global, terminal)?.run(receiver, signals).await
}

/// Adopts what is open; with `--force` also goes on without.
fn adopt(adoption: &mut Adoption, args: &AttachArgs, terminal: &mut Terminal) -> Result<()> {
    match adoption.adopt() {
        Err(error) if args.force => terminal.print(&format!("warning: {error:#}")),
        adopted => adopted.context("adopt open connections, without which --force attaches"),
    }
}

/// What the loader does while the kernel enforces.
struct Watch<'a> {
    pins: &'a PinDirectory,
    global: &'a Global,
    terminal: Terminal,
    aging: Aging,
    follower: Follower,
    transactions: TransactionTable,
    labels: LabelTable,
    clock: WallClock,
    interfaces: HashMap<u32, String>,
    generation: Option<u64>,
    rule_names: RuleNames,
}

impl<'a> Watch<'a> {
    fn open(pins: &'a PinDirectory, global: &'a Global, terminal: Terminal) -> Result<Self> {
        let mut watch = Self {
            pins,
            global,
            terminal,
            aging: Aging::open(pins)?,
            follower: Follower::start()?,
            transactions: TransactionTable::open(&pins.maps(), maps::TRANSACTIONS)?,
            labels: LabelTable::open(&pins.maps(), maps::LABELS)?,
            clock: WallClock::now(),
            interfaces: HashMap::new(),
            generation: None,
            rule_names: RuleNames::default(),
        };
        watch.learn()?;
        Ok(watch)
    }

    /// Passes decisions to the terminal, ages the tables, and reloads at a hangup.
    async fn run(mut self, mut receiver: Receiver<Message>, signals: Signals) -> Result<End> {
        let Signals { mut interrupt, mut terminate, mut hangup } = signals;
        let (mut sweep, mut look) = (every(SWEEP), every(LOOK));
        // What has changed before the loader began to follow.
        self.follow().await?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(End::Stopped),
                _ = terminate.recv() => return Ok(End::Stopped),
                _ = hangup.recv() => self.reload().await?,
                _ = look.tick() => {
                    if let Some(end) = self.look()? {
                        return Ok(end);
                    }
                }
                () = self.follower.wait() => self.follow().await?,
                _ = sweep.tick() => self.aging.sweep(clock::monotonic())?,
                Some(message) = receiver.recv() => self.tell(message)?,
            }
        }
    }

    /// Has interfaces lend the addresses that they have now; where that fails, they go on as before.
    async fn follow(&mut self) -> Result<()> {
        match self.follower.refresh(self.pins).await {
            Ok(changes) => changes.iter().try_for_each(|c| self.terminal.print(&c.text())),
            // The firewall is being taken off.
            Err(_) if self.pins.generation()?.is_none() => Ok(()),
            Err(error) => self.terminal.print(&format!("warning: {error:#}")),
        }
    }

    /// Notices another ruleset, and a reason to end that others have made.
    fn look(&mut self) -> Result<Option<End>> {
        if self.pins.interfaces()?.is_empty() {
            return Ok(Some(End::Detached));
        }
        self.learn()?;
        if !self.is_unconfirmed()? {
            return Ok(None);
        }
        // Whoever confirms in time may not have written it yet.
        let _lock = Lock::switch(&self.global.bpffs)?;
        Ok(self.is_unconfirmed()?.then_some(End::Unconfirmed))
    }

    /// Tells whether the time to confirm has passed.
    fn is_unconfirmed(&self) -> Result<bool> {
        if self.pins.generation()?.is_none() {
            // The firewall is being taken off.
            return Ok(false);
        }
        let settings = self.pins.read_ruleset(ruleset::read_settings)?;
        Ok(settings.is_unconfirmed(clock::monotonic()))
    }

    /// Learns the names of the rules in force, if they are others than before.
    fn learn(&mut self) -> Result<()> {
        let generation = self.pins.generation()?;
        if generation.is_some() && generation != self.generation {
            self.rule_names.learn(&self.pins.read_ruleset(ruleset::read_infos)?);
            self.generation = generation;
        }
        Ok(())
    }

    /// Learns what the rules of a decision are called.
    fn learn_about(&mut self, event: &Event) -> Result<()> {
        let known = |names: &RuleNames| names.knows(event.rule) && names.knows(event.log);
        if !known(&self.rule_names) {
            self.learn()?;
        }
        if !known(&self.rule_names) {
            // Programs meet a ruleset a moment before it is in force for whoever looks.
            let next = ruleset::read_infos(&self.pins.next_ruleset());
            self.rule_names.learn(&next.unwrap_or_default());
        }
        Ok(())
    }

    /// Reloads the configuration; where that fails, everything stays as it is.
    async fn reload(&mut self) -> Result<()> {
        let usual = self.global.config.as_deref();
        let line = match reload(self.global, self.pins, [None, usual], Guard::Off).await {
            Ok(line) => line,
            Err(error) => {
                format!("{}nothing has changed", crate::describe(&error, self.terminal.has_color()))
            }
        };
        self.learn()?;
        self.terminal.print(&line)
    }

    fn tell(&mut self, message: Message) -> Result<()> {
        let line = match message {
            Message::Decision(event, about, logged) => {
                self.learn_about(&event)?;
                if event.log != 0 {
                    let line = self.log_line(&event, &logged);
                    self.terminal.print(&line)?;
                }
                self.decision(&event, about)
            }
            Message::Lost(count) => format!("{count} events lost: the ring was full"),
        };
        self.terminal.print(&line)
    }

    /// Writes what a rule logs of a packet, as the kernel's LOG target does.
    /// Returns the names of the interfaces of a packet, the second one empty where it is not forwarded.
    fn interfaces(&mut self, event: &Event) -> (String, String) {
        let interface = self.interface(event.interface);
        let output = if event.output == 0 { String::new() } else { self.interface(event.output) };
        (interface, output)
    }

    fn log_line(&mut self, event: &Event, packet: &[u8]) -> String {
        let (interface, output) = self.interfaces(event);
        let (time, prefix) =
            (self.clock.time_of_day(event.time), self.rule_names.prefix(event.log));
        format!("{time} {prefix}{}", log_line(event, &interface, &output, packet))
    }

    fn decision(&mut self, event: &Event, about: Option<String>) -> String {
        let (interface, output) = self.interfaces(event);
        let lines = EventLines {
            clock: &self.clock,
            interface: &interface,
            output: &output,
            rule_names: &self.rule_names,
            color: self.terminal.has_color(),
        };
        let line = lines.line(event, service_of(event, &self.transactions));
        match about {
            Some(about) => {
                self.labels.insert(&event.amanda.transaction, &Label::new(&about));
                format!("{line} {about}")
            }
            None => line,
        }
    }

    fn interface(&mut self, index: u32) -> String {
        self.interfaces.entry(index).or_insert_with(|| device::called(index)).clone()
    }
}

/// The signals that end the loader, or make it reload.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn watch() -> Result<Self> {
        Ok(Self {
            interrupt: on_signal(SignalKind::interrupt())?,
            terminate: on_signal(SignalKind::terminate())?,
            hangup: on_signal(SignalKind::hangup())?,
        })
    }
}

fn on_signal(kind: SignalKind) -> Result<Signal> {
    signal(kind).context("watch for signals")
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Finds the service of a stream's transaction.
fn service_of(event: &Event, transactions: &TransactionTable) -> Option<Service> {
    let transaction = (event.transaction != 0).then_some(event.transaction)?;
    Service::from_number(transactions.get(&transaction)?.service)
}

/// Takes interfaces off but for some, and everything with the last of them.
fn release(
    global: &Global,
    interfaces: &[String],
    kept: &[String],
    pins: &PinDirectory,
) -> Result<()> {
    let _lock = Lock::switch(&global.bpffs)?;
    for name in interfaces {
        if !kept.contains(name) {
            firewall::detach(pins, name)?;
        }
    }
    pins.remove_if_unused().map(drop)
}
