//! Two sessions over two [`Streams`], every frame delivered at once and in order.

mod limits;

use super::*;
use crate::moqt::message::{
    NamespaceRequest, Publish, PublishDone, RequestOk, Subscribe, SubscribeOk,
};
use crate::moqt::{
    CloseCode, DoneCode, FullTrackName, Namespace, Parameters, Properties, RequestErrorCode,
    ResetCode, SubgroupId, Token,
};
use pipe::transfer;
use quic_lite::stream::StreamConfig;
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::writer::Writer;

pub(crate) struct End {
    pub streams: Streams,
    pub session: Session,
    pub error: Option<MoqtError>,
}

impl End {
    fn new(role: Side, config: SessionConfig) -> Self {
        let mut streams = Streams::new(role, &StreamConfig::default());
        streams.set_peer_parameters(&TransportParameters {
            initial_max_data: 1 << 20,
            initial_max_stream_data_bidi_local: 1 << 18,
            initial_max_stream_data_bidi_remote: 1 << 18,
            initial_max_stream_data_uni: 1 << 18,
            initial_max_streams_bidi: 100,
            initial_max_streams_uni: 100,
            ..TransportParameters::default()
        });
        Self {
            streams,
            session: Session::new(role, Setup::default(), config),
            error: None,
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.streams.poll_event() {
            if let Err(error) = self
                .session
                .on_stream_event(Time::ZERO, &mut self.streams, event)
            {
                self.error.get_or_insert(error);
            }
        }
    }

    fn next(&mut self) -> SessionEvent {
        self.session.poll_event().expect("an event")
    }
}

/// Moves frames both ways until nothing is left to say.
fn settle(a: &mut End, b: &mut End) {
    for _ in 0..20 {
        let moved =
            transfer(&mut a.streams, &mut b.streams) | transfer(&mut b.streams, &mut a.streams);
        a.events();
        b.events();
        if !moved {
            return;
        }
    }
    panic!("the two never stop talking");
}

fn unready() -> (End, End) {
    let config = SessionConfig {
        max_held: 4,
        ..SessionConfig::default()
    };
    (
        End::new(Side::Client, config.clone()),
        End::new(Side::Server, config),
    )
}

fn pair() -> (End, End) {
    let (mut client, mut server) = unready();
    client.session.start(&mut client.streams).expect("credit");
    server.session.start(&mut server.streams).expect("credit");
    settle(&mut client, &mut server);
    assert_eq!(client.next(), SessionEvent::Ready(Setup::default()));
    assert_eq!(server.next(), SessionEvent::Ready(Setup::default()));
    (client, server)
}

fn track() -> FullTrackName {
    FullTrackName::new(Namespace::from_path("live/a").expect("valid"), b"video").expect("short")
}

fn subscribe() -> Message {
    Message::Subscribe(Subscribe {
        request_id: 0,
        track: track(),
        parameters: Parameters::default(),
    })
}

fn subscribe_ok(track_alias: u64) -> Message {
    Message::SubscribeOk(SubscribeOk {
        track_alias,
        ..SubscribeOk::default()
    })
}

fn publish(track_alias: u64) -> Message {
    Message::Publish(Publish {
        request_id: 0,
        track: track(),
        track_alias,
        parameters: Parameters::default(),
        properties: Properties::default(),
    })
}

fn header(track_alias: u64) -> SubgroupHeader {
    SubgroupHeader {
        track_alias,
        group_id: 1,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: None,
        properties: false,
        end_of_group: false,
        first_object: true,
    }
}

fn send_subgroup(end: &mut End, alias: u64) -> (StreamId, Vec<u8>) {
    let mut bytes = Vec::new();
    header(alias).encode(&mut bytes);
    bytes.extend([0, 2, b'h', b'i']);
    let stream = end.streams.open(Dir::Uni).expect("credit");
    end.streams
        .write_chunk(stream, bytes.clone().into())
        .expect("open");
    end.streams.finish(stream).expect("open");
    (stream, bytes)
}

#[test]
fn setup_goes_first_on_the_first_stream_of_each_side() {
    let (_, mut server) = unready();
    server.session.start(&mut server.streams).expect("credit");
    let mut buffer = [0; 100];
    let mut writer = Writer::new(&mut buffer);
    server.streams.write_frames(&mut writer, &mut Vec::new());
    let len = writer.written().len();
    let first = frames(&buffer[..len])
        .next()
        .expect("a frame")
        .expect("valid");
    let Frame::Stream(frame) = first else {
        panic!("{first}");
    };
    assert_eq!(frame.stream_id, StreamId::new(Side::Server, Dir::Uni, 0));
    assert_eq!(frame.data, [0xaf, 0, 0, 0]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_subscription_from_request_to_end() {
    let (mut client, mut server) = pair();
    let asked = client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    let SessionEvent::Request {
        id,
        message: Message::Subscribe(message),
    } = server.next()
    else {
        panic!("no request");
    };
    assert_eq!((id, message.track), (RequestId(0), track()));
    server
        .session
        .send(&mut server.streams, id, &subscribe_ok(7))
        .expect("answered");
    let (stream, bytes) = send_subgroup(&mut server, 7);
    settle(&mut client, &mut server);
    assert!(matches!(client.next(), SessionEvent::Message { id, .. } if id == asked));
    assert_eq!(
        client.next(),
        SessionEvent::Subgroup {
            stream,
            request: asked,
            header: header(7),
            header_len: 3
        }
    );
    let Data::Chunk { offset: 0, chunk } = client.session.read(&mut client.streams, stream) else {
        panic!("no bytes");
    };
    assert_eq!(&*chunk, bytes);
    assert_eq!(
        client.session.read(&mut client.streams, stream),
        Data::Finished
    );

    let done = PublishDone {
        status: DoneCode::TRACK_ENDED,
        stream_count: 1,
        reason: String::new(),
    };
    server
        .session
        .send(&mut server.streams, id, &Message::PublishDone(done))
        .expect("sent");
    server.session.finish(&mut server.streams, id);
    settle(&mut client, &mut server);
    assert!(matches!(
        client.next(),
        SessionEvent::Message {
            message: Message::PublishDone(_),
            ..
        }
    ));
    assert_eq!(
        client.next(),
        SessionEvent::Ended {
            id: asked,
            how: Ended::Finished
        }
    );
    client.session.finish(&mut client.streams, asked);
    settle(&mut client, &mut server);
    assert!(!client.session.has_request(asked));
    assert!(!server.session.has_request(id));
}

#[test]
fn request_ids_have_the_parity_of_their_side() {
    let (mut client, mut server) = pair();
    for expected in [0, 2, 4] {
        assert_eq!(
            client.session.request(&mut client.streams, subscribe()),
            Ok(RequestId(expected))
        );
    }
    assert_eq!(
        server.session.request(&mut server.streams, subscribe()),
        Ok(RequestId(1))
    );
}

#[test]
fn a_request_that_overtakes_setup_waits_for_it() {
    let (mut client, mut server) = unready();
    server.session.start(&mut server.streams).expect("credit");
    client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    assert_eq!(server.session.poll_event(), None);
    client.session.start(&mut client.streams).expect("credit");
    settle(&mut client, &mut server);
    assert!(matches!(server.next(), SessionEvent::Ready(_)));
    assert!(matches!(server.next(), SessionEvent::Request { .. }));
}

#[test]
fn data_that_overtakes_its_alias_waits_and_comes_after_the_answer() {
    let (mut client, mut server) = pair();
    let asked = client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    server.next();
    let (stream, bytes) = send_subgroup(&mut server, 9);
    settle(&mut client, &mut server);
    assert_eq!(client.session.poll_event(), None);
    assert!(client.session.next_timeout().is_some());
    server
        .session
        .send(&mut server.streams, RequestId(0), &subscribe_ok(9))
        .expect("answered");
    settle(&mut client, &mut server);
    assert!(matches!(client.next(), SessionEvent::Message { .. }));
    assert_eq!(
        client.next(),
        SessionEvent::Subgroup {
            stream,
            request: asked,
            header: header(9),
            header_len: 3
        }
    );
    let read = client.session.read(&mut client.streams, stream);
    assert_eq!(
        read,
        Data::Chunk {
            offset: 0,
            chunk: bytes.into()
        }
    );
}

#[test]
fn an_alias_is_free_again_after_publish_done() {
    let (mut client, mut server) = pair();
    let first = client
        .session
        .request(&mut client.streams, publish(3))
        .expect("asked");
    let done = PublishDone {
        status: DoneCode::TRACK_ENDED,
        stream_count: 0,
        reason: String::new(),
    };
    client
        .session
        .send(&mut client.streams, first, &Message::PublishDone(done))
        .expect("sent");
    settle(&mut client, &mut server);
    client
        .session
        .request(&mut client.streams, publish(3))
        .expect("asked");
    settle(&mut client, &mut server);
    assert_eq!(server.error, None);
}

#[test]
fn cancelling_ends_the_request_on_both_sides() {
    let (mut client, mut server) = pair();
    let asked = client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    server.next();
    client
        .session
        .cancel(&mut client.streams, asked, ResetCode::CANCELLED);
    settle(&mut client, &mut server);
    assert_eq!(
        server.next(),
        SessionEvent::Ended {
            id: asked,
            how: Ended::Cancelled(1)
        }
    );
    assert!(!server.session.has_request(asked));
    assert!(server.session.streams.is_empty() && client.session.streams.is_empty());
}

#[test]
fn a_refusal_is_an_error_and_the_end() {
    let (mut client, mut server) = pair();
    let asked = client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    server.session.refuse(
        &mut server.streams,
        asked,
        RequestErrorCode::DOES_NOT_EXIST,
        "no such track",
    );
    settle(&mut client, &mut server);
    assert!(matches!(
        client.next(),
        SessionEvent::Message {
            message: Message::RequestError(_),
            ..
        }
    ));
    assert_eq!(
        client.next(),
        SessionEvent::Ended {
            id: asked,
            how: Ended::Finished
        }
    );
}

#[test]
fn padding_is_thrown_away() {
    let (mut client, mut server) = pair();
    let stream = client.streams.open(Dir::Uni).expect("credit");
    let mut bytes = Vec::new();
    crate::moqt::varint::put(&mut bytes, 0x132b_3e28);
    bytes.resize(5000, 0);
    client.streams.write(stream, &bytes).expect("open");
    client.streams.finish(stream).expect("open");
    settle(&mut client, &mut server);
    assert_eq!((server.session.poll_event(), server.error), (None, None));
    assert!(!server.session.incoming.contains_key(&stream));
}

#[test]
fn going_away_refuses_what_comes_after() {
    let (mut client, mut server) = pair();
    client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    server.next();
    server
        .session
        .go_away(&mut server.streams, b"moqt://other/", 500)
        .expect("sent");
    client
        .session
        .request(&mut client.streams, subscribe())
        .expect("asked");
    settle(&mut client, &mut server);
    let SessionEvent::GoAway(message) = client.next() else {
        panic!("no GOAWAY");
    };
    assert_eq!((message.timeout, message.request_id), (500, Some(2)));
    let SessionEvent::Message {
        id: RequestId(2),
        message: Message::RequestError(error),
    } = client.next()
    else {
        panic!("not refused");
    };
    assert_eq!(error.code, RequestErrorCode::GOING_AWAY);
    assert_eq!(
        client.session.request(&mut client.streams, subscribe()),
        Err(SessionError::Closed)
    );
}

#[test]
fn a_publisher_that_stops_reading_is_heard_to_the_end() {
    let (mut client, mut server) = pair();
    let id = client
        .session
        .request(&mut client.streams, publish(3))
        .expect("asked");
    settle(&mut client, &mut server);
    server.next();
    let stream = StreamId::new(Side::Client, Dir::Bi, 0);
    let done = PublishDone {
        status: DoneCode::TRACK_ENDED,
        stream_count: 0,
        reason: String::new(),
    };
    client
        .session
        .send(&mut client.streams, id, &Message::PublishDone(done))
        .expect("sent");
    client.session.finish(&mut client.streams, id);
    client.streams.stop_sending(stream, 0).expect("open");
    settle(&mut client, &mut server);
    assert!(matches!(
        server.next(),
        SessionEvent::Message {
            message: Message::PublishDone(_),
            ..
        }
    ));
    assert_eq!(
        server.next(),
        SessionEvent::Ended {
            id,
            how: Ended::Finished
        }
    );
    assert!(
        server.session.has_request(id),
        "late data still has its alias"
    );
    server.session.finish(&mut server.streams, id);
    assert!(!server.session.has_request(id));
}
