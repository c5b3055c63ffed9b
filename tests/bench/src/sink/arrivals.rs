//! Datagrams in batches, with the time at which the kernel had each: recvmmsg(2), SO_TIMESTAMPNS. No RFC.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, setsockopt};
use nix::sys::time::TimeSpec;

use bench::clock::Distance;

/// So many at once.
const BATCH: usize = 64;
/// No datagram is longer.
const LEN: usize = 1600;

/// A batch, and room for the next.
pub struct Arrivals {
    buffers: Vec<[u8; LEN]>,
    headers: MultiHeaders<()>,
    distance: Distance,
    come: Vec<(usize, u64)>,
}

impl Arrivals {
    /// Of this socket, from now on.
    pub fn of(socket: &UdpSocket) -> io::Result<Self> {
        setsockopt(socket, ReceiveTimestampns, &true)?;
        let headers = MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec)));
        Ok(Self {
            buffers: vec![[0; LEN]; BATCH],
            headers,
            distance: Distance::read(),
            come: Vec::new(),
        })
    }

    /// What is there: each datagram, and when the kernel had it in ns of CLOCK_MONOTONIC. Empty if nothing is.
    pub fn batch(
        &mut self,
        socket: &UdpSocket,
    ) -> io::Result<impl Iterator<Item = (&mut [u8], u64)>> {
        self.come.clear();
        let mut slices: Vec<_> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        match recvmmsg(fd, &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(messages) => {
                for message in messages {
                    let time = message.cmsgs()?.find_map(|it| match it {
                        ControlMessageOwned::ScmTimestampns(time) => Some(time),
                        _ => None,
                    });
                    let at = time.map_or(0, |time| self.distance.monotonic(time));
                    self.come.push((message.bytes, at));
                }
            }
            Err(nix::Error::EAGAIN | nix::Error::EINTR | nix::Error::ECONNREFUSED) => {}
            Err(error) => return Err(error.into()),
        }
        let come = self.come.iter();
        Ok(self
            .buffers
            .iter_mut()
            .zip(come)
            .map(|(buffer, &(len, at))| (&mut buffer[..len], at)))
    }
}
