//! Clients of a relay: many connections behind one address, all publishers or all subscribers of one track.
//! MOQT draft-18 over RFC 9000.
//!
//! A client says what its part demands and counts what it gets; bytes of objects are not kept. No sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use integration::certificates;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::stream::Chunk;
use quic_lite::tls::ClientTls;
use quic_lite::wire::stream_id::{Dir, StreamId};
use quic_lite::{Side, Time};
use quic_relay::moqt::message::{NamespaceRequest, Subscribe, SubscribeOk};
use quic_relay::moqt::{
    ALPN, FullTrackName, Message, Namespace, Parameters, Properties, ResetCode, Setup,
};
use quic_relay::serve::server;
use quic_relay::session::{Data, RequestId, Session, SessionConfig, SessionEvent};

use super::world::RELAY;

/// What the clients of a party want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To publish the namespace that the track is in.
    Publish,
    /// To have the track.
    Subscribe,
}

/// What all clients of a party have got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Handshakes that both sides know to be complete.
    pub confirmed: usize,
    /// PUBLISH_NAMESPACE or SUBSCRIBE that were accepted.
    pub accepted: usize,
    /// SUBSCRIBE of the relay.
    pub asked: u64,
    /// Subgroup streams that ended well.
    pub streams: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Clients behind one address.
pub struct Party {
    /// Their connections.
    pub endpoint: Endpoint,
    /// Their address.
    pub address: SocketAddr,
    /// What they have got.
    pub tally: Tally,
    part: Part,
    tls: ClientTls,
    clients: BTreeMap<Handle, Client>,
}

struct Client {
    session: Session,
    /// What it has asked for.
    request: Option<RequestId>,
}

impl Party {
    /// Nobody yet.
    pub fn new(part: Part, address: SocketAddr) -> Self {
        let mut endpoint = Endpoint::new(EndpointConfig::default(), [address.port() as u8; 32]);
        endpoint.set_local_addresses(&[address]);
        Self {
            endpoint,
            address,
            tally: Tally::default(),
            part,
            // Of its own, so that nobody resumes another party's session.
            tls: ClientTls::with_roots([certificates::short().root], &[ALPN]).unwrap(),
            clients: BTreeMap::new(),
        }
    }

    /// One more begins to connect.
    pub fn connect(&mut self, now: Time) {
        let config = server::transport();
        let connected = self
            .endpoint
            .connect(now, &self.tls, RELAY, "localhost", config);
        let setup = Setup {
            path: Some(b"/".to_vec()),
            ..Setup::default()
        };
        let session = Session::new(Side::Client, setup, SessionConfig::default());
        let request = None;
        self.clients
            .insert(connected.unwrap(), Client { session, request });
    }

    /// A third of the clients cancels and closes, a third just closes. The others stay, to vanish.
    pub fn leave(&mut self, now: Time) {
        for (index, (handle, client)) in self.clients.iter_mut().enumerate() {
            let Some(connection) = self.endpoint.connection_mut(*handle) else {
                continue;
            };
            if let (0, Some(request)) = (index % 3, client.request) {
                let streams = connection.streams_mut();
                client
                    .session
                    .cancel(streams, request, ResetCode::CANCELLED);
            }
            if index % 3 < 2 {
                connection.close(now, 0, "");
            }
        }
    }

    /// Publishes a whole subgroup.
    pub fn publish(&mut self, bytes: Chunk) {
        for handle in self.clients.keys() {
            let connection = self.endpoint.connection_mut(*handle).unwrap();
            let stream = connection.open(Dir::Uni).unwrap();
            connection.write_chunk(stream, bytes.clone()).unwrap();
            connection.finish(stream).unwrap();
        }
    }

    /// Takes what happened.
    pub fn work(&mut self, now: Time) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            let client = self.clients.get_mut(&handle);
            if let (Some(client), Some(connection)) = (client, self.endpoint.connection_mut(handle))
            {
                client.on_event(now, connection, &event, self.part, &mut self.tally);
            }
            if matches!(event, Event::Closed(_)) {
                self.clients.remove(&handle);
            }
        }
    }
}

impl Client {
    fn on_event(
        &mut self,
        now: Time,
        connection: &mut Connection,
        event: &Event,
        part: Part,
        tally: &mut Tally,
    ) {
        let streams = connection.streams_mut();
        match event {
            Event::Connected => self.session.start(streams).unwrap(),
            Event::HandshakeConfirmed => tally.confirmed += 1,
            Event::Stream(event) => self.session.on_stream_event(now, streams, *event).unwrap(),
            _ => {}
        }
        while let Some(event) = self.session.poll_event() {
            self.on_session_event(connection, event, part, tally);
        }
    }

    fn on_session_event(
        &mut self,
        connection: &mut Connection,
        event: SessionEvent,
        part: Part,
        tally: &mut Tally,
    ) {
        match event {
            SessionEvent::Ready(_) => {
                let request = self.session.request(connection.streams_mut(), wish(part));
                self.request = Some(request.unwrap());
            }
            SessionEvent::Message {
                message: Message::SubscribeOk(_) | Message::RequestOk(_),
                ..
            } => tally.accepted += 1,
            SessionEvent::Request {
                id,
                message: Message::Subscribe(_),
            } => {
                tally.asked += 1;
                let ok = SubscribeOk {
                    track_alias: tally.asked,
                    parameters: Parameters::default(),
                    properties: Properties::default(),
                };
                let streams = connection.streams_mut();
                let sent = self.session.send(streams, id, &Message::SubscribeOk(ok));
                sent.unwrap();
            }
            SessionEvent::Subgroup { stream, .. } | SessionEvent::Readable(stream) => {
                self.read(connection, stream, tally);
            }
            SessionEvent::Closed(error) => panic!("{error}"),
            _ => {}
        }
    }

    fn read(&mut self, connection: &mut Connection, stream: StreamId, tally: &mut Tally) {
        loop {
            match self.session.read(connection.streams_mut(), stream) {
                Data::Chunk { chunk, .. } => tally.bytes += chunk.len() as u64,
                Data::Blocked | Data::Reset(_) => return,
                Data::Finished => {
                    tally.streams += 1;
                    return;
                }
            }
        }
    }
}

fn wish(part: Part) -> Message {
    let parameters = Parameters::default();
    match part {
        Part::Publish => Message::PublishNamespace(NamespaceRequest {
            request_id: 0,
            namespace: Namespace::from_path("live").unwrap(),
            parameters,
        }),
        Part::Subscribe => Message::Subscribe(Subscribe {
            request_id: 0,
            track: FullTrackName::new(Namespace::from_path("live/a").unwrap(), b"video").unwrap(),
            parameters,
        }),
    }
}
