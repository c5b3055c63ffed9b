//! Flow control, kept in books beside the endpoints: what each side sends of streams, and what the other has
//! allowed. RFC 9000 §4.
//!
//! Made of packets as they leave, so that a limit counts from the moment when it was sent: an endpoint that
//! has not heard of it yet can only be stricter.

use std::collections::BTreeMap;

use quic_lite::endpoint::Handle;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::{Dir, Side, StreamId};

use crate::tap::{Kind, TappedPacket};

/// The books of both sides of one connection.
#[derive(Debug, Default)]
pub struct FlowBooks([Book; 2]);

/// What one side has sent, and may send.
#[derive(Debug, Default)]
struct Book {
    sender: Option<(Handle, TransportParameters)>,
    /// Connections of before, which may still repeat something.
    former: Vec<Handle>,
    max_data: u64,
    max_streams: [u64; 2],
    /// By stream: what the peer allows.
    max_stream_data: BTreeMap<StreamId, u64>,
    /// By stream: where its furthest byte ends.
    sent: BTreeMap<StreamId, u64>,
    sum: u64,
    /// Packets that nobody could open: what they carried is missing here.
    has_holes: bool,
}

impl FlowBooks {
    /// This side begins anew, with another connection than these.
    pub fn forget(&mut self, side: Side, former: impl Iterator<Item = Handle>) {
        self.0[side as usize] = Book {
            former: former.collect(),
            ..Book::default()
        };
    }

    /// One side sends these packets; `sender` finds the connection of one, and what its peer has declared.
    pub fn on_sent<'a>(
        &mut self,
        from: Side,
        packets: &[TappedPacket],
        sender: impl Fn(&TappedPacket) -> Option<(Handle, &'a TransportParameters)>,
    ) {
        for packet in packets {
            self.0[from as usize].has_holes |= packet.kind == Kind::Unopened;
            let has_streams = packet.has(|frame| end_of(frame).is_some());
            if has_streams && !self.0[from as usize].is_of_sender(sender(packet)) {
                continue;
            }
            for frame in packet.frames() {
                self.0[from.peer() as usize].on_limit(&frame);
                self.0[from as usize].on_frame(from, &frame);
            }
        }
    }

    /// The connection of one side that the books are about, once it has sent something.
    pub fn handle(&self, side: Side) -> Option<Handle> {
        let sender = self.0[side as usize].sender.as_ref();
        sender.map(|(handle, _)| *handle)
    }

    /// What a side says that it has used of the connection's limit must be what it has sent.
    pub fn check_sum(&self, side: Side, used: u64) {
        let book = &self.0[side as usize];
        let agrees = book.has_holes && book.sum <= used || book.sum == used;
        let sum = book.sum;
        assert!(
            agrees,
            "{side:?} has sent {sum} bytes of streams, and counts {used}"
        );
    }
}

impl Book {
    /// Whether a packet is of the connection that the book is about, which is the first that is not a former one.
    fn is_of_sender(&mut self, sender: Option<(Handle, &TransportParameters)>) -> bool {
        let Some((handle, parameters)) = sender else {
            return self.sender.is_some();
        };
        if self.sender.is_none() && !self.former.contains(&handle) {
            self.sender = Some((handle, parameters.clone()));
        }
        self.sender.as_ref().is_some_and(|(own, _)| *own == handle)
    }

    /// The other side allows more.
    fn on_limit(&mut self, frame: &Frame<'_>) {
        match frame {
            Frame::MaxData(frame) => self.max_data = self.max_data.max(frame.maximum_data),
            Frame::MaxStreamData(frame) => {
                let limit = self.max_stream_data.entry(frame.stream_id).or_default();
                *limit = frame.maximum_stream_data.max(*limit);
            }
            Frame::MaxStreams(frame) => {
                let limit = &mut self.max_streams[frame.dir as usize];
                *limit = frame.maximum_streams.max(*limit);
            }
            _ => {}
        }
    }

    fn on_frame(&mut self, side: Side, frame: &Frame<'_>) {
        let Some((id, end)) = end_of(frame) else {
            return;
        };
        let (_, parameters) = self.sender.as_ref().expect("a connection sends this");
        let limit = initial_limit(side, id, parameters);
        let limit = limit.max(self.max_stream_data.get(&id).copied().unwrap_or(0));
        assert!(
            end <= limit,
            "{side:?} sends {end} bytes of {limit} on {id:?}"
        );
        let before = self.sent.entry(id).or_default();
        self.sum += end.saturating_sub(*before);
        *before = end.max(*before);
        let limit = self.max_data.max(parameters.initial_max_data);
        assert!(
            self.sum <= limit,
            "{side:?} sends {} bytes of {limit}",
            self.sum
        );
        let streams = match id.dir() {
            Dir::Bi => parameters.initial_max_streams_bidi,
            Dir::Uni => parameters.initial_max_streams_uni,
        };
        let streams = streams.max(self.max_streams[id.dir() as usize]);
        let is_allowed = id.initiator() != side || id.index() < streams;
        assert!(is_allowed, "{side:?} opens {id:?} of {streams}");
    }
}

/// The stream that a frame is about, and where its data end.
fn end_of(frame: &Frame<'_>) -> Option<(StreamId, u64)> {
    match frame {
        Frame::Stream(frame) => Some((frame.stream_id, frame.offset + frame.data.len() as u64)),
        Frame::ResetStream(frame) => Some((frame.stream_id, frame.final_size)),
        _ => None,
    }
}

/// RFC 9000 §18.2: "local" and "remote" are said from the point of view of who declares them.
fn initial_limit(side: Side, id: StreamId, peer: &TransportParameters) -> u64 {
    match (id.dir(), id.initiator() == side) {
        (Dir::Uni, _) => peer.initial_max_stream_data_uni,
        (Dir::Bi, true) => peer.initial_max_stream_data_bidi_remote,
        (Dir::Bi, false) => peer.initial_max_stream_data_bidi_local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quic_lite::wire::frame::{MaxData, Stream};

    fn book() -> Book {
        let parameters = TransportParameters {
            initial_max_data: 10,
            initial_max_stream_data_uni: 8,
            initial_max_streams_uni: 2,
            ..TransportParameters::default()
        };
        Book {
            sender: Some((Handle(0), parameters)),
            ..Book::default()
        }
    }

    fn send(book: &mut Book, index: u64, data: &[u8]) {
        let stream_id = StreamId::new(Side::Client, Dir::Uni, index);
        let (offset, fin) = (0, false);
        let frame = Stream {
            stream_id,
            offset,
            fin,
            data,
        };
        book.on_frame(Side::Client, &Frame::Stream(frame));
    }

    #[test]
    #[should_panic(expected = "sends 9 bytes of 8 on")]
    fn a_byte_beyond_a_streams_limit_is_noticed() {
        send(&mut book(), 0, &[0; 9]);
    }

    #[test]
    #[should_panic(expected = "sends 11 bytes of 10")]
    fn a_byte_beyond_the_connections_limit_is_noticed() {
        let mut book = book();
        send(&mut book, 0, &[0; 8]);
        send(&mut book, 1, &[0; 3]);
    }

    #[test]
    #[should_panic(expected = "opens")]
    fn a_stream_too_many_is_noticed() {
        let mut book = book();
        let maximum_data = 100;
        book.on_limit(&Frame::MaxData(MaxData { maximum_data }));
        send(&mut book, 1, &[0; 8]);
        send(&mut book, 2, &[0; 8]);
    }
}
