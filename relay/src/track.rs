//! The relay's picture of the world: tracks, who publishes them, who takes them. MOQT draft §2, §5.
//!
//! Only data; what happens to it is in `serve`. Everything is named by small numbers of our own, so
//! that one part can be changed while another is looked at.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use core::time::Duration;

use quic_lite::Time;
use quic_lite::wire::stream_id::StreamId;

use crate::cache::{StoredDatagram, StreamStore};
use crate::forward::{Route, Window};
use crate::moqt::message::RequestError;
use crate::moqt::{
    DoneCode, Filter, FullTrackName, GroupOrder, Location, Parameters, Properties, key_value,
};
use crate::session::RequestId;

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub usize);

/// A track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

/// A downstream subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// An upstream stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(pub u64);

/// What keeps the names of one application from those of another: the path of the session (draft §2.4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub Arc<[u8]>);

impl From<&[u8]> for Scope {
    fn from(path: &[u8]) -> Self {
        Self(path.into())
    }
}

/// A track's full name in its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrackKey {
    /// The scope.
    pub scope: Scope,
    /// The name.
    pub name: FullTrackName,
}

/// A track.
#[derive(Debug)]
pub struct Track {
    /// Its name.
    pub key: TrackKey,
    /// Its properties, to be handed on as they came.
    pub properties: Properties,
    /// The largest location seen or told of.
    pub largest: Option<Location>,
    /// Where it comes from.
    pub upstream: Upstream,
    /// A newer publisher that was asked and has not answered.
    pub successor: Option<(PeerId, RequestId)>,
    /// Publishers that were asked in vain since somebody waits.
    pub refused_by: Vec<PeerId>,
    /// What the last of them said.
    pub refusal: Option<RequestError>,
    /// Who takes it.
    pub subscriptions: Vec<SubscriptionId>,
    /// Who waits for it.
    pub waiting: Vec<Waiting>,
    /// Past objects on their way to somebody.
    pub fetches: Vec<FetchJob>,
    /// What is kept.
    pub groups: BTreeMap<u64, Group>,
    /// The largest NEW_GROUP_REQUEST on its way upstream (draft §10.2.13).
    pub new_group_asked: Option<u64>,
    /// Objects have come in datagrams.
    pub has_datagrams: bool,
    /// The End of Track object, once it has come.
    pub ended_at: Option<Location>,
}

impl Track {
    /// A track nobody publishes yet.
    pub const fn new(key: TrackKey, properties: Properties) -> Self {
        Self {
            key,
            properties,
            largest: None,
            upstream: Upstream::None,
            successor: None,
            refused_by: Vec::new(),
            refusal: None,
            subscriptions: Vec::new(),
            waiting: Vec::new(),
            fetches: Vec::new(),
            groups: BTreeMap::new(),
            new_group_asked: None,
            has_datagrams: false,
            ended_at: None,
        }
    }

    /// Whether objects come in, or may come in.
    pub const fn is_live(&self) -> bool {
        matches!(self.upstream, Upstream::Live(_))
    }

    /// Whether nobody would miss it.
    pub fn is_unwanted(&self) -> bool {
        self.subscriptions.is_empty() && self.waiting.is_empty() && self.fetches.is_empty()
    }

    /// Whether objects may come in datagrams, which nobody counts and which may be a little late.
    pub fn may_have_datagrams(&self) -> bool {
        let no_streams = matches!(&self.upstream, Upstream::Live(live) if live.streams == 0);
        self.has_datagrams || no_streams
    }

    /// Objects that began to arrive before this are not served from the cache any more (draft §12.3).
    pub fn stale_before(&self, now: Time) -> Option<Time> {
        let duration = self.properties.int(key_value::key::MAX_CACHE_DURATION)?;
        Some(now - Duration::from_millis(duration))
    }

    /// How long those who wait may still wait for a publisher.
    pub fn patience(&self, now: Time) -> Option<Duration> {
        let until = self
            .waiting
            .iter()
            .filter_map(|waiting| waiting.until)
            .max()?;
        Some(until.since(now)).filter(|left| !left.is_zero())
    }

    /// The new group that those who wait wish for (draft §10.2.13).
    pub fn wished_group(&self) -> Option<u64> {
        self.waiting
            .iter()
            .filter_map(|waiting| waiting.subscribe.as_ref()?.new_group_request)
            .max()
    }

    /// Takes note of an object.
    pub fn saw(&mut self, location: Location) {
        if self.largest.is_none_or(|largest| largest < location) {
            self.largest = Some(location);
            self.new_group_asked = None;
        }
    }

    /// The timeouts of a subscription: the smaller of the publisher's and the subscriber's (draft §8).
    pub fn timeouts(&self, parameters: &Parameters) -> Timeouts {
        let pick = |ours: Option<u64>, key| {
            let theirs = self.properties.int(key);
            let smaller = ours.into_iter().chain(theirs).filter(|ms| *ms > 0).min()?;
            Some(Duration::from_millis(smaller))
        };
        Timeouts {
            object: pick(
                parameters.object_delivery_timeout,
                key_value::key::OBJECT_DELIVERY_TIMEOUT,
            ),
            subgroup: pick(
                parameters.subgroup_delivery_timeout,
                key_value::key::SUBGROUP_DELIVERY_TIMEOUT,
            ),
        }
    }
}

/// Where a track comes from.
#[derive(Debug)]
pub enum Upstream {
    /// From nowhere.
    None,
    /// We have asked.
    Pending {
        /// Whom.
        peer: PeerId,
        /// With this SUBSCRIBE.
        request: RequestId,
    },
    /// From there.
    Live(LiveUpstream),
}

impl Upstream {
    /// The request that brings the track here.
    pub const fn request(&self) -> Option<(PeerId, RequestId)> {
        match self {
            Self::None => None,
            Self::Pending { peer, request } => Some((*peer, *request)),
            Self::Live(live) => Some((live.peer, live.request)),
        }
    }
}

/// An established subscription of ours.
#[derive(Debug)]
pub struct LiveUpstream {
    /// Who sends.
    pub peer: PeerId,
    /// Our SUBSCRIBE or their PUBLISH.
    pub request: RequestId,
    /// Whether it is their PUBLISH.
    pub offered: bool,
    /// Their alias.
    pub alias: u64,
    /// Streams that have begun.
    pub streams: u64,
    /// Streams that are not over.
    pub open: HashSet<StreamKey>,
    /// They have said that it ends.
    pub done: Option<Done>,
}

/// A PUBLISH_DONE that waits for its streams.
#[derive(Clone, Debug)]
pub struct Done {
    /// Why.
    pub status: DoneCode,
    /// How many streams there are.
    pub stream_count: u64,
    /// When it came, or later bytes of the streams.
    pub heard: Time,
    /// Why, in words.
    pub reason: String,
}

/// Who waits for a track to come.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Who.
    pub peer: PeerId,
    /// A SUBSCRIBE or TRACK_STATUS.
    pub request: RequestId,
    /// Its parameters; `None` for a TRACK_STATUS.
    pub subscribe: Option<Parameters>,
    /// Until when it may wait for a publisher to appear.
    pub until: Option<Time>,
    /// REQUEST_UPDATEs that came meanwhile; the answer to the request goes first.
    pub updates: u32,
}

/// A kept group.
#[derive(Debug, Default)]
pub struct Group {
    /// Its streams.
    pub streams: Vec<StreamKey>,
    /// Its objects that came in datagrams.
    pub datagrams: Vec<StoredDatagram>,
    /// When it was last of use, in the order of uses.
    pub stamp: u64,
    /// What it costs to keep.
    pub cost: usize,
}

/// An upstream stream and who gets it.
#[derive(Debug)]
pub struct Stream {
    /// Of which track.
    pub track: TrackId,
    /// From whom, on which stream.
    pub source: (PeerId, StreamId),
    /// Its bytes.
    pub store: StreamStore,
    /// Who gets it.
    pub audience: Vec<Listener>,
}

/// One subscriber of one upstream stream.
#[derive(Debug)]
pub struct Listener {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Whose.
    pub peer: PeerId,
    /// The alias there.
    pub alias: u64,
    /// How bytes go there.
    pub route: Route,
    /// The stream there, once it is open.
    pub stream: Option<StreamId>,
}

/// A downstream subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Who takes the track.
    pub peer: PeerId,
    /// Their SUBSCRIBE or our PUBLISH.
    pub request: RequestId,
    /// Which track.
    pub track: TrackId,
    /// The alias we gave it.
    pub alias: u64,
    /// The filter as it was asked for.
    pub filter: Option<Filter>,
    /// The filter as it was resolved.
    pub window: Window,
    /// Whether objects are to be sent.
    pub forward: bool,
    /// Whether the peer has said yes to our PUBLISH; true for a SUBSCRIBE.
    pub accepted: bool,
    /// Its priority among the subscriber's.
    pub priority: u8,
    /// How its groups compete.
    pub order: GroupOrder,
    /// How late objects may be.
    pub timeouts: Timeouts,
    /// What was asked about timeouts, to be combined again after an update.
    pub parameters: Parameters,
    /// How many streams we have opened for it.
    pub streams_opened: u64,
    /// Where it joined (draft §5.1); a joining FETCH ends there.
    pub joined_at: Option<Location>,
}

/// Delivery timeouts (draft §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of an object.
    pub object: Option<Duration>,
    /// From the end of a subgroup.
    pub subgroup: Option<Duration>,
}

impl Timeouts {
    /// The shorter one.
    pub fn shortest(&self) -> Option<Duration> {
        self.object.into_iter().chain(self.subgroup).min()
    }
}

/// A FETCH that is not answered yet.
#[derive(Clone, Debug)]
pub struct FetchJob {
    /// Who asks.
    pub peer: PeerId,
    /// The FETCH.
    pub request: RequestId,
    /// The first location.
    pub start: Location,
    /// The last location.
    pub end: Location,
    /// What FETCH_OK says of the end.
    pub told_end: Location,
    /// In which order groups come.
    pub order: GroupOrder,
    /// Its priority.
    pub priority: u8,
    /// Until when it waits for objects that are on their way.
    pub until: Time,
    /// REQUEST_UPDATEs that came meanwhile; the answer to the request goes first.
    pub updates: u32,
}

/// The priority of a data stream: the subscriber's first, then the publisher's, then the group order
/// (draft §7.2). Within one value the transport sends the older stream first, which is ascending order.
pub fn stream_priority(subscriber: u8, publisher: u8, order: GroupOrder, group: u64) -> i32 {
    let newest_first = match order {
        GroupOrder::Ascending => 0,
        GroupOrder::Descending => (group & 0x7fff) as i32,
    };
    // Requests and control are far above; 2^30 below zero is the least urgent.
    ((i32::from(255 - subscriber) << 23) | (i32::from(255 - publisher) << 15) | newest_first)
        - (1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moqt::Namespace;
    use crate::moqt::key_value::PairWriter;

    #[test]
    fn the_subscribers_priority_counts_before_the_publishers() {
        use GroupOrder::{Ascending, Descending};
        let urgent = stream_priority(0, 255, Ascending, 0);
        assert!(urgent > stream_priority(1, 0, Descending, 0x7fff));
        assert!(stream_priority(5, 1, Ascending, 0) > stream_priority(5, 2, Descending, 9));
        assert!(stream_priority(5, 1, Descending, 9) > stream_priority(5, 1, Descending, 8));
        assert_eq!(
            stream_priority(5, 1, Ascending, 9),
            stream_priority(5, 1, Ascending, 8)
        );
        assert!(stream_priority(0, 0, Descending, 0x7fff) < i32::MAX - 1);
    }

    #[test]
    fn the_smaller_timeout_counts_and_zero_means_none() {
        let mut bytes = Vec::new();
        PairWriter::new(&mut bytes).int(key_value::key::OBJECT_DELIVERY_TIMEOUT, 300);
        let name = FullTrackName::new(Namespace::empty(), b"t").expect("short");
        let key = TrackKey {
            scope: Scope::from(&b""[..]),
            name,
        };
        let track = Track::new(key, Properties::parse_all(&bytes).expect("valid"));
        let asked = |ms| Parameters {
            object_delivery_timeout: Some(ms),
            ..Parameters::default()
        };
        assert_eq!(
            track.timeouts(&asked(500)).object,
            Some(Duration::from_millis(300))
        );
        assert_eq!(
            track.timeouts(&asked(100)).object,
            Some(Duration::from_millis(100))
        );
        assert_eq!(
            track.timeouts(&asked(0)).object,
            Some(Duration::from_millis(300))
        );
        assert_eq!(track.timeouts(&asked(0)).subgroup, None);
    }
}
