//! The TLS 1.3 handshake over CRYPTO frames (RFC 9001 §4). rustls writes and reads the messages; this
//! file turns them into bytes per encryption level, packet keys, and error codes.
//!
//! Packet keys are ours, from traffic secrets that a `KeyLog` tap on each connection's own copy of the
//! configuration hands over: ten lines instead of a `quic::Algorithm` per suite, whose keys hide the secret.
//!
//! ```
//! # fn main() -> Result<(), quic_lite::tls::rustls::Error> {
//! use quic_lite::tls::{ClientTls, TlsOutput, TlsSession};
//! let mut session = TlsSession::client(&ClientTls::insecure(&[b"hq"])?, "localhost", b"parameters")?;
//! assert!(matches!(session.poll(), Some(TlsOutput::Crypto { .. })), "the ClientHello");
//! # Ok(())
//! # }
//! ```
//!
//! Left out: 0-RTT, client certificates made easy (pass a `rustls::ClientConfig` for those).

mod config;
mod tap;

use std::collections::VecDeque;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::quic::{self, Connection, KeyChange};

use crate::error::{TransportError, TransportErrorCode};
use crate::protection::{CipherSuite, KeyPair, Keys};
use crate::wire::stream_id::Side;

pub use config::{ClientTls, ServerTls, provider};
pub use rustls;
use tap::Tap;

/// An encryption level that carries CRYPTO frames (RFC 9001 §2.1); 0-RTT does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Initial packets.
    Initial,
    /// Handshake packets.
    Handshake,
    /// 1-RTT packets.
    OneRtt,
}

/// What the handshake wants done, in the order in which it must be done.
#[derive(Debug)]
pub enum TlsOutput {
    /// Send these bytes, after all earlier ones, in CRYPTO frames of this level.
    Crypto {
        /// The level to send at.
        level: Level,
        /// Whole TLS messages.
        bytes: Vec<u8>,
    },
    /// Install these keys. A server must not open 1-RTT packets before the handshake is complete
    /// (RFC 9001 §5.7), though it has the keys earlier.
    Keys {
        /// The level that the keys protect.
        level: Level,
        /// Both directions.
        keys: Box<KeyPair>,
    },
}

/// One TLS handshake, and what follows it on the same CRYPTO stream.
#[derive(Debug)]
pub struct TlsSession {
    connection: Connection,
    tap: Arc<Tap>,
    server_name: Option<String>,
    write_level: Level,
    outputs: VecDeque<TlsOutput>,
}

impl TlsSession {
    /// Starts a handshake; the ClientHello is the first output. `params` are our encoded transport
    /// parameters (RFC 9001 §8.2), `server_name` a DNS name or an IP address that the certificate must show.
    pub fn client(
        tls: &ClientTls,
        server_name: &str,
        params: &[u8],
    ) -> Result<Self, rustls::Error> {
        let name = ServerName::try_from(server_name)
            .map_err(|_| rustls::Error::General(format!("not a server name: {server_name}")))?
            .to_owned();
        let (config, tap) = tls.tapped();
        let version = quic::Version::V1;
        let client = quic::ClientConnection::new(config, version, name, params.to_vec())?;
        let mut session = Self::new(client.into(), tap);
        session.server_name = Some(server_name.to_owned());
        session
            .write()
            .map_err(|error| rustls::Error::General(error.reason.to_owned()))?;
        Ok(session)
    }

    /// Waits for a ClientHello.
    pub fn server(tls: &ServerTls, params: &[u8]) -> Result<Self, rustls::Error> {
        let (config, tap) = tls.tapped();
        let server = quic::ServerConnection::new(config, quic::Version::V1, params.to_vec())?;
        Ok(Self::new(server.into(), tap))
    }

    fn new(connection: Connection, tap: Arc<Tap>) -> Self {
        Self {
            connection,
            tap,
            server_name: None,
            write_level: Level::Initial,
            outputs: VecDeque::new(),
        }
    }

    /// Takes the next bytes of a level's CRYPTO stream, in order and without holes. An error closes the
    /// connection with an alert as its code (RFC 9001 §4.8).
    pub fn receive(&mut self, level: Level, bytes: &[u8]) -> Result<(), TransportError> {
        // RFC 9001 §4.1.3: new bytes at a level that TLS has left, or not reached, are a violation.
        if level != self.read_level() {
            let reason = "CRYPTO data at a level that TLS does not read";
            return Err(TransportError::new(
                TransportErrorCode::PROTOCOL_VIOLATION,
                CRYPTO,
                reason,
            ));
        }
        let read = self.connection.read_hs(bytes);
        self.learn_server_name();
        read.map_err(|error| self.alert(&error))?;
        self.write()
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<TlsOutput> {
        self.outputs.pop_front()
    }

    /// True until this side has seen the peer's Finished: then the handshake is complete
    /// (RFC 9001 §4.1.1).
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The application protocol both agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The peer's encoded transport parameters, as soon as they were read; authenticated once the
    /// handshake is complete (RFC 9001 §8.2).
    pub fn peer_transport_parameters(&self) -> Option<&[u8]> {
        self.connection.quic_transport_parameters()
    }

    /// The negotiated suite.
    pub fn suite(&self) -> Option<CipherSuite> {
        self.connection
            .negotiated_cipher_suite()
            .and_then(|suite| config::known(suite.suite()))
    }

    /// The name a client asked for; on a client, the one we asked for.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The level whose CRYPTO bytes TLS takes now. The read side of a server stays at Handshake while its
    /// write side is at 1-RTT already, until the client's Finished.
    fn read_level(&self) -> Level {
        match self.write_level {
            Level::OneRtt if self.is_handshaking() => Level::Handshake,
            level => level,
        }
    }

    /// Moves what rustls has to send, and the keys it reached, to the outputs.
    fn write(&mut self) -> Result<(), TransportError> {
        loop {
            let mut bytes = Vec::new();
            let change = self.connection.write_hs(&mut bytes);
            if !bytes.is_empty() {
                let level = self.write_level;
                self.outputs.push_back(TlsOutput::Crypto { level, bytes });
            }
            // The keys that come with the change are dropped: ours are made from the tapped secrets.
            self.write_level = match change {
                None => return Ok(()),
                Some(KeyChange::Handshake { .. }) => Level::Handshake,
                Some(KeyChange::OneRtt { .. }) => Level::OneRtt,
            };
            let keys = Box::new(self.tapped_keys()?);
            self.outputs.push_back(TlsOutput::Keys {
                level: self.write_level,
                keys,
            });
        }
    }

    fn tapped_keys(&self) -> Result<KeyPair, TransportError> {
        let missing = "TLS moved on without secrets of a known suite";
        let internal = TransportError::new(TransportErrorCode::INTERNAL_ERROR, CRYPTO, missing);
        let suite = self.suite().ok_or(internal)?;
        let (client, server) = self.tap.take(self.write_level).ok_or(internal)?;
        let (client, server) = (
            Keys::from_secret(suite, &client),
            Keys::from_secret(suite, &server),
        );
        Ok(match self.side() {
            Side::Client => KeyPair {
                local: client,
                remote: server,
            },
            Side::Server => KeyPair {
                local: server,
                remote: client,
            },
        })
    }

    fn side(&self) -> Side {
        match self.connection {
            Connection::Client(_) => Side::Client,
            Connection::Server(_) => Side::Server,
        }
    }

    fn learn_server_name(&mut self) {
        if let (None, Connection::Server(server)) = (&self.server_name, &self.connection) {
            self.server_name = server.server_name().map(str::to_owned);
        }
    }

    fn alert(&self, error: &rustls::Error) -> TransportError {
        // RFC 9001 §4.8: when TLS names no alert, a generic one will do.
        let alert = self
            .connection
            .alert()
            .map_or(INTERNAL_ERROR_ALERT, u8::from);
        TransportError::new(
            TransportErrorCode::crypto(alert),
            CRYPTO,
            config::reason(error),
        )
    }
}

/// The type of CRYPTO frames (RFC 9000 §19.6), for errors.
const CRYPTO: u64 = 0x06;
/// RFC 8446 §6: internal_error.
const INTERNAL_ERROR_ALERT: u8 = 80;

#[cfg(test)]
mod tests;
