//! Why the kernel does not serve a connection. No RFC.

use core::fmt;

use serde::{Serialize, Serializer};

/// Why a connection is served in userspace alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no fast path.
    FastPathOff,
    /// It is switched off.
    SwitchedOff,
    /// It neither publishes nor subscribes to anything.
    NothingToForward,
    /// Nobody publishes over a connection that the kernel can read what it subscribes to.
    PublisherInUserspace,
    /// The handshake is not confirmed (RFC 9001 §4.1.2).
    HandshakeNotConfirmed,
    /// It negotiated another cipher than ChaCha20-Poly1305.
    CipherNotChaCha20,
    /// Its address is not proved (RFC 9000 §8.2).
    PathUnvalidated,
    /// Which address of ours it talks to is not known.
    NoLocalAddress,
    /// No interface has seen its packets.
    NoLinkAddress,
    /// Our connection IDs are not of the length that the programs look for.
    CidLength,
    /// It and all publishers of its tracks use different versions of IP.
    Family,
    /// All slots, or tracks, or places of a track are taken.
    MapFull,
    /// Its keys, address or connection ID are being replaced.
    Suspended,
    /// It acknowledged none of the first packets from the kernel.
    NoAckAfterHandover,
    /// A program did not come out of its slot.
    Stuck,
    /// It is over.
    Closed,
}

impl Reason {
    /// Whether trying again later may help, without an event that says so.
    pub(super) const fn may_pass(self) -> bool {
        matches!(self, Self::NoLinkAddress | Self::MapFull)
    }

    /// As status and logs print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastPathOff => "fast-path-off",
            Self::SwitchedOff => "switched-off",
            Self::NothingToForward => "nothing-to-forward",
            Self::PublisherInUserspace => "publisher-in-userspace",
            Self::HandshakeNotConfirmed => "handshake-not-confirmed",
            Self::CipherNotChaCha20 => "cipher-not-chacha20",
            Self::PathUnvalidated => "path-unvalidated",
            Self::NoLocalAddress => "no-local-address",
            Self::NoLinkAddress => "no-link-address",
            Self::CidLength => "cid-length",
            Self::Family => "family",
            Self::MapFull => "map-full",
            Self::Suspended => "suspended",
            Self::NoAckAfterHandover => "no-ack-after-handover",
            Self::Stuck => "stuck",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
