//! A client of a relay, a publisher or a subscriber, who remembers all that came. MOQT draft-18 over RFC 9000.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use integration::certificates;
use quic_lite::config::Config;
use quic_lite::connection::{Connection, Event};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::protection::CipherSuite;
use quic_lite::stream::Chunk;
use quic_lite::tls::ClientTls;
use quic_lite::wire::stream_id::{Dir, StreamId};
use quic_lite::{Side, Time};
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::message::{NamespaceRequest, Subscribe, SubscribeOk};
use quic_relay::moqt::subgroup::{Body, Object};
use quic_relay::moqt::{
    ALPN, FullTrackName, Location, Message, Namespace, Parameters, Properties, Setup,
    SubgroupHeader, SubgroupId,
};
use quic_relay::session::{Data, RequestId, Session, SessionConfig, SessionEvent};

use super::raw::Raw;
use super::wire::Wire;
use super::world::RELAY;

/// A track: its namespace and its name.
pub type Name = (&'static str, &'static str);

/// What a client is there for.
#[derive(Clone, Debug)]
pub enum Part {
    /// It publishes a namespace with these tracks, by name and alias.
    Publish(&'static str, Vec<(&'static str, u64)>),
    /// It takes these tracks, with priorities.
    Subscribe(Vec<(Name, u8)>),
    /// It speaks the raw protocol, with this ALPN.
    Raw(&'static [u8]),
    /// The same, and it allows few streams at a time.
    RawNarrow(&'static [u8]),
}

/// A stream that has come.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// The alias and the group in its header.
    pub alias: u64,
    /// The group.
    pub group: u64,
    /// What follows the header.
    pub bytes: Vec<u8>,
    /// All of it is there.
    pub is_whole: bool,
    /// It was reset.
    pub is_reset: bool,
    /// When its last byte came.
    pub at: Time,
}

/// A client.
pub struct Client {
    /// Its connection's home.
    pub endpoint: Endpoint,
    /// Where datagrams to it go.
    pub address: SocketAddr,
    /// Its connection.
    pub handle: Handle,
    /// Requests that were accepted.
    pub accepted: usize,
    /// Tracks it publishes that were asked for.
    pub asked: usize,
    /// Streams that came, by track.
    pub streams: BTreeMap<(Name, StreamId), Came>,
    /// Streams and datagrams of the raw protocol that came.
    pub raw: Raw,
    /// Datagrams that came.
    pub datagrams: Vec<(Name, Location, Vec<u8>)>,
    /// What went over its link.
    pub wire: Wire,
    /// Why the connection is over.
    pub closed: Option<String>,
    part: Part,
    session: Session,
    requests: BTreeMap<RequestId, Name>,
    /// Streams of its own: the object that was written last.
    written: BTreeMap<StreamId, Option<u64>>,
}

impl Client {
    /// A client that begins to connect.
    pub fn new(
        now: Time,
        part: Part,
        wire: Wire,
        seed: u64,
        (suites, mut config): (&[CipherSuite], Config),
    ) -> Self {
        let address = wire.address();
        let mut seeds = [0; 32];
        seeds[..8].copy_from_slice(&seed.to_le_bytes());
        let mut endpoint = Endpoint::new(EndpointConfig::default(), seeds);
        endpoint.set_local_addresses(&[address]);
        let root = certificates::short().root;
        let alpn = match part {
            Part::Raw(alpn) | Part::RawNarrow(alpn) => alpn,
            _ => ALPN,
        };
        let tls = ClientTls::with_roots([root], &[alpn]).and_then(|tls| tls.only(suites));
        if let Part::RawNarrow(_) = part {
            config.max_uni_streams = 5;
        }
        let connected = endpoint.connect(now, &tls.unwrap(), RELAY, "localhost", config);
        let setup = Setup {
            path: Some(b"/".to_vec()),
            ..Setup::default()
        };
        Self {
            endpoint,
            address,
            handle: connected.unwrap(),
            accepted: 0,
            asked: 0,
            streams: BTreeMap::new(),
            raw: Raw::default(),
            datagrams: Vec::new(),
            wire,
            closed: None,
            part,
            session: Session::new(Side::Client, setup, SessionConfig::default()),
            requests: BTreeMap::new(),
            written: BTreeMap::new(),
        }
    }

    /// Shows a token when its session begins, which has not begun yet.
    pub fn show(&mut self, token: &str) {
        let setup = Setup {
            path: Some(format!("/?jwt={token}").into_bytes()),
            ..Setup::default()
        };
        self.session = Session::new(Side::Client, setup, SessionConfig::default());
    }

    /// Its connection.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.endpoint.connection_mut(self.handle)
    }

    /// Ends its connection.
    pub fn close(&mut self, now: Time) {
        if let Some(connection) = self.connection() {
            connection.close(now, 0, "");
        }
    }

    /// It is somewhere else from now on, and does not know.
    pub fn rebind(&mut self, address: SocketAddr) {
        self.address = address;
        self.wire.moved(address);
    }

    fn alias(&self, track: &str) -> u64 {
        let Part::Publish(_, tracks) = &self.part else {
            panic!("not a publisher");
        };
        tracks.iter().find(|(name, _)| *name == track).unwrap().1
    }

    /// Begins a group of a track it publishes; `None` when it may not open a stream.
    pub fn begin(&mut self, track: &str, group: u64) -> Option<StreamId> {
        let header = SubgroupHeader {
            track_alias: self.alias(track),
            group_id: group,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: Some(5),
            properties: false,
            end_of_group: true,
            first_object: true,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        let connection = self.connection()?;
        let stream = connection.open(Dir::Uni)?;
        connection.write_chunk(stream, bytes.into()).unwrap();
        self.written.insert(stream, None);
        Some(stream)
    }

    /// Writes the next object of a group.
    pub fn write(&mut self, stream: StreamId, payload: &[u8]) {
        let last = self.written.get_mut(&stream).unwrap();
        let bytes = object(*last, payload);
        *last = Some(last.map_or(0, |last| last + 1));
        if let Some(connection) = self.connection() {
            connection.write_chunk(stream, bytes.into()).unwrap();
        }
    }

    /// Ends a group.
    pub fn finish(&mut self, stream: StreamId) {
        self.written.remove(&stream);
        if let Some(connection) = self.connection() {
            connection.finish(stream).unwrap();
        }
    }

    /// Sends an object in a datagram.
    pub fn send(&mut self, track: &str, location: Location, payload: &[u8]) {
        let object = ObjectDatagram {
            track_alias: self.alias(track),
            location,
            publisher_priority: None,
            end_of_group: false,
            properties: &[],
            body: Body::Payload(payload),
        };
        let mut bytes = Vec::new();
        object.encode(&mut bytes);
        if let Some(connection) = self.connection() {
            connection.send_datagram(&bytes).unwrap();
        }
    }

    /// Takes what happened.
    pub fn work(&mut self, now: Time) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            if let Event::Closed(error) = &event {
                self.closed = Some(error.to_string());
            }
            // Out of the endpoint for a moment: the session needs both.
            self.on_event(now, handle, event);
        }
    }

    fn on_event(&mut self, now: Time, handle: Handle, event: Event) {
        let Some(connection) = self.endpoint.connection_mut(handle) else {
            return;
        };
        if let Part::Raw(_) | Part::RawNarrow(_) = self.part {
            self.accepted += usize::from(event == Event::HandshakeConfirmed);
            return self.raw.on_event(connection, event);
        }
        let streams = connection.streams_mut();
        match event {
            Event::Connected => self.session.start(streams).unwrap(),
            Event::Stream(event) => self.session.on_stream_event(now, streams, event).unwrap(),
            Event::DatagramReceived => {
                while let Some(datagram) = connection.receive_datagram() {
                    let streams = connection.streams_mut();
                    self.session.on_datagram(now, streams, datagram).unwrap();
                }
            }
            _ => {}
        }
        while let Some(event) = self.session.poll_event() {
            self.on_session_event(now, event);
        }
    }

    fn on_session_event(&mut self, now: Time, event: SessionEvent) {
        match event {
            SessionEvent::Ready(_) => self.make_requests(),
            SessionEvent::Message {
                message: Message::SubscribeOk(_) | Message::RequestOk(_),
                ..
            } => self.accepted += 1,
            SessionEvent::Request {
                id,
                message: Message::Subscribe(message),
            } => self.accept(id, &message),
            SessionEvent::Subgroup {
                stream,
                request,
                header,
                header_len,
            } => {
                let came = Came {
                    alias: header.track_alias,
                    group: header.group_id,
                    ..Came::default()
                };
                let track = self.requests[&request];
                self.streams.insert((track, stream), came);
                self.read(now, stream, header_len);
            }
            SessionEvent::Readable(stream) => self.read(now, stream, 0),
            SessionEvent::Datagram { request, datagram } => self.keep(request, &datagram),
            SessionEvent::Closed(error) => panic!("{error}"),
            _ => {}
        }
    }

    fn make_requests(&mut self) {
        let parameters = Parameters::default();
        match self.part.clone() {
            Part::Publish(namespace, _) => {
                let namespace = Namespace::from_path(namespace).unwrap();
                self.request(Message::PublishNamespace(NamespaceRequest {
                    request_id: 0,
                    namespace,
                    parameters,
                }));
            }
            Part::Raw(_) | Part::RawNarrow(_) => {}
            Part::Subscribe(tracks) => {
                for (name, priority) in tracks {
                    self.subscribe(name, priority);
                }
            }
        }
    }

    /// Asks for one more track.
    pub fn subscribe(&mut self, name: Name, priority: u8) {
        let parameters = Parameters {
            subscriber_priority: Some(priority),
            ..Parameters::default()
        };
        let namespace = Namespace::from_path(name.0).unwrap();
        let id = self.request(Message::Subscribe(Subscribe {
            request_id: 0,
            track: FullTrackName::new(namespace, name.1.as_bytes()).unwrap(),
            parameters,
        }));
        self.requests.insert(id, name);
    }

    fn request(&mut self, message: Message) -> RequestId {
        let connection = self.endpoint.connection_mut(self.handle).unwrap();
        let request = self.session.request(connection.streams_mut(), message);
        request.unwrap()
    }

    fn accept(&mut self, id: RequestId, message: &Subscribe) {
        self.asked += 1;
        let name = core::str::from_utf8(message.track.name()).unwrap();
        let ok = SubscribeOk {
            track_alias: self.alias(name),
            parameters: Parameters::default(),
            properties: Properties::default(),
        };
        let connection = self.endpoint.connection_mut(self.handle).unwrap();
        let streams = connection.streams_mut();
        let sent = self.session.send(streams, id, &Message::SubscribeOk(ok));
        sent.unwrap();
    }

    fn read(&mut self, now: Time, stream: StreamId, skip: u64) {
        let mut known = self.streams.iter_mut();
        let Some((_, came)) = known.find(|((_, id), _)| *id == stream) else {
            return;
        };
        let connection = self.endpoint.connection_mut(self.handle).unwrap();
        let mut skip = skip as usize;
        loop {
            match self.session.read(connection.streams_mut(), stream) {
                Data::Chunk { chunk, .. } => {
                    let skipped = skip.min(chunk.len());
                    skip -= skipped;
                    came.bytes.extend_from_slice(&chunk[skipped..]);
                    came.at = now;
                }
                Data::Blocked => return,
                Data::Finished => came.is_whole = true,
                Data::Reset(_) => came.is_reset = true,
            }
            if came.is_whole || came.is_reset {
                return;
            }
        }
    }

    fn keep(&mut self, request: RequestId, datagram: &Chunk) {
        let object = ObjectDatagram::parse_all(datagram).unwrap().unwrap();
        let Body::Payload(payload) = object.body else {
            panic!("no payload");
        };
        let track = self.requests[&request];
        self.datagrams
            .push((track, object.location, payload.to_vec()));
    }
}

/// An object on a stream, after object `last`.
pub fn object(last: Option<u64>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let object = Object {
        id: last.map_or(0, |last| last + 1),
        properties: &[],
        body: Body::Payload(payload),
    };
    object.encode(&mut bytes, false, last);
    bytes
}
