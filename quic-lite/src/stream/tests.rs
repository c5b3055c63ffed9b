//! Tests of the streams of one connection (RFC 9000 §2 to §4), and two ends with a lossy link.

mod credit;
mod fate;
mod frame_table;
mod memory;
mod model;
mod order;

use super::*;
use crate::error::{TransportError, TransportErrorCode};
use crate::recovery::sent_frame::SentFrame;
use crate::wire::frame::{Frame, ResetStream, Stream, frames};
use crate::wire::writer::Writer;

/// xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

fn small_config() -> StreamConfig {
    StreamConfig {
        connection_window: 1000,
        max_connection_window: 1000,
        stream_window: 400,
        max_stream_window: 400,
        max_streams_bidi: 8,
        max_streams_uni: 8,
        send_buffer: 300,
    }
}

/// The transport parameters that go with `config`.
fn parameters(config: &StreamConfig) -> TransportParameters {
    TransportParameters {
        initial_max_data: config.connection_window,
        initial_max_stream_data_bidi_local: config.stream_window,
        initial_max_stream_data_bidi_remote: config.stream_window,
        initial_max_stream_data_uni: config.stream_window,
        initial_max_streams_bidi: config.max_streams_bidi,
        initial_max_streams_uni: config.max_streams_uni,
        ..TransportParameters::default()
    }
}

fn streams(side: Side, config: &StreamConfig) -> Streams {
    let mut streams = Streams::new(side, config);
    streams.set_peer_parameters(&parameters(config));
    streams
}

/// A packet's payload, and what it carried.
fn packet(streams: &mut Streams, size: usize) -> (Vec<u8>, Vec<SentFrame>) {
    let (mut bytes, mut sent) = (vec![0; size], Vec::new());
    let mut out = Writer::new(&mut bytes);
    streams.write_frames(&mut out, &mut sent);
    let len = out.len();
    bytes.truncate(len);
    (bytes, sent)
}

/// All there is to send at once.
fn drain(streams: &mut Streams) -> Vec<SentFrame> {
    let mut all = Vec::new();
    while streams.has_pending() {
        all.append(&mut packet(streams, 1200).1);
    }
    all
}

fn deliver(streams: &mut Streams, now: Time, payload: &[u8]) -> Result<(), TransportError> {
    for frame in frames(payload) {
        apply(streams, now, frame.unwrap())?;
    }
    Ok(())
}

fn apply(streams: &mut Streams, now: Time, frame: Frame<'_>) -> Result<(), TransportError> {
    match frame {
        Frame::Stream(frame) => streams.on_stream(now, &frame),
        Frame::ResetStream(frame) => streams.on_reset_stream(&frame),
        Frame::StopSending(frame) => streams.on_stop_sending(&frame),
        Frame::MaxData(frame) => streams.on_max_data(&frame),
        Frame::MaxStreamData(frame) => streams.on_max_stream_data(&frame),
        Frame::MaxStreams(frame) => streams.on_max_streams(&frame),
        Frame::DataBlocked(frame) => streams.on_data_blocked(&frame),
        Frame::StreamDataBlocked(frame) => streams.on_stream_data_blocked(&frame),
        Frame::StreamsBlocked(frame) => streams.on_streams_blocked(&frame),
        other => panic!("not a stream frame: {other}"),
    }
}

/// Carries one packet over and reports it acknowledged; false when there was nothing to send.
fn transfer(from: &mut Streams, to: &mut Streams) -> bool {
    let (payload, sent) = packet(from, 1200);
    deliver(to, Time::ZERO, &payload).unwrap();
    sent.iter().for_each(|frame| from.on_acked(frame));
    !payload.is_empty()
}

fn data(id: StreamId, offset: u64, data: &[u8], fin: bool) -> Frame<'_> {
    Frame::Stream(Stream {
        stream_id: id,
        offset,
        fin,
        data,
    })
}

fn reset(id: StreamId, code: u64, final_size: u64) -> Frame<'static> {
    Frame::ResetStream(ResetStream {
        stream_id: id,
        application_error_code: code,
        final_size,
    })
}

fn events(streams: &mut Streams) -> Vec<StreamEvent> {
    core::iter::from_fn(|| streams.poll_event()).collect()
}

fn code(result: Result<(), TransportError>) -> Option<TransportErrorCode> {
    result.err().map(|error| error.code)
}

/// The first `n` streams of ours.
fn open<const N: usize>(streams: &mut Streams, dir: Dir) -> [StreamId; N] {
    core::array::from_fn(|_| streams.open(dir).unwrap())
}

#[test]
fn a_stream_goes_from_open_to_forgotten_on_both_sides() {
    let config = small_config();
    let (mut client, mut server) = (
        streams(Side::Client, &config),
        streams(Side::Server, &config),
    );
    let [id] = open(&mut client, Dir::Bi);
    assert_eq!(client.write(id, b"question"), Ok(8));
    client.finish(id).unwrap();
    assert!(transfer(&mut client, &mut server));
    assert_eq!(
        events(&mut server),
        [StreamEvent::Opened(id), StreamEvent::Readable(id)]
    );
    let mut buffer = [0; 20];
    assert_eq!(server.read(id, &mut buffer), Ok(Read::Bytes(8)));
    assert_eq!(&buffer[..8], b"question");
    assert_eq!(server.read(id, &mut buffer), Ok(Read::Finished));
    assert_eq!(
        server.read(id, &mut buffer),
        Err(StreamError::UnknownStream)
    );
    assert_eq!(events(&mut client), [StreamEvent::Finished(id)]);
    server
        .write_chunk(id, Chunk::from(b"answer".as_slice()))
        .unwrap();
    server.finish(id).unwrap();
    assert!(transfer(&mut server, &mut client));
    let chunk = Chunk::from(b"answer".as_slice());
    assert_eq!(
        client.read_chunk(id),
        Ok(ReadChunk::Chunk { offset: 0, chunk })
    );
    assert_eq!(client.read_chunk(id), Ok(ReadChunk::Finished));
    assert_eq!((client.open_parts(), server.open_parts()), (0, 0));
}

#[test]
fn nothing_can_be_done_against_a_streams_direction() {
    let config = small_config();
    let (mut client, mut server) = (
        streams(Side::Client, &config),
        streams(Side::Server, &config),
    );
    let [id] = open(&mut client, Dir::Uni);
    assert_eq!(client.read_chunk(id), Err(StreamError::WrongDirection));
    assert_eq!(client.stop_sending(id, 1), Err(StreamError::WrongDirection));
    client.finish(id).unwrap();
    assert!(transfer(&mut client, &mut server));
    assert_eq!(server.write(id, b"x"), Err(StreamError::WrongDirection));
    assert_eq!(server.reset(id, 1), Err(StreamError::WrongDirection));
}

#[test]
fn after_its_end_a_stream_takes_no_more() {
    let mut client = streams(Side::Client, &small_config());
    let [a, b, c] = open(&mut client, Dir::Uni);
    client.finish(a).unwrap();
    assert_eq!(client.write(a, b"x"), Err(StreamError::Finished));
    assert_eq!(
        client.write_at(a, 0, Chunk::from(vec![1])),
        Err(StreamError::FinalSize)
    );
    client.write_at(b, 10, Chunk::from(vec![1])).unwrap();
    assert_eq!(client.finish_at(b, 10), Err(StreamError::FinalSize));
    assert_eq!(client.finish_at(b, 11), Ok(()));
    assert_eq!(client.finish_at(b, 11), Ok(()));
    assert_eq!(client.finish_at(b, 12), Err(StreamError::FinalSize));
    client.reset(c, 7).unwrap();
    assert_eq!(client.reset(c, 8), Err(StreamError::Finished));
    assert_eq!(client.write(c, b"x"), Err(StreamError::Finished));
}

#[test]
fn a_connection_without_streams_is_small() {
    println!("Streams {}", size_of::<Streams>());
    println!(
        "SendStream {}, RecvStream {}",
        size_of::<SendStream>(),
        size_of::<RecvStream>()
    );
    assert!(size_of::<Streams>() <= 768);
    assert!(size_of::<SendStream>() <= 288 && size_of::<RecvStream>() <= 224);
}
