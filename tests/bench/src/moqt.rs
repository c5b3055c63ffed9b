//! A MOQT session with one track whose objects are messages, as the bench's source and its subscribers need it.
//! draft-ietf-moq-transport-18 §3, §10.7, §10.10, §11.3, §11.4.2.

use quic_lite::Time;
use quic_lite::connection::{Connection, Event};
use quic_lite::wire::stream_id::Side;
use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::message::{NamespaceRequest, Publish, Subscribe, SubscribeOk};
use quic_relay::moqt::subgroup::{Body, Object};
use quic_relay::moqt::{
    FullTrackName, Location, Message, Namespace, Parameters, Properties, RequestErrorCode, Setup,
    SubgroupHeader, SubgroupId,
};
use quic_relay::session::{RequestId, Session, SessionConfig, SessionEvent};

pub use quic_relay::moqt::ALPN;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Offers the track.
    Publisher,
    /// Takes it.
    Subscriber,
    /// Is there, and asks for nothing.
    Idle,
}

/// A session and how far it is.
#[derive(Debug)]
pub struct Talk {
    role: Role,
    session: Session,
    /// PUBLISH or PUBLISH_NAMESPACE; SUBSCRIBE.
    request: Option<RequestId>,
    has_offered_namespace: bool,
    is_settled: bool,
    is_wanted: bool,
}

impl Talk {
    /// A session that begins when its connection does.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            session: Session::new(Side::Client, Setup::default(), SessionConfig::default()),
            request: None,
            has_offered_namespace: false,
            is_settled: false,
            is_wanted: false,
        }
    }

    /// Whether the relay has taken the offer, or the subscription; without either, the session.
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether the relay wants a publisher's objects now.
    pub const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Takes what happened on the connection. Fails, in words, if the relay wants no such session.
    pub fn on_event(
        &mut self,
        now: Time,
        connection: &mut Connection,
        event: &Event,
    ) -> Result<(), String> {
        let fed = match event {
            Event::Connected => self.session.start(connection.streams_mut()),
            Event::Stream(event) => {
                self.session
                    .on_stream_event(now, connection.streams_mut(), *event)
            }
            _ => Ok(()),
        };
        fed.map_err(|error| error.to_string())?;
        while let Some(event) = self.session.poll_event() {
            self.on_session_event(connection, event)?;
        }
        Ok(())
    }

    fn on_session_event(
        &mut self,
        connection: &mut Connection,
        event: SessionEvent,
    ) -> Result<(), String> {
        match event {
            SessionEvent::Ready(_) => self.begin(connection),
            SessionEvent::Message { id, message } => self.on_message(connection, id, message),
            SessionEvent::Request { id, message } => {
                self.on_request(connection, id, message);
                Ok(())
            }
            SessionEvent::Closed(error) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, connection: &mut Connection) -> Result<(), String> {
        let parameters = Parameters::default();
        let request = match self.role {
            Role::Publisher => Message::Publish(Publish {
                request_id: 0,
                track: track(),
                track_alias: ALIAS,
                parameters,
                properties: Properties::default(),
            }),
            Role::Subscriber => Message::Subscribe(Subscribe {
                request_id: 0,
                track: track(),
                parameters,
            }),
            Role::Idle => {
                self.is_settled = true;
                return Ok(());
            }
        };
        self.ask(connection, request)
    }

    fn ask(&mut self, connection: &mut Connection, message: Message) -> Result<(), String> {
        let asked = self.session.request(connection.streams_mut(), message);
        self.request = Some(asked.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn on_message(
        &mut self,
        connection: &mut Connection,
        id: RequestId,
        message: Message,
    ) -> Result<(), String> {
        match message {
            Message::RequestOk(ok) if Some(id) == self.request => {
                self.is_settled = true;
                // A namespace is only an offer: its tracks are asked for.
                if !self.has_offered_namespace {
                    self.is_wanted = ok.parameters.forward.unwrap_or(true);
                }
                Ok(())
            }
            Message::SubscribeOk(_) => {
                self.is_settled = true;
                Ok(())
            }
            Message::RequestError(_)
                if self.role == Role::Publisher && !self.has_offered_namespace =>
            {
                self.has_offered_namespace = true;
                let offer = NamespaceRequest {
                    request_id: 0,
                    namespace: track().namespace,
                    parameters: Parameters::default(),
                };
                self.ask(connection, Message::PublishNamespace(offer))
            }
            Message::RequestError(error) => Err(format!("{} ({:#x})", error.reason, error.code.0)),
            Message::RequestUpdate(update) => {
                self.is_wanted = update.parameters.forward.unwrap_or(self.is_wanted);
                let ok = Message::RequestOk(Default::default());
                let sent = self.session.send(connection.streams_mut(), id, &ok);
                sent.map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }

    fn on_request(&mut self, connection: &mut Connection, id: RequestId, message: Message) {
        let streams = connection.streams_mut();
        match message {
            Message::Subscribe(subscribe)
                if self.role == Role::Publisher && subscribe.track == track() =>
            {
                let ok = SubscribeOk {
                    track_alias: ALIAS,
                    parameters: Parameters::default(),
                    properties: Properties::default(),
                };
                let sent = self.session.send(streams, id, &Message::SubscribeOk(ok));
                self.is_wanted = sent.is_ok() && subscribe.parameters.forward.unwrap_or(true);
            }
            _ => {
                let code = RequestErrorCode::NOT_SUPPORTED;
                self.session
                    .refuse(streams, id, code, "one track is all there is here");
            }
        }
    }
}

/// A message as OBJECT_DATAGRAM.
pub fn datagram(sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + ROOM);
    let object = ObjectDatagram {
        track_alias: ALIAS,
        location: Location::new(sequence, 0),
        publisher_priority: Some(PRIORITY),
        end_of_group: false,
        properties: &[],
        body: Body::Payload(payload),
    };
    object.encode(&mut bytes);
    bytes
}

/// A message as a group of its own: all that its stream carries.
pub fn stream(sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + ROOM);
    let header = SubgroupHeader {
        track_alias: ALIAS,
        group_id: sequence,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(PRIORITY),
        properties: false,
        end_of_group: true,
        first_object: true,
    };
    header.encode(&mut bytes);
    let object = Object {
        id: 0,
        properties: &[],
        body: Body::Payload(payload),
    };
    object.encode(&mut bytes, false, None);
    bytes
}

/// What a datagram's object carries, of which these are the first bytes.
pub fn in_datagram(bytes: &[u8]) -> Option<&[u8]> {
    match ObjectDatagram::parse_all(bytes).ok()??.body {
        Body::Payload(payload) => Some(payload),
        _ => None,
    }
}

/// What the first object of a subgroup carries, of whose stream these are the first bytes.
pub fn in_stream(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, header) = SubgroupHeader::parse(bytes).ok()?;
    let (rest, (_, len)) = Object::parse_head(rest, header.properties, None).ok()?;
    Some(rest).filter(|_| len > 0)
}

fn track() -> FullTrackName {
    Namespace::new(["bench"])
        .and_then(|namespace| FullTrackName::new(namespace, b"messages"))
        .expect("short names")
}

/// One session, one track: any alias will do.
const ALIAS: u64 = 0;
/// In the middle.
const PRIORITY: u8 = 128;
/// More than what stands before a payload.
const ROOM: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_found_in_the_first_bytes() {
        let payload = [7; 1200];
        for sequence in [0, 63, 64, 1 << 20] {
            let (one, other) = (datagram(sequence, &payload), stream(sequence, &payload));
            assert!(one.len() < 1200 + ROOM && other.len() < 1200 + ROOM);
            assert_eq!(in_datagram(&one[..96]).unwrap()[..16], payload[..16]);
            assert_eq!(in_stream(&other[..96]).unwrap()[..16], payload[..16]);
        }
        assert_eq!(in_stream(&[0x2f, 0, 0]), None, "another kind of stream");
    }
}
