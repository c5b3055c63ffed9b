//! Peers that do anything, valid or not, in any order: the relay keeps the rules, and its memory is empty
//! when all have gone.

use core::time::Duration;

use super::support::*;
use crate::moqt::message::{
    Fetch, FetchRange, NamespaceRequest, Publish, RequestError, RequestOk, RequestUpdate,
    Subscribe, SubscribeOk,
};
use crate::moqt::{
    Filter, FullTrackName, GroupOrder, Location, Message, Namespace, Parameters, Properties,
    RequestErrorCode, ResetCode,
};
use crate::serve::RelayConfig;
use crate::session::{RequestId, SessionEvent};
use crate::track::PeerId;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.roll(2) == 0).then_some(value)
    }

    fn namespace(&mut self) -> Namespace {
        let paths = ["live", "live/a", "live/b", "other", "live/a/deep"];
        Namespace::from_path(paths[self.roll(5) as usize]).expect("valid")
    }

    fn track(&mut self) -> FullTrackName {
        let names: [&[u8]; 2] = [b"video", b"audio"];
        let name = names[self.roll(2) as usize];
        FullTrackName::new(self.namespace(), name).expect("short")
    }

    fn location(&mut self) -> Location {
        Location::new(self.roll(6), self.roll(4))
    }

    fn parameters(&mut self) -> Parameters {
        let start = self.location();
        let filter = match self.roll(5) {
            0 => None,
            1 => Some(Filter::NextGroupStart),
            2 => Some(Filter::LargestObject),
            3 => Some(Filter::AbsoluteStart(start)),
            _ => Some(Filter::AbsoluteRange {
                start,
                end_group: start.group + self.roll(3),
            }),
        };
        let (forward, ms, priority) = (self.roll(2) == 0, self.roll(500), self.roll(256) as u8);
        Parameters {
            subscription_filter: filter,
            forward: self.maybe(forward),
            object_delivery_timeout: self.maybe(ms),
            subscriber_priority: self.maybe(priority),
            ..Parameters::default()
        }
    }

    fn request(&mut self) -> Message {
        let request_id = 0;
        let namespace = NamespaceRequest {
            request_id,
            namespace: self.namespace(),
            parameters: Parameters::default(),
        };
        let rendezvous = self.roll(2000);
        let parameters = Parameters {
            rendezvous_timeout: self.maybe(rendezvous),
            ..self.parameters()
        };
        let subscribe = Subscribe {
            request_id,
            track: self.track(),
            parameters,
        };
        match self.roll(9) {
            0 => Message::PublishNamespace(namespace),
            1 => Message::SubscribeNamespace(namespace),
            2 => Message::SubscribeTracks(namespace),
            3 => Message::TrackStatus(subscribe),
            4 => Message::Publish(Publish {
                request_id,
                track: self.track(),
                // Live aliases of one peer must differ, and this peer never looks.
                track_alias: self.0,
                parameters: Parameters::default(),
                properties: Properties::default(),
            }),
            5 => Message::Fetch(self.fetch()),
            _ => Message::Subscribe(subscribe),
        }
    }

    fn fetch(&mut self) -> Fetch {
        let (joining_request_id, joining_start) = (self.roll(10) * 2, self.roll(5));
        let range = match self.roll(3) {
            0 => FetchRange::Standalone {
                track: self.track(),
                start: self.location(),
                end: self.location(),
            },
            1 => FetchRange::RelativeJoining {
                joining_request_id,
                joining_start,
            },
            _ => FetchRange::AbsoluteJoining {
                joining_request_id,
                joining_start,
            },
        };
        let order = self.maybe(GroupOrder::Descending);
        Fetch {
            request_id: 0,
            range,
            parameters: Parameters {
                group_order: order,
                ..Parameters::default()
            },
        }
    }

    fn bytes(&mut self, alias: u64) -> Bytes {
        let ids: Vec<u64> = (0..self.roll(4)).map(|n| n * 2).collect();
        let mut bytes = subgroup(alias, self.roll(8), &ids);
        match self.roll(12) {
            0 => {
                let at = self.roll(bytes.len() as u64) as usize;
                bytes.0[at] ^= 1 << self.roll(8);
            }
            1..5 => bytes.0.truncate(5 + self.roll(4000) as usize),
            _ => {}
        }
        bytes
    }
}

/// What a peer has going.
#[derive(Default)]
struct Habits {
    /// Its requests and the relay's.
    requests: Vec<RequestId>,
    /// What it publishes: aliases.
    aliases: Vec<u64>,
}

fn act(world: &mut World, dice: &mut Dice, peer: PeerId, habits: &mut Habits) {
    let request = habits
        .requests
        .get(dice.roll(habits.requests.len().max(1) as u64) as usize)
        .copied();
    let alias = habits
        .aliases
        .get(dice.roll(habits.aliases.len().max(1) as u64) as usize)
        .copied();
    let somebody = world.at(peer);
    match (dice.roll(10), request, alias) {
        (0..3, _, _) => {
            let message = dice.request();
            if let Message::Publish(publish) = &message {
                habits.aliases.push(publish.track_alias);
            }
            habits
                .requests
                .extend(somebody.session.request(&mut somebody.streams, message));
        }
        (3, Some(id), _) if dice.roll(3) == 0 => {
            somebody
                .session
                .cancel(&mut somebody.streams, id, ResetCode::CANCELLED);
        }
        (4, Some(id), _) if !somebody.session.is_peers(id) => {
            let parameters = dice.parameters();
            let _ = somebody
                .session
                .update(&mut somebody.streams, id, parameters);
        }
        (5, _, Some(alias)) => {
            somebody.send_datagram(vec![0x08, alias as u8 & 0x7f, dice.roll(5) as u8, 1, b'x'])
        }
        (6.., _, Some(alias)) => {
            let bytes = dice.bytes(alias);
            if let Some(stream) = somebody.try_open(&bytes) {
                match dice.roll(4) {
                    0 => {}
                    1 => drop(somebody.streams.reset(stream, 9)),
                    _ => drop(somebody.streams.finish(stream)),
                }
            }
        }
        _ => {}
    }
}

/// Answers what the relay asks of a peer, one way or another.
fn answer(world: &mut World, dice: &mut Dice, peer: PeerId, habits: &mut Habits) {
    for event in world.at(peer).news() {
        let SessionEvent::Request { id, message } = event else {
            continue;
        };
        let somebody = world.at(peer);
        let refusal = RequestError::new(RequestErrorCode::UNINTERESTED, "");
        let answer = match (dice.roll(4), message) {
            (0, _) => Message::RequestError(refusal),
            (_, Message::Subscribe(_)) => {
                let track_alias = dice.roll(1 << 20) + (id.0 << 21);
                habits.aliases.push(track_alias);
                Message::SubscribeOk(SubscribeOk {
                    track_alias,
                    ..SubscribeOk::default()
                })
            }
            _ => Message::RequestOk(RequestOk {
                parameters: dice.parameters(),
                ..RequestOk::default()
            }),
        };
        habits.requests.push(id);
        let _ = somebody.session.send(&mut somebody.streams, id, &answer);
        if dice.roll(4) == 0 {
            let message = if dice.roll(2) == 0 {
                done(dice.roll(3))
            } else {
                update()
            };
            let _ = somebody.session.send(&mut somebody.streams, id, &message);
        }
    }
}

fn update() -> Message {
    Message::RequestUpdate(RequestUpdate {
        request_id: u64::MAX - 1,
        parameters: Parameters::default(),
    })
}

fn one_life(seed: u64) {
    let config = RelayConfig {
        cache_bytes: 40_000,
        group_bytes: 20_000,
        max_pending: 30_000,
        ..RelayConfig::default()
    };
    let mut world = World::with(config);
    let mut dice = Dice(seed);
    let mut peers: Vec<(PeerId, Habits)> = Vec::new();
    for _ in 0..400 {
        if peers.len() < 6 {
            let uni = 3 + dice.roll(60);
            let peer = world.connect_at("/", Credit { uni, data: 1 << 20 });
            peers.push((peer, Habits::default()));
        }
        let n = dice.roll(peers.len() as u64) as usize;
        let (peer, habits) = &mut peers[n];
        world.at(*peer).asleep = dice.roll(10) == 0;
        act(&mut world, &mut dice, *peer, habits);
        world.settle();
        for (peer, habits) in &mut peers {
            answer(&mut world, &mut dice, *peer, habits);
        }
        world.wait(Duration::from_millis(dice.roll(300)));
        let gone: Vec<PeerId> = peers
            .iter()
            .map(|(peer, _)| *peer)
            .filter(|peer| world.closed(*peer).is_some())
            .collect();
        for peer in gone {
            world.disconnect(peer);
        }
        peers.retain(|(peer, _)| world.closed(*peer).is_none());
        if dice.roll(40) == 0 && !peers.is_empty() {
            world.disconnect(peers.swap_remove(0).0);
        }
        assert!(world.relay.counters().cache_bytes < 100_000);
    }
    for (peer, _) in peers {
        world.disconnect(peer);
    }
    world.wait(Duration::from_secs(120));
    assert_eq!(world.relay.remains(), [], "seed {seed}");
}

#[test]
fn nothing_is_left_when_all_have_gone() {
    for seed in 0..150 {
        one_life(seed);
    }
}
