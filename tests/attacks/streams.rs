//! Rows 11 and 12: streams in crumbs, and streams beyond limits. RFC 9000 §2 to §4, §21.7.

use integration::{Duel, Setup};
use quic_lite::config::Config;
use quic_lite::error::TransportErrorCode as Code;
use quic_lite::wire::frame::{
    Frame, MaxStreamData, MaxStreams, ResetStream, StopSending, Stream, StreamDataBlocked,
    StreamsBlocked,
};
use quic_lite::wire::header::PacketType;
use quic_lite::{Dir, Side, StreamId};

/// A config whose windows are as large as they get from the start.
fn wide() -> Setup {
    let mut setup = Setup::default();
    let transport = &mut setup.transport;
    transport.initial_stream_window = transport.max_stream_window;
    transport.initial_connection_window = transport.max_connection_window;
    setup
}

/// Sends STREAM frames of one byte at these offsets, a hundred to a packet, until the endpoint closes.
/// Returns how many it took, and the memory they cost.
fn crumbs(duel: &mut Duel, offsets: impl Iterator<Item = (StreamId, u64)>) -> (u64, isize) {
    duel.records = false;
    let before = duel.heap.peak();
    let mut offsets = offsets.peekable();
    let mut taken = 0;
    while offsets.peek().is_some() && duel.error().is_none() {
        let mut frames = Vec::new();
        for (stream_id, offset) in offsets.by_ref().take(100) {
            frames.push(Frame::Stream(Stream {
                stream_id,
                offset,
                fin: false,
                data: b"x",
            }));
        }
        taken += frames.len() as u64;
        duel.send_frames(PacketType::OneRtt, &frames);
    }
    (taken, duel.heap.peak() - before)
}

/// Every second byte of a whole window, in any order, on one stream or on many (quinn, CVE-2026-25800;
/// OpenSSL, CVE-2026-42772).
#[test]
fn row_11_one_byte_gaps_are_given_up_within_a_bound() {
    let window = Config::default().max_stream_window;
    // As many gaps as the window may have, and the packet that is one too many.
    let bound = 256 + Config::default().max_connection_window / 2048 + 200;
    for side in [Side::Server, Side::Client] {
        let stream = |index| StreamId::new(side.peer(), Dir::Uni, index);
        let pieces = window / 2;
        let upwards = (0..pieces).map(|n| (stream(0), 2 * n));
        let downwards = (0..pieces).rev().map(|n| (stream(0), 2 * n));
        let inwards = (0..pieces).map(|n| match n % 2 {
            0 => (stream(0), n),
            _ => (stream(0), 2 * (pieces - n / 2) - 2),
        });
        let many = (0..pieces).map(|n| (stream(n % 500), 2 * (n / 500)));
        let patterns: [(&str, Box<dyn Iterator<Item = _>>); 4] = [
            ("upwards", Box::new(upwards)),
            ("downwards", Box::new(downwards)),
            ("inwards", Box::new(inwards)),
            ("on 500 streams", Box::new(many)),
        ];
        for (name, offsets) in patterns {
            let mut duel = Duel::against(side, wide()).shaken();
            let (taken, more) = crumbs(&mut duel, offsets);
            println!("{side:?} {name}: {taken} pieces, {more} bytes");
            assert_eq!(duel.code(), Some(Code::INTERNAL_ERROR));
            assert!(taken <= bound + 500 && more < 2 << 20);
        }
    }
}

/// A piece keeps itself, not the packet that it came in (quicly, CVE-2026-54873).
#[test]
fn row_11_a_small_frame_does_not_keep_its_packet() {
    let mut duel = Duel::against_server(wide()).shaken();
    let stream_id = StreamId::new(Side::Client, Dir::Uni, 0);
    let before = duel.heap.held();
    for n in 0..1000 {
        let frame = Frame::Stream(Stream {
            stream_id,
            offset: 2 * n,
            fin: false,
            data: b"x",
        });
        let write = |out: &mut quic_lite::wire::writer::Writer<'_>| {
            frame.encode(out).expect("it fits");
        };
        let packet = duel.peer.packet(PacketType::OneRtt, 1400, write);
        duel.deliver(packet);
        duel.seen.clear();
    }
    let more = duel.heap.held() - before;
    println!("{more} bytes for 1000 pieces of one byte");
    assert!(duel.is_established() && more < 256 << 10);
}

/// One byte at the end of a window costs one byte (quicly, CVE-2026-44433).
#[test]
fn row_11_a_byte_at_the_highest_offset_costs_no_window() {
    let mut duel = Duel::against_server(wide()).shaken();
    let last = Config::default().max_stream_window - 1;
    let stream = StreamId::new(Side::Client, Dir::Uni, 0);
    let (_, more) = crumbs(&mut duel, [(stream, last)].into_iter());
    assert!(duel.is_established() && more < 16 << 10);
    let (_, more) = crumbs(&mut duel, [(stream, (1 << 62) - 2)].into_iter());
    assert_eq!(duel.code(), Some(Code::FLOW_CONTROL_ERROR));
    assert!(more < 16 << 10);
}

/// The frames that name a stream, harmless in themselves.
fn about(stream_id: StreamId) -> [Frame<'static>; 5] {
    let application_error_code = 1;
    [
        Frame::Stream(Stream {
            stream_id,
            offset: 0,
            fin: false,
            data: &[],
        }),
        Frame::ResetStream(ResetStream {
            stream_id,
            application_error_code,
            final_size: 0,
        }),
        Frame::StreamDataBlocked(StreamDataBlocked {
            stream_id,
            maximum_stream_data: 0,
        }),
        Frame::StopSending(StopSending {
            stream_id,
            application_error_code,
        }),
        Frame::MaxStreamData(MaxStreamData {
            stream_id,
            maximum_stream_data: 1 << 40,
        }),
    ]
}

/// What each of the five leads to.
fn outcomes(side: Side, stream_id: StreamId) -> [Option<Code>; 5] {
    about(stream_id).map(|frame| {
        let mut duel = Duel::against(side, Setup::default()).shaken();
        let before = duel.heap.peak();
        duel.send_frames(PacketType::OneRtt, &[frame]);
        assert!(duel.heap.peak() - before < 16 << 10, "{frame}");
        duel.code()
    })
}

/// Every frame about every kind of stream (quinn, RUSTSEC-2026-0523: MAX_STREAM_DATA opened 2^40 streams).
#[test]
fn row_12_every_stream_frame_about_every_kind_of_stream() {
    let limit = Some(Code::STREAM_LIMIT_ERROR);
    let state = Some(Code::STREAM_STATE_ERROR);
    for side in [Side::Server, Side::Client] {
        let config = Config::default();
        let (peer, ours) = (side.peer(), side);
        for index in [0, 1 << 40, StreamId::MAX_COUNT - 1] {
            let bidi = StreamId::new(peer, Dir::Bi, config.max_bidi_streams.max(index));
            let uni = StreamId::new(peer, Dir::Uni, config.max_uni_streams.max(index));
            assert_eq!(outcomes(side, bidi), [limit; 5]);
            // Against its direction comes before beyond its limit.
            assert_eq!(outcomes(side, uni), [limit, limit, limit, state, state]);
        }
        let theirs = StreamId::new(peer, Dir::Uni, 0);
        assert_eq!(outcomes(side, theirs), [None, None, None, state, state]);
        for dir in [Dir::Bi, Dir::Uni] {
            assert_eq!(outcomes(side, StreamId::new(ours, dir, 0)), [state; 5]);
        }
        let last = StreamId::new(peer, Dir::Bi, config.max_bidi_streams - 1);
        assert_eq!(outcomes(side, last), [None; 5]);
    }
}

/// Frames about a stream that is over are ignored, and open nothing.
#[test]
fn row_12_frames_about_a_closed_stream_change_nothing() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default()).shaken();
        duel.reads = true;
        let id = StreamId::new(side.peer(), Dir::Uni, 0);
        let end = Frame::Stream(Stream {
            stream_id: id,
            offset: 0,
            fin: true,
            data: b"all",
        });
        duel.send_frames(PacketType::OneRtt, &[end]);
        let parts = |duel: &Duel| duel.connection().map(|it| it.streams().open_parts());
        assert_eq!(parts(&duel), Some(0));
        duel.send_frames(PacketType::OneRtt, &about(id)[..3]);
        assert_eq!((duel.code(), parts(&duel)), (None, Some(0)));
    }
}

/// The two frames about counts.
#[test]
fn row_12_a_count_of_streams_that_cannot_be_is_an_encoding_error() {
    let maximum_streams = StreamId::MAX_COUNT + 1;
    for dir in [Dir::Bi, Dir::Uni] {
        for frame in [
            Frame::MaxStreams(MaxStreams {
                dir,
                maximum_streams,
            }),
            Frame::StreamsBlocked(StreamsBlocked {
                dir,
                maximum_streams,
            }),
        ] {
            let mut duel = Duel::against_server(Setup::default()).shaken();
            duel.send_frames(PacketType::OneRtt, &[frame]);
            assert_eq!(duel.code(), Some(Code::FRAME_ENCODING_ERROR), "{frame}");
        }
    }
}

/// Final sizes count for the connection, whether their bytes came or not (OpenSSL, CVE-2026-75804).
#[test]
fn row_12_final_sizes_of_resets_count_for_the_connection() {
    let window = Config::default().initial_connection_window;
    let final_size = Config::default().initial_stream_window;
    let mut duel = Duel::against_server(Setup::default()).shaken();
    for index in 0..=window / final_size {
        assert_eq!(duel.code(), None);
        let stream_id = StreamId::new(Side::Client, Dir::Uni, index);
        let frame = Frame::Stream(Stream {
            stream_id,
            offset: final_size - 1,
            fin: false,
            data: b"x",
        });
        duel.send_frames(PacketType::OneRtt, &[frame]);
    }
    assert_eq!(duel.code(), Some(Code::FLOW_CONTROL_ERROR));
}

/// A stream that is opened and reset is forgotten (lsquic; OpenSSL, CVE-2026-124709).
#[test]
fn row_12_streams_that_are_opened_and_reset_for_ever_cost_nothing() {
    for side in [Side::Server, Side::Client] {
        let mut duel = Duel::against(side, Setup::default()).shaken();
        duel.reads = true;
        let (mut next, mut held) = (0, 0);
        while next < STREAMS {
            let frames: Vec<_> = (next..next + 100)
                .map(|index| {
                    Frame::ResetStream(ResetStream {
                        stream_id: StreamId::new(side.peer(), Dir::Uni, index),
                        application_error_code: 1,
                        final_size: 0,
                    })
                })
                .collect();
            duel.send_frames(PacketType::OneRtt, &frames);
            duel.seen.clear();
            next += 100;
            if next == STREAMS / 4 {
                held = duel.heap.held();
            }
        }
        let more = duel.heap.held() - held;
        println!("{side:?}: {more} bytes more after {STREAMS} streams");
        assert!(duel.is_established(), "{:?}", duel.error());
        assert!(more < 4 << 10);
    }
}

const STREAMS: u64 = 1_000_000;
