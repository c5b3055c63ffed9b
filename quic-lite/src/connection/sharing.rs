//! A connection that shares its sending with an [`OtherSender`], such as the kernel (RFC 9002 §7 and
//! RFC 9000 §4 for both together, §10.1, §21.4).
//!
//! What it has done is collected before an acknowledgement is read, before timers are served and before
//! anything is sent, and on a timer of its own in case nothing of that happens. While we have something
//! to send it may spend nothing; when we have not, it gets all that is left. Only DATAGRAM frames that
//! wait do not hold it back, for their order is nobody's concern: it gets what they leave of the window.
//! Promise: collecting costs one call when there is nothing, and nothing is allocated for a packet.

use core::time::Duration;

use crate::observer::Observed;
use crate::other_sender::{Grant, OtherFrames, OtherPacket, OtherSender, Outstanding};
use crate::recovery::{SentPacket, SpaceId};
use crate::time::Time;
use crate::wire::connection_id::ConnectionId;
use crate::wire::packet_number::PacketNumber;
use crate::wire::stream_id::Dir;

use super::timers::Timer;
use super::{Connection, Event};

/// What a connection remembers for the sake of another sender.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// When a packet of the peer arrived last.
    pub(super) heard: Time,
    /// It may spend something.
    is_granted: bool,
    /// How often in a row there was nothing to collect when the timer said so.
    in_vain: u32,
}

/// Another sender.
impl Connection {
    /// Shares the sending of 1-RTT packets from now on. False, and nothing changes, unless the connection
    /// is established, alone, and the sender's packet numbers and streams begin where ours have come to.
    pub fn set_other_sender(&mut self, sender: Box<dyn OtherSender>) -> bool {
        let begins_here = sender.next() >= self.next_number(SpaceId::Data)
            && sender.opened_uni() >= self.streams.opened(Dir::Uni);
        let fits = self.state.is_established() && self.spaces.has_keys(SpaceId::Data);
        let fits = fits && begins_here && !self.has_other_sender();
        if fits {
            self.recovery.set_unresolved(Some(sender.unresolved()));
            self.streams.set_other(sender);
            self.sharing.is_granted = false;
        }
        fits
    }

    /// Suspends the other sender, takes note of all it has done, and goes on alone.
    pub fn take_other_sender(&mut self, now: Time) -> Option<Box<dyn OtherSender>> {
        self.suspend_other();
        self.collect(now);
        let other = self.streams.take_other()?;
        if let Some(space) = self.spaces.get_mut(SpaceId::Data) {
            space.numbers.advance_to(other.next());
        }
        self.recovery.set_unresolved(None);
        self.recovery.set_outstanding(0);
        self.timers.stop(Timer::Collect);
        Some(other)
    }

    /// Whether there is another sender.
    pub fn has_other_sender(&self) -> bool {
        self.streams.other().is_some()
    }

    /// Takes note of what the other sender has done. Acknowledgements, timers and `transmit` do that by
    /// themselves; an owner that wants fresh figures calls it too.
    pub fn collect(&mut self, now: Time) {
        if self.streams.other().is_none() || !self.state.is_open() {
            return;
        }
        self.watch.now = now;
        let mut found = false;
        while let Some(packet) = self.streams.other_mut().and_then(OtherSender::poll) {
            found = true;
            self.on_told(now, packet);
        }
        if found {
            self.sharing.in_vain = 0;
            self.set_collect_timer(now);
        }
        let unresolved = self.streams.other().map(OtherSender::unresolved);
        self.recovery.set_unresolved(unresolved);
    }
}

/// What the rest of the connection tells it.
impl Connection {
    /// The next packet number of a space, whoever takes it.
    pub(super) fn next_number(&self, id: SpaceId) -> PacketNumber {
        match (id, self.streams.other()) {
            (SpaceId::Data, Some(other)) => other.next(),
            _ => self
                .spaces
                .get(id)
                .map_or(PacketNumber::ZERO, |space| space.numbers.next()),
        }
    }

    /// Takes a packet number.
    pub(super) fn allocate(&mut self, id: SpaceId) -> Option<PacketNumber> {
        let space = self.spaces.get_mut(id)?;
        match (id, self.streams.other_mut()) {
            (SpaceId::Data, Some(other)) => Some(other.allocate()),
            _ => Some(space.numbers.allocate()),
        }
    }

    /// When this returns the other sender sends nothing until its owner has set it going again.
    pub(super) fn suspend_other(&mut self) {
        if let Some(other) = self.streams.other_mut() {
            other.suspend();
        }
    }

    /// The path is about to change: what was sent so far took the old one.
    pub(super) fn leave_path(&mut self, now: Time) {
        self.suspend_other();
        self.collect(now);
    }

    /// Tells of a new connection ID to send to, if it is one.
    pub(super) fn note_remote_cid(&mut self, before: ConnectionId) {
        let current = self.remote_ids.current();
        if current != before {
            self.suspend_other();
            self.events.push_back(Event::RemoteCidChanged(current));
        }
    }

    /// Before anything is sent: when there is something to send, the other sender may spend no more, and
    /// what it has spent is not there for us.
    pub(super) fn begin_sending(&mut self, now: Time) {
        if self.streams.other().is_none() {
            return;
        }
        self.collect(now);
        self.set_outstanding(Outstanding::default());
        let wanted = self.has_data()
            || self.recovery.probe_pending(SpaceId::Data)
            || self.recovery.wants_mtu_probe(now);
        if wanted {
            self.revoke();
            self.collect(now);
            let outstanding = self.revoke();
            self.set_outstanding(outstanding);
        }
    }

    /// Nothing more is to be sent now: the other sender may have what we do not need.
    pub(super) fn end_sending(&mut self, now: Time) {
        if self.streams.other().is_none() {
            return;
        }
        self.set_outstanding(Outstanding::default());
        let may_share = self.state.is_established()
            && self.path.is_validated()
            && self.has_datagrams_at_most()
            && !self.recovery.is_mtu_probe_overdue();
        if may_share {
            self.grant();
        } else if self.sharing.is_granted {
            self.revoke();
        }
        if self.timers.at(Timer::Collect).is_none() {
            self.set_collect_timer(now);
        }
    }

    /// Its timer fired; what there was is collected.
    pub(super) fn collect_again(&mut self, now: Time) {
        if self.has_other_sender() {
            self.sharing.in_vain = self.sharing.in_vain.saturating_add(1);
            self.set_collect_timer(now);
        }
    }
}

impl Connection {
    fn grant(&mut self) {
        let (_, waiting) = self.queued_datagrams();
        let next = self.next_number(SpaceId::Data);
        let (max_uni_streams, stream_data) = self.streams.limits_for_others();
        let skip_at = self.recovery.skip_at(next, self.skip_random);
        // Whoever took that number has left it out, and tells soon.
        let has_skipped = skip_at < next;
        let grant = Grant {
            bytes: self
                .recovery
                .window_for_others()
                .saturating_sub(waiting as u64),
            data: self.streams.credit_for_others(),
            max_uni_streams,
            stream_data,
            largest_acked: self.recovery.largest_acked(SpaceId::Data),
            max_datagram_size: self.recovery.max_datagram_size(),
            ecn: self.recovery.marks_ecn(),
            skip_at: if has_skipped {
                PacketNumber::MAX
            } else {
                skip_at
            },
        };
        if let Some(other) = self.streams.other_mut() {
            other.grant(&grant);
            self.sharing.is_granted = true;
        }
    }

    fn revoke(&mut self) -> Outstanding {
        self.sharing.is_granted = false;
        let other = self.streams.other_mut();
        other.map_or_else(Outstanding::default, OtherSender::revoke)
    }

    fn set_outstanding(&mut self, outstanding: Outstanding) {
        self.recovery.set_outstanding(outstanding.bytes);
        self.streams.lend(outstanding.data);
    }

    fn set_collect_timer(&mut self, now: Time) {
        let pto = self.recovery.pto();
        let pause = pto.saturating_mul(1 << self.sharing.in_vain.min(MAX_SHIFT));
        let pause = pause.min(MAX_PAUSE.max(pto));
        self.timers.set(Timer::Collect, Some(now + pause));
    }

    fn on_told(&mut self, now: Time, packet: OtherPacket) {
        match packet {
            OtherPacket::Sent {
                number,
                time,
                size,
                ecn_marked,
                frames,
            } => {
                let packet = SentPacket {
                    number,
                    time: time.min(now),
                    path: self.recovery.path_generation(),
                    size,
                    ack_eliciting: true,
                    in_flight: true,
                    ecn_marked,
                    mtu_probe: false,
                    by_other: true,
                };
                self.on_other_sent(now, packet, &frames);
            }
            OtherPacket::Skipped(number) => {
                self.skip_random = self.rng.number();
                self.on_never_sent(now, number);
            }
            OtherPacket::Burnt { number, frames } => {
                for frame in frames.streams.iter().flatten() {
                    let end = frame.offset.saturating_add(frame.len);
                    self.streams.mark_spent(frame.id, end);
                }
                self.on_never_sent(now, number);
            }
        }
    }

    fn on_other_sent(&mut self, now: Time, packet: SentPacket, frames: &OtherFrames) {
        self.watch.tell(&Observed::SentByOther {
            number: packet.number,
            time: packet.time,
            size: packet.size,
            frames,
        });
        let mut sent = core::mem::take(&mut self.sent_frames);
        sent.clear();
        let streams = frames.streams.iter().flatten();
        sent.extend(streams.filter_map(|frame| self.streams.mark_sent(frame)));
        self.recovery
            .on_other_packet(now, packet, &sent, &mut self.outcome);
        self.sent_frames = sent;
        self.sent_frames.clear();
        self.stats.datagrams_sent += 1;
        self.stats.packets_sent += 1;
        self.stats.other_packets_sent += 1;
        self.stats.bytes_sent += u64::from(packet.size);
        self.stats.datagram_frames_sent += u64::from(frames.datagrams);
        self.path.on_datagram_sent(usize::from(packet.size));
        self.on_eliciting_sent(packet.time);
        if self.outcome.acked_packets > 0 {
            self.apply_outcome(SpaceId::Data);
        }
    }

    fn on_never_sent(&mut self, now: Time, number: PacketNumber) {
        if let Err(error) = self.recovery.on_never_sent(number) {
            self.fail(now, error.into());
        }
    }
}

/// The longest pause between two looks at another sender that has nothing to tell: so much later than the
/// PTO the loss of all its packets is noticed at most.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Doubling more often than this gains nothing.
const MAX_SHIFT: u32 = 16;
