//! Packets that the kernel has brought to everybody: nobody has to ask for each subscriber. No RFC.

use quic_lite::wire::packet_number::PacketNumber;
use relay_ebpf_loader::carried::{PASSED, next, place, word};
use relay_ebpf_loader::layout::Track;

use super::Offloader;
use crate::track::TrackId;

impl Offloader {
    /// See [`super::Offload::carried`].
    pub fn carried(&self, track: TrackId, packet: PacketNumber) -> Option<u64> {
        let fed = self.tracks.get(&track)?;
        let index = fed.index?;
        let publisher = self.served.publisher(fed.publisher?)?;
        let place = place(self.memory.publisher(publisher.slot), packet.value())?;
        let stands_for = |version| word(packet.value(), u64::from(index), version);
        let (found, passed) = (place.load(), stands_for(PASSED));
        let is_carried = || {
            let version = self.memory.track(index).version.load();
            found == stands_for(version)
                && fed.is_in_kernel()
                && place.compare_exchange(found, passed)
        };
        // What was passed over once is, with all that it carries.
        (found == passed || is_carried()).then_some(fed.members.len() as u64)
    }
}

/// The audience of a track is another from now on. To be called after it is.
pub(super) fn renew(track: &Track) {
    track.version.store(next(track.version.load()));
}
