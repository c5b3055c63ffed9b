//! Datagrams out: a batch, sent in as few system calls as possible. RFC 9000 §13.4, §14.
//!
//! Two savings combine. One connection's equal-sized datagrams are one buffer that the kernel cuts
//! (UDP GSO); buffers for different peers that want the same ECN bits, source address and segment
//! size go into one `sendmmsg`. Where the kernel refuses either, the same bytes leave one by one.
//! Promise: what the kernel has no room for stays queued, in order; what it cannot send at all is
//! dropped, as the network may drop it (RFC 9002 repairs both).

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use quinn_udp::{EcnCodepoint, Transmit};

use super::calls::SystemCalls;
use super::socket::{DEFAULT_ECN, Socket};
use crate::limits;

/// Datagrams waiting for the kernel; their bytes lie back to back in one buffer.
pub(super) struct Outbox {
    bytes: Vec<u8>,
    used: usize,
    queue: Vec<Outgoing>,
    next: usize,
    calls: SystemCalls,
}

/// One buffer for one peer.
#[derive(Clone, Debug)]
struct Outgoing {
    bytes: Range<usize>,
    remote: SocketAddr,
    manner: Manner,
}

impl Outgoing {
    /// Whether both can leave in one call: it has one set of control messages for all.
    fn goes_with(&self, other: &Self) -> bool {
        self.manner == other.manner && self.remote.is_ipv4() == other.remote.is_ipv4()
    }
}

/// What buffers must share to leave in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Index of the socket.
    pub(super) socket: usize,
    /// The source address, when the socket has several.
    pub(super) source: Option<IpAddr>,
    /// The ECN bits.
    pub(super) ecn: Option<EcnCodepoint>,
    /// The kernel cuts the buffer into datagrams of this size.
    pub(super) segment_size: Option<u16>,
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// Everything has left.
    Done,
    /// The kernel has no room on this socket.
    Blocked {
        /// Index of the socket.
        socket: usize,
    },
}

impl Outbox {
    pub(super) fn new(calls: SystemCalls) -> Self {
        Self {
            bytes: vec![0; CAPACITY],
            used: 0,
            queue: Vec::with_capacity(limits::SEND_BATCH),
            next: 0,
            calls,
        }
    }

    /// Room for one more buffer; `None` asks for a flush first.
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        if self.queue.len() >= limits::SEND_BATCH {
            return None;
        }
        self.bytes.get_mut(self.used..)?.get_mut(..MAX_BUFFER)
    }

    /// Queues the first `len` bytes of what [`Self::room`] gave.
    pub(super) fn push(&mut self, len: usize, remote: SocketAddr, manner: Manner) {
        let bytes = self.used..self.used + len.min(MAX_BUFFER);
        self.used = bytes.end;
        self.queue.push(Outgoing {
            bytes,
            remote,
            manner,
        });
    }

    /// Hands everything to the kernel, as far as it takes it.
    pub(super) fn flush(&mut self, sockets: &[Socket]) -> Flush {
        while let Some(first) = self.queue.get(self.next) {
            let socket = first.manner.socket;
            match sockets.get(socket).map(|socket| self.send_run(socket)) {
                Some(Ok(sent)) => self.next += sent.max(1),
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Flush::Blocked { socket };
                }
                Some(Err(error)) => self.skip(&error),
                None => self.next += 1,
            }
        }
        self.queue.clear();
        (self.next, self.used) = (0, 0);
        Flush::Done
    }

    /// Sends the longest run that one call can carry; how many buffers of it have left.
    fn send_run(&self, socket: &Socket) -> io::Result<usize> {
        let waiting = self.queue.get(self.next..).unwrap_or_default();
        let run = waiting
            .iter()
            .take_while(|o| waiting.first().is_some_and(|first| first.goes_with(o)));
        let run = run.count();
        match waiting.get(..run).unwrap_or_default() {
            [] => Ok(0),
            [one] => self.send_one(socket, one).map(|()| 1),
            many => match self.send_many(socket, many) {
                Ok(sent) => Ok(sent),
                Err(Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                // The error belongs to the first; alone it gets the careful treatment.
                Err(_) => many
                    .first()
                    .map_or(Ok(0), |o| self.send_one(socket, o).map(|()| 1)),
            },
        }
    }

    fn send_one(&self, socket: &Socket, outgoing: &Outgoing) -> io::Result<()> {
        let whole = self.transmit(socket, outgoing);
        self.calls.add();
        let Err(error) = socket.state.try_send(socket.as_ref(), &whole) else {
            return Ok(());
        };
        let Some(size) = whole.segment_size else {
            return Err(error);
        };
        if error.kind() == io::ErrorKind::WouldBlock {
            return Err(error);
        }
        // A device without segmentation offload: the same datagrams, cut here.
        for contents in whole.contents.chunks(size.max(1)) {
            let piece = Transmit {
                contents,
                segment_size: None,
                ..whole.clone()
            };
            self.calls.add();
            match socket.state.try_send(socket.as_ref(), &piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn transmit<'a>(&'a self, socket: &Socket, outgoing: &Outgoing) -> Transmit<'a> {
        Transmit {
            destination: socket.to_wire(outgoing.remote),
            ecn: outgoing.manner.ecn,
            contents: self.contents(outgoing),
            segment_size: outgoing.manner.segment_size.map(usize::from),
            src_ip: outgoing.manner.source,
        }
    }

    fn contents(&self, outgoing: &Outgoing) -> &[u8] {
        self.bytes.get(outgoing.bytes.clone()).unwrap_or_default()
    }

    fn send_many(&self, socket: &Socket, run: &[Outgoing]) -> nix::Result<usize> {
        let addresses: Vec<Option<SockaddrStorage>> = run
            .iter()
            .map(|outgoing| Some(socket.to_wire(outgoing.remote).into()))
            .collect();
        let slices: Vec<[IoSlice<'_>; 1]> = run
            .iter()
            .map(|outgoing| [IoSlice::new(self.contents(outgoing))])
            .collect();
        let Some(first) = run.first() else {
            return Ok(0);
        };
        with_control(first, |control, space| {
            let mut headers = MultiHeaders::preallocate(run.len(), space);
            let fd = socket.fd().as_raw_fd();
            let flags = MsgFlags::empty();
            self.calls.add();
            let sent = sendmmsg(fd, &mut headers, &slices, &addresses, control, flags)?;
            Ok(sent.count())
        })
    }

    /// Gives up on the first waiting buffer.
    fn skip(&mut self, error: &io::Error) {
        if let Some(lost) = self.queue.get(self.next) {
            // RFC 9000 §14.3: a probe larger than the link is expected to fail here.
            log::debug!("send to {} failed: {error}", lost.remote);
        }
        self.next += 1;
    }
}

/// Builds the control messages of a run and the space the kernel needs for them.
///
/// The space must fit exactly: the kernel reads all of it.
fn with_control<T>(
    run: &Outgoing,
    send: impl FnOnce(&[ControlMessage<'_>], Option<Vec<u8>>) -> nix::Result<T>,
) -> nix::Result<T> {
    let Manner {
        source,
        ecn,
        segment_size,
        ..
    } = run.manner;
    let ecn = ecn.map_or(0, |codepoint| codepoint as u8);
    let (tos, class) = (ecn, i32::from(ecn));
    let segment = segment_size.unwrap_or_default();
    let (v4, v6) = packet_info(source);
    let mut control = Vec::with_capacity(3);
    let mut space = 0;
    // What the socket does by itself need not be said: the kernel allocates memory for two messages or more,
    // for each buffer.
    match (run.manner.ecn, run.remote.is_ipv4()) {
        (Some(DEFAULT_ECN), _) => {}
        (_, true) => {
            control.push(ControlMessage::Ipv4Tos(&tos));
            space += cmsg_space!(u8).len();
        }
        (_, false) => {
            control.push(ControlMessage::Ipv6TClass(&class));
            space += cmsg_space!(i32).len();
        }
    }
    if let Some(info) = &v4 {
        control.push(ControlMessage::Ipv4PacketInfo(info));
        space += cmsg_space!(in_pktinfo).len();
    }
    if let Some(info) = &v6 {
        control.push(ControlMessage::Ipv6PacketInfo(info));
        space += cmsg_space!(in6_pktinfo).len();
    }
    if segment_size.is_some() {
        control.push(ControlMessage::UdpGsoSegments(&segment));
        space += cmsg_space!(u16).len();
    }
    send(&control, (space > 0).then(|| vec![0; space]))
}

fn packet_info(source: Option<IpAddr>) -> (Option<in_pktinfo>, Option<in6_pktinfo>) {
    match source {
        None => (None, None),
        Some(IpAddr::V4(ip)) => {
            let ipi_spec_dst = in_addr {
                s_addr: u32::from_ne_bytes(ip.octets()),
            };
            let ipi_addr = in_addr { s_addr: 0 };
            (
                Some(in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst,
                    ipi_addr,
                }),
                None,
            )
        }
        Some(IpAddr::V6(ip)) => {
            let ipi6_addr = in6_addr {
                s6_addr: ip.octets(),
            };
            (
                None,
                Some(in6_pktinfo {
                    ipi6_addr,
                    ipi6_ifindex: 0,
                }),
            )
        }
    }
}

/// UDP's own limit less headers: no buffer may be longer, segmented or not.
pub(super) const MAX_BUFFER: usize = 65_000;
/// Bytes per flush: stays inside a second-level cache.
const CAPACITY: usize = 4 * MAX_BUFFER;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Ecn;
    use crate::io::receive::Inbox;
    use crate::io::socket::SocketConfig;
    use mio::{Poll, Token};

    struct Bench {
        _poll: Poll,
        sockets: Vec<Socket>,
        outbox: Outbox,
    }

    fn bench(addresses: &[&str]) -> Bench {
        let poll = Poll::new().unwrap();
        let config = SocketConfig {
            receive_offload: false,
            ..SocketConfig::default()
        };
        let bind = |(index, address): (usize, &&str)| {
            let address = address.parse().unwrap();
            Socket::bind(address, &config, poll.registry(), Token(index)).unwrap()
        };
        let sockets = addresses.iter().enumerate().map(bind).collect();
        Bench {
            _poll: poll,
            sockets,
            outbox: Outbox::new(SystemCalls::default()),
        }
    }

    impl Bench {
        fn push(&mut self, bytes: &[u8], to: usize, manner: Manner) {
            let port = self.sockets[to].local().port();
            let ip = match manner.source {
                Some(ip) => ip.to_canonical(),
                None => self.sockets[to].local().ip(),
            };
            self.outbox.room().unwrap()[..bytes.len()].copy_from_slice(bytes);
            self.outbox
                .push(bytes.len(), SocketAddr::new(ip, port), manner);
        }

        /// What arrived at a socket: bytes, ECN, source.
        fn arrived(&self, at: usize) -> Vec<(Vec<u8>, Option<Ecn>, SocketAddr)> {
            let mut inbox = Inbox::new(SystemCalls::default());
            let mut all = Vec::new();
            while inbox.fill(&self.sockets[at]).is_ok() {
                let batch = inbox.arrivals(&self.sockets[at]);
                all.extend(batch.map(|a| (a.datagram.to_vec(), a.ecn, a.remote)));
            }
            all
        }
    }

    const PLAIN: Manner = Manner {
        socket: 0,
        source: None,
        ecn: None,
        segment_size: None,
    };

    #[test]
    fn a_run_to_several_peers_keeps_ecn_order_and_contents() {
        let mut bench = bench(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]);
        let manner = Manner {
            ecn: Some(EcnCodepoint::Ect0),
            ..PLAIN
        };
        for round in 0..10u8 {
            bench.push(&[round; 100], 1, manner);
            bench.push(&[round; 200], 2, manner);
        }
        assert_eq!(bench.outbox.flush(&bench.sockets), Flush::Done);
        for (at, len) in [(1, 100), (2, 200)] {
            let arrived = bench.arrived(at);
            assert_eq!(arrived.len(), 10);
            for (round, (bytes, ecn, source)) in arrived.iter().enumerate() {
                assert_eq!(*bytes, vec![round as u8; len]);
                assert_eq!(*ecn, Some(Ecn::Ect0));
                assert_eq!(*source, bench.sockets[0].local());
            }
        }
    }

    /// Runs of two, with each of the bits and without.
    #[test]
    fn ecn_bits_are_those_asked_for_whatever_the_socket_does_by_itself() {
        let bits = [None, Some(EcnCodepoint::Ect0), Some(EcnCodepoint::Ect1)];
        let marks = [None, Some(Ecn::Ect0), Some(Ecn::Ect1)];
        for (local, any) in [("127.0.0.1:0", "0.0.0.0:0"), ("[::1]:0", "[::]:0")] {
            let mut bench = bench(&[local, any]);
            let port = bench.sockets[1].local().port();
            let remote = SocketAddr::new(bench.sockets[0].local().ip(), port);
            for ecn in [0, 0, 1, 1, 2, 2, 0, 0, 1, 1].map(|at| bits[at]) {
                bench.outbox.push(10, remote, Manner { ecn, ..PLAIN });
            }
            assert_eq!(bench.outbox.flush(&bench.sockets), Flush::Done);
            let arrived: Vec<_> = bench.arrived(1).into_iter().map(|it| it.1).collect();
            assert_eq!(arrived, [0, 0, 1, 1, 2, 2, 0, 0, 1, 1].map(|at| marks[at]));
        }
    }

    #[test]
    fn segments_are_cut_in_a_run_and_alone() {
        let mut bench = bench(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]);
        let manner = Manner {
            segment_size: Some(300),
            ..PLAIN
        };
        for to in [1, 2] {
            bench.push(&[7; 1000], to, manner);
        }
        bench.push(
            &[8; 500],
            1,
            Manner {
                segment_size: Some(400),
                ..PLAIN
            },
        );
        assert_eq!(bench.outbox.flush(&bench.sockets), Flush::Done);
        let sizes = |at| {
            bench
                .arrived(at)
                .iter()
                .map(|a| a.0.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(1), [300, 300, 300, 100, 400, 100]);
        assert_eq!(sizes(2), [300, 300, 300, 100]);
    }

    #[test]
    fn the_source_address_asked_for_is_used_in_a_run() {
        for (wildcard, source) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::ffff:127.0.0.2")] {
            let mut bench = bench(&[wildcard, "0.0.0.0:0"]);
            let manner = Manner {
                source: Some(source.parse().unwrap()),
                ..PLAIN
            };
            for _ in 0..3 {
                bench.push(&[1; 50], 1, manner);
            }
            assert_eq!(bench.outbox.flush(&bench.sockets), Flush::Done);
            let arrived = bench.arrived(1);
            assert_eq!(arrived.len(), 3);
            assert!(
                arrived.iter().all(|a| a.2.ip().to_string() == "127.0.0.2"),
                "{arrived:?}"
            );
        }
    }

    #[test]
    fn a_datagram_larger_than_the_link_is_dropped_and_the_rest_goes_on() {
        let mut bench = bench(&["127.0.0.1:0", "127.0.0.1:0"]);
        bench.push(&[1; 10], 1, PLAIN);
        let port = bench.sockets[1].local().port();
        // Port 0 cannot be sent to.
        bench
            .outbox
            .push(10, SocketAddr::from(([127, 0, 0, 1], 0)), PLAIN);
        bench
            .outbox
            .push(10, SocketAddr::from(([127, 0, 0, 1], port)), PLAIN);
        assert_eq!(bench.outbox.flush(&bench.sockets), Flush::Done);
        assert_eq!(bench.arrived(1).len(), 2);
    }

    #[test]
    fn the_batch_is_bounded() {
        let mut outbox = Outbox::new(SystemCalls::default());
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut pushed = 0;
        while outbox.room().is_some() {
            outbox.push(1200, peer, PLAIN);
            pushed += 1;
        }
        assert_eq!(pushed, limits::SEND_BATCH);
    }
}
