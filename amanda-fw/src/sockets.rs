//! The TCP sockets of this network namespace, as the kernel lists them (sock_diag(7)).

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT1,
    TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::protocols::NETLINK_SOCK_DIAG;
use rtnetlink::sys::{Socket, SocketAddr as NetlinkAddress};

/// NLMSG_ALIGNTO (include/uapi/linux/netlink.h).
const ALIGNMENT: usize = 4;

/// Every state but those in which nobody holds the socket any more.
const STATES: StateFlags = StateFlags::TIME_WAIT.union(StateFlags::CLOSE).complement();

/// How far a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpState {
    /// It waits for peers.
    Listening,
    /// It has asked its peer.
    SynSent,
    /// Its peer has asked, and was answered.
    SynReceived,
    /// Both ends talk.
    Established,
    /// This end has said its last byte.
    FinWait,
    /// The peer has said its last byte.
    CloseWait,
    /// Both have, and wait for a last acknowledgment.
    Closing,
}

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpSocket {
    /// This end.
    pub(crate) local: SocketAddr,
    /// The other end; nobody where it listens.
    pub(crate) peer: SocketAddr,
    /// How far it has come.
    pub(crate) state: TcpState,
    /// The number that /proc/PID/fd shows.
    pub(crate) inode: u32,
}

impl TcpSocket {
    /// Tells whether a socket that listens takes connections to an address.
    pub(crate) fn takes(&self, address: SocketAddr) -> bool {
        let ip = self.local.ip();
        self.state == TcpState::Listening
            && self.local.port() == address.port()
            && (ip.is_unspecified() || ip == address.ip())
    }

    fn read(header: &InetResponseHeader) -> Option<Self> {
        let id = &header.socket_id;
        Some(Self {
            local: end(id.source_address, id.source_port),
            peer: end(id.destination_address, id.destination_port),
            state: state(header.state)?,
            inode: header.inode,
        })
    }
}

/// Lists the sockets of both families that listen, or whose connection is not over.
pub(crate) fn list() -> Result<Vec<TcpSocket>> {
    let dump = |family, id| {
        dump(family, id).context(
            "list the open TCP connections (sock_diag; `modprobe tcp_diag` where the kernel has it \
             as a module)",
        )
    };
    Ok([dump(AF_INET, SocketId::new_v4())?, dump(AF_INET6, SocketId::new_v6())?].concat())
}

fn dump(family: u8, id: SocketId) -> Result<Vec<TcpSocket>> {
    let kernel = NetlinkAddress::new(0, 0);
    let socket = Socket::new(NETLINK_SOCK_DIAG).context("open a netlink socket")?;
    socket.connect(&kernel).context("connect to the kernel")?;
    socket.send(&request(family, id), 0).context("ask for sockets")?;
    let mut sockets = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full().context("read about sockets")?;
        if read(&datagram, &mut sockets)? == Answer::Whole {
            return Ok(sockets);
        }
    }
}

fn request(family: u8, socket_id: SocketId) -> Vec<u8> {
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: STATES,
        socket_id,
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Whether the kernel has said everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// More datagrams follow.
    Part,
    /// That was the last one.
    Whole,
}

/// Reads a datagram of the answer.
fn read(datagram: &[u8], sockets: &mut Vec<TcpSocket>) -> Result<Answer> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
            .context("understand what the kernel says about sockets")?;
        let length = (message.header.length as usize).next_multiple_of(ALIGNMENT);
        rest = rest.get(length..).unwrap_or_default();
        if let NetlinkPayload::Error(error) = &message.payload {
            return Err(error.to_io()).context("ask for sockets");
        }
        if let NetlinkPayload::Done(_) = &message.payload {
            return Ok(Answer::Whole);
        }
        if let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) = message.payload
        {
            sockets.extend(TcpSocket::read(&found.header));
        }
    }
    Ok(Answer::Part)
}

/// Takes one end of a connection, IPv4 as itself.
fn end(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

fn state(number: u8) -> Option<TcpState> {
    Some(match number {
        TCP_LISTEN => TcpState::Listening,
        TCP_SYN_SENT => TcpState::SynSent,
        TCP_SYN_RECV => TcpState::SynReceived,
        TCP_ESTABLISHED => TcpState::Established,
        TCP_FIN_WAIT1 | TCP_FIN_WAIT2 => TcpState::FinWait,
        TCP_CLOSE_WAIT => TcpState::CloseWait,
        TCP_LAST_ACK | TCP_CLOSING => TcpState::Closing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Connects to a listener and checks the three sockets that there are then.
    fn check(listen: &str, connect: &str) {
        let listener = TcpListener::bind(listen).expect("a port can be bound");
        let port = listener.local_addr().expect("it has an address").port();
        let to = SocketAddr::new(connect.parse().expect("an address"), port);
        let client = TcpStream::connect(to).expect("it listens");
        let from = client.local_addr().expect("it has an address");
        let sockets = list().expect("sockets can be listed");
        let has = |local, peer| {
            let found = |s: &&TcpSocket| s.local == local && s.peer == peer;
            sockets.iter().find(found).map(|socket| socket.state)
        };
        assert_eq!(has(from, to), Some(TcpState::Established), "{sockets:?}");
        assert_eq!(has(to, from), Some(TcpState::Established), "{sockets:?}");
        assert!(sockets.iter().any(|socket| socket.takes(to)), "{sockets:?}");
        assert!(!sockets.iter().any(|socket| socket.takes(from)), "{sockets:?}");
    }

    #[test]
    fn both_ends_of_a_connection_are_listed_with_who_listens() {
        check("127.0.0.1:0", "127.0.0.1");
        check("[::1]:0", "::1");
    }

    #[test]
    fn an_ipv4_connection_of_an_ipv6_socket_is_ipv4() {
        check("[::]:0", "127.0.0.1");
    }
}
