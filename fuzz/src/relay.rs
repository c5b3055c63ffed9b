//! A relay and peers that say anything on any stream (draft-ietf-moq-transport-18 §9, §10, §13.1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quic_lite::stream::{Chunk, StreamConfig, Streams};
use quic_lite::wire::frame::{ResetStream, StopSending, Stream};
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::writer::Writer;
use quic_lite::{Dir, Side, StreamId, Time};
use quic_relay::moqt::Setup;
use quic_relay::moqt::message::Message;
use quic_relay::serve::{Context, Counters, Network, Relay, RelayConfig};
use quic_relay::track::PeerId;

use crate::bytes::Script;

/// The input is steps of three peers: bytes on a control stream, on a request's, an answer's or a data stream, datagrams,
/// ends of streams and of connections, and time. The relay comes to rest after each, keeps within its limits, and has
/// forgotten everything when all have gone.
pub fn relay(data: &[u8]) {
    play(data);
}

/// What the relay has counted before all went.
fn play(data: &[u8]) -> Counters {
    let mut script = Script::new(data);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        let Some(step) = script.step() else {
            break;
        };
        world.step(step, &mut script);
        world.settle();
        world.check();
    }
    let counters = world.relay.counters();
    for place in 0..PEERS {
        world.leave(world.places[place]);
    }
    world.wait(Duration::from_secs(120));
    let left = world.relay.counters();
    let all = [
        left.peers,
        left.tracks,
        left.subscriptions,
        left.cache_bytes,
    ];
    assert_eq!(all, [0; 4], "{left:?}");
    assert_eq!(world.relay.next_timeout(), None);
    counters
}

/// The relay's ends of the connections.
#[derive(Default)]
struct Ends {
    streams: BTreeMap<PeerId, Streams>,
    closed: BTreeSet<PeerId>,
}

impl Network for Ends {
    fn streams(&mut self, peer: PeerId) -> Option<&mut Streams> {
        self.streams.get_mut(&peer)
    }

    fn send_datagram(&mut self, _: PeerId, _: Chunk) -> bool {
        true
    }

    fn close(&mut self, _: Time, peer: PeerId, _: u64, reason: &str) {
        assert!(!reason.contains('\n'));
        self.closed.insert(peer);
    }

    fn dial(&mut self, _: Time) -> Option<PeerId> {
        panic!("there is no relay above")
    }
}

struct World {
    relay: Relay,
    now: Time,
    ends: Ends,
    /// Who is where.
    places: [PeerId; PEERS],
    next: usize,
    /// How much each has sent on each stream.
    offsets: BTreeMap<(PeerId, StreamId), u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            relay: Relay::new(config()),
            now: Time::from_micros(1_000_000),
            ends: Ends::default(),
            places: [PeerId(0); PEERS],
            next: 0,
            offsets: BTreeMap::new(),
        };
        for place in 0..PEERS {
            world.come(place);
        }
        world
    }

    fn act(&mut self, act: impl FnOnce(&mut Relay, &mut Context<'_>)) {
        let (now, net) = (self.now, &mut self.ends);
        act(&mut self.relay, &mut Context { now, net });
    }

    /// A client connects and says what it is.
    fn come(&mut self, place: usize) {
        let peer = PeerId(self.next);
        self.next += 1;
        self.places[place] = peer;
        self.ends.streams.insert(peer, streams());
        self.act(|relay, cx| relay.on_connected(cx, peer, Side::Server));
        let mut setup = Vec::new();
        assert!(Message::Setup(Setup::default()).encode(&mut setup));
        self.say(peer, CONTROL, &setup, false);
        self.settle();
    }

    fn leave(&mut self, peer: PeerId) {
        self.offsets.retain(|(who, _), _| *who != peer);
        if self.ends.streams.remove(&peer).is_some() {
            self.act(|relay, cx| relay.on_closed(cx, peer));
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let place = usize::from(step >> 4) % PEERS;
        let peer = self.places[place];
        match step & 15 {
            0..=7 => {
                let at = script.byte();
                self.say(peer, stream(at), script.bytes(), at & 0x80 != 0);
            }
            8 => {
                let (at, application_error_code) = (script.byte(), script.integer());
                let stream_id = stream(at);
                let final_size = self.offsets.get(&(peer, stream_id)).copied().unwrap_or(0);
                self.frame(peer, |streams, _| match at & 0x80 {
                    0 => streams.on_reset_stream(&ResetStream {
                        stream_id,
                        application_error_code,
                        final_size,
                    }),
                    _ => streams.on_stop_sending(&StopSending {
                        stream_id,
                        application_error_code,
                    }),
                });
            }
            9 | 10 => {
                let datagram = Chunk::from(script.bytes());
                if self.ends.streams.contains_key(&peer) {
                    self.act(|relay, cx| relay.on_datagram(cx, peer, datagram));
                }
            }
            11 => {
                self.leave(peer);
                self.come(place);
            }
            _ => self.wait(Duration::from_millis(script.short().into())),
        }
    }

    fn say(&mut self, peer: PeerId, stream_id: StreamId, data: &[u8], fin: bool) {
        let offset = self.offsets.entry((peer, stream_id)).or_default();
        let frame = Stream {
            stream_id,
            offset: *offset,
            fin,
            data,
        };
        *offset += data.len() as u64;
        self.frame(peer, |streams, now| streams.on_stream(now, &frame));
    }

    /// A frame arrives; one that the transport refuses ends the connection.
    fn frame<E>(&mut self, peer: PeerId, act: impl FnOnce(&mut Streams, Time) -> Result<(), E>) {
        let now = self.now;
        let refused = self.ends.streams.get_mut(&peer);
        if refused.is_some_and(|streams| act(streams, now).is_err()) {
            self.leave(peer);
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut standstill = 0;
        while let Some(at) = self.relay.next_timeout().filter(|at| *at <= end) {
            standstill = if at > self.now { 0 } else { standstill + 1 };
            assert!(standstill < MAX_STANDSTILL, "a deadline that stays at {at}");
            self.now = self.now.max(at);
            self.act(|relay, cx| relay.on_timeout(cx));
            self.settle();
        }
        self.now = end;
    }

    /// Everything that the relay wants to say arrives somewhere, until it has nothing to say.
    fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            for peer in std::mem::take(&mut self.ends.closed) {
                self.leave(peer);
            }
            let peers: Vec<PeerId> = self.ends.streams.keys().copied().collect();
            let mut moved = false;
            for peer in peers {
                moved |= self.exchange(peer);
            }
            if !moved {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn exchange(&mut self, peer: PeerId) -> bool {
        let mut moved = false;
        while let Some(event) = self.ends.streams(peer).and_then(Streams::poll_event) {
            moved = true;
            self.act(|relay, cx| relay.on_stream_event(cx, peer, event));
        }
        let Some(streams) = self.ends.streams(peer) else {
            return moved;
        };
        let (mut buffer, mut sent) = ([0; 1200], Vec::new());
        let mut out = Writer::new(&mut buffer);
        streams.write_frames(&mut out, &mut sent);
        sent.iter().for_each(|frame| streams.on_acked(frame));
        moved || !out.written().is_empty()
    }

    /// Draft §13.1: nobody makes it keep more than it may.
    fn check(&self) {
        let (counters, config) = (self.relay.counters(), config());
        assert!(counters.tracks <= config.max_tracks as u64, "{counters:?}");
        assert!(counters.subscriptions <= (PEERS * config.max_requests) as u64);
        let kept = (config.cache_bytes + config.group_bytes) as u64;
        assert!(counters.cache_bytes <= kept, "{counters:?}");
        for streams in self.ends.streams.values() {
            assert_eq!(streams.audit(), Ok(()));
        }
    }
}

/// A stream that a peer may speak on: requests of its own, answers to the relay's, data, control.
fn stream(at: u8) -> StreamId {
    let index = u64::from(at >> 2 & 15);
    match at & 3 {
        0 => StreamId::new(Side::Client, Dir::Bi, index),
        1 => StreamId::new(Side::Client, Dir::Uni, index + 1),
        2 => StreamId::new(Side::Server, Dir::Bi, index),
        _ => CONTROL,
    }
}

/// Limits that a script can reach.
fn config() -> RelayConfig {
    RelayConfig {
        cache_bytes: 20_000,
        group_bytes: 5_000,
        max_pending: 5_000,
        max_tracks: 4,
        max_requests: 6,
        max_namespaces: 4,
        ..RelayConfig::default()
    }
}

fn streams() -> Streams {
    let mut streams = Streams::new(Side::Server, &StreamConfig::default());
    streams.set_peer_parameters(&TransportParameters {
        initial_max_data: 1 << 16,
        initial_max_stream_data_bidi_local: 1 << 12,
        initial_max_stream_data_bidi_remote: 1 << 12,
        initial_max_stream_data_uni: 1 << 12,
        initial_max_streams_bidi: 8,
        initial_max_streams_uni: 8,
        ..TransportParameters::default()
    });
    streams
}

const CONTROL: StreamId = StreamId::new(Side::Client, Dir::Uni, 0);
const PEERS: usize = 3;
/// Steps of one script.
const MAX_STEPS: u32 = 200;
/// Rounds until there is nothing more to say.
const MAX_ROUNDS: u32 = 2_000;
/// Deadlines served in a row without time passing.
const MAX_STANDSTILL: u32 = 100;

#[cfg(test)]
mod tests {
    use super::play;
    use crate::seeds::seeds;

    /// Or all that the fuzzer makes of it would not be relayed.
    #[test]
    fn what_a_publisher_sends_is_forwarded() {
        let seeds = seeds();
        let scene = |name: &str| {
            let mut all = seeds.iter().filter(|seed| seed.target == "relay");
            let seed = all.find(|seed| seed.name == name);
            play(&seed.expect("it is a seed").bytes)
        };
        let live = scene("live");
        assert!(
            live.forwarded_streams > 0 && live.forwarded_datagrams > 0,
            "{live:?}"
        );
        assert!(live.tracks == 1 && live.violations == 0);
        assert!(scene("published").forwarded_streams > 0);
        assert!(scene("fetch_alone").fetches > 0);
    }
}
