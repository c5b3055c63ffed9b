//! Whether the kernel has a part in a connection, for `status` and for tests. No RFC.

use super::Offloader;
use super::reason::Reason;
use crate::track::PeerId;

/// The kernel's part in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Why it has none; `None` when it has one.
    pub reason: Option<Reason>,
    /// Packets of this connection that it forwarded to somebody. What it sent to this connection the
    /// connection itself counts.
    pub packets_forwarded: u64,
    /// The connection's slot: as a subscriber, or else as a publisher.
    pub slot: Option<u32>,
}

impl Forwarding {
    /// Without a fast path.
    pub const OFF: Self = Self::none(Reason::FastPathOff);

    const fn none(reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            packets_forwarded: 0,
            slot: None,
        }
    }
}

impl Offloader {
    /// The kernel's part in a connection.
    pub fn forwarding(&self, peer: PeerId) -> Forwarding {
        let Some(served) = self.served.get(&peer) else {
            return Forwarding::none(Reason::NothingToForward);
        };
        let publisher = served.publisher.as_ref().map(|it| it.slot);
        let subscriber = served.subscriber.as_ref().map(|it| it.slot);
        let is_open = |slot: u32| self.memory.slot(slot).is_open();
        let is_used = publisher.into_iter().chain(subscriber).any(is_open);
        let has_role = !served.feeds.is_empty() || !served.memberships.is_empty();
        let reason = match has_role {
            false => Some(Reason::NothingToForward),
            true if is_used => None,
            true => Some(served.barred.or(served.reason).unwrap_or(Reason::Suspended)),
        };
        Forwarding {
            reason,
            packets_forwarded: publisher.map_or(0, |slot| self.memory.slot(slot).packets.load()),
            slot: subscriber.or(publisher),
        }
    }
}
