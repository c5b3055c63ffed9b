//! Scene of chapter 13: a subscription, as bytes on streams. draft-ietf-moq-transport-18 §10, §11.

use quic_lite::stream::{StreamConfig, Streams};
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::writer::Writer;
use quic_lite::{Dir, Side, Time};
use quic_relay::moqt::message::{Subscribe, SubscribeOk};
use quic_relay::moqt::subgroup::{Body, Object};
use quic_relay::moqt::{
    FullTrackName, Message, Namespace, Parameters, Setup, SubgroupHeader, SubgroupId,
};
use quic_relay::session::{RequestId, Session, SessionConfig, SessionEvent};

/// One side: its name, its streams, its session.
struct End {
    name: &'static str,
    streams: Streams,
    session: Session,
}

pub fn play() {
    let (mut viewer, mut relay) = (
        End::new("viewer", Side::Client),
        End::new("relay", Side::Server),
    );
    println!("setup");
    viewer
        .session
        .start(&mut viewer.streams)
        .expect("stream credit");
    relay
        .session
        .start(&mut relay.streams)
        .expect("stream credit");
    settle(&mut viewer, &mut relay);

    println!("\nsubscribe");
    let namespace = Namespace::from_path("live").expect("a valid name");
    let track = FullTrackName::new(namespace, b"video").expect("a short name");
    let subscribe = Subscribe {
        request_id: 0,
        track,
        parameters: Parameters::default(),
    };
    viewer
        .session
        .request(&mut viewer.streams, Message::Subscribe(subscribe))
        .expect("the session is open");
    settle(&mut viewer, &mut relay);
    let yes = Message::SubscribeOk(SubscribeOk {
        track_alias: 7,
        ..SubscribeOk::default()
    });
    relay
        .session
        .send(&mut relay.streams, RequestId(0), &yes)
        .expect("the request is open");
    settle(&mut viewer, &mut relay);

    println!("\none group with two objects");
    let stream = relay.streams.open(Dir::Uni).expect("stream credit");
    relay
        .streams
        .write(stream, &group())
        .expect("within the send buffer");
    relay.streams.finish(stream).expect("not finished before");
    settle(&mut viewer, &mut relay);
}

fn group() -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = SubgroupHeader {
        track_alias: 7,
        group_id: 3,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: None,
        properties: false,
        end_of_group: true,
        first_object: true,
    };
    header.encode(&mut bytes);
    let object = |id, body| Object {
        id,
        properties: &[],
        body: Body::Payload(body),
    };
    object(0, b"key").encode(&mut bytes, false, None);
    object(1, b"delta").encode(&mut bytes, false, Some(0));
    bytes
}

impl End {
    fn new(name: &'static str, role: Side) -> Self {
        let mut streams = Streams::new(role, &StreamConfig::default());
        streams.set_peer_parameters(&TransportParameters {
            initial_max_data: 1 << 16,
            initial_max_stream_data_bidi_local: 1 << 12,
            initial_max_stream_data_bidi_remote: 1 << 12,
            initial_max_stream_data_uni: 1 << 12,
            initial_max_streams_bidi: 10,
            initial_max_streams_uni: 10,
            ..TransportParameters::default()
        });
        let session = Session::new(role, Setup::default(), SessionConfig::default());
        Self {
            name,
            streams,
            session,
        }
    }

    /// Hands on what the streams have, and tells what the session makes of it.
    fn listen(&mut self) {
        while let Some(event) = self.streams.poll_event() {
            self.session
                .on_stream_event(Time::ZERO, &mut self.streams, event)
                .expect("both follow the draft");
        }
        while let Some(event) = self.session.poll_event() {
            let text = match event {
                SessionEvent::Ready(_) => "ready".to_owned(),
                SessionEvent::Request {
                    id,
                    message: Message::Subscribe(subscribe),
                } => {
                    format!("{id}: SUBSCRIBE {}", subscribe.track)
                }
                SessionEvent::Message {
                    id,
                    message: Message::SubscribeOk(ok),
                } => {
                    format!("{id}: SUBSCRIBE_OK, alias {}", ok.track_alias)
                }
                SessionEvent::Subgroup {
                    request, header, ..
                } => format!("{request}: {header}"),
                _ => continue,
            };
            println!("  {}: {text}", self.name);
        }
    }
}

fn settle(viewer: &mut End, relay: &mut End) {
    while carry(viewer, relay) | carry(relay, viewer) {
        viewer.listen();
        relay.listen();
    }
}

/// Moves and prints one packet's worth of frames.
fn carry(from: &mut End, to: &mut End) -> bool {
    let (mut buffer, mut sent) = ([0; 1200], Vec::new());
    let mut out = Writer::new(&mut buffer);
    from.streams.write_frames(&mut out, &mut sent);
    for frame in frames(out.written()) {
        if let Ok(Frame::Stream(frame)) = frame {
            let fin = if frame.fin { " fin" } else { "" };
            let bytes: Vec<String> = frame
                .data
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            println!(
                "{:6} ▶ stream {}: {}{fin}",
                from.name,
                frame.stream_id,
                bytes.join(" ")
            );
            to.streams
                .on_stream(Time::ZERO, &frame)
                .expect("within the limits");
        }
    }
    sent.iter().for_each(|frame| from.streams.on_acked(frame));
    !sent.is_empty()
}
