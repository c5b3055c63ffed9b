//! A world of one relay and some peers. No sockets, no TLS, no loss: what is tested is what the relay
//! decides, not how packets travel.

use std::collections::HashMap;

use core::time::Duration;

use quic_lite::Time;
use quic_lite::stream::{Chunk, StreamConfig, Streams};
use quic_lite::wire::stream_id::Side;
use quic_lite::wire::transport_parameters::TransportParameters;

pub(super) use super::somebody::{Bytes, Somebody};
use crate::moqt::message::{
    Fetch, FetchRange, NamespaceRequest, Publish, PublishDone, RequestError, RequestOk, Subscribe,
    SubscribeOk,
};
use crate::moqt::subgroup::{Body, Object};
use crate::moqt::{
    DoneCode, Filter, FullTrackName, Location, Message, Namespace, Parameters, Properties, Setup,
    SubgroupHeader, SubgroupId,
};
use crate::serve::{Context, Network, Relay, RelayConfig};
use crate::session::RequestId;
use crate::session::pipe::{deliver_packet, transfer, write};
use crate::track::PeerId;

/// Limits that a peer announces.
#[derive(Clone, Copy)]
pub(super) struct Credit {
    pub(super) uni: u64,
    pub(super) data: u64,
}

impl Default for Credit {
    fn default() -> Self {
        Self {
            uni: 100,
            data: 1 << 20,
        }
    }
}

pub(super) fn streams(side: Side, own: Credit, peers: Credit) -> Streams {
    let config = StreamConfig {
        max_streams_uni: own.uni,
        ..StreamConfig::default()
    };
    let mut streams = Streams::new(side, &config);
    streams.set_peer_parameters(&TransportParameters {
        initial_max_data: peers.data,
        initial_max_stream_data_bidi_local: 1 << 18,
        initial_max_stream_data_bidi_remote: 1 << 18,
        initial_max_stream_data_uni: peers.data,
        initial_max_streams_bidi: 100,
        initial_max_streams_uni: peers.uni,
        ..TransportParameters::default()
    });
    streams
}

/// The relay's ends of the connections.
#[derive(Default)]
struct Ends {
    streams: HashMap<PeerId, Streams>,
    datagrams: HashMap<PeerId, Vec<Chunk>>,
    closed: HashMap<PeerId, u64>,
    dialed: Vec<PeerId>,
}

impl Network for Ends {
    fn streams(&mut self, peer: PeerId) -> Option<&mut Streams> {
        self.streams.get_mut(&peer)
    }

    fn send_datagram(&mut self, peer: PeerId, datagram: Chunk) -> bool {
        self.datagrams.entry(peer).or_default().push(datagram);
        true
    }

    fn close(&mut self, _: Time, peer: PeerId, code: u64, _: &str) {
        self.closed.insert(peer, code);
    }

    fn dial(&mut self, _: Time) -> Option<PeerId> {
        let peer = PeerId(1000 + self.dialed.len());
        self.dialed.push(peer);
        Some(peer)
    }
}

/// One relay and everybody connected to it.
pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) now: Time,
    peers: HashMap<PeerId, Somebody>,
    connected: usize,
    ends: Ends,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(RelayConfig::default())
    }

    pub(super) fn with(config: RelayConfig) -> Self {
        let now = Time::from_micros(1_000_000);
        Self {
            relay: Relay::new(config),
            now,
            peers: HashMap::new(),
            connected: 0,
            ends: Ends::default(),
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut Relay, &mut Context<'_>)) {
        act(
            &mut self.relay,
            &mut Context {
                now: self.now,
                net: &mut self.ends,
            },
        );
    }

    /// Connects a client with this path.
    pub(super) fn connect_at(&mut self, path: &str, credit: Credit) -> PeerId {
        let setup = Setup {
            path: Some(path.into()),
            ..Setup::default()
        };
        self.connect_with(setup, credit)
    }

    /// Connects a client that says this.
    pub(super) fn connect_with(&mut self, setup: Setup, credit: Credit) -> PeerId {
        let peer = PeerId(self.connected);
        self.connected += 1;
        self.peers
            .insert(peer, Somebody::new(Side::Client, setup, credit));
        self.ends
            .streams
            .insert(peer, streams(Side::Server, Credit::default(), credit));
        self.begin(peer, Side::Server);
        peer
    }

    pub(super) fn connect(&mut self) -> PeerId {
        self.connect_at("/", Credit::default())
    }

    /// Lets the connection that the relay dialed last succeed; the world is the relay above.
    pub(super) fn answer_dial(&mut self) -> PeerId {
        let peer = *self.ends.dialed.last().expect("the relay has dialed");
        self.peers.insert(
            peer,
            Somebody::new(Side::Server, Setup::default(), Credit::default()),
        );
        self.ends.streams.insert(
            peer,
            streams(Side::Client, Credit::default(), Credit::default()),
        );
        self.begin(peer, Side::Client);
        peer
    }

    pub(super) fn dials(&self) -> usize {
        self.ends.dialed.len()
    }

    fn begin(&mut self, peer: PeerId, role: Side) {
        self.act(|relay, cx| relay.on_connected(cx, peer, role));
        let somebody = self.at(peer);
        somebody
            .session
            .start(&mut somebody.streams)
            .expect("credit");
        self.settle();
    }

    /// A connection breaks.
    pub(super) fn disconnect(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.ends.streams.remove(&peer);
        self.act(|relay, cx| relay.on_closed(cx, peer));
        self.settle();
    }

    pub(super) fn at(&mut self, peer: PeerId) -> &mut Somebody {
        self.peers.get_mut(&peer).expect("connected")
    }

    /// The code that the relay closed a connection with.
    pub(super) fn closed(&self, peer: PeerId) -> Option<u64> {
        self.ends.closed.get(&peer).copied()
    }

    /// Lets everybody talk until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        for _ in 0..50 {
            let mut moved = false;
            let peers: Vec<PeerId> = self.peers.keys().copied().collect();
            for peer in peers {
                moved |= self.exchange(peer);
            }
            if !moved {
                return;
            }
        }
        panic!("the world never comes to rest");
    }

    fn exchange(&mut self, peer: PeerId) -> bool {
        let (Some(somebody), Some(end)) =
            (self.peers.get_mut(&peer), self.ends.streams.get_mut(&peer))
        else {
            return false;
        };
        let mut moved = transfer(&mut somebody.streams, end);
        let datagrams = core::mem::take(&mut somebody.outbox);
        moved |= !datagrams.is_empty();
        while let Some(event) = self
            .ends
            .streams
            .get_mut(&peer)
            .and_then(Streams::poll_event)
        {
            moved = true;
            self.act(|relay, cx| relay.on_stream_event(cx, peer, event));
        }
        for datagram in datagrams {
            self.act(|relay, cx| relay.on_datagram(cx, peer, datagram));
        }
        let (Some(somebody), Some(end)) =
            (self.peers.get_mut(&peer), self.ends.streams.get_mut(&peer))
        else {
            return moved;
        };
        if somebody.asleep {
            return moved;
        }
        moved |= transfer(end, &mut somebody.streams);
        somebody.work(self.now);
        for datagram in self.ends.datagrams.remove(&peer).unwrap_or_default() {
            somebody
                .session
                .on_datagram(self.now, &mut somebody.streams, datagram)
                .expect("valid");
        }
        somebody.work(self.now);
        moved
    }

    /// Lets what a peer has to say arrive, but for one packet, which is held back and returned.
    pub(super) fn lose(&mut self, peer: PeerId, nth: usize) -> Vec<u8> {
        let mut lost = Vec::new();
        let somebody = self.peers.get_mut(&peer).expect("connected");
        let end = self.ends.streams.get_mut(&peer).expect("connected");
        let mut n = 0;
        while let Some((packet, _)) = write(&mut somebody.streams) {
            if n == nth {
                lost = packet;
            } else {
                deliver_packet(end, &packet);
            }
            n += 1;
        }
        self.settle();
        lost
    }

    /// The packet that was held back arrives.
    pub(super) fn find(&mut self, peer: PeerId, packet: &[u8]) {
        let end = self.ends.streams.get_mut(&peer).expect("connected");
        deliver_packet(end, packet);
        self.settle();
    }

    /// Lets time pass, timers included.
    pub(super) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.relay.next_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.act(|relay, cx| relay.on_timeout(cx));
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    pub(super) fn shut_down(&mut self, timeout: Duration) {
        self.act(|relay, cx| relay.shut_down(cx, timeout));
        self.settle();
    }

    /// A publisher of `live` that answers the SUBSCRIBE of the relay, and a subscriber that made it.
    pub(super) fn live(&mut self, alias: u64) -> Live {
        let publisher = self.connect();
        self.publish_namespace(publisher, "live");
        let subscriber = self.connect();
        let subscription = self.subscribe(subscriber, Parameters::default());
        let upstream = self.accept(publisher, alias, None);
        assert!(matches!(
            self.at(subscriber).message(subscription),
            Message::SubscribeOk(_)
        ));
        Live {
            publisher,
            upstream,
            subscriber,
            subscription,
        }
    }

    pub(super) fn publish_namespace(&mut self, peer: PeerId, path: &str) -> RequestId {
        let namespace = Namespace::from_path(path).expect("valid");
        let message = NamespaceRequest {
            request_id: 0,
            namespace,
            parameters: Parameters::default(),
        };
        let id = self.at(peer).request(Message::PublishNamespace(message));
        self.settle();
        assert!(matches!(self.at(peer).message(id), Message::RequestOk(_)));
        id
    }

    pub(super) fn subscribe(&mut self, peer: PeerId, parameters: Parameters) -> RequestId {
        let message = Subscribe {
            request_id: 0,
            track: track(),
            parameters,
        };
        let id = self.at(peer).request(Message::Subscribe(message));
        self.settle();
        id
    }

    /// Answers the SUBSCRIBE that the relay has sent to a publisher.
    pub(super) fn accept(
        &mut self,
        publisher: PeerId,
        alias: u64,
        largest: Option<Location>,
    ) -> RequestId {
        let (id, message) = self.at(publisher).asked();
        assert!(
            matches!(message, Message::Subscribe(ref message) if message.track == track()),
            "{message:?}"
        );
        let parameters = Parameters {
            largest_object: largest,
            ..Parameters::default()
        };
        let ok = SubscribeOk {
            track_alias: alias,
            parameters,
            properties: Properties::default(),
        };
        self.at(publisher).send(id, &Message::SubscribeOk(ok));
        self.settle();
        id
    }

    /// Offers the track with PUBLISH; the relay's parameters in answer.
    pub(super) fn offer(&mut self, publisher: PeerId, alias: u64) -> (RequestId, Parameters) {
        self.offer_with(publisher, alias, Properties::default())
    }

    pub(super) fn offer_with(
        &mut self,
        publisher: PeerId,
        alias: u64,
        properties: Properties,
    ) -> (RequestId, Parameters) {
        let message = Publish {
            request_id: 0,
            track: track(),
            track_alias: alias,
            parameters: Parameters::default(),
            properties,
        };
        let id = self.at(publisher).request(Message::Publish(message));
        self.settle();
        match self.at(publisher).message(id) {
            Message::RequestOk(ok) => (id, ok.parameters),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fetch(&mut self, peer: PeerId, range: FetchRange) -> RequestId {
        let message = Fetch {
            request_id: 0,
            range,
            parameters: Parameters::default(),
        };
        let id = self.at(peer).request(Message::Fetch(message));
        self.settle();
        id
    }

    /// The refusal of a request.
    pub(super) fn refused(&mut self, peer: PeerId, id: RequestId) -> RequestError {
        match self.at(peer).message(id) {
            Message::RequestError(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

/// See [`World::live`].
pub(super) struct Live {
    pub(super) publisher: PeerId,
    pub(super) upstream: RequestId,
    pub(super) subscriber: PeerId,
    pub(super) subscription: RequestId,
}

pub(super) fn track() -> FullTrackName {
    FullTrackName::new(Namespace::from_path("live/a").expect("valid"), b"video").expect("short")
}

pub(super) fn filtered(filter: Filter) -> Parameters {
    Parameters {
        subscription_filter: Some(filter),
        ..Parameters::default()
    }
}

pub(super) fn done(stream_count: u64) -> Message {
    Message::PublishDone(PublishDone {
        status: DoneCode::TRACK_ENDED,
        stream_count,
        reason: String::new(),
    })
}

pub(super) fn ok() -> Message {
    Message::RequestOk(RequestOk::default())
}

pub(super) fn header(alias: u64, group: u64) -> SubgroupHeader {
    SubgroupHeader {
        track_alias: alias,
        group_id: group,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(5),
        properties: false,
        end_of_group: true,
        first_object: true,
    }
}

pub(super) fn subgroup(alias: u64, group: u64, ids: &[u64]) -> Bytes {
    let mut bytes = Vec::new();
    header(alias, group).encode(&mut bytes);
    bytes.extend(objects(ids, None));
    Bytes(bytes)
}

/// Objects whose payload is their ID, three thousand times.
pub(super) fn objects(ids: &[u64], mut previous: Option<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in ids {
        let payload = vec![*id as u8; 3000];
        Object {
            id: *id,
            properties: &[],
            body: Body::Payload(&payload),
        }
        .encode(&mut bytes, false, previous);
        previous = Some(*id);
    }
    bytes
}

impl Relay {
    /// What is left of those who have gone.
    pub(super) fn remains(&self) -> Vec<(&'static str, usize)> {
        let all = [
            ("peers", self.peers.len()),
            ("tracks", self.tracks.len()),
            ("names", self.by_name.len()),
            ("subscriptions", self.subscriptions.len()),
            ("streams", self.streams.len()),
            ("publications and watches", self.registry.len()),
            ("timers", usize::from(self.timers.next().is_some())),
            ("cache", self.cost),
        ];
        all.into_iter().filter(|(_, left)| *left > 0).collect()
    }
}
