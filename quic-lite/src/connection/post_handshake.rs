//! TLS messages after the handshake (RFC 9001 §4.4, §4.6, §6): tickets, which are passed over since
//! sessions are not resumed here, and those that QUIC forbids.
//!
//! So the TLS session itself can go when the handshake is complete.

use crate::error::{TransportError, TransportErrorCode};
use crate::tls::Level;
use crate::wire::frame::frame_type;
use crate::wire::stream_id::Side;

/// A walker over handshake messages that keeps none of their bytes.
#[derive(Debug, Default)]
pub(super) struct PostHandshake {
    /// Type and length of the message that comes (RFC 8446 §4), as far as they are here.
    header: [u8; 4],
    header_len: usize,
    /// Bytes of the current message still to come.
    left: usize,
}

impl PostHandshake {
    /// Takes bytes of the CRYPTO stream of a level, in order.
    pub(super) fn receive(
        &mut self,
        side: Side,
        level: Level,
        mut bytes: &[u8],
    ) -> Result<(), TransportError> {
        // RFC 9001 §4.1.3: the earlier levels are at their end; §4.4: a client sends nothing more.
        if level != Level::OneRtt || side == Side::Server {
            return Err(unexpected());
        }
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let [first, rest @ ..] = bytes else { break };
            bytes = rest;
            self.on_header_byte(*first)?;
        }
        Ok(())
    }

    fn on_header_byte(&mut self, byte: u8) -> Result<(), TransportError> {
        self.header[self.header_len] = byte;
        self.header_len += 1;
        let [message_type, length @ ..] = self.header;
        // RFC 9001 §6: a TLS KeyUpdate is an error, and nothing else is expected but tickets.
        if message_type != NEW_SESSION_TICKET {
            return Err(unexpected());
        }
        if self.header_len == self.header.len() {
            let [a, b, c] = length.map(usize::from);
            self.left = (a << 16) | (b << 8) | c;
            self.header_len = 0;
        }
        Ok(())
    }
}

fn unexpected() -> TransportError {
    let reason = "unexpected TLS message after the handshake";
    TransportError::new(
        TransportErrorCode::crypto(UNEXPECTED_MESSAGE),
        frame_type::CRYPTO,
        reason,
    )
}

/// RFC 8446 §4.6.1.
const NEW_SESSION_TICKET: u8 = 4;
/// RFC 8446 §6.
const UNEXPECTED_MESSAGE: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const TICKETS: &[u8] = &[4, 0, 0, 3, 9, 9, 9, 4, 0, 0, 0, 4, 0, 0, 1, 7];

    #[test]
    fn tickets_are_passed_over_however_they_are_cut() {
        for cut in 0..TICKETS.len() {
            let mut walker = PostHandshake::default();
            let (head, tail) = TICKETS.split_at(cut);
            walker.receive(Side::Client, Level::OneRtt, head).unwrap();
            walker.receive(Side::Client, Level::OneRtt, tail).unwrap();
            assert_eq!((walker.left, walker.header_len), (0, 0));
        }
    }

    #[test]
    fn a_tls_key_update_is_refused() {
        let message = [4, 0, 0, 1, 9, 24, 0, 0, 1, 0];
        let error = PostHandshake::default()
            .receive(Side::Client, Level::OneRtt, &message)
            .unwrap_err();
        assert_eq!(error.code, TransportErrorCode::crypto(10));
    }

    #[test]
    fn a_client_sends_nothing_after_the_handshake() {
        assert!(
            PostHandshake::default()
                .receive(Side::Server, Level::OneRtt, TICKETS)
                .is_err()
        );
        assert!(
            PostHandshake::default()
                .receive(Side::Client, Level::Handshake, TICKETS)
                .is_err()
        );
    }
}
