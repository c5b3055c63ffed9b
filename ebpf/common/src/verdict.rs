//! Why a packet was forwarded or was not: every decision of the kernel programs has a counter. No RFC.
//!
//! No reason drops anything that somebody else sent: what is not forwarded goes up to userspace, which
//! then does all by itself. Only a copy of ours that failed half way is dropped.

/// A decision; its value is the counter's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Reason {
    /// Copies of the packet were handed to at least one subscriber.
    Forwarded = 0,
    /// A copy was sent to a subscriber.
    Sent,
    /// Neither IPv4 nor IPv6, or a VLAN tag within the frame.
    NotIp,
    /// IPv4 with options.
    IpOptions,
    /// A fragment.
    Fragment,
    /// Not UDP, or IPv6 with extension headers.
    NotUdp,
    /// Lengths of IP, UDP and frame do not fit each other.
    Length,
    /// IPv6 without UDP checksum.
    NoChecksum,
    /// Not to the port of ours.
    OtherPort,
    /// Several packets in one, as segmentation offload leaves them.
    Gso,
    /// The packet's bytes cannot be reached.
    PullFailed,
    /// A long header, or the Fixed Bit is zero (RFC 9000 §17.3.1).
    NotShortHeader,
    /// Shorter than any packet with a sample.
    TooShort,
    /// Longer than a pad.
    TooLong,
    /// To none of the connection IDs.
    UnknownCid,
    /// Not on the validated path of the connection.
    OtherPath,
    /// The slot is not active, or not for this.
    NotActive,
    /// Userspace was built for another layout of the maps.
    OtherSchema,
    /// Userspace has not renewed the lease.
    LeaseExpired,
    /// Not the Key Phase of the slot.
    KeyPhase,
    /// The tag is wrong.
    Forged,
    /// The packet number was seen before, or is too old to know.
    Duplicate,
    /// A pad was replaced while in use.
    PadReplaced,
    /// Nothing in it is for a track that the kernel knows.
    NoUnit,
    /// More frames than the walk takes.
    TooManyFrames,
    /// A frame that does not parse.
    Malformed,
    /// The stream is not known: its beginning was not seen, or userspace has it.
    UnknownStream,
    /// The stream begins with something else than a header of a known track.
    UnknownTrack,
    /// More streams under way than there is room for.
    SourceTaken,
    /// A track without members.
    NoMember,
    /// The member's slot is not active or another's by now.
    MemberGone,
    /// The group is not one that the member wants.
    OtherGroup,
    /// The subscriber uses another version of IP than the publisher.
    OtherFamily,
    /// Userspace serves this stream to this subscriber, or will.
    NoOutlet,
    /// The place for the stream's outlet is taken.
    OutletTaken,
    /// The subscriber allows no more streams.
    StreamsLimit,
    /// The stream ID or the alias does not fit where the publisher's stood.
    DoesNotFit,
    /// Larger than the path to the subscriber allows.
    Mtu,
    /// The sent log is full: userspace does not read it.
    LogFull,
    /// The congestion window is full.
    NoBudget,
    /// What is left of the window is for tracks of better priority.
    Reserved,
    /// The connection's flow control limit is reached.
    NoCredit,
    /// The stream's flow control limit is reached.
    NoStreamCredit,
    /// No packet numbers are left.
    NumbersSpent,
    /// A copy could not be made or handed to the device.
    CloneFailed,
    /// A packet with our mark that is no copy of ours.
    ForeignMark,
    /// A packet number was taken and then something failed.
    Burnt,
    /// A packet number was wasted on purpose (RFC 9000 §21.4).
    Skipped,
    /// A client was seen.
    Candidate,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All, by value.
    pub const ALL: [Self; 49] = [
        Self::Forwarded,
        Self::Sent,
        Self::NotIp,
        Self::IpOptions,
        Self::Fragment,
        Self::NotUdp,
        Self::Length,
        Self::NoChecksum,
        Self::OtherPort,
        Self::Gso,
        Self::PullFailed,
        Self::NotShortHeader,
        Self::TooShort,
        Self::TooLong,
        Self::UnknownCid,
        Self::OtherPath,
        Self::NotActive,
        Self::OtherSchema,
        Self::LeaseExpired,
        Self::KeyPhase,
        Self::Forged,
        Self::Duplicate,
        Self::PadReplaced,
        Self::NoUnit,
        Self::TooManyFrames,
        Self::Malformed,
        Self::UnknownStream,
        Self::UnknownTrack,
        Self::SourceTaken,
        Self::NoMember,
        Self::MemberGone,
        Self::OtherGroup,
        Self::OtherFamily,
        Self::NoOutlet,
        Self::OutletTaken,
        Self::StreamsLimit,
        Self::DoesNotFit,
        Self::Mtu,
        Self::LogFull,
        Self::NoBudget,
        Self::Reserved,
        Self::NoCredit,
        Self::NoStreamCredit,
        Self::NumbersSpent,
        Self::CloneFailed,
        Self::ForeignMark,
        Self::Burnt,
        Self::Skipped,
        Self::Candidate,
    ];

    /// The reason with this value, as in [`crate::layout::Slot::last_refusal`].
    pub fn from_value(value: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(value).ok()?).copied()
    }

    /// The name that status and tests print.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Sent => "sent",
            Self::NotIp => "not-ip",
            Self::IpOptions => "ip-options",
            Self::Fragment => "fragment",
            Self::NotUdp => "not-udp",
            Self::Length => "length",
            Self::NoChecksum => "no-checksum",
            Self::OtherPort => "other-port",
            Self::Gso => "gso",
            Self::PullFailed => "pull-failed",
            Self::NotShortHeader => "not-short-header",
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::UnknownCid => "unknown-cid",
            Self::OtherPath => "other-path",
            Self::NotActive => "not-active",
            Self::OtherSchema => "other-schema",
            Self::LeaseExpired => "lease-expired",
            Self::KeyPhase => "key-phase",
            Self::Forged => "forged",
            Self::Duplicate => "duplicate",
            Self::PadReplaced => "pad-replaced",
            _ => self.forwarding_name(),
        }
    }

    /// The names of what is decided after a packet was opened.
    const fn forwarding_name(self) -> &'static str {
        match self {
            Self::NoUnit => "no-unit",
            Self::TooManyFrames => "too-many-frames",
            Self::Malformed => "malformed",
            Self::UnknownStream => "unknown-stream",
            Self::UnknownTrack => "unknown-track",
            Self::SourceTaken => "source-taken",
            Self::NoMember => "no-member",
            Self::MemberGone => "member-gone",
            Self::OtherGroup => "other-group",
            Self::OtherFamily => "other-family",
            Self::NoOutlet => "no-outlet",
            Self::OutletTaken => "outlet-taken",
            Self::StreamsLimit => "streams-limit",
            Self::DoesNotFit => "does-not-fit",
            Self::Mtu => "mtu",
            Self::LogFull => "log-full",
            Self::NoBudget => "no-budget",
            Self::Reserved => "reserved",
            Self::NoCredit => "no-credit",
            Self::NoStreamCredit => "no-stream-credit",
            Self::NumbersSpent => "numbers-spent",
            Self::CloneFailed => "clone-failed",
            Self::ForeignMark => "foreign-mark",
            Self::Burnt => "burnt",
            Self::Skipped => "skipped",
            Self::Candidate => "candidate",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn every_reason_stands_at_its_value_and_has_a_name_of_its_own() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            assert_eq!(Reason::from_value(at as u64), Some(reason));
            let same = Reason::ALL
                .iter()
                .filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1, "{}", reason.name());
            assert!(!reason.name().is_empty());
        }
        assert_eq!(Reason::from_value(Reason::COUNT as u64), None);
    }
}
