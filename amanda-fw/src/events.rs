//! The rings that decisions travel in, one for each CPU, and the log of the programs.

use std::os::fd::AsRawFd;

use amanda_fw_common::event::Event;
use amanda_fw_common::header::PacketType;
use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::perf::PerfEvent;
use aya::maps::{MapData, PerfEventArray};
use aya::util::online_cpus;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_local;

use crate::{maps, request};

/// Pages of one CPU's ring: 256 KiB, about a thousand events.
const RING_PAGES: usize = 64;

/// What comes out of the rings.
pub(crate) enum Message {
    /// A decision, of a request what it is about, and of a packet that is logged its first bytes.
    Decision(Box<Event>, Option<String>, Vec<u8>),
    /// So many decisions found a ring full.
    Lost(u64),
}

/// Opens the ring of every CPU, and sends what they hold.
pub(crate) fn follow(mut rings: PerfEventArray<MapData>, sender: &Sender<Message>) -> Result<()> {
    let cpus = online_cpus().map_err(|(path, error)| {
        anyhow::Error::from(error).context(format!("read the online CPUs from {path}"))
    })?;
    for cpu in cpus {
        let ring = rings
            .open(cpu, Some(RING_PAGES))
            .with_context(|| format!("open the ring of events of CPU {cpu}"))?;
        let ring = watch(ring).context("wait for events")?;
        spawn_local(read(ring, sender.clone()));
    }
    Ok(())
}

async fn read(
    mut ring: AsyncFd<aya::maps::perf::PerfEventArrayBuffer<MapData>>,
    sender: Sender<Message>,
) {
    loop {
        let Ok(mut guard) = ring.readable_mut().await else {
            return;
        };
        let mut batch = Vec::new();
        guard.get_inner_mut().for_each(|event| batch.extend(message(&event)));
        guard.clear_ready();
        for message in batch {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn message(event: &PerfEvent<'_>) -> Option<Message> {
    match event {
        PerfEvent::Sample { head, tail } => {
            let bytes = [*head, *tail].concat();
            let (event, packet) = maps::read_event(&bytes).ok()?;
            let is_request = event.amanda.packet_type == PacketType::Req.number();
            let payload = packet.get(usize::from(event.payload)..).filter(|_| is_request);
            let about = payload.and_then(request::about);
            let logged = if event.log != 0 { packet.to_vec() } else { Vec::new() };
            Some(Message::Decision(Box::new(event), about, logged))
        }
        PerfEvent::Lost { count } => Some(Message::Lost(*count)),
    }
}

/// Passes on what the programs log, to standard error.
pub(crate) fn follow_log(ebpf: &mut Ebpf) -> Result<()> {
    // The programs keep to the level that was asked for; other crates have nothing to say here.
    env_logger::Builder::new().parse_filters("amanda_fw_ebpf=trace").init();
    let logger = aya_log::EbpfLogger::init(ebpf).context("read the log of the programs")?;
    let mut logger = watch(logger).context("wait for the log of the programs")?;
    spawn_local(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
    Ok(())
}

/// Waits for a descriptor that its owner keeps open.
fn watch<T: AsRawFd>(owner: T) -> std::io::Result<AsyncFd<T>> {
    // SAFETY: rings own their descriptor, never exchange it, and close it when they are dropped,
    // which `AsyncFd` does after it has stopped waiting.
    Ok(unsafe { AsyncFd::register(owner) }?)
}
