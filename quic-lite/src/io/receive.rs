//! Datagrams in: many per system call, split where the kernel merged them. RFC 9000 §12.2, §13.4.
//!
//! Promise: one set of buffers per driver, however many connections there are. A datagram of length
//! zero counts as progress and reaches nobody.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{BATCH_SIZE, RecvMeta};

use crate::connection::Ecn;

use super::calls::SystemCalls;
use super::socket::{Socket, canonical};

/// The receive buffers of a driver.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    filled: usize,
    calls: SystemCalls,
}

/// What one system call brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) datagrams: usize,
    /// There may be more.
    pub(super) is_full: bool,
}

/// One datagram, still in the buffer the kernel wrote it to.
pub(super) struct Arrival<'a> {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) ecn: Option<Ecn>,
    pub(super) datagram: &'a mut [u8],
}

impl Inbox {
    pub(super) fn new(calls: SystemCalls) -> Self {
        let bytes = vec![0; BATCH_SIZE * BUFFER];
        Self {
            bytes,
            meta: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            calls,
        }
    }

    /// Reads one batch, or fails with an error such as "would block".
    pub(super) fn fill(&mut self, socket: &Socket) -> io::Result<Batch> {
        self.filled = 0;
        self.calls.add();
        let mut buffers = self.bytes.chunks_exact_mut(BUFFER);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        self.filled = socket
            .state
            .recv(socket.as_ref(), &mut slices, &mut self.meta)?;
        let datagrams = self.meta.iter().take(self.filled).map(count).sum();
        Ok(Batch {
            datagrams,
            is_full: self.filled == BATCH_SIZE,
        })
    }

    /// The datagrams of the last batch, in order of arrival.
    pub(super) fn arrivals(&mut self, socket: &Socket) -> impl Iterator<Item = Arrival<'_>> {
        let buffers = self.bytes.chunks_exact_mut(BUFFER);
        buffers
            .zip(&self.meta)
            .take(self.filled)
            .flat_map(|(buffer, meta)| {
                let ecn = meta
                    .ecn
                    .and_then(|codepoint| Ecn::from_bits(codepoint as u8));
                let (local, remote) = (socket.local_of(meta.dst_ip), canonical(meta.addr));
                let merged = buffer.get_mut(..meta.len).unwrap_or_default();
                merged
                    .chunks_mut(meta.stride.max(1))
                    .map(move |datagram| Arrival {
                        local,
                        remote,
                        ecn,
                        datagram,
                    })
            })
    }
}

fn count(meta: &RecvMeta) -> usize {
    meta.len.div_ceil(meta.stride.max(1)).max(1)
}

/// The largest that merged datagrams, or one that was not merged, can be.
const BUFFER: usize = 1 << 16;
