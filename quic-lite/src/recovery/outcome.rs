//! What an ACK frame or a timeout decided. RFC 9002 A.7, A.9.
//!
//! One `Outcome` serves many calls: each call clears it first and keeps its memory.

use super::sent::Removed;
use super::sent_frame::SentFrame;
use crate::wire::packet_number::PacketNumber;

/// Fates of packets of one packet number space, and what follows from them.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Frames the peer has received. A frame can be here after it was in `lost`: its packet came late.
    pub acked: Vec<SentFrame>,
    /// Frames to be sent again if they still matter.
    pub lost: Vec<SentFrame>,
    /// Packets newly acknowledged.
    pub acked_packets: u64,
    /// Those of them that another sender sent.
    pub acked_by_other: u64,
    /// The bytes of all.
    pub acked_bytes: u64,
    /// The numbers of packets newly lost.
    pub lost_numbers: Vec<PacketNumber>,
    /// Packets newly lost, those without frames that matter included.
    pub lost_packets: u64,
    /// Those of them that another sender sent.
    pub lost_by_other: u64,
    /// The bytes of all.
    pub lost_bytes: u64,
    /// Packets that had been declared lost and arrived after all.
    pub spurious_packets: u64,
    /// Whether the congestion window was reduced.
    pub congestion_event: bool,
    /// Whether it was reduced to its minimum.
    pub persistent_congestion: bool,
    /// Whether `max_datagram_size` changed.
    pub max_datagram_size_changed: bool,
    /// Packets that one step hands to the next.
    pub(super) removed: Vec<Removed>,
    /// The memory for those that an ACK frame names, while the loss of others is looked at.
    pub(super) arrived: Vec<Removed>,
}

impl Outcome {
    /// Forgets all but the memory.
    pub fn clear(&mut self) {
        let kept = core::mem::take(self);
        *self = Self {
            acked: emptied(kept.acked),
            lost: emptied(kept.lost),
            lost_numbers: emptied(kept.lost_numbers),
            removed: emptied(kept.removed),
            arrived: emptied(kept.arrived),
            ..Self::default()
        };
    }
}

fn emptied<T>(mut vec: Vec<T>) -> Vec<T> {
    vec.clear();
    vec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_keeps_nothing_but_the_memory() {
        let mut outcome = Outcome {
            acked: vec![SentFrame::MaxData],
            lost: vec![SentFrame::MaxData],
            lost_numbers: vec![PacketNumber::ZERO],
            removed: Vec::with_capacity(1),
            arrived: Vec::with_capacity(1),
            acked_packets: 1,
            congestion_event: true,
            ..Outcome::default()
        };
        outcome.clear();
        assert_eq!(
            (outcome.acked_packets, outcome.congestion_event),
            (0, false)
        );
        assert!(outcome.acked.is_empty() && outcome.lost.is_empty());
        assert!(outcome.lost_numbers.is_empty());
        let kept = [
            outcome.acked.capacity(),
            outcome.lost.capacity(),
            outcome.lost_numbers.capacity(),
            outcome.removed.capacity(),
            outcome.arrived.capacity(),
        ];
        assert!(kept.iter().all(|&capacity| capacity > 0), "{kept:?}");
    }
}
