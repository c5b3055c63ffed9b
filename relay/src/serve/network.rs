//! What the relay needs of the connections: an endpoint has it, and so have tests. No RFC.

use quic_lite::Time;
use quic_lite::stream::{Chunk, Streams};

use crate::offload::Offload;
use crate::track::PeerId;

/// Connections, by number.
pub trait Network {
    /// The streams of a connection that is not over.
    fn streams(&mut self, peer: PeerId) -> Option<&mut Streams>;

    /// Sends a datagram; false when it cannot be sent now, or never.
    fn send_datagram(&mut self, peer: PeerId, datagram: Chunk) -> bool;

    /// Ends a connection.
    fn close(&mut self, now: Time, peer: PeerId, code: u64, reason: &str);

    /// Begins a connection to the relay above.
    fn dial(&mut self, now: Time) -> Option<PeerId>;

    /// Another forwarder, if there is one.
    fn offload(&mut self) -> Option<&mut dyn Offload> {
        None
    }
}

/// The time and the connections, for the length of one call.
pub struct Context<'a> {
    /// Now.
    pub now: Time,
    /// The connections.
    pub net: &'a mut dyn Network,
}
