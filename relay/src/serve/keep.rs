//! What is kept and for how long: the latest group of each track, and older ones while there is room. No RFC.

use super::Relay;
use crate::cache::StoredDatagram;
use crate::track::{Group, StreamKey, Track, TrackId};

/// What a stream costs beside its chunks and objects, with the trees and tables that are never full.
const STREAM_COST: usize = 1024;
/// What a group costs beside its streams.
const GROUP_COST: usize = 256;

impl Relay {
    /// A stream of this group begins.
    pub(super) fn keep_stream(&mut self, track: TrackId, group: u64, key: StreamKey) {
        self.keep_group(track, group);
        if let Some(kept) = self.group_mut(track, group) {
            kept.streams.push(key);
            kept.cost += STREAM_COST;
            self.cost += STREAM_COST;
        }
        self.make_room();
    }

    /// An object of this group came in a datagram.
    pub(super) fn keep_datagram(&mut self, track: TrackId, datagram: StoredDatagram) {
        let (group, cost) = (datagram.location.group, datagram.cost());
        self.keep_group(track, group);
        if let Some(kept) = self.group_mut(track, group) {
            kept.datagrams.push(datagram);
            kept.cost += cost;
            self.cost += cost;
        }
        self.limit_group(track, group);
        self.make_room();
    }

    /// The bytes of a stream of this group cost `after` now, not `before`.
    pub(super) fn kept(&mut self, track: TrackId, group: u64, before: usize, after: usize) {
        if let Some(kept) = self.group_mut(track, group) {
            kept.cost = kept.cost.saturating_add(after).saturating_sub(before);
            self.cost = self.cost.saturating_add(after).saturating_sub(before);
        }
        self.limit_group(track, group);
        self.make_room();
    }

    fn group_mut(&mut self, track: TrackId, group: u64) -> Option<&mut Group> {
        self.tracks.get_mut(&track)?.groups.get_mut(&group)
    }

    /// Makes a group known; the one that was the latest may be dropped from now on.
    fn keep_group(&mut self, id: TrackId, group: u64) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        if track.groups.contains_key(&group) {
            return;
        }
        let latest = track.groups.last_key_value().map(|(latest, _)| *latest);
        track.groups.insert(
            group,
            Group {
                cost: GROUP_COST,
                ..Group::default()
            },
        );
        self.cost += GROUP_COST;
        if let Some(latest) = latest {
            self.touch(id, latest.min(group));
        }
    }

    /// An older group was of use.
    pub(super) fn touch(&mut self, id: TrackId, group: u64) {
        let stamp = self.ages.touch((id, group));
        if let Some(kept) = self.group_mut(id, group) {
            kept.stamp = stamp;
        }
        let tracks = &self.tracks;
        if self.ages.is_long() {
            self.ages.retain(|stamp, (id, group)| {
                tracks
                    .get(id)
                    .and_then(|track| track.groups.get(group))
                    .is_some_and(|kept| kept.stamp == stamp)
            });
        }
    }

    /// A single group may not take everything: then nobody can join it at its start any more.
    fn limit_group(&mut self, track: TrackId, group: u64) {
        let limit = self.config.group_bytes;
        if self
            .group_mut(track, group)
            .is_some_and(|kept| kept.cost > limit)
        {
            self.evict(track, group);
        }
    }

    /// Drops the groups that were not of use for longest until the rest fits.
    fn make_room(&mut self) {
        while self.cost > self.config.cache_bytes {
            let Some((stamp, (id, group))) = self.ages.pop() else {
                break;
            };
            let current = self.tracks.get(&id).is_some_and(|track| {
                let latest = track.groups.last_key_value().map(|(latest, _)| *latest);
                latest != Some(group)
                    && track
                        .groups
                        .get(&group)
                        .is_some_and(|kept| kept.stamp == stamp)
            });
            if current {
                self.evict(id, group);
            }
        }
        if self.cost > self.config.cache_bytes.saturating_mul(2) {
            self.drop_latest();
        }
    }

    /// Only latest groups are left. They go, too, before memory does; those of tracks nobody takes first.
    fn drop_latest(&mut self) {
        let group = |(id, track): (&TrackId, &Track)| {
            let (group, _) = track.groups.last_key_value()?;
            Some((!track.is_unwanted(), *id, *group))
        };
        let mut latest: Vec<(bool, TrackId, u64)> = self.tracks.iter().filter_map(group).collect();
        latest.sort_unstable();
        for (_, id, group) in latest {
            if self.cost <= self.config.cache_bytes {
                return;
            }
            self.evict(id, group);
        }
    }

    /// Forgets a group; its streams are still forwarded to those who have begun them.
    pub(super) fn evict(&mut self, track: TrackId, group: u64) {
        let Some(kept) = self
            .tracks
            .get_mut(&track)
            .and_then(|track| track.groups.remove(&group))
        else {
            return;
        };
        self.cost = self.cost.saturating_sub(kept.cost);
        self.counters.evicted_groups += 1;
        for key in kept.streams {
            let over = self.streams.get_mut(&key).is_none_or(|stream| {
                stream.store.drop_bytes();
                stream.store.is_over()
            });
            if over {
                self.streams.remove(&key);
            }
        }
    }

    /// A stream is over: unless its group is kept, nothing of it is needed.
    pub(super) fn forget_unkept(&mut self, track: TrackId, key: StreamKey) {
        let Some(group) = self
            .streams
            .get(&key)
            .map(|stream| stream.store.header().group_id)
        else {
            return;
        };
        let kept = self
            .group_mut(track, group)
            .is_some_and(|group| group.streams.contains(&key));
        if !kept {
            self.streams.remove(&key);
        }
    }

    /// Forgets everything that is kept of a track.
    pub(super) fn evict_all(&mut self, track: TrackId) {
        let groups: Vec<u64> = self
            .tracks
            .get(&track)
            .map(|track| track.groups.keys().copied().collect())
            .unwrap_or_default();
        for group in groups {
            self.evict(track, group);
        }
    }
}
