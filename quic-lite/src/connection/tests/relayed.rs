//! A relay in small: streams that a kernel forwards as they come, and userspace what the kernel did not.

use core::time::Duration;
use std::collections::BTreeMap;

use super::kernel::{Kernel, Shared, Unit};
use super::{Direction, Pair, Setup};
use crate::connection::Event;
use crate::rng::Rng;
use crate::stream::{Chunk, ReadChunk, SendState, StreamError, StreamEvent};
use crate::wire::stream_id::{Dir, StreamId};

pub(super) struct Relay {
    pub(super) pair: Pair,
    shared: Shared,
    pub(super) rng: Rng,
    pub(super) upstream: Vec<Upstream>,
    /// Whose bytes a stream carries.
    by_id: BTreeMap<StreamId, usize>,
    /// Percent of packets that the kernel leaves to userspace for no reason.
    pub(super) refuses: u64,
    pub(super) packet: u64,
}

/// A stream of a publisher.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    pub(super) id: Option<StreamId>,
    pub(super) size: u64,
    /// So much has come.
    at: u64,
    /// Of that, the end of what userspace has kept for want of a stream.
    written: u64,
    /// What the subscriber has.
    got: u64,
    pub(super) is_over: bool,
}

impl Relay {
    pub(super) fn new(setup: Setup) -> Self {
        let seed = setup.seed;
        let mut pair = Pair::connected(setup);
        let now = pair.now;
        let shared = Shared::attach(pair.server(), now, seed);
        pair.other = shared.outbox();
        pair.exchange();
        pair.server_events.clear();
        Self {
            pair,
            shared,
            rng: Rng::from_number(seed ^ 0x5eed),
            upstream: Vec::new(),
            by_id: BTreeMap::new(),
            refuses: 0,
            packet: 1000,
        }
    }

    /// The kernel, which knows what time it is.
    pub(super) fn kernel(&self) -> std::sync::MutexGuard<'_, Kernel> {
        let mut kernel = self.shared.kernel();
        kernel.now = self.pair.now;
        kernel
    }

    /// Lets time pass; what is to be known is told, and what can be read is read.
    pub(super) fn pass(&mut self, duration: Duration) {
        drop(self.kernel());
        self.pair.run_for(duration);
        self.follow_events();
        self.read_all();
        drop(self.kernel());
        for index in 0..self.upstream.len() {
            self.write(index);
        }
    }

    /// A publisher begins a stream.
    pub(super) fn begin(&mut self, size: u64) {
        self.upstream.push(Upstream {
            size,
            ..Upstream::default()
        });
    }

    /// The next packet of a publisher's stream comes, if there is one.
    pub(super) fn publish(&mut self, index: usize) {
        let stream = &self.upstream[index];
        let (start, size) = (stream.at, stream.size);
        if start == size || stream.is_over {
            return;
        }
        let end = size.min(start + self.packet);
        self.upstream[index].at = end;
        if self.rng.below(100) >= self.refuses {
            self.forward(index, start, end);
        }
        self.write(index);
    }

    /// The kernel's part: it opens a stream at its first packet, and follows those that it has.
    fn forward(&mut self, index: usize, start: u64, end: u64) {
        if start == 0 && self.upstream[index].id.is_none() {
            let id = self.kernel().open();
            self.assign(index, id);
        }
        let Some(id) = self.upstream[index].id else {
            return;
        };
        let unit = Unit::Stream {
            id,
            offset: start,
            data: bytes(index, start, end),
            fin: end == self.upstream[index].size,
        };
        self.send(&[unit]);
    }

    /// The kernel sends, if it may. True if it did.
    pub(super) fn send(&mut self, units: &[Unit]) -> bool {
        let Some((transmit, datagram)) = self.kernel().send(units) else {
            return false;
        };
        let untold = self.kernel().untold();
        let server = self.pair.server();
        assert!(server.is_established() && server.is_path_validated());
        let in_flight = server.bytes_in_flight() + untold;
        assert!(in_flight <= server.cwnd(), "{in_flight} {}", server.cwnd());
        self.pair.fly(Direction::ToClient, &transmit, &datagram);
        true
    }

    /// Userspace's part: the same packet came up, and what the kernel did not send it sends.
    fn write(&mut self, index: usize) {
        let now = self.pair.now;
        let (start, end) = (self.upstream[index].written, self.upstream[index].at);
        if start == end {
            return;
        }
        if self.upstream[index].id.is_none() {
            let id = self.pair.server().open(Dir::Uni);
            self.assign(index, id);
            self.hand_over(index);
        }
        let Some(id) = self.upstream[index].id else {
            return;
        };
        let size = self.upstream[index].size;
        let server = self.pair.server.as_mut().unwrap();
        server.collect(now);
        let written = server
            .write_at(id, start, Chunk::from(bytes(index, start, end)))
            .and_then(|()| match end == size {
                true => server.finish_at(id, size),
                false => Ok(()),
            });
        match written {
            Ok(()) => self.upstream[index].written = end,
            // All of it has arrived, or nobody wants it.
            Err(StreamError::UnknownStream | StreamError::Stopped(_) | StreamError::Finished) => {
                self.upstream[index].written = end;
            }
            Err(error) => panic!("{id}: {error}"),
        }
    }

    /// The kernel goes on with a stream that userspace has begun, or goes on with it again.
    pub(super) fn hand_over(&mut self, index: usize) {
        let Some(id) = self.upstream[index].id else {
            return;
        };
        let streams = self.pair.server().streams();
        let (limit, high) = (streams.max_stream_data(id), streams.send_offset_max(id));
        let is_reset = streams.send_state(id) == Some(SendState::ResetSent);
        if let (Some(limit), Some(high), false) = (limit, high, is_reset) {
            self.kernel().hand_over(id, limit, high);
        }
    }

    /// The kernel goes, and another one comes.
    pub(super) fn replace_kernel(&mut self) {
        let now = self.pair.now;
        let server = self.pair.server.as_mut().unwrap();
        if server.is_path_validated() && server.take_other_sender(now).is_some() {
            self.shared = Shared::attach(server, now, self.rng.number());
            self.pair.other = self.shared.outbox();
        }
    }

    /// The subscriber wants no more of a stream.
    pub(super) fn stop(&mut self, index: usize) {
        let stream = &mut self.upstream[index];
        if let Some(id) = stream.id.filter(|_| !stream.is_over)
            && self.pair.client.stop_sending(id, 1).is_ok()
        {
            stream.is_over = true;
        }
    }

    /// The relay gives a stream up.
    pub(super) fn reset(&mut self, index: usize) {
        if let Some(id) = self.upstream[index].id {
            let _ = self.pair.server().reset(id, 2);
        }
    }

    fn assign(&mut self, index: usize, id: Option<StreamId>) {
        self.upstream[index].id = id;
        if let Some(id) = id {
            assert_eq!(self.by_id.insert(id, index), None);
        }
    }

    fn follow_events(&mut self) {
        let changed = |event: &mut Event| {
            matches!(
                event,
                Event::KeysUpdated { .. }
                    | Event::PathChanged { .. }
                    | Event::PathValidated(_)
                    | Event::RemoteCidChanged(_)
            )
        };
        let count = self.pair.server_events.extract_if(.., changed).count();
        let server = self.pair.server.as_ref().unwrap();
        if count > 0 && server.is_established() && server.is_path_validated() {
            self.shared.kernel().resume(server);
        }
    }

    fn read_all(&mut self) {
        for event in self.pair.take_stream_events(Direction::ToClient) {
            if let StreamEvent::Readable(id) = event {
                self.read(id);
            }
        }
        while self.pair.client.receive_datagram().is_some() {}
    }

    fn read(&mut self, id: StreamId) {
        let index = self.by_id[&id];
        let stream = &mut self.upstream[index];
        while !stream.is_over {
            match self.pair.client.read_unordered(id) {
                Ok(ReadChunk::Chunk { offset, chunk }) => {
                    stream.got += chunk.len() as u64;
                    let end = offset + chunk.len() as u64;
                    assert_eq!(*chunk, bytes(index, offset, end), "{id} at {offset}");
                }
                Ok(ReadChunk::Blocked) => return,
                Ok(ReadChunk::Finished) => {
                    assert_eq!(stream.got, stream.size);
                    stream.is_over = true;
                }
                Ok(ReadChunk::Reset(_)) | Err(_) => stream.is_over = true,
            }
        }
    }

    /// Publishes all that there is, a packet in a millisecond on average, and waits for its arrival.
    pub(super) fn run(&mut self) {
        for _ in 0..20_000 {
            let index = self.rng.below(self.upstream.len() as u64) as usize;
            self.publish(index);
            let pause = Duration::from_micros(200 + self.rng.below(1600));
            self.pass(pause);
            let at_end = self.upstream.iter().all(|stream| stream.is_over);
            if at_end || self.error().is_some() {
                break;
            }
        }
        assert_eq!(self.error(), None);
        assert!(
            self.upstream.iter().all(|stream| stream.is_over),
            "{:?}",
            self.upstream
        );
        self.pass(Duration::from_secs(2));
    }

    fn error(&self) -> Option<&crate::error::ConnectionError> {
        self.pair.client_error().or(self.pair.server_error())
    }
}

/// What a publisher's stream carries.
fn bytes(index: usize, start: u64, end: u64) -> Vec<u8> {
    (start..end)
        .map(|offset| (offset.wrapping_mul(31).wrapping_add(index as u64 * 7) >> 3) as u8)
        .collect()
}
