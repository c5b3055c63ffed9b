//! MOQT control messages, and a session that is fed streams in pieces (draft-ietf-moq-transport-18 §3, §10).

use quic_lite::stream::{StreamConfig, Streams};
use quic_lite::wire::frame::Stream;
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::{Dir, Side, StreamId, Time};
use quic_relay::moqt::message::{Message, RequestError, Subscribe, SubscribeOk};
use quic_relay::moqt::{FullTrackName, MoqtError, Namespace, Parameters, Properties, Setup};
use quic_relay::session::{Data, Session, SessionConfig, SessionEvent};

use crate::bytes::Script;

/// One message after the other: each takes bytes, is nothing while one of them is missing, and is the same after
/// it was written once more.
pub fn moqt_control(data: &[u8]) {
    let mut rest = data;
    loop {
        match Message::decode(rest) {
            Ok(Some((message, len))) => {
                let (whole, after) = rest.split_at(len);
                let cut = (len > 0)
                    .then(|| &whole[..len - 1])
                    .expect("a message takes bytes");
                assert_eq!(Message::decode(cut), Ok(None));
                round_trip(&message);
                rest = after;
            }
            Ok(None) => return assert!(rest.len() < 9 + 2 + 65_535),
            Err(error) => return assert!(!error.to_string().contains('\n')),
        }
    }
}

fn round_trip(message: &Message) {
    let mut bytes = Vec::new();
    if !message.encode(&mut bytes) {
        // Only what grows when it is written: a reason that was not UTF-8.
        return assert!(matches!(
            message,
            Message::RequestError(_) | Message::PublishDone(_)
        ));
    }
    let Ok(Some((again, len))) = Message::decode(&bytes) else {
        panic!("{message:?} is written as {bytes:x?}")
    };
    assert_eq!(len, bytes.len());
    match (&again, message) {
        // What replaces bytes that are no UTF-8 is longer than them, and a reason has a limit.
        (Message::RequestError(short), Message::RequestError(long)) => {
            assert!(long.reason.starts_with(&short.reason));
            let reason = short.reason.clone();
            assert_eq!(
                *short,
                RequestError {
                    reason,
                    ..long.clone()
                }
            );
        }
        (Message::PublishDone(short), Message::PublishDone(long)) => {
            assert!(long.reason.starts_with(&short.reason));
        }
        _ => assert_eq!(again, *message),
    }
    assert_eq!(again.name(), message.name());
    assert_eq!(again.request_id(), message.request_id());
}

/// What a session told of a stream.
#[derive(Debug, PartialEq)]
struct Told {
    events: Vec<SessionEvent>,
    data: Vec<u8>,
    error: Option<MoqtError>,
}

/// The first byte says which stream the others come on: the control stream, a request's, an answer's or a data
/// stream. In pieces of any size they mean the same as at once.
pub fn moqt_session(data: &[u8]) {
    let mut script = Script::new(data);
    let (flags, step) = (script.byte(), script.byte());
    let bytes = script.rest();
    let whole = feed(flags, bytes, bytes.len().max(1));
    for step in [1, usize::from(step).max(1)] {
        assert_eq!(feed(flags, bytes, step), whole, "in pieces of {step}");
    }
}

fn feed(flags: u8, bytes: &[u8], step: usize) -> Told {
    let (mut session, mut streams) = subscribed();
    let mut told = Told {
        events: Vec::new(),
        data: Vec::new(),
        error: None,
    };
    let (id, mut at) = match flags & 3 {
        // The control stream has brought SETUP already.
        0 => (CONTROL, setup().len() as u64),
        1 => (StreamId::new(Side::Client, Dir::Bi, 0), 0),
        2 => (ANSWERS, answer().len() as u64),
        _ => (StreamId::new(Side::Client, Dir::Uni, 1), 0),
    };
    let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
    let ends = flags & 4 != 0;
    for (index, piece) in pieces.iter().enumerate() {
        let fin = ends && index + 1 == pieces.len();
        told.error = deliver(&mut session, &mut streams, (id, at, piece, fin)).err();
        at += piece.len() as u64;
        listen(&mut session, &mut streams, &mut told);
        assert_eq!(streams.audit(), Ok(()));
        if told.error.is_some() {
            break;
        }
    }
    told
}

/// A server's session, with the client's SETUP and a subscription to a track of the client's.
fn subscribed() -> (Session, Streams) {
    let mut session = Session::new(Side::Server, Setup::default(), SessionConfig::default());
    let mut streams = Streams::new(Side::Server, &StreamConfig::default());
    streams.set_peer_parameters(&TransportParameters {
        initial_max_data: 1 << 20,
        initial_max_stream_data_bidi_local: 1 << 20,
        initial_max_stream_data_bidi_remote: 1 << 20,
        initial_max_stream_data_uni: 1 << 20,
        initial_max_streams_bidi: 10,
        initial_max_streams_uni: 10,
        ..TransportParameters::default()
    });
    session.start(&mut streams).expect("there is credit");
    let namespace = Namespace::from_path("a").expect("a name");
    let track = FullTrackName::new(namespace, b"v").expect("short");
    let subscribe = Message::Subscribe(Subscribe {
        request_id: 0,
        track,
        parameters: Parameters::default(),
    });
    session
        .request(&mut streams, subscribe)
        .expect("there is credit");
    for (id, bytes) in [(CONTROL, setup()), (ANSWERS, answer())] {
        deliver(&mut session, &mut streams, (id, 0, &bytes, false)).expect("it is in order");
    }
    while session.poll_event().is_some() {}
    assert!(session.is_ready());
    (session, streams)
}

fn setup() -> Vec<u8> {
    encoded(&Message::Setup(Setup::default()))
}

fn answer() -> Vec<u8> {
    encoded(&Message::SubscribeOk(SubscribeOk {
        track_alias: 5,
        parameters: Parameters::default(),
        properties: Properties::default(),
    }))
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(message.encode(&mut bytes));
    bytes
}

fn deliver(
    session: &mut Session,
    streams: &mut Streams,
    (stream_id, offset, data, fin): (StreamId, u64, &[u8], bool),
) -> Result<(), MoqtError> {
    let frame = Stream {
        stream_id,
        offset,
        fin,
        data,
    };
    streams
        .on_stream(Time::ZERO, &frame)
        .expect("within the limits");
    while let Some(event) = streams.poll_event() {
        session.on_stream_event(Time::ZERO, streams, event)?;
    }
    Ok(())
}

/// Notes what the session says, and reads what it announces.
fn listen(session: &mut Session, streams: &mut Streams, told: &mut Told) {
    while let Some(event) = session.poll_event() {
        let stream = match &event {
            SessionEvent::Subgroup { stream, .. } | SessionEvent::Fetch { stream, .. } => *stream,
            SessionEvent::Readable(stream) => *stream,
            _ => {
                told.events.push(event);
                continue;
            }
        };
        if !matches!(event, SessionEvent::Readable(_)) {
            told.events.push(event);
        }
        while let Data::Chunk { offset, chunk } = session.read(streams, stream) {
            assert_eq!(offset, told.data.len() as u64);
            told.data.extend_from_slice(&chunk);
        }
    }
}

const CONTROL: StreamId = StreamId::new(Side::Client, Dir::Uni, 0);
/// Where the answers to our own request come.
const ANSWERS: StreamId = StreamId::new(Side::Server, Dir::Bi, 0);
