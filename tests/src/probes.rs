//! Packets of any make from one namespace to another, and which of them the other's IP layer
//! delivers.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    os::fd::OwnedFd,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recvfrom,
        sendto, socket_with, sockopt,
    },
};

use crate::{frames::Packet, netns::Namespace, sockets, wait};

/// For how long nothing must come before nothing more is waited for: on one machine, a long time.
const SILENCE: Duration = Duration::from_millis(500);

/// Room for what has come and was not read yet.
const BUFFER: usize = 8 << 20;

/// The longest packet that is read.
const LONGEST: usize = 4096;

/// Sockets that send packets with headers of their own, and sockets that receive what has passed
/// every firewall of the other namespace (XDP, TC and netfilter's INPUT) and is for it.
#[derive(Debug)]
pub struct Probes {
    v4: OwnedFd,
    v6: OwnedFd,
    receivers: Vec<Receiver>,
}

impl Probes {
    /// Opens the sockets, for packets of these protocols.
    pub fn open(from: &Namespace, to: &Namespace, protocols: &[u8]) -> Result<Self> {
        let sender = |family| {
            sockets::inside(from, || raw(family, ipproto::RAW).context("open a socket to send on"))
        };
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let pairs = families.iter().flat_map(|family| protocols.iter().map(|p| (*family, *p)));
        Ok(Self {
            v4: sender(AddressFamily::INET)?,
            v6: sender(AddressFamily::INET6)?,
            receivers: pairs
                .map(|(family, protocol)| Receiver::open(to, family, protocol))
                .collect::<Result<_>>()?,
        })
    }

    /// Sends packets, and tells which of them are delivered; no two of a source may have the same
    /// payload.
    pub fn pass(&self, packets: &[Packet]) -> Result<Vec<bool>> {
        let ids: HashSet<Id> = packets.iter().map(id).collect();
        ensure!(ids.len() == packets.len(), "two packets cannot be told apart");
        let mut arrived = HashSet::new();
        for packet in packets {
            self.send(packet)?;
            self.receive(&mut arrived)?;
        }
        let mut look = || Ok((self.receive(&mut arrived)? > 0).then_some(()));
        while wait::within(SILENCE, &mut look)?.is_some() {}
        Ok(packets.iter().map(|packet| arrived.contains(&id(packet))).collect())
    }

    /// Sends a packet.
    pub fn send(&self, packet: &Packet) -> Result<()> {
        self.send_bytes(packet.destination, &packet.bytes())
    }

    /// Sends a packet that is given by its bytes, from the IP header on.
    pub fn send_bytes(&self, destination: IpAddr, bytes: &[u8]) -> Result<()> {
        let socket = if destination.is_ipv4() { &self.v4 } else { &self.v6 };
        // The port must be 0 where IPv6 is asked to leave the header as it is.
        let address = SocketAddr::new(destination, 0);
        sendto(socket, bytes, SendFlags::empty(), &address)
            .with_context(|| format!("send a packet to {destination}"))?;
        Ok(())
    }

    /// Takes what has come by now, and returns how much that was.
    fn receive(&self, arrived: &mut HashSet<Id>) -> Result<usize> {
        let mut count = 0;
        for receiver in &self.receivers {
            while let Some(id) = receiver.next()? {
                arrived.insert(id);
                count += 1;
            }
        }
        Ok(count)
    }
}

/// What a packet is known by, wherever it is met: its source, and its payload.
type Id = (IpAddr, Vec<u8>);

fn id(packet: &Packet) -> Id {
    (packet.source, packet.payload.clone())
}

/// A socket for all packets of a protocol.
#[derive(Debug)]
struct Receiver {
    socket: OwnedFd,
    has_header: bool,
}

impl Receiver {
    fn open(namespace: &Namespace, family: AddressFamily, protocol: u8) -> Result<Self> {
        let number = NonZeroU32::new(protocol.into()).context("receive protocol 0")?;
        let socket = sockets::inside(namespace, || {
            raw(family, Protocol::from_raw(number)).context("open a socket to receive on")
        })?;
        Ok(Self { socket, has_header: family == AddressFamily::INET })
    }

    /// Returns what the next packet is known by, if one has come.
    fn next(&self) -> Result<Option<Id>> {
        let mut bytes = vec![0; LONGEST];
        let source = match recvfrom(&self.socket, &mut bytes[..], RecvFlags::empty()) {
            Ok((length, _, source)) => {
                bytes.truncate(length);
                source.context("receive a packet of nobody's")?
            }
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error).context("receive packets"),
        };
        let source = SocketAddr::try_from(source).context("receive a packet of no family")?;
        let header = if self.has_header { usize::from(bytes[0] & 0x0f) * 4 } else { 0 };
        Ok(Some((source.ip(), bytes.split_off(header))))
    }
}

fn raw(family: AddressFamily, protocol: Protocol) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
    sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    Ok(socket)
}
