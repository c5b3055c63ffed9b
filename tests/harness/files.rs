//! A file server and a client for it, in the manner of the interop runner's `hq-interop`. No RFC.
//!
//! A client asks for a file by its size; its content follows from its size and its stream, so the client can
//! check every byte of it without having it.

use std::collections::{BTreeMap, VecDeque};

use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, Handle};
use quic_lite::io::Application;
use quic_lite::stream::{Read, StreamEvent};
use quic_lite::{Dir, StreamId, Time};

/// Asks for files and checks them.
#[derive(Debug, Default)]
pub struct FileClient {
    /// Sizes of files not asked for yet.
    wanted: VecDeque<u64>,
    /// Size, and how much of it has come.
    coming: BTreeMap<StreamId, (u64, u64)>,
    /// Files that came in whole.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one was complete.
    pub finished: Option<Time>,
    /// Closes the connection, with code 0, when all files are there.
    pub closes: bool,
    is_closed: bool,
}

impl FileClient {
    /// Wants files of these sizes, and closes the connection when it has them.
    pub fn new(sizes: impl IntoIterator<Item = u64>) -> Self {
        Self {
            wanted: sizes.into_iter().collect(),
            closes: true,
            ..Self::default()
        }
    }

    /// The same, but the connection stays.
    pub fn staying(sizes: impl IntoIterator<Item = u64>) -> Self {
        Self {
            closes: false,
            ..Self::new(sizes)
        }
    }

    /// Wants another file.
    pub fn want(&mut self, size: u64) {
        self.wanted.push_back(size);
        (self.finished, self.is_closed) = (None, false);
    }

    /// Whether all files are there.
    pub fn has_all(&self) -> bool {
        self.wanted.is_empty() && self.coming.is_empty()
    }

    fn ask(&mut self, connection: &mut Connection) {
        while let Some(size) = self.wanted.front() {
            let Some(id) = connection.open(Dir::Bi) else {
                return;
            };
            let request = format!("GET /{size}\r\n");
            assert_eq!(connection.write(id, request.as_bytes()), Ok(request.len()));
            connection.finish(id).unwrap();
            self.coming.insert(id, (*size, 0));
            self.wanted.pop_front();
        }
    }

    fn read(&mut self, now: Time, id: StreamId, connection: &mut Connection) {
        let Some((size, at)) = self.coming.get_mut(&id) else {
            return;
        };
        let mut buffer = [0; 4096];
        loop {
            match connection.read(id, &mut buffer).unwrap() {
                Read::Bytes(len) => {
                    let wrong =
                        (0..len).find(|i| buffer[*i] != content((id, *size), *at + *i as u64));
                    assert_eq!(wrong, None, "{id:?} differs after byte {at}");
                    *at += len as u64;
                }
                Read::Blocked => return,
                Read::Finished => break,
                Read::Reset(code) => panic!("{id:?} was reset with {code}"),
            }
        }
        assert_eq!(at, size, "{id:?} ended early");
        self.files += 1;
        self.bytes += *size;
        self.coming.remove(&id);
        if self.has_all() {
            self.finished = Some(now);
        }
    }
}

impl Application for FileClient {
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        self.is_closed |= matches!(event, Event::Closed(_));
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        match event {
            Event::Connected | Event::Stream(StreamEvent::Available(Dir::Bi)) => {
                self.ask(connection)
            }
            Event::Stream(StreamEvent::Readable(id)) => self.read(now, id, connection),
            _ => {}
        }
        if self.closes && self.finished.is_some() {
            connection.close(now, 0, "");
        }
    }

    fn on_tick(&mut self, _now: Time, endpoint: &mut Endpoint) {
        if self.wanted.is_empty() {
            return;
        }
        let open = |handle: &Handle| {
            endpoint
                .connection(*handle)
                .is_some_and(Connection::is_established)
        };
        let handle = endpoint.handles().find(open);
        if let Some(connection) = handle.and_then(|handle| endpoint.connection_mut(handle)) {
            self.ask(connection);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn is_done(&self) -> bool {
        self.has_all() && (self.is_closed || !self.closes)
    }
}

/// Sends what it is asked for.
#[derive(Debug, Default)]
pub struct FileServer {
    /// Requests that have not been read to their end.
    requests: BTreeMap<(Handle, StreamId), Vec<u8>>,
    /// Size, and how much of it is written.
    going: BTreeMap<(Handle, StreamId), (u64, u64)>,
}

impl FileServer {
    fn read(&mut self, key: (Handle, StreamId), connection: &mut Connection) {
        let request = self.requests.entry(key).or_default();
        let mut buffer = [0; 256];
        loop {
            match connection.read(key.1, &mut buffer) {
                Ok(Read::Bytes(len)) => request.extend_from_slice(&buffer[..len]),
                Ok(Read::Blocked) => return,
                Ok(Read::Finished) => break,
                other => panic!("request on {:?}: {other:?}", key.1),
            }
        }
        let size = core::str::from_utf8(request)
            .ok()
            .and_then(|line| {
                line.strip_prefix("GET /")?
                    .strip_suffix("\r\n")?
                    .parse()
                    .ok()
            })
            .unwrap_or_else(|| panic!("not a request: {request:?}"));
        self.requests.remove(&key);
        self.going.insert(key, (size, 0));
        self.write(key, connection);
    }

    fn write(&mut self, key: (Handle, StreamId), connection: &mut Connection) {
        let Some((size, at)) = self.going.get_mut(&key) else {
            return;
        };
        while at < size {
            let end = (*at + BLOCK).min(*size);
            let block: Vec<u8> = (*at..end)
                .map(|offset| content((key.1, *size), offset))
                .collect();
            let written = connection.write(key.1, &block).unwrap() as u64;
            *at += written;
            if written < block.len() as u64 {
                return;
            }
        }
        connection.finish(key.1).unwrap();
        self.going.remove(&key);
    }
}

impl Application for FileServer {
    fn on_event(&mut self, _now: Time, endpoint: &mut Endpoint, handle: Handle, event: Event) {
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        match event {
            Event::Stream(StreamEvent::Readable(id)) => self.read((handle, id), connection),
            Event::Stream(StreamEvent::Writable(id)) => self.write((handle, id), connection),
            Event::Closed(_) => {
                self.requests.retain(|(other, _), _| *other != handle);
                self.going.retain(|(other, _), _| *other != handle);
            }
            _ => {}
        }
    }

    fn on_tick(&mut self, _now: Time, _endpoint: &mut Endpoint) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }

    fn is_done(&self) -> bool {
        self.requests.is_empty() && self.going.is_empty()
    }
}

/// The byte at `offset` of the file of `size` bytes on this stream: no period that is a power of two.
fn content((id, size): (StreamId, u64), offset: u64) -> u8 {
    let of_file = size ^ id.index().wrapping_mul(151);
    (offset ^ (offset >> 7) ^ (offset >> 15) ^ of_file) as u8
}

/// Bytes written at a time.
const BLOCK: u64 = 16 << 10;
