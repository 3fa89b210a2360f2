//! The wire of a namespace in raw form: what goes over it, and segments of one's own making.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto,
    socket_with,
};

use crate::frames::Packet;
use crate::netns::Namespace;
use crate::{sockets, wait};

/// How long a frame is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest frame that is read.
const LONGEST: usize = 2048;

/// Every frame that a namespace sends or receives from now on.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Begins to listen.
    pub fn open(namespace: &Namespace) -> Result<Self> {
        const EVERY_PROTOCOL: u16 = 3;
        let protocol = NonZeroU32::new(EVERY_PROTOCOL.to_be().into()).map(Protocol::from_raw);
        let socket = sockets::inside(namespace, || open(AddressFamily::PACKET, protocol))?;
        Ok(Self { socket })
    }

    /// Waits for a frame that fits, and passes those over that do not.
    pub fn find(&self, what: &str, fits: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        wait::until(what, PATIENCE, || {
            while let Some(frame) = self.next()? {
                if fits(&frame) {
                    return Ok(Some(frame));
                }
            }
            Ok(None)
        })
    }

    fn next(&self) -> Result<Option<Vec<u8>>> {
        let mut frame = vec![0; LONGEST];
        match recv(&self.socket, &mut frame[..], RecvFlags::DONTWAIT) {
            Ok((_, length)) => {
                frame.truncate(length);
                Ok(Some(frame))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error).context("listen to a wire"),
        }
    }
}

/// Sends packets whose transport header and checksum are as they are, so many times.
pub fn send(namespace: &Namespace, packet: &Packet, times: u32) -> Result<()> {
    let family = if packet.source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let protocol = NonZeroU32::new(packet.protocol.into()).map(Protocol::from_raw);
    let socket = sockets::inside(namespace, || open(family, protocol))?;
    let destination = std::net::SocketAddr::new(packet.destination, 0);
    for _ in 0..times {
        sendto(&socket, &packet.payload, SendFlags::empty(), &destination)
            .context("send a packet")?;
    }
    Ok(())
}

fn open(family: AddressFamily, protocol: Option<Protocol>) -> Result<OwnedFd> {
    socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
        .context("open a raw socket")
}
