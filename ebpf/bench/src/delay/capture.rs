//! Sees what passes the relay's interfaces, with the kernel's time for it: packet(7). No RFC.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimeout, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket,
};
use nix::sys::time::{TimeSpec, TimeVal};

use crate::pairs::Seen;

/// The lab's namespace of the relay, and its interfaces there.
const NAMESPACE: &str = "/run/netns/qr-relay";
const CAME_BY: &str = "to-pub";
const LEAVES_BY: &str = "to-sub";
/// `PACKET_OUTGOING` of `linux/if_packet.h`.
const OUTGOING: u8 = 4;

/// Runs until it is told to end.
pub struct Capture {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Seen>>>,
}

impl Capture {
    /// As soon as the namespace is there.
    pub fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = thread::spawn(move || capture(&until));
        Self { ends, thread }
    }

    /// What was seen.
    pub fn end(self) -> io::Result<Vec<Seen>> {
        self.ends.store(true, Ordering::Relaxed);
        let seen = self.thread.join();
        seen.map_err(|_| io::Error::other("the capture has panicked"))?
    }
}

fn capture(ends: &AtomicBool) -> io::Result<Vec<Seen>> {
    let has_ended = || ends.load(Ordering::Relaxed);
    let (came_by, leaves_by) = loop {
        if has_ended() {
            return Err(io::Error::other("there was no namespace of the lab"));
        }
        match enter() {
            Ok(interfaces) => break interfaces,
            Err(_) => thread::park_timeout(Duration::from_millis(5)),
        }
    };
    let socket = open()?;
    let mut seen = Vec::new();
    while !has_ended() {
        let Some((packet, interface)) = next(&socket)? else {
            continue;
        };
        let wanted = if packet.has_left { leaves_by } else { came_by };
        if interface == wanted {
            seen.push(packet);
        }
    }
    Ok(seen)
}

/// This thread's network is the relay's from now on.
fn enter() -> io::Result<(usize, usize)> {
    let namespace = File::open(Path::new(NAMESPACE))?;
    setns(namespace, CloneFlags::CLONE_NEWNET)?;
    let [came_by, leaves_by] = [CAME_BY, LEAVES_BY].map(if_nametoindex);
    Ok((came_by? as usize, leaves_by? as usize))
}

fn open() -> io::Result<OwnedFd> {
    let (family, protocol) = (AddressFamily::Packet, SockProtocol::EthAll);
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, RcvBufForce, &(64 << 20))?;
    setsockopt(&socket, ReceiveTimestampns, &true)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(0, 100_000))?;
    Ok(socket)
}

/// The next packet and its interface; `None` now and then, when there is none.
fn next(socket: &OwnedFd) -> io::Result<Option<(Seen, usize)>> {
    let (mut start, mut space) = ([0; 64], nix::cmsg_space!(TimeSpec));
    let mut slices = [IoSliceMut::new(&mut start)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_TRUNC);
    let message = match recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut space), flags) {
        Ok(message) => message,
        Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let time = message.cmsgs()?.find_map(|it| match it {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    });
    let (Some(time), Some(from)) = (time, message.address) else {
        return Ok(None);
    };
    let packet = Seen {
        time,
        has_left: from.pkttype() == OUTGOING,
        len: message.bytes,
    };
    Ok(Some((packet, from.ifindex())))
}
