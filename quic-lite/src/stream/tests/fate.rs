//! Frames that arrive or are lost (RFC 9000 §13.3), resets and stops (§3.5).

use super::*;
use crate::wire::frame::StopSending;

fn pair() -> (Streams, Streams) {
    (
        streams(Side::Client, &small_config()),
        streams(Side::Server, &small_config()),
    )
}

#[test]
fn only_what_is_not_acknowledged_is_sent_again() {
    let (mut client, _) = pair();
    let [id] = open(&mut client, Dir::Uni);
    client.write_chunk(id, Chunk::from(vec![1; 300])).unwrap();
    client.finish(id).unwrap();
    let sent: Vec<_> = (0..3).map(|_| packet(&mut client, 110).1[0]).collect();
    client.on_lost(&sent[0]);
    client.on_lost(&sent[2]);
    assert_eq!(drain(&mut client), [sent[0], sent[2]]);
    client.on_lost(&sent[0]);
    client.on_acked(&sent[0]);
    assert!(
        !client.has_pending(),
        "a late acknowledgement stops the repetition"
    );
    client.on_acked(&sent[1]);
    client.on_acked(&sent[2]);
    assert_eq!(events(&mut client), [StreamEvent::Finished(id)]);
    assert_eq!((client.open_parts(), client.send_state(id)), (0, None));
    client.on_lost(&sent[1]);
    assert!(!client.has_pending());
}

#[test]
fn a_lost_fin_is_sent_again_alone_when_its_data_arrived() {
    let (mut client, _) = pair();
    let [id] = open(&mut client, Dir::Uni);
    client.write(id, &[1; 10]).unwrap();
    let first = drain(&mut client);
    client.finish(id).unwrap();
    let fin = drain(&mut client);
    assert_eq!(
        fin,
        [SentFrame::Stream {
            id,
            offset: 10,
            len: 0,
            fin: true
        }]
    );
    client.on_acked(&first[0]);
    client.on_lost(&fin[0]);
    assert_eq!(drain(&mut client), fin);
    assert_eq!(client.send_state(id), Some(SendState::DataSent));
    client.on_acked(&fin[0]);
    assert_eq!(client.send_state(id), None);
}

#[test]
fn a_reset_ends_repetition_and_is_repeated_itself() {
    let (mut client, mut server) = pair();
    let [id] = open(&mut client, Dir::Uni);
    client.write(id, &[1; 10]).unwrap();
    let sent = drain(&mut client);
    client.write(id, &[1; 10]).unwrap();
    client.reset(id, 7).unwrap();
    client.on_lost(&sent[0]);
    assert_eq!(client.unacked_bytes(id), 0);
    let resets = drain(&mut client);
    assert_eq!(resets, [SentFrame::ResetStream(id)]);
    client.on_lost(&resets[0]);
    let (payload, _) = packet(&mut client, 100);
    deliver(&mut server, Time::ZERO, &payload).unwrap();
    assert_eq!(
        server.final_size(id),
        Some(10),
        "unsent bytes are not part of the final size"
    );
    assert_eq!(server.is_reset(id), Some(7));
    assert_eq!(server.read(id, &mut [0; 9]), Ok(Read::Reset(7)));
    client.on_acked(&resets[0]);
    assert_eq!((client.open_parts(), server.open_parts()), (0, 0));
}

#[test]
fn stop_sending_is_answered_by_a_reset_with_its_code() {
    let (mut client, mut server) = pair();
    let [id] = open(&mut client, Dir::Uni);
    client.write(id, &[1; 10]).unwrap();
    assert!(transfer(&mut client, &mut server));
    server.stop_sending(id, 42).unwrap();
    assert_eq!(server.stop_sending(id, 42), Err(StreamError::Finished));
    let (_, stop) = packet(&mut server, 100);
    assert_eq!(stop, [SentFrame::StopSending(id)]);
    server.on_lost(&stop[0]);
    assert!(transfer(&mut server, &mut client));
    assert_eq!(events(&mut client), [StreamEvent::Stopped { id, code: 42 }]);
    assert_eq!(client.write(id, b"x"), Err(StreamError::Stopped(42)));
    events(&mut server);
    assert!(transfer(&mut client, &mut server));
    assert_eq!((client.open_parts(), server.open_parts()), (0, 0));
    assert_eq!(
        events(&mut server),
        [],
        "who stopped a stream does not care for its reset"
    );
    server.on_lost(&stop[0]);
    assert!(!server.has_pending());
}

#[test]
fn stopping_twice_is_one_event() {
    let (mut client, _) = pair();
    let [id] = open(&mut client, Dir::Bi);
    for code in [1, 2] {
        client
            .on_stop_sending(&StopSending {
                stream_id: id,
                application_error_code: code,
            })
            .unwrap();
    }
    assert_eq!(events(&mut client), [StreamEvent::Stopped { id, code: 1 }]);
    assert_eq!(drain(&mut client), [SentFrame::ResetStream(id)]);
}

#[test]
fn a_reset_after_all_data_is_suppressed() {
    let (_, mut server) = pair();
    let id = StreamId::new(Side::Client, Dir::Uni, 0);
    apply(&mut server, Time::ZERO, data(id, 0, &[1; 10], true)).unwrap();
    apply(&mut server, Time::ZERO, reset(id, 7, 10)).unwrap();
    assert_eq!(server.recv_state(id), Some(RecvState::DataRecvd));
    assert_eq!(server.read(id, &mut [0; 20]), Ok(Read::Bytes(10)));
    assert_eq!(server.read(id, &mut [0; 20]), Ok(Read::Finished));
}

#[test]
fn a_reset_before_all_data_drops_what_is_there() {
    let (_, mut server) = pair();
    let id = StreamId::new(Side::Client, Dir::Uni, 0);
    apply(&mut server, Time::ZERO, data(id, 0, &[1; 10], false)).unwrap();
    apply(&mut server, Time::ZERO, reset(id, 7, 20)).unwrap();
    apply(&mut server, Time::ZERO, data(id, 0, &[1; 20], true)).unwrap();
    assert_eq!(server.read_unordered(id), Ok(ReadChunk::Reset(7)));
    assert_eq!(server.open_parts(), 0);
}

#[test]
fn a_lost_limit_is_repeated_with_todays_value() {
    let (mut client, mut server) = pair();
    let [id] = open(&mut client, Dir::Uni);
    client.write_chunk(id, Chunk::from(vec![1; 900])).unwrap();
    assert!(transfer(&mut client, &mut server));
    let mut buffer = [0; 250];
    server.read(id, &mut buffer).unwrap();
    let (_, lost) = packet(&mut server, 100);
    assert_eq!(lost, [SentFrame::MaxStreamData(id)]);
    server.on_lost(&lost[0]);
    server.read(id, &mut buffer[..150]).unwrap();
    assert!(transfer(&mut server, &mut client));
    assert_eq!(
        client.max_stream_data(id),
        Some(650),
        "one update covers both, later halves follow"
    );
}

#[test]
fn limits_that_serve_nobody_are_not_repeated() {
    let (_, mut server) = pair();
    let id = StreamId::new(Side::Client, Dir::Uni, 0);
    apply(&mut server, Time::ZERO, data(id, 0, &[1; 400], false)).unwrap();
    server.read(id, &mut [0; 300]).unwrap();
    let sent = drain(&mut server);
    apply(&mut server, Time::ZERO, data(id, 400, &[], true)).unwrap();
    server.on_lost(&sent[0]);
    assert!(!server.has_pending());
}
