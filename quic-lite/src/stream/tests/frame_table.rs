//! Every frame that names a stream, about every kind of stream (RFC 9000 §3, §4.5, §4.6, §19).

use super::*;
use crate::wire::frame::{MaxStreamData, MaxStreams, StopSending, StreamDataBlocked};

/// The frames that name a stream, all harmless in themselves.
fn about(stream_id: StreamId) -> [Frame<'static>; 5] {
    [
        data(stream_id, 0, &[], false),
        reset(stream_id, 1, 0),
        Frame::StreamDataBlocked(StreamDataBlocked {
            stream_id,
            maximum_stream_data: 0,
        }),
        Frame::StopSending(StopSending {
            stream_id,
            application_error_code: 1,
        }),
        Frame::MaxStreamData(MaxStreamData {
            stream_id,
            maximum_stream_data: 1,
        }),
    ]
}

/// What each of [`about`]'s frames leads to on a fresh server.
fn outcomes(id: StreamId) -> [Option<TransportErrorCode>; 5] {
    about(id).map(|frame| {
        let mut server = streams(Side::Server, &small_config());
        let result = code(apply(&mut server, Time::ZERO, frame));
        assert_eq!(
            result.is_some(),
            server.open_parts() == 0,
            "a refused stream is kept, or: {frame}"
        );
        result
    })
}

#[test]
fn frames_over_the_stream_limit_are_refused() {
    let limit = Some(TransportErrorCode::STREAM_LIMIT_ERROR);
    for index in [8, 9, 1 << 40, StreamId::MAX_COUNT - 1] {
        assert_eq!(
            outcomes(StreamId::new(Side::Client, Dir::Bi, index)),
            [limit; 5]
        );
        assert_eq!(
            outcomes(StreamId::new(Side::Client, Dir::Uni, index))[..3],
            [limit; 3]
        );
    }
    assert_eq!(outcomes(StreamId::new(Side::Client, Dir::Bi, 7)), [None; 5]);
}

#[test]
fn frames_in_the_wrong_direction_are_refused() {
    let state = Some(TransportErrorCode::STREAM_STATE_ERROR);
    let theirs = StreamId::new(Side::Client, Dir::Uni, 0);
    assert_eq!(outcomes(theirs), [None, None, None, state, state]);
    let ours = StreamId::new(Side::Server, Dir::Uni, 0);
    assert_eq!(outcomes(ours), [state; 5]);
    for (at, frame) in about(ours).into_iter().enumerate() {
        let mut server = streams(Side::Server, &small_config());
        server.open(Dir::Uni).unwrap();
        let expected = if at < 3 { state } else { None };
        assert_eq!(
            code(apply(&mut server, Time::ZERO, frame)),
            expected,
            "{frame}"
        );
    }
}

#[test]
fn frames_for_a_stream_that_is_ours_to_open_are_refused() {
    let state = Some(TransportErrorCode::STREAM_STATE_ERROR);
    assert_eq!(
        outcomes(StreamId::new(Side::Server, Dir::Bi, 0)),
        [state; 5]
    );
    for frame in about(StreamId::new(Side::Server, Dir::Bi, 0)) {
        let mut server = streams(Side::Server, &small_config());
        server.open(Dir::Bi).unwrap();
        assert_eq!(apply(&mut server, Time::ZERO, frame), Ok(()), "{frame}");
    }
}

#[test]
fn frames_for_a_closed_stream_change_nothing() {
    for dir in [Dir::Bi, Dir::Uni] {
        let mut server = streams(Side::Server, &small_config());
        let id = StreamId::new(Side::Client, dir, 3);
        apply(&mut server, Time::ZERO, reset(id, 5, 100)).unwrap();
        assert_eq!(server.read_chunk(id), Ok(ReadChunk::Reset(5)));
        if dir == Dir::Bi {
            server.reset(id, 6).unwrap();
            drain(&mut server)
                .iter()
                .for_each(|frame| server.on_acked(frame));
        }
        assert_eq!(server.open_parts(), 0);
        events(&mut server);
        let used = server.local_max_data();
        for frame in about(id)
            .into_iter()
            .take(if dir == Dir::Bi { 5 } else { 3 })
        {
            assert_eq!(apply(&mut server, Time::ZERO, frame), Ok(()), "{frame}");
        }
        assert_eq!(
            apply(&mut server, Time::ZERO, data(id, 90, &[1; 50], true)),
            Ok(())
        );
        assert_eq!((server.open_parts(), events(&mut server).len()), (0, 0));
        assert_eq!(server.local_max_data(), used);
    }
}

#[test]
fn lower_streams_are_open_but_cost_nothing() {
    let mut server = streams(Side::Server, &small_config());
    let [low, high] = [2, 7].map(|index| StreamId::new(Side::Client, Dir::Uni, index));
    apply(&mut server, Time::ZERO, data(high, 0, &[1], false)).unwrap();
    assert_eq!(server.open_parts(), 1);
    apply(&mut server, Time::ZERO, data(low, 0, &[1], false)).unwrap();
    let opened = [StreamEvent::Opened(high), StreamEvent::Readable(high)];
    assert_eq!(events(&mut server)[..2], opened);
    assert_eq!(server.open_parts(), 2);
}

#[test]
fn the_final_size_never_changes_and_nothing_lies_beyond() {
    let id = StreamId::new(Side::Client, Dir::Uni, 0);
    let wrong = Some(TransportErrorCode::FINAL_SIZE_ERROR);
    let table: [(Frame<'_>, Frame<'_>, Option<TransportErrorCode>); 11] = [
        (
            data(id, 0, &[1; 10], true),
            data(id, 0, &[1; 10], true),
            None,
        ),
        (
            data(id, 0, &[1; 10], true),
            data(id, 10, &[1], false),
            wrong,
        ),
        (
            data(id, 0, &[1; 10], true),
            data(id, 0, &[1; 9], true),
            wrong,
        ),
        (data(id, 0, &[1; 10], true), data(id, 11, &[], true), wrong),
        (data(id, 0, &[1; 10], true), reset(id, 1, 10), None),
        (data(id, 0, &[1; 10], true), reset(id, 1, 9), wrong),
        (
            data(id, 5, &[1; 5], false),
            data(id, 0, &[1; 9], true),
            wrong,
        ),
        (data(id, 5, &[1; 5], false), reset(id, 1, 9), wrong),
        (reset(id, 1, 10), data(id, 5, &[1; 5], true), None),
        (reset(id, 1, 10), data(id, 5, &[1; 6], false), wrong),
        (reset(id, 1, 10), reset(id, 1, 11), wrong),
    ];
    for (first, second, expected) in table {
        let mut server = streams(Side::Server, &small_config());
        apply(&mut server, Time::ZERO, first).unwrap();
        assert_eq!(
            code(apply(&mut server, Time::ZERO, second)),
            expected,
            "{first}, then {second}"
        );
    }
}

#[test]
fn stream_counts_above_two_to_the_sixty_are_refused() {
    let mut client = streams(Side::Client, &small_config());
    let above = StreamId::MAX_COUNT + 1;
    let frame = Frame::MaxStreams(MaxStreams {
        dir: Dir::Uni,
        maximum_streams: above,
    });
    let error = apply(&mut client, Time::ZERO, frame).unwrap_err();
    assert_eq!(
        (error.code, error.frame_type),
        (TransportErrorCode::FRAME_ENCODING_ERROR, 0x13)
    );
}
