//! Flow control on both levels, both ways (RFC 9000 §4.1, §4.2, §4.6).

use super::*;
use crate::wire::frame::{MaxData, MaxStreamData};

const FLOW: Option<TransportErrorCode> = Some(TransportErrorCode::FLOW_CONTROL_ERROR);

fn theirs(index: u64) -> StreamId {
    StreamId::new(Side::Client, Dir::Uni, index)
}

#[test]
fn the_first_byte_beyond_a_streams_limit_is_an_error() {
    for (frame, expected) in [
        (data(theirs(0), 399, &[1], false), None),
        (data(theirs(0), 400, &[], true), None),
        (data(theirs(0), 400, &[1], false), FLOW),
        (data(theirs(0), 401, &[], true), FLOW),
        (reset(theirs(0), 1, 400), None),
        (reset(theirs(0), 1, 401), FLOW),
        (reset(theirs(0), 1, (1 << 62) - 1), FLOW),
    ] {
        let mut server = streams(Side::Server, &small_config());
        assert_eq!(
            code(apply(&mut server, Time::ZERO, frame)),
            expected,
            "{frame}"
        );
    }
}

#[test]
fn the_connections_limit_counts_highest_offsets_and_final_sizes() {
    let mut server = streams(Side::Server, &small_config());
    apply(&mut server, Time::ZERO, data(theirs(0), 399, &[1], false)).unwrap();
    apply(
        &mut server,
        Time::ZERO,
        data(theirs(0), 0, &[1; 399], false),
    )
    .unwrap();
    apply(&mut server, Time::ZERO, reset(theirs(1), 1, 400)).unwrap();
    assert_eq!(server.local_max_data(), (1000, 800));
    apply(
        &mut server,
        Time::ZERO,
        data(theirs(2), 0, &[1; 200], false),
    )
    .unwrap();
    assert_eq!(
        code(apply(&mut server, Time::ZERO, reset(theirs(3), 1, 1))),
        FLOW
    );
}

#[test]
fn a_reset_or_stopped_stream_gives_its_credit_back() {
    for stop_first in [true, false] {
        let mut server = streams(Side::Server, &small_config());
        for index in 0..8 {
            apply(
                &mut server,
                Time::ZERO,
                data(theirs(index), 99, &[1], false),
            )
            .unwrap();
            if stop_first {
                server.stop_sending(theirs(index), 9).unwrap();
            }
            apply(&mut server, Time::ZERO, reset(theirs(index), 1, 150)).unwrap();
            drain(&mut server);
        }
        assert_eq!(server.local_max_data().1, 1200);
        assert!(server.local_max_data().0 >= 1500);
        assert_eq!(server.open_parts(), if stop_first { 0 } else { 8 });
    }
}

#[test]
fn reading_gives_credit_in_halves_of_a_window() {
    let mut server = streams(Side::Server, &small_config());
    apply(
        &mut server,
        Time::ZERO,
        data(theirs(0), 0, &[1; 400], false),
    )
    .unwrap();
    assert!(!server.has_pending());
    let mut buffer = [0; 199];
    server.read(theirs(0), &mut buffer).unwrap();
    assert!(!server.has_pending());
    server.read(theirs(0), &mut buffer[..1]).unwrap();
    assert_eq!(drain(&mut server), [SentFrame::MaxStreamData(theirs(0))]);
    apply(&mut server, Time::ZERO, data(theirs(0), 599, &[1], false)).unwrap();
    assert_eq!(
        code(apply(
            &mut server,
            Time::ZERO,
            data(theirs(0), 600, &[1], false)
        )),
        FLOW
    );
}

#[test]
fn unordered_reading_gives_credit_for_what_was_read_only() {
    let mut server = streams(Side::Server, &small_config());
    apply(
        &mut server,
        Time::ZERO,
        data(theirs(0), 200, &[7; 200], false),
    )
    .unwrap();
    let chunk = Chunk::from(vec![7; 200]);
    assert_eq!(
        server.read_unordered(theirs(0)),
        Ok(ReadChunk::Chunk { offset: 200, chunk })
    );
    assert_eq!(server.read_unordered(theirs(0)), Ok(ReadChunk::Blocked));
    assert_eq!(drain(&mut server), [SentFrame::MaxStreamData(theirs(0))]);
    apply(
        &mut server,
        Time::ZERO,
        data(theirs(0), 100, &[8; 500], true),
    )
    .unwrap();
    assert_eq!(server.final_size(theirs(0)), Some(600));
    let chunk = Chunk::from(vec![8; 100]);
    assert_eq!(
        server.read_unordered(theirs(0)),
        Ok(ReadChunk::Chunk { offset: 100, chunk })
    );
}

#[test]
fn a_sender_keeps_to_both_limits_and_says_that_it_is_blocked() {
    let mut client = streams(Side::Client, &small_config());
    let ids: [_; 3] = open(&mut client, Dir::Uni);
    for id in ids {
        client.write_chunk(id, Chunk::from(vec![1; 500])).unwrap();
    }
    let sent = drain(&mut client);
    let bytes = |id: StreamId| -> u64 {
        let lens = sent.iter().map(|frame| match frame {
            SentFrame::Stream { id: of, len, .. } if *of == id => *len,
            _ => 0,
        });
        lens.sum()
    };
    assert_eq!(ids.map(bytes), [400, 400, 200]);
    assert!(sent.contains(&SentFrame::StreamDataBlocked(ids[0])));
    assert!(!sent.contains(&SentFrame::StreamDataBlocked(ids[2])));
    assert_eq!(
        sent.iter()
            .filter(|frame| **frame == SentFrame::DataBlocked)
            .count(),
        1
    );
    client.on_max_data(&MaxData { maximum_data: 999 }).unwrap();
    assert!(!client.has_pending(), "a lower limit is ignored");
    client.on_max_data(&MaxData { maximum_data: 1100 }).unwrap();
    client
        .on_max_stream_data(&MaxStreamData {
            stream_id: ids[0],
            maximum_stream_data: 450,
        })
        .unwrap();
    let again = drain(&mut client);
    assert!(again.contains(&SentFrame::Stream {
        id: ids[0],
        offset: 400,
        len: 50,
        fin: false
    }));
    assert!(again.contains(&SentFrame::Stream {
        id: ids[2],
        offset: 200,
        len: 50,
        fin: false
    }));
    assert_eq!(client.max_data(), (1100, 1100));
}

#[test]
fn lost_data_is_repeated_without_credit() {
    let mut client = streams(Side::Client, &small_config());
    let ids: [_; 3] = open(&mut client, Dir::Uni);
    for id in ids {
        client.write_chunk(id, Chunk::from(vec![1; 400])).unwrap();
    }
    let sent = drain(&mut client);
    assert_eq!(client.max_data(), (1000, 1000));
    client.on_lost(&sent[0]);
    assert_eq!(drain(&mut client)[0], sent[0]);
}

#[test]
fn a_hole_that_the_connection_has_no_credit_for_holds_nobody_back() {
    let config = StreamConfig {
        stream_window: 1 << 20,
        ..small_config()
    };
    let mut client = streams(Side::Client, &config);
    let [holed, plain] = open(&mut client, Dir::Uni);
    client.set_priority(holed, 5).unwrap();
    client
        .write_at(holed, 5000, Chunk::from(vec![1; 10]))
        .unwrap();
    client.finish_at(holed, 5010).unwrap();
    client.write_chunk(plain, Chunk::from(vec![1; 10])).unwrap();
    let sent = drain(&mut client);
    assert_eq!(
        sent,
        [
            SentFrame::Stream {
                id: plain,
                offset: 0,
                len: 10,
                fin: false
            },
            SentFrame::DataBlocked
        ]
    );
    client.on_max_data(&MaxData { maximum_data: 5010 }).unwrap();
    assert!(!client.has_pending() || drain(&mut client).is_empty());
    client.on_max_data(&MaxData { maximum_data: 5020 }).unwrap();
    let end = SentFrame::Stream {
        id: holed,
        offset: 5000,
        len: 10,
        fin: true,
    };
    assert_eq!(drain(&mut client), [end]);
    client.write_at(holed, 0, Chunk::from(vec![1; 20])).unwrap();
    let late = SentFrame::Stream {
        id: holed,
        offset: 0,
        len: 20,
        fin: false,
    };
    assert_eq!(
        drain(&mut client),
        [late],
        "what is below the highest offset needs no credit"
    );
}

#[test]
fn a_refused_open_is_said_to_the_peer_and_told_when_it_works() {
    let mut client = streams(Side::Client, &small_config());
    let _: [_; 8] = open(&mut client, Dir::Uni);
    assert_eq!((client.open(Dir::Uni), client.open(Dir::Uni)), (None, None));
    assert_eq!(drain(&mut client), [SentFrame::StreamsBlocked(Dir::Uni)]);
    let raise = crate::wire::frame::MaxStreams {
        dir: Dir::Uni,
        maximum_streams: 9,
    };
    client.on_max_streams(&raise).unwrap();
    client.on_max_streams(&raise).unwrap();
    assert_eq!(events(&mut client), [StreamEvent::Available(Dir::Uni)]);
    assert!(client.open(Dir::Uni).is_some() && client.openable(Dir::Uni) == 0);
}

#[test]
fn a_short_write_is_followed_by_writable_when_half_is_acknowledged() {
    let mut client = streams(Side::Client, &small_config());
    let [id] = open(&mut client, Dir::Uni);
    assert_eq!(client.write(id, &[1; 500]), Ok(300));
    assert_eq!(client.write(id, &[1; 200]), Ok(0));
    let sent = [packet(&mut client, 200).1, packet(&mut client, 200).1];
    client.on_acked(&sent[0][0]);
    assert_eq!(events(&mut client), [StreamEvent::Writable(id)]);
    assert!(client.write(id, &[1; 200]).unwrap() > 100);
    assert_eq!(client.unacked_bytes(id), 300);
}

#[test]
fn data_written_when_the_connections_credit_is_gone_is_said_to_be_blocked() {
    let mut client = streams(Side::Client, &small_config());
    let ids: [_; 3] = open(&mut client, Dir::Uni);
    for (id, len) in ids.into_iter().zip([400, 400, 200]) {
        client.write_chunk(id, Chunk::from(vec![1; len])).unwrap();
    }
    drain(&mut client);
    assert_eq!(client.max_data(), (1000, 1000));
    client.write_chunk(ids[2], Chunk::from(vec![1])).unwrap();
    assert_eq!(drain(&mut client), [SentFrame::DataBlocked]);
    client.on_lost(&SentFrame::DataBlocked);
    assert_eq!(drain(&mut client), [SentFrame::DataBlocked]);
    client.write_chunk(ids[2], Chunk::from(vec![1])).unwrap();
    assert!(!client.has_pending(), "once per limit");
}

#[test]
fn a_peer_with_no_stream_left_may_replace_each_that_closes() {
    let config = small_config();
    let (mut client, mut server) = (
        streams(Side::Client, &config),
        streams(Side::Server, &config),
    );
    let long_lived: [_; 7] = open(&mut client, Dir::Uni);
    for id in long_lived {
        client.write(id, b"x").unwrap();
    }
    for round in 0..100 {
        let id = client.open(Dir::Uni);
        let id = id.unwrap_or_else(|| panic!("no stream in round {round}"));
        client.finish(id).unwrap();
        while transfer(&mut client, &mut server) {}
        assert_eq!(server.read_chunk(id), Ok(ReadChunk::Finished));
        while transfer(&mut server, &mut client) {}
    }
}
