//! What a peer can make us keep (RFC 9000 §21.7, §21.8).

use super::*;

#[test]
fn open_and_reset_without_end_keeps_nothing() {
    let rounds = if cfg!(debug_assertions) {
        50_000
    } else {
        1_000_000
    };
    let config = small_config();
    let (mut client, mut server) = (
        streams(Side::Client, &config),
        streams(Side::Server, &config),
    );
    let mut closed = 0;
    while closed < rounds {
        while let Some(id) = client.open(Dir::Bi) {
            client.write(id, &[1; 5]).unwrap();
            client.reset(id, 1).unwrap();
        }
        transfer(&mut client, &mut server);
        for event in events(&mut server) {
            if let StreamEvent::Opened(id) = event {
                server.reset(id, 2).unwrap();
                server.stop_sending(id, 2).unwrap();
            }
        }
        transfer(&mut server, &mut client);
        for event in events(&mut client) {
            if let StreamEvent::Readable(id) = event {
                assert_eq!(client.read_chunk(id), Ok(ReadChunk::Reset(2)));
                closed += 1;
            }
        }
        for side in [&client, &server] {
            assert!(side.open_parts() <= 32 && side.control.len() <= 40 && side.events.len() <= 40);
            assert!(side.gaps == 0 && !side.queue.has_any(u64::MAX));
        }
    }
}

#[test]
fn one_byte_gaps_are_bounded_and_then_end_the_connection() {
    let config = StreamConfig {
        stream_window: 1 << 20,
        connection_window: 1 << 20,
        ..StreamConfig::default()
    };
    for reverse in [false, true] {
        let mut server = streams(Side::Server, &config);
        let id = StreamId::new(Side::Client, Dir::Uni, 0);
        let mut offsets: Vec<u64> = (0..1 << 19).map(|at| at * 2).collect();
        if reverse {
            offsets.reverse();
        }
        let refused = offsets.iter().position(|at| {
            let result = code(apply(&mut server, Time::ZERO, data(id, *at, &[1], false)));
            assert!(matches!(
                result,
                None | Some(TransportErrorCode::INTERNAL_ERROR)
            ));
            result.is_some()
        });
        assert_eq!(refused, Some(256 + (16 << 20) / 2048 + 1));
    }
}

#[test]
fn gaps_are_bounded_over_all_streams_and_given_back() {
    let mut server = streams(Side::Server, &StreamConfig::default());
    for round in 0..30 {
        for index in 0..10 {
            let id = StreamId::new(Side::Client, Dir::Uni, round * 10 + index);
            for at in 0..200 {
                apply(&mut server, Time::ZERO, data(id, at * 2, &[1], false)).unwrap();
            }
            apply(&mut server, Time::ZERO, reset(id, 1, 400)).unwrap();
        }
        let open: Vec<_> = server.recv.keys().copied().collect();
        for id in open {
            assert_eq!(server.read_chunk(id), Ok(ReadChunk::Reset(1)));
        }
        assert_eq!(server.gaps, 0);
    }
}

#[test]
fn thousands_of_streams_are_sent_without_looking_at_all() {
    let config = StreamConfig {
        max_streams_uni: 20_000,
        connection_window: 64 << 20,
        ..StreamConfig::default()
    };
    let (mut client, mut server) = (
        streams(Side::Client, &config),
        streams(Side::Server, &config),
    );
    let shared = Chunk::from(vec![7; 3000]);
    while let Some(id) = client.open(Dir::Uni) {
        client.write_chunk(id, shared.clone()).unwrap();
        client.finish(id).unwrap();
    }
    let mut finished = 0;
    while transfer(&mut client, &mut server) {
        for event in events(&mut server) {
            let Some(id) = event.stream_id() else {
                continue;
            };
            while matches!(server.read_unordered(id), Ok(ReadChunk::Chunk { .. })) {}
        }
        finished += events(&mut client).len();
        transfer(&mut server, &mut client);
    }
    assert_eq!(finished, 20_001, "20000 times Finished, once Available");
    assert_eq!((client.open_parts(), server.open_parts()), (0, 0));
}
