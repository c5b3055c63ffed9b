//! What each packet number space of a connection consists of (RFC 9000 §12.3): keys, received packets,
//! CRYPTO stream, packet numbers. A discarded space (RFC 9001 §4.9) is gone with all of it.

use core::time::Duration;

use crate::protection::{KeyPair, Keys, PacketKey};
use crate::space::{Counter, Space, SpaceId};
use crate::tls::Level;
use crate::wire::header::PacketType;
use crate::wire::packet_number::PacketNumber;

use super::crypto::{CryptoReceive, CryptoSend};
use super::keys::{Generation, OneRttKeys};

/// One packet number space.
#[derive(Debug)]
pub(super) struct PacketSpace {
    pub(super) keys: SpaceKeys,
    pub(super) received: Space,
    pub(super) crypto_receive: CryptoReceive,
    pub(super) crypto_send: CryptoSend,
    pub(super) numbers: Counter,
}

impl PacketSpace {
    fn new(id: SpaceId, max_ack_delay: Duration) -> Self {
        Self {
            keys: SpaceKeys::Unknown,
            received: Space::new(id, max_ack_delay),
            crypto_receive: CryptoReceive::default(),
            crypto_send: CryptoSend::default(),
            numbers: Counter::default(),
        }
    }
}

/// The keys of a space.
#[derive(Debug)]
pub(super) enum SpaceKeys {
    /// TLS has not made them yet.
    Unknown,
    /// Initial or Handshake keys.
    Long(Box<KeyPair>),
    /// 1-RTT keys, which may be updated.
    OneRtt(Box<OneRttKeys>),
}

impl SpaceKeys {
    pub(super) fn local(&self) -> Option<&Keys> {
        match self {
            Self::Unknown => None,
            Self::Long(keys) => Some(&keys.local),
            Self::OneRtt(keys) => Some(keys.local()),
        }
    }

    pub(super) fn remote(&self) -> Option<&Keys> {
        match self {
            Self::Unknown => None,
            Self::Long(keys) => Some(&keys.remote),
            Self::OneRtt(keys) => Some(keys.remote()),
        }
    }

    pub(super) fn choose(&self, phase: bool, number: PacketNumber) -> Generation {
        match self {
            Self::OneRtt(keys) => keys.choose(phase, number),
            _ => Generation::Current,
        }
    }

    pub(super) fn packet_key(&self, generation: Generation) -> Option<&PacketKey> {
        match self {
            Self::OneRtt(keys) => keys.packet_key(generation),
            _ => self.remote().map(|keys| &keys.packet),
        }
    }

    pub(super) const fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }
}

/// The three spaces; those no longer needed are `None`.
#[derive(Debug)]
pub(super) struct Spaces([Option<Box<PacketSpace>>; 3]);

impl Spaces {
    pub(super) fn new(max_ack_delay: Duration) -> Self {
        Self(SpaceId::ALL.map(|id| Some(Box::new(PacketSpace::new(id, max_ack_delay)))))
    }

    pub(super) fn get(&self, id: SpaceId) -> Option<&PacketSpace> {
        self.0[id.index()].as_deref()
    }

    pub(super) fn get_mut(&mut self, id: SpaceId) -> Option<&mut PacketSpace> {
        self.0[id.index()].as_deref_mut()
    }

    /// True when it was there.
    pub(super) fn discard(&mut self, id: SpaceId) -> bool {
        self.0[id.index()].take().is_some()
    }

    /// Whether packets can be sealed and opened.
    pub(super) fn has_keys(&self, id: SpaceId) -> bool {
        self.get(id).is_some_and(|space| space.keys.is_known())
    }

    pub(super) fn one_rtt(&self) -> Option<&OneRttKeys> {
        match &self.get(SpaceId::Data)?.keys {
            SpaceKeys::OneRtt(keys) => Some(keys),
            _ => None,
        }
    }

    pub(super) fn one_rtt_mut(&mut self) -> Option<&mut OneRttKeys> {
        match &mut self.get_mut(SpaceId::Data)?.keys {
            SpaceKeys::OneRtt(keys) => Some(keys),
            _ => None,
        }
    }
}

/// The space of a packet; 0-RTT packets are not taken (RFC 9001 §4.6: left out).
pub(super) const fn space_of(packet_type: PacketType) -> Option<SpaceId> {
    match packet_type {
        PacketType::Initial => Some(SpaceId::Initial),
        PacketType::Handshake => Some(SpaceId::Handshake),
        PacketType::OneRtt => Some(SpaceId::Data),
        PacketType::ZeroRtt => None,
    }
}

/// The packets of a space.
pub(super) const fn packet_type(id: SpaceId) -> PacketType {
    match id {
        SpaceId::Initial => PacketType::Initial,
        SpaceId::Handshake => PacketType::Handshake,
        SpaceId::Data => PacketType::OneRtt,
    }
}

/// The encryption level whose CRYPTO bytes travel in a space.
pub(super) const fn level_of(id: SpaceId) -> Level {
    match id {
        SpaceId::Initial => Level::Initial,
        SpaceId::Handshake => Level::Handshake,
        SpaceId::Data => Level::OneRtt,
    }
}

/// The space that carries an encryption level.
pub(super) const fn space_of_level(level: Level) -> SpaceId {
    match level {
        Level::Initial => SpaceId::Initial,
        Level::Handshake => SpaceId::Handshake,
        Level::OneRtt => SpaceId::Data,
    }
}
