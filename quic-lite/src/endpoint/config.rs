//! What an endpoint is allowed to do for strangers and to hold at a time. No RFC.

use std::fmt;
use std::sync::Arc;

use crate::config::Config;
use crate::limits;
use crate::tls::ServerTls;

/// Settings of an [`Endpoint`](super::Endpoint). Each default says why.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Takes connections with this certificate; `None` for an endpoint that only connects.
    pub server: Option<ServerTls>,
    /// Transport settings of the connections it takes.
    pub transport: Arc<Config>,
    /// Sends a Retry to every client without a token (RFC 9000 §8.1.2).
    pub retry: bool,
    /// Sends a Retry as soon as so many handshakes are unfinished: more are a flood, or worth a round trip.
    pub retry_above: usize,
    /// Ignores new clients while so many handshakes are unfinished; they try again by themselves.
    pub max_half_open: usize,
    /// Ignores new clients of a network (an IPv4 address, the first half of an IPv6 address) while so many
    /// of its handshakes are unfinished: no single one can keep all others out.
    pub max_half_open_per_network: usize,
    /// Refuses new clients, with CONNECTION_REFUSED, beyond so many connections.
    pub max_connections: usize,
    /// Bytes in the connection IDs issued here, the same for all (RFC 9000 §5.1): 8 to 20.
    pub cid_len: usize,
    /// The secret behind stateless resets. Keep it over restarts, so that peers of the former process learn
    /// at once that it is gone (RFC 9000 §10.3.1). `None` makes one from the seed.
    pub secret: Option<[u8; 32]>,
    /// Gives validated clients a token for their next connection (RFC 9000 §8.1.3).
    pub new_tokens: bool,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            server: None,
            transport: Arc::new(Config::default()),
            retry: false,
            retry_above: limits::RETRY_ABOVE,
            max_half_open: limits::HALF_OPEN,
            max_half_open_per_network: limits::HALF_OPEN_PER_NETWORK,
            max_connections: limits::CONNECTIONS,
            cid_len: 8,
            secret: None,
            new_tokens: true,
        }
    }
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("server", &self.server.is_some())
            .field("transport", &self.transport)
            .field("retry", &self.retry)
            .field("retry_above", &self.retry_above)
            .field("max_half_open", &self.max_half_open)
            .field("max_half_open_per_network", &self.max_half_open_per_network)
            .field("max_connections", &self.max_connections)
            .field("cid_len", &self.cid_len)
            .field("new_tokens", &self.new_tokens)
            .finish_non_exhaustive()
    }
}
