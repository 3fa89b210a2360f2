//! Sockets of a namespace in the hands of this process, and what they tell of the way between.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netns::Namespace;

/// For how long a packet is waited for that must not come: on one machine, a long time.
const SILENCE: Duration = Duration::from_millis(700);

/// The longest that a bulk transfer may stand still.
const STALL: Duration = Duration::from_secs(10);

/// Bytes of a bulk transfer that are written at once: an odd number, so that what is lost or
/// repeated shows in the bytes that follow.
const PATTERN: usize = 65_521;

/// Does something on a thread that has moved into the namespace; what it opens stays there.
pub fn inside<T: Send>(namespace: &Namespace, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let path = namespace.path();
    let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
    let moved = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .context("move into a namespace")?;
        act()
    };
    match thread::scope(|scope| scope.spawn(moved).join()) {
        Ok(result) => result,
        Err(_) => bail!("a thread in a namespace panicked"),
    }
}

/// Opens a TCP port.
pub fn listen(namespace: &Namespace, address: SocketAddr) -> Result<TcpListener> {
    inside(namespace, || TcpListener::bind(address).with_context(|| format!("listen on {address}")))
}

/// Opens a UDP port.
pub fn bind(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket> {
    inside(namespace, || UdpSocket::bind(address).with_context(|| format!("bind to {address}")))
}

/// Connects to a port, or finds within a second that it cannot be reached.
pub fn connect(namespace: &Namespace, address: SocketAddr) -> Result<TcpStream> {
    inside(namespace, || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1))
            .with_context(|| format!("connect to {address}"))
    })
}

/// A TCP connection, both ends of it.
#[derive(Debug)]
pub struct Connection {
    /// The end that has asked for it.
    pub client: TcpStream,
    /// The end that was listening.
    pub server: TcpStream,
}

impl Connection {
    /// Connects from one namespace to an address of another, on any port that is free.
    pub fn open(from: &Namespace, to: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = listen(to, address)?;
        let address = listener.local_addr().context("ask for a listener's port")?;
        Self::open_to(from, &listener, address)
    }

    /// Connects from a namespace to the address by which a listener is known there.
    pub fn open_to(from: &Namespace, listener: &TcpListener, address: SocketAddr) -> Result<Self> {
        let client = connect(from, address)?;
        let (server, _) = listener.accept().context("accept a connection")?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(STALL)).context("limit a read")?;
            end.set_write_timeout(Some(STALL)).context("limit a write")?;
        }
        Ok(Self { client, server })
    }

    /// Sends a few bytes each way, from the server first.
    pub fn exchange(&self) -> Result<()> {
        let Self { client, server } = self;
        for (mut from, mut to) in [(server, client), (client, server)] {
            from.write_all(b"are you there?").context("write to a connection")?;
            let mut read = [0; 14];
            to.read_exact(&mut read).context("read from a connection")?;
            ensure!(&read == b"are you there?", "a connection delivered {read:?}");
        }
        Ok(())
    }

    /// Sends that many bytes each way at once, and compares each of them.
    pub fn transfer(&self, bytes: usize) -> Result<()> {
        let Self { client, server } = self;
        thread::scope(|scope| {
            let tasks = [
                scope.spawn(move || send(client, bytes)),
                scope.spawn(move || send(server, bytes)),
                scope.spawn(move || receive(client, bytes)),
                scope.spawn(move || receive(server, bytes)),
            ];
            tasks.into_iter().try_for_each(|task| match task.join() {
                Ok(result) => result,
                Err(_) => bail!("a thread of a transfer panicked"),
            })
        })
    }
}

/// Tells whether a datagram of so many bytes goes from one socket to the address of another.
pub fn delivers(
    from: &UdpSocket,
    to: &UdpSocket,
    address: SocketAddr,
    size: usize,
) -> Result<bool> {
    Ok(deliver(from, to, address, size)?.is_some())
}

/// Sends a datagram of so many bytes from one socket to the address of another, and returns whom
/// the other takes it from, or nothing where it does not arrive.
pub fn deliver(
    from: &UdpSocket,
    to: &UdpSocket,
    address: SocketAddr,
    size: usize,
) -> Result<Option<SocketAddr>> {
    let sent: Vec<u8> = pattern().take(size).collect();
    from.send_to(&sent, address).context("send a datagram")?;
    let mut received = vec![0; size + 1];
    to.set_read_timeout(Some(SILENCE)).context("limit a read")?;
    let Ok((length, source)) = to.recv_from(&mut received) else { return Ok(None) };
    ensure!(received[..length] == sent, "a datagram was changed on its way");
    Ok(Some(source))
}

/// Returns a number that the namespace's IP layer counts, such as `Ip` `ReasmReqds`.
pub fn counted(namespace: &Namespace, protocol: &str, counter: &str) -> Result<u64> {
    let text = inside(namespace, || {
        fs::read_to_string("/proc/thread-self/net/snmp").context("read the IP layer's counters")
    })?;
    // A line of names, then a line of numbers.
    let mut lines = text.lines().filter(|line| line.split(':').next() == Some(protocol));
    let (names, numbers) = (lines.next(), lines.next());
    let (names, numbers) = names.zip(numbers).context("find the IP layer's counters")?;
    let mut pairs = names.split(' ').zip(numbers.split(' '));
    let (_, number) = pairs.find(|(name, _)| *name == counter).context("find a counter")?;
    number.parse().context("read a counter")
}

fn send(mut stream: &TcpStream, bytes: usize) -> Result<()> {
    let pattern: Vec<u8> = pattern().take(PATTERN).collect();
    let mut left = bytes;
    while left > 0 {
        let chunk = &pattern[..left.min(PATTERN)];
        stream.write_all(chunk).with_context(|| format!("send with {left} bytes left"))?;
        left -= chunk.len();
    }
    Ok(())
}

fn receive(mut stream: &TcpStream, bytes: usize) -> Result<()> {
    let pattern: Vec<u8> = pattern().take(PATTERN).collect();
    let mut chunk = vec![0; PATTERN];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PATTERN);
        let read = stream.read_exact(&mut chunk[..length]);
        read.with_context(|| format!("receive with {left} bytes left"))?;
        ensure!(chunk[..length] == pattern[..length], "bytes were changed with {left} left");
        left -= length;
    }
    Ok(())
}

fn pattern() -> impl Iterator<Item = u8> {
    (0..=250).cycle()
}
