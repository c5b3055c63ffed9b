//! How many streams each side may open (RFC 9000 §4.6), and which of them ever had a frame.
//!
//! A peer that uses a high stream ID opens all lower ones (§2.1), but nothing is stored for those:
//! only the ranges of IDs that are open and were never mentioned.

use crate::range_set::RangeSet;
use crate::wire::stream_id::StreamId;

/// The streams of one direction that the peer opens.
#[derive(Debug)]
pub(super) struct PeerStreams {
    maximum: u64,
    concurrent: u64,
    opened: u64,
    closed: u64,
    unmentioned: RangeSet,
}

/// What a stream ID of the peer's means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mention {
    /// No frame has named it before.
    First,
    /// It is open, or it was.
    Again,
    /// It is beyond the limit.
    OverLimit,
}

impl PeerStreams {
    pub(super) fn new(concurrent: u64) -> Self {
        let concurrent = concurrent.min(StreamId::MAX_COUNT);
        Self {
            maximum: concurrent,
            concurrent,
            opened: 0,
            closed: 0,
            unmentioned: RangeSet::new(),
        }
    }

    pub(super) fn mention(&mut self, index: u64) -> Mention {
        if index >= self.maximum {
            return Mention::OverLimit;
        }
        if index >= self.opened {
            self.unmentioned.insert(self.opened..index);
            self.opened = index + 1;
            return Mention::First;
        }
        match self.unmentioned.remove(index..index + 1) {
            true => Mention::First,
            false => Mention::Again,
        }
    }

    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }

    /// How many are open.
    pub(super) const fn open(&self) -> u64 {
        self.opened - self.closed
    }

    /// Notes that a stream is gone.
    pub(super) fn close(&mut self) {
        self.closed += 1;
    }

    /// Whether the peer should be told of a new limit. Telling each stream that is gone would be a frame
    /// per stream; an eighth at a time keeps the peer going, unless it has hardly any left.
    pub(super) fn update_is_due(&self) -> bool {
        let (more, step) = (self.next_maximum() - self.maximum, self.concurrent / 8);
        more > step || (more > 0 && self.maximum - self.opened <= step)
    }

    /// The limit to tell the peer now: as many streams at a time as ever.
    pub(super) fn raise(&mut self) -> u64 {
        self.maximum = self.next_maximum();
        self.maximum
    }

    fn next_maximum(&self) -> u64 {
        (self.closed + self.concurrent).min(StreamId::MAX_COUNT)
    }
}

/// The streams of one direction that we open.
#[derive(Debug, Default)]
pub(super) struct OwnStreams {
    maximum: u64,
    opened: u64,
    refused: bool,
}

impl OwnStreams {
    /// The index of a new stream, if the peer's limit allows one.
    pub(super) const fn open(&mut self) -> Option<u64> {
        self.adopt(self.maximum)
    }

    /// Opens the next stream if there are to be `count`.
    pub(super) const fn adopt(&mut self, count: u64) -> Option<u64> {
        if self.opened >= count {
            return None;
        }
        self.opened += 1;
        Some(self.opened - 1)
    }

    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }

    pub(super) const fn is_opened(&self, index: u64) -> bool {
        index < self.opened
    }

    pub(super) const fn maximum(&self) -> u64 {
        self.maximum
    }

    /// Notes that the application wanted one more; true the first time at this limit.
    pub(super) fn refuse(&mut self) -> bool {
        !core::mem::replace(&mut self.refused, true)
    }

    /// RFC 9000 §4.6: lower limits are ignored. True when somebody waits for this.
    pub(super) fn raise(&mut self, maximum: u64) -> bool {
        if maximum <= self.maximum {
            return false;
        }
        self.maximum = maximum.min(StreamId::MAX_COUNT);
        core::mem::take(&mut self.refused)
    }

    /// Whether STREAMS_BLOCKED is still true.
    pub(super) const fn is_refused(&self) -> bool {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_index_opens_all_lower_ones_without_storing_them() {
        let mut streams = PeerStreams::new(1 << 40);
        assert_eq!(streams.mention((1 << 40) - 1), Mention::First);
        assert_eq!(streams.mention(1 << 40), Mention::OverLimit);
        assert_eq!(streams.unmentioned.len(), 1);
        assert_eq!(streams.mention(7), Mention::First);
        assert_eq!(streams.mention(7), Mention::Again);
    }

    #[test]
    fn the_limit_grows_with_closed_streams_in_steps() {
        let mut streams = PeerStreams::new(16);
        let close = |streams: &mut PeerStreams| {
            streams.close();
            streams.update_is_due()
        };
        assert!(!close(&mut streams) && !close(&mut streams) && close(&mut streams));
        assert_eq!(streams.raise(), 19);
        assert!(!close(&mut streams));
    }

    #[test]
    fn a_peer_that_has_hardly_any_left_is_told_of_each() {
        let mut streams = PeerStreams::new(16);
        streams.close();
        assert!(!streams.update_is_due());
        streams.mention(13);
        assert!(streams.update_is_due());
        assert_eq!(streams.raise(), 17);
        assert!(!streams.update_is_due());
    }

    #[test]
    fn a_refused_open_is_told_when_the_limit_rises() {
        let mut streams = OwnStreams::default();
        assert_eq!(streams.open(), None);
        assert!(streams.refuse() && !streams.refuse());
        assert!(!streams.raise(0));
        assert!(streams.raise(1) && !streams.raise(2));
        assert_eq!(
            (streams.open(), streams.open(), streams.open()),
            (Some(0), Some(1), None)
        );
    }
}
