//! One UDP socket: how it is opened, and what its addresses mean. RFC 9000 §5.2, §13.4, §14.
//!
//! Promise: datagrams leave with the "do not fragment" bit (RFC 9000 §14), with the ECN bits and
//! from the local address asked for. Addresses given to the endpoint are canonical: an IPv4 peer of
//! a dual-stack socket looks like an IPv4 peer, not like `::ffff:a.b.c.d`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{EcnCodepoint, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};

/// How sockets are opened.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// Bytes the kernel may hold for us between two wake-ups.
    pub receive_buffer: usize,
    /// Bytes the kernel may hold that are not yet on the wire.
    pub send_buffer: usize,
    /// Let the kernel merge datagrams of one peer on receipt (UDP GRO). The in-kernel forwarding path
    /// wants it off: merged packets reach its classifier as one.
    pub receive_offload: bool,
    /// Let the kernel cut one long buffer into datagrams (UDP GSO).
    pub send_offload: bool,
    /// Let several sockets share the port, each with a part of the peers (`SO_REUSEPORT`).
    pub reuse_port: bool,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            // 8 MiB is 60 ms of 1 Gbit/s: longer than a busy loop stays away.
            receive_buffer: 8 << 20,
            send_buffer: 8 << 20,
            receive_offload: true,
            send_offload: true,
            reuse_port: false,
        }
    }
}

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub(super) struct Socket {
    udp: mio::net::UdpSocket,
    pub(super) state: UdpSocketState,
    local: SocketAddr,
    send_offload: bool,
    token: Token,
    /// Not yet read until it said "would block".
    pub(super) readable: bool,
}

impl Socket {
    /// Opens and registers a socket; an unspecified IPv6 address also takes IPv4.
    pub(super) fn bind(
        address: SocketAddr,
        config: &SocketConfig,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let socket = open(address, config).map_err(|error| explain(address, error))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        if !config.receive_offload {
            setsockopt(&socket, sockopt::UdpGroSegment, &false)?;
        }
        let mut udp = mio::net::UdpSocket::from_std(socket.into());
        let local = udp.local_addr()?;
        registry.register(&mut udp, token, Interest::READABLE)?;
        let send_offload = config.send_offload;
        Ok(Self {
            udp,
            state,
            local,
            send_offload,
            token,
            readable: true,
        })
    }

    /// The address it is bound to.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn as_ref(&self) -> UdpSockRef<'_> {
        UdpSockRef::from(&self.udp)
    }

    pub(super) fn fd(&self) -> &mio::net::UdpSocket {
        &self.udp
    }

    /// How many datagrams one send call may carry to one peer.
    pub(super) fn max_segments(&self) -> usize {
        if self.send_offload {
            self.state.max_gso_segments()
        } else {
            1
        }
    }

    /// Asks to be told when there is room to send, or not any more.
    pub(super) fn watch_writable(&mut self, registry: &Registry, on: bool) -> io::Result<()> {
        let interest = if on {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        registry.reregister(&mut self.udp, self.token, interest)
    }

    /// Whether a datagram from `local` to `remote` can leave here.
    pub(super) fn carries(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let any_ip = self.local.ip().is_unspecified() || local.ip().is_unspecified();
        let ip = any_ip || local.ip() == self.local.ip();
        let port = local.port() == 0 || local.port() == self.local.port();
        ip && port && self.reaches(remote)
    }

    fn reaches(&self, remote: SocketAddr) -> bool {
        match self.local.ip() {
            IpAddr::V4(_) => remote.is_ipv4(),
            // Only the wildcard is dual-stack.
            IpAddr::V6(ip) => remote.is_ipv6() || ip.is_unspecified(),
        }
    }

    /// An address as this socket's family writes it.
    pub(super) fn to_wire(&self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V4(v4) if self.local.is_ipv6() => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            other => other,
        }
    }

    /// A source address as this socket's family writes it; `None` lets the kernel choose.
    pub(super) fn source(&self, local: SocketAddr) -> Option<IpAddr> {
        let ip = local.ip();
        // A socket bound to one address has no other to send from.
        let choice = self.local.ip().is_unspecified() && !ip.is_unspecified();
        choice.then(|| self.to_wire(SocketAddr::new(ip, 0)).ip())
    }

    /// The local address of a datagram that came in for `destination`.
    pub(super) fn local_of(&self, destination: Option<IpAddr>) -> SocketAddr {
        let ip = destination.unwrap_or(self.local.ip()).to_canonical();
        SocketAddr::new(ip, self.local.port())
    }
}

/// IPv4 peers of a dual-stack socket come as mapped IPv6 addresses; nobody else should see those.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            SocketAddr::new(ip.to_canonical(), address.port())
        }
        _ => address,
    }
}

fn open(address: SocketAddr, config: &SocketConfig) -> io::Result<socket2::Socket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if config.reuse_port {
        setsockopt(&socket, sockopt::ReusePort, &true)?;
    }
    socket.set_nonblocking(true)?;
    mark(&socket, address)?;
    grow(&socket, config)?;
    socket.bind(&address.into())?;
    // Only now: of a socket that cannot be bound there is one thing to say.
    tell_small_buffer(&socket, config)?;
    Ok(socket)
}

/// Nearly all datagrams carry ECT(0) (RFC 9000 §13.4): the others say so.
fn mark(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    let bits = i32::from(DEFAULT_ECN as u8);
    setsockopt(socket, sockopt::Ipv4Tos, &bits)?;
    if address.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6TClass, &bits)?;
    }
    Ok(())
}

/// With CAP_NET_ADMIN beyond the system's limit, otherwise as far as the limit goes.
fn grow(socket: &socket2::Socket, config: &SocketConfig) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &config.receive_buffer).is_err() {
        socket.set_recv_buffer_size(config.receive_buffer)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &config.send_buffer).is_err() {
        socket.set_send_buffer_size(config.send_buffer)?;
    }
    Ok(())
}

fn tell_small_buffer(socket: &socket2::Socket, config: &SocketConfig) -> io::Result<()> {
    // The kernel doubles the figure for its own overhead when it reports it.
    let got = socket.recv_buffer_size()? / 2;
    if got < config.receive_buffer {
        let wanted = config.receive_buffer;
        log::info!("receive buffer {got} of {wanted} bytes: raise net.core.rmem_max for bursts");
    }
    Ok(())
}

fn explain(address: SocketAddr, error: io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => "the port is taken by another socket".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot open UDP {address}: {text}"))
}

/// The ECN bits of a datagram that says nothing of them.
pub(super) const DEFAULT_ECN: EcnCodepoint = EcnCodepoint::Ect0;

/// Any free port of the family that reaches `remote`: what a client binds to.
pub fn any_port(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: &str) -> io::Result<Socket> {
        let poll = mio::Poll::new().unwrap();
        Socket::bind(
            address.parse().unwrap(),
            &SocketConfig::default(),
            poll.registry(),
            Token(0),
        )
    }

    #[test]
    fn a_taken_port_is_named_in_the_error() {
        let first = bind("127.0.0.1:0").unwrap();
        let error = bind(&first.local().to_string()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().contains(&first.local().to_string()),
            "{error}"
        );
        assert!(error.to_string().contains("taken"), "{error}");
    }

    #[test]
    fn a_dual_stack_socket_writes_ipv4_peers_as_mapped_addresses() {
        let socket = bind("[::]:0").unwrap();
        let peer: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let wire = socket.to_wire(peer);
        assert_eq!(wire.to_string(), "[::ffff:192.0.2.1]:9");
        assert_eq!(canonical(wire), peer);
        assert!(socket.carries(socket.local(), peer));
    }

    #[test]
    fn a_socket_on_one_ipv6_address_carries_no_ipv4() {
        let socket = bind("[::1]:0").unwrap();
        assert!(!socket.carries(socket.local(), "127.0.0.1:9".parse().unwrap()));
        assert!(socket.carries(socket.local(), "[::1]:9".parse().unwrap()));
    }

    #[test]
    fn the_source_is_named_only_where_there_is_a_choice() {
        let wildcard = bind("0.0.0.0:0").unwrap();
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert_eq!(wildcard.source(local), Some(local.ip()));
        assert_eq!(bind("127.0.0.1:0").unwrap().source(local), None);
    }
}
