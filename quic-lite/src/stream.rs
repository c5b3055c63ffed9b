//! Streams of one connection (RFC 9000 §2, §3, §4): states, reassembly, flow control, what to send.
//!
//! [`Streams`] takes the stream frames of a connection (`receive.rs`), serves the application
//! (`application.rs`), and writes frames and learns of their fate (`transmit.rs`); another sender may have
//! a share in it (`shared.rs`). The sending and the
//! receiving part of a stream are two entries of two maps and each is freed in its terminal state.
//! Every operation is logarithmic in the number of streams; nothing here looks at all of them.
//!
//! Promise: what a peer can make this hold is bounded by the windows and limits of
//! [`StreamConfig`], plus a fixed number of gaps; a connection without streams owns no heap memory.
//!
//! ```
//! use quic_lite::stream::{StreamConfig, Streams};
//! use quic_lite::wire::stream_id::{Dir, Side};
//! let mut streams = Streams::new(Side::Client, &StreamConfig::default());
//! assert_eq!(streams.open(Dir::Uni), None); // until the peer's parameters are known
//! ```

mod application;
mod assembly;
mod audit;
mod chunk;
mod flow;
mod limits;
mod pieces;
mod queue;
mod receive;
mod recv;
pub mod recv_state;
mod send;
mod send_buffer;
pub mod send_state;
mod shared;
mod transmit;

#[cfg(test)]
mod tests;

pub use chunk::Chunk;
pub use pieces::Pieces;
pub use recv_state::RecvState;
pub use send_state::SendState;

use crate::other_sender::OtherSender;
use crate::time::Time;
use crate::wire::stream_id::{Dir, Side, StreamId};
use crate::wire::transport_parameters::TransportParameters;
use core::fmt;
use core::time::Duration;
use flow::{Credit, Window};
use limits::{OwnStreams, PeerStreams};
use queue::{Place, Queue};
use recv::{RecvStream, Tally};
use send::{Demand, SendStream};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What we allow the peer, and ourselves to buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// First connection window: `initial_max_data`.
    pub connection_window: u64,
    /// The connection window grows up to this.
    pub max_connection_window: u64,
    /// First window of each stream: all three `initial_max_stream_data_*`.
    pub stream_window: u64,
    /// A stream's window grows up to this.
    pub max_stream_window: u64,
    /// Bidirectional streams the peer may have open at a time.
    pub max_streams_bidi: u64,
    /// Unidirectional streams the peer may have open at a time.
    pub max_streams_uni: u64,
    /// Bytes that [`Streams::write`] keeps per stream until they are acknowledged.
    pub send_buffer: u64,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            connection_window: 1 << 20,
            max_connection_window: 16 << 20,
            stream_window: 256 << 10,
            max_stream_window: 8 << 20,
            max_streams_bidi: 100,
            max_streams_uni: 1000,
            send_buffer: 1 << 20,
        }
    }
}

/// All streams of one connection.
#[derive(Debug)]
pub struct Streams {
    side: Side,
    config: StreamConfig,
    send: BTreeMap<StreamId, Box<SendStream>>,
    recv: BTreeMap<StreamId, Box<RecvStream>>,
    /// Who has STREAM frames to send.
    queue: Queue,
    /// Other frames to send, each at most once.
    control: BTreeSet<Control>,
    /// Indexed by direction.
    own: [OwnStreams; 2],
    peer: [PeerStreams; 2],
    peer_windows: PeerWindows,
    credit: Credit,
    window: Window,
    gaps: usize,
    events: VecDeque<StreamEvent>,
    /// Opens and sends streams of ours too.
    other: Option<Box<dyn OtherSender>>,
    now: Time,
    rtt: Duration,
}

/// What the peer's transport parameters give each new stream (RFC 9000 §18.2).
#[derive(Clone, Copy, Debug, Default)]
struct PeerWindows {
    bidi_local: u64,
    bidi_remote: u64,
    uni: u64,
}

/// A frame other than STREAM that is to be sent; its content is looked up when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Control {
    MaxData,
    DataBlocked,
    MaxStreams(Dir),
    StreamsBlocked(Dir),
    ResetStream(StreamId),
    StopSending(StreamId),
    MaxStreamData(StreamId),
    StreamDataBlocked(StreamId),
}

/// News for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The peer has opened a stream.
    Opened(StreamId),
    /// Data, the end or a reset can be read.
    Readable(StreamId),
    /// A [`Streams::write`] that was cut short may go on.
    Writable(StreamId),
    /// Everything that was sent, including the end, has been acknowledged.
    Finished(StreamId),
    /// The peer wants no more of it; the stream was reset with the same code.
    Stopped {
        /// The stream.
        id: StreamId,
        /// The peer's application error code.
        code: u64,
    },
    /// [`Streams::open`] failed for this direction and may work now.
    Available(Dir),
}

/// Why an operation on a stream is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// It was never opened, or this part of it has ended and is forgotten.
    UnknownStream,
    /// Its end is set already, or we have reset or stopped it.
    Finished,
    /// The peer wants no more of it, for this application reason.
    Stopped(u64),
    /// It carries no data this way.
    WrongDirection,
    /// The final size would change or be passed.
    FinalSize,
}

/// What [`Streams::read`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes were copied.
    Bytes(usize),
    /// Nothing is there yet.
    Blocked,
    /// All was read; this part of the stream is forgotten.
    Finished,
    /// The peer has reset it; this part of the stream is forgotten.
    Reset(u64),
}

/// What [`Streams::read_chunk`] and [`Streams::read_unordered`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadChunk {
    /// Some bytes.
    Chunk {
        /// Where they stand in the stream.
        offset: u64,
        /// The bytes.
        chunk: Chunk,
    },
    /// Nothing is there yet.
    Blocked,
    /// All was read; this part of the stream is forgotten.
    Finished,
    /// The peer has reset it; this part of the stream is forgotten.
    Reset(u64),
}

impl Streams {
    /// No streams, and no credit until [`Self::set_peer_parameters`].
    pub fn new(side: Side, config: &StreamConfig) -> Self {
        Self {
            side,
            config: config.clone(),
            send: BTreeMap::new(),
            recv: BTreeMap::new(),
            queue: Queue::default(),
            control: BTreeSet::new(),
            own: Default::default(),
            peer: [
                PeerStreams::new(config.max_streams_bidi),
                PeerStreams::new(config.max_streams_uni),
            ],
            peer_windows: PeerWindows::default(),
            credit: Credit::default(),
            window: Window::new(
                config.connection_window,
                config.max_connection_window,
                Time::ZERO,
            ),
            gaps: 0,
            events: VecDeque::new(),
            other: None,
            now: Time::ZERO,
            rtt: Duration::ZERO,
        }
    }

    /// Takes the limits that the peer has announced in its transport parameters.
    pub fn set_peer_parameters(&mut self, parameters: &TransportParameters) {
        self.peer_windows = PeerWindows {
            bidi_local: parameters.initial_max_stream_data_bidi_local,
            bidi_remote: parameters.initial_max_stream_data_bidi_remote,
            uni: parameters.initial_max_stream_data_uni,
        };
        self.credit.raise(parameters.initial_max_data);
        self.raise_own_limit(Dir::Bi, parameters.initial_max_streams_bidi);
        self.raise_own_limit(Dir::Uni, parameters.initial_max_streams_uni);
    }

    /// The round-trip time, which decides how fast windows grow.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// How many streams have a part that is still open.
    pub fn open_parts(&self) -> usize {
        self.send.len() + self.recv.len()
    }

    fn raise_own_limit(&mut self, dir: Dir, maximum: u64) {
        if self.own[dir as usize].raise(maximum) {
            self.control.remove(&Control::StreamsBlocked(dir));
            self.events.push_back(StreamEvent::Available(dir));
        }
    }

    /// Creates the parts of a stream that it has on our side.
    fn create(&mut self, id: StreamId) {
        let ours = id.initiator() == self.side;
        if ours || id.dir() == Dir::Bi {
            // RFC 9000 §18.2: "local" and "remote" are said from the peer's point of view.
            let credit = match (id.dir(), ours) {
                (Dir::Uni, _) => self.peer_windows.uni,
                (Dir::Bi, true) => self.peer_windows.bidi_remote,
                (Dir::Bi, false) => self.peer_windows.bidi_local,
            };
            self.send.insert(id, Box::new(SendStream::new(id, credit)));
        }
        if !ours || id.dir() == Dir::Bi {
            let window = Window::new(
                self.config.stream_window,
                self.config.max_stream_window,
                self.now,
            );
            self.recv.insert(id, Box::new(RecvStream::new(window)));
        }
    }

    /// Puts a stream where it belongs in the queue, and forgets its sending part at its end.
    fn settle_send(&mut self, id: StreamId) {
        let Some(stream) = self.send.get_mut(&id) else {
            return;
        };
        let demand = stream.demand();
        if demand == Demand::StreamCredit && stream.block() {
            self.control.insert(Control::StreamDataBlocked(id));
        }
        let place = match demand {
            Demand::Ready(place) => Some(place),
            Demand::Nothing | Demand::StreamCredit => None,
        };
        place_in(&mut self.queue, stream, place);
        // RFC 9000 §4.1: without any credit nobody comes to write frames and say so.
        let needs_credit = matches!(place, Some(Place::Credit | Place::Stalled(_)));
        if needs_credit && self.credit.available() == 0 && self.credit.block() {
            self.control.insert(Control::DataBlocked);
        }
        if stream.state().is_terminal() {
            self.send.remove(&id);
            self.control.remove(&Control::ResetStream(id));
            self.control.remove(&Control::StreamDataBlocked(id));
            self.settle_closed(id);
        }
    }

    /// Adds what a receiving part has changed to the connection's sums, and forgets it at its end.
    fn settle_recv(&mut self, id: StreamId, before: Tally) {
        let Some(stream) = self.recv.get(&id) else {
            return;
        };
        let (after, terminal) = (stream.tally(), stream.state().is_terminal());
        self.window.consume(after.consumed - before.consumed);
        self.gaps = self.gaps + after.gaps - before.gaps;
        if stream.update_is_due() {
            self.control.insert(Control::MaxStreamData(id));
        }
        if self.window.update_is_due() {
            self.control.insert(Control::MaxData);
        }
        if terminal {
            self.gaps -= after.gaps;
            self.recv.remove(&id);
            self.control.remove(&Control::StopSending(id));
            self.control.remove(&Control::MaxStreamData(id));
            self.settle_closed(id);
        }
    }

    /// RFC 9000 §4.6: a peer's stream that is gone makes room for another.
    fn settle_closed(&mut self, id: StreamId) {
        let gone = !self.send.contains_key(&id) && !self.recv.contains_key(&id);
        let dir = id.dir();
        if gone && id.initiator() != self.side {
            self.peer[dir as usize].close();
            self.offer_streams(dir);
        }
    }

    fn offer_streams(&mut self, dir: Dir) {
        if self.peer[dir as usize].update_is_due() {
            self.control.insert(Control::MaxStreams(dir));
        }
    }
}

/// Moves `stream` to `place` in the queue.
fn place_in(queue: &mut Queue, stream: &mut SendStream, place: Option<Place>) {
    if stream.place() == place {
        return;
    }
    if let Some(old) = stream.place() {
        queue.remove(stream.key(), old);
    }
    if let Some(new) = place {
        queue.insert(stream.key(), new);
    }
    stream.set_place(place);
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStream => f.write_str("no such stream"),
            Self::Finished => f.write_str("the stream has ended"),
            Self::Stopped(code) => write!(f, "the peer stopped the stream: code {code:#x}"),
            Self::WrongDirection => f.write_str("the stream carries no data this way"),
            Self::FinalSize => f.write_str("the stream's final size forbids it"),
        }
    }
}

impl core::error::Error for StreamError {}
