//! The 1-RTT keys and their updates (RFC 9001 §6).
//!
//! Promise: keys change only after a packet opened with the next ones, or when we may begin an update
//! ourselves; a packet costs one AEAD operation whichever phase it claims.

use crate::error::{TransportError, TransportErrorCode};
use crate::protection::{CipherSuite, KeyPair, Keys, PacketKey};
use crate::wire::packet_number::PacketNumber;

/// Which keys a received packet needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Those before the last update: the packet was delayed.
    Previous,
    /// Those in use.
    Current,
    /// Those after the next update, which such a packet begins.
    Next,
}

/// Keys of the Data space: the current ones, the next to open with, and for a while the previous.
#[derive(Debug)]
pub struct OneRttKeys {
    local: Keys,
    remote: Keys,
    /// Made ahead of time, so that a forged phase bit costs no key derivation (RFC 9001 §9.5).
    next_remote: Keys,
    previous_remote: Option<PacketKey>,
    phase: bool,
    updates: u64,
    /// All numbers from here on are sealed with `local`, whoever sends them, and none below.
    first_sent: PacketNumber,
    /// The smallest number opened with `remote`.
    first_received: Option<PacketNumber>,
    /// The peer acknowledged a packet sealed with `local`.
    is_acked: bool,
}

impl OneRttKeys {
    /// The keys of the handshake, phase 0.
    pub fn new(keys: KeyPair) -> Self {
        let KeyPair { local, remote } = keys;
        Self {
            next_remote: remote.next_generation(),
            local,
            remote,
            previous_remote: None,
            phase: false,
            updates: 0,
            first_sent: PacketNumber::ZERO,
            first_received: None,
            is_acked: false,
        }
    }

    /// What we seal with.
    pub const fn local(&self) -> &Keys {
        &self.local
    }

    /// What the peer seals with, as far as we know.
    pub const fn remote(&self) -> &Keys {
        &self.remote
    }

    /// The Key Phase bit of what we send.
    pub const fn phase(&self) -> bool {
        self.phase
    }

    /// How many updates there were.
    pub const fn updates(&self) -> u64 {
        self.updates
    }

    /// The suite.
    pub const fn suite(&self) -> CipherSuite {
        self.local.suite
    }

    /// The keys for a packet with this bit and number (RFC 9001 §6.3, §6.5: with the other bit, a
    /// smaller number is a delayed packet and a larger one begins an update).
    pub fn choose(&self, phase: bool, number: PacketNumber) -> Generation {
        if phase == self.phase {
            return Generation::Current;
        }
        match self.first_received {
            Some(first) if number > first => Generation::Next,
            // Our own update is not answered yet: the peer cannot be ahead of it.
            None if self.updates > 0 => Generation::Previous,
            None => Generation::Next,
            Some(_) => Generation::Previous,
        }
    }

    /// The key of a generation; `None` once the previous one is gone.
    pub const fn packet_key(&self, generation: Generation) -> Option<&PacketKey> {
        match generation {
            Generation::Previous => self.previous_remote.as_ref(),
            Generation::Current => Some(&self.remote.packet),
            Generation::Next => Some(&self.next_remote.packet),
        }
    }

    /// A packet opened with the keys of `generation`; `next_sent` is the next number to be taken. True when
    /// this began an update.
    pub fn on_opened(
        &mut self,
        generation: Generation,
        number: PacketNumber,
        next_sent: PacketNumber,
    ) -> Result<bool, TransportError> {
        match generation {
            Generation::Previous => return Ok(false),
            Generation::Current => {}
            Generation::Next => {
                // RFC 9001 §6.2: the peer did not wait until we answered its last update. Any packet is an
                // answer: those that hold nothing but an ACK are not acknowledged, and some send only such.
                if self.updates > 0 && self.sealed(next_sent) == 0 {
                    return Err(key_update_error(
                        "key update before the last one was answered",
                    ));
                }
                self.update(next_sent);
            }
        }
        self.first_received = Some(
            self.first_received
                .map_or(number, |first| first.min(number)),
        );
        Ok(generation == Generation::Next)
    }

    /// Whether RFC 9001 §6.1 and §6.5 allow an update: the last one is complete and its old keys are gone.
    /// The caller knows that the handshake is confirmed.
    pub const fn may_initiate(&self) -> bool {
        self.is_acked && self.previous_remote.is_none()
    }

    /// Goes over to the next keys. Nobody seals with the old ones any more, and nobody has taken `next_sent`.
    pub fn update(&mut self, next_sent: PacketNumber) {
        self.local = self.local.next_generation();
        let next = self.next_remote.next_generation();
        let current = core::mem::replace(&mut self.next_remote, next);
        let previous = core::mem::replace(&mut self.remote, current);
        self.previous_remote = Some(previous.packet);
        self.phase = !self.phase;
        self.updates += 1;
        self.first_sent = next_sent;
        self.first_received = None;
        self.is_acked = false;
    }

    /// A packet opened with the current keys: the previous ones serve three PTOs more (RFC 9001 §6.5).
    pub const fn previous_may_expire(&self) -> bool {
        self.previous_remote.is_some() && self.first_received.is_some()
    }

    /// The previous keys are gone.
    pub fn discard_previous(&mut self) {
        self.previous_remote = None;
    }

    /// The peer acknowledged `largest` in a packet opened with `generation`.
    pub fn on_acked(
        &mut self,
        largest: PacketNumber,
        generation: Generation,
    ) -> Result<(), TransportError> {
        if largest < self.first_sent {
            return Ok(());
        }
        // RFC 9001 §6.2: who saw a packet with new keys must not answer with old ones.
        if generation == Generation::Previous {
            return Err(key_update_error("acknowledged new keys with old ones"));
        }
        self.is_acked = true;
        Ok(())
    }

    /// How many packets the current sending key has sealed at most, another sender's included.
    pub const fn sealed(&self, next_sent: PacketNumber) -> u64 {
        next_sent.value().saturating_sub(self.first_sent.value())
    }
}

fn key_update_error(reason: &'static str) -> TransportError {
    TransportError::new(TransportErrorCode::KEY_UPDATE_ERROR, 0, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::Secret;

    fn pn(number: u64) -> PacketNumber {
        PacketNumber::new(number)
    }

    fn keys() -> OneRttKeys {
        let suite = CipherSuite::ChaCha20Poly1305Sha256;
        let [local, remote] = [[1; 32], [2; 32]]
            .map(|secret| Keys::from_secret(suite, &Secret::new(&secret).unwrap()));
        OneRttKeys::new(KeyPair { local, remote })
    }

    #[test]
    fn the_peers_update_is_followed_after_its_packet_opened() {
        let mut keys = keys();
        assert_eq!(keys.choose(false, pn(5)), Generation::Current);
        assert_eq!(keys.on_opened(Generation::Current, pn(5), pn(9)), Ok(false));
        assert_eq!(keys.choose(true, pn(6)), Generation::Next);
        assert!(!keys.phase(), "a bit alone changes nothing");
        assert_eq!(keys.on_opened(Generation::Next, pn(6), pn(9)), Ok(true));
        assert!(keys.phase() && keys.sealed(pn(11)) == 2);
        assert_eq!(keys.choose(false, pn(5)), Generation::Previous);
        assert!(keys.packet_key(Generation::Previous).is_some());
        keys.discard_previous();
        assert!(keys.packet_key(Generation::Previous).is_none());
    }

    #[test]
    fn a_second_update_before_the_first_is_answered_is_an_error() {
        let mut keys = keys();
        keys.on_opened(Generation::Current, pn(1), pn(9)).unwrap();
        keys.on_opened(Generation::Next, pn(2), pn(9)).unwrap();
        assert_eq!(keys.choose(false, pn(3)), Generation::Next);
        let error = keys.on_opened(Generation::Next, pn(3), pn(9)).unwrap_err();
        assert_eq!(error.code, TransportErrorCode::KEY_UPDATE_ERROR);
        // A packet of ours with the keys in use, whatever is in it.
        assert_eq!(keys.on_opened(Generation::Next, pn(3), pn(10)), Ok(true));
    }

    #[test]
    fn our_update_waits_for_an_acknowledgement_and_for_the_old_keys_to_go() {
        let mut keys = keys();
        assert!(!keys.may_initiate());
        keys.on_acked(pn(0), Generation::Current).unwrap();
        assert!(keys.may_initiate());
        keys.update(pn(4));
        assert_eq!(
            keys.choose(false, pn(99)),
            Generation::Previous,
            "the peer has not followed yet"
        );
        keys.on_acked(pn(3), Generation::Previous).unwrap();
        assert!(!keys.may_initiate());
        keys.on_acked(pn(4), Generation::Current).unwrap();
        assert!(!keys.may_initiate(), "old keys are still there");
        keys.on_opened(Generation::Current, pn(50), pn(9)).unwrap();
        assert!(keys.previous_may_expire());
        keys.discard_previous();
        assert!(keys.may_initiate());
    }

    #[test]
    fn new_keys_acknowledged_with_old_ones_are_an_error() {
        let mut keys = keys();
        keys.on_acked(pn(0), Generation::Current).unwrap();
        keys.update(pn(4));
        assert_eq!(keys.on_acked(pn(3), Generation::Previous), Ok(()));
        let error = keys.on_acked(pn(4), Generation::Previous).unwrap_err();
        assert_eq!(error.code, TransportErrorCode::KEY_UPDATE_ERROR);
    }
}
