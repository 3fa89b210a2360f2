//! Gives flows to the TCP connections that were there before the firewall, so that none is cut.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use amanda_fw_common::addr::Endpoint;
use amanda_fw_common::flow::{Direction, Flow, FlowKey};
use amanda_fw_common::nat::Mapped;
use amanda_fw_common::rules::Way;
use amanda_fw_common::verdict::Reason;
use amanda_fw_common::wire::{PROTOCOL_TCP, TcpFlags};
use anyhow::Result;

use crate::clock;
use crate::config::Host;
use crate::maps::{self, FlowTable, Insertion};
use crate::sockets::{self, TcpSocket, TcpState};

/// The flags of a handshake's answer, and of the last segment of one end (RFC 9293, 3.5 and 3.6).
const SYN_ACK: TcpFlags = TcpFlags(0x12);
const ACK: TcpFlags = TcpFlags(0x10);
const FIN_ACK: TcpFlags = TcpFlags(0x11);

/// The adoption of the connections that exist while a firewall is attached.
pub(crate) struct Adoption {
    flows: FlowTable,
    embryos: FlowTable,
    adopted: usize,
    // Of the last pass: a connection that finds no room twice is one connection.
    without_room: usize,
}

impl Adoption {
    /// Opens the tables; the maps are pinned already.
    pub(crate) fn open(maps: &Path) -> Result<Self> {
        let flows = FlowTable::open(maps, maps::FLOWS)?;
        let embryos = FlowTable::open(maps, maps::EMBRYOS)?;
        Ok(Self { flows, embryos, adopted: 0, without_room: 0 })
    }

    /// Makes a flow for each connection that has none.
    ///
    /// Once before the programs are attached, so that the next segment of an idle connection finds
    /// its flow, and once after, for connections that were opened meanwhile.
    pub(crate) fn adopt(&mut self) -> Result<()> {
        let own = Host::read()?.own.into_iter().map(|(ip, _)| ip).collect::<Vec<_>>();
        self.without_room = 0;
        for connection in connections(&sockets::list()?, &own) {
            self.take(&connection)?;
        }
        Ok(())
    }

    /// Says how many connections were adopted, if any were.
    pub(crate) fn report(&self) -> Option<String> {
        report(self.adopted, self.without_room)
    }

    /// Makes a flow for a connection, unless the programs know it: theirs is never overwritten.
    fn take(&mut self, connection: &Connection) -> Result<()> {
        let (key, flow) = connection.flow(clock::monotonic());
        if self.flows.get(&key).is_some() || self.embryos.get(&key).is_some() {
            return Ok(());
        }
        // A peer that has only asked has proven nothing, and waits among its like.
        let is_proven = connection.state != TcpState::SynReceived;
        let table = if is_proven { &mut self.flows } else { &mut self.embryos };
        match table.insert_new(&key, &flow)? {
            Insertion::New => self.adopted += 1,
            Insertion::Known => {}
            Insertion::Full => self.without_room += 1,
        }
        Ok(())
    }
}

fn report(adopted: usize, without_room: usize) -> Option<String> {
    let plural = if adopted == 1 { "" } else { "s" };
    let text = format!("adopted {adopted} open TCP connection{plural}");
    match (adopted, without_room) {
        (0, 0) => None,
        (_, 0) => Some(text),
        (_, missed) => Some(format!(
            "{text}; {missed} found no room and may be cut: raise flows in [limits], \
             and attach after `amanda-fw detach`"
        )),
    }
}

/// A connection with another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    local: SocketAddr,
    peer: SocketAddr,
    state: TcpState,
    /// Whether the peer has opened it.
    incoming: bool,
}

/// Picks the connections that leave the host.
fn connections(sockets: &[TcpSocket], own: &[IpAddr]) -> Vec<Connection> {
    let stays = |ip: IpAddr| ip.is_loopback() || own.contains(&ip);
    let leaves = sockets
        .iter()
        .filter(|socket| socket.state != TcpState::Listening && !stays(socket.peer.ip()));
    let listening: Vec<&TcpSocket> =
        sockets.iter().filter(|socket| socket.state == TcpState::Listening).collect();
    let connection = |&TcpSocket { local, peer, state, inode: _ }: &TcpSocket| {
        let incoming = listening.iter().any(|socket| socket.takes(local));
        Connection { local, peer, state, incoming }
    };
    leaves.map(connection).collect()
}

impl Connection {
    /// Makes the flow that the programs would have made of the segments so far.
    fn flow(&self, now: u64) -> (FlowKey, Flow) {
        let (local, peer) = (endpoint(self.local), endpoint(self.peer));
        let (source, destination) = if self.is_incoming() { (peer, local) } else { (local, peer) };
        let (key, forward) = FlowKey::new(PROTOCOL_TCP, source, destination);
        let way = if self.is_incoming() { Way::In } else { Way::Out };
        let mut flow = Flow::begin(forward, way, false, now);
        flow.reason = Reason::Established.number();
        // It has begun without translation, and goes on so.
        flow.route(Mapped::NONE);
        for (direction, flags) in self.segments() {
            flow.advance(direction, Some(flags), 0, now);
        }
        (key, flow)
    }

    /// Tells whether the peer has opened the connection; in the midst of a handshake, the socket
    /// itself says so.
    fn is_incoming(&self) -> bool {
        match self.state {
            TcpState::SynSent => false,
            TcpState::SynReceived => true,
            TcpState::Listening
            | TcpState::Established
            | TcpState::FinWait
            | TcpState::CloseWait
            | TcpState::Closing => self.incoming,
        }
    }

    /// Lists the segments after the first SYN that have brought the socket to its state.
    fn segments(&self) -> Vec<(Direction, TcpFlags)> {
        let (here, there) = match self.is_incoming() {
            true => (Direction::Reply, Direction::Original),
            false => (Direction::Original, Direction::Reply),
        };
        let open = [(Direction::Reply, SYN_ACK), (Direction::Original, ACK)];
        let [answered, _] = open;
        let ends: &[Direction] = match self.state {
            TcpState::SynSent | TcpState::Listening => return Vec::new(),
            TcpState::SynReceived => return vec![answered],
            TcpState::Established => &[],
            TcpState::FinWait => &[here],
            TcpState::CloseWait => &[there],
            TcpState::Closing => &[here, there],
        };
        open.into_iter().chain(ends.iter().map(|&end| (end, FIN_ACK))).collect()
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { addr: address.ip().into(), port: address.port() }
}

#[cfg(test)]
mod tests;
