//! Handshakes with whoever speaks first: packets of any plaintext under the Initial keys that everybody knows, and
//! under the Handshake keys as soon as TLS has them (RFC 9000 §7, §8.1, §12.2, §17.2, RFC 9001 §5.2).

mod client;
mod server;

pub use client::initial_client;
pub use server::initial_server;

use quic_lite::wire::connection_id::ConnectionId;

use crate::bytes::Script;

/// A connection ID of at most 20 bytes.
fn cid(script: &mut Script<'_>) -> ConnectionId {
    let bytes = script.bytes();
    ConnectionId::new(&bytes[..bytes.len().min(ConnectionId::MAX_LEN)]).expect("short enough")
}

/// The plaintext made so long that a datagram with `before` bytes in it and this packet is full.
fn padded(payload: &[u8], before: usize) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let wanted = MIN_INITIAL.saturating_sub(before);
    payload.resize(payload.len().max(wanted), 0);
    payload
}

/// RFC 9000 §14.1.
const MIN_INITIAL: usize = 1200;
/// The longest plaintext of a packet.
const MAX_PAYLOAD: usize = 1400;
/// Steps of one script.
const MAX_STEPS: u32 = 100;

#[cfg(test)]
mod tests {
    use quic_lite::connection::Event;

    use super::{client, server};
    use crate::seeds::recorded;

    fn seed(target: &str, name: &str) -> Vec<u8> {
        let all = recorded();
        let found = all
            .iter()
            .find(|seed| seed.target == target && seed.name == name);
        found.expect("it is a seed").bytes.clone()
    }

    /// Or all that the fuzzer makes of it would stop at the door.
    #[test]
    fn what_was_recorded_is_a_whole_handshake() {
        for name in ["real_client", "real_client_after_retry"] {
            let events = server::play(&seed("initial_server", name));
            let connected = events.contains(&Event::Connected);
            assert_eq!(connected, name == "real_client", "{events:?}");
        }
        let events = client::play(&seed("initial_client", "real_server"));
        assert!(events.contains(&Event::HandshakeConfirmed), "{events:?}");
    }
}
