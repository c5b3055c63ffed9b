//! What a client or a server brings to its handshakes: certificates, trust, protocols, suites.
//! RFC 9001 §4.2 (TLS 1.3 only), §4.4 (the server must prove who it is), §8.1 (ALPN is a must).
//!
//! Promise: peers are verified unless the constructor's name says otherwise, and 0-RTT is never on.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ResolvesServerCert;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, KeyLog, KeyLogFile, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::tap::Tap;
use crate::protection::CipherSuite;

/// What clients need to start handshakes. Cheap to clone; resumption tickets are shared by the clones.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// Kept to build the configuration again; unknown for one that the application built.
    verifier: Option<Arc<dyn ServerCertVerifier>>,
}

impl ClientTls {
    /// Uses a rustls configuration as it is, apart from 0-RTT, which is switched off.
    pub fn new(mut config: ClientConfig) -> Result<Self, Error> {
        check_suites(config.crypto_provider())?;
        config.enable_early_data = false;
        config.key_log = key_log(config.key_log);
        Ok(Self {
            config: Arc::new(config),
            verifier: None,
        })
    }

    /// Trusts servers whose certificate leads to one of `roots`. `alpn`: protocols, the favourite first.
    pub fn with_roots(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
        alpn: &[&[u8]],
    ) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(store),
            provider(&CipherSuite::ALL),
        )
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
        Self::build(verifier, &CipherSuite::ALL, protocols(alpn))
    }

    /// Trusts any server: who stands in the path can read and change everything. For tests only.
    pub fn insecure(alpn: &[&[u8]]) -> Result<Self, Error> {
        let verifier = Arc::new(AnyServer(provider(&CipherSuite::ALL)));
        Self::build(verifier, &CipherSuite::ALL, protocols(alpn))
    }

    /// Offers these suites only. For what [`Self::new`] made, give [`provider`] to its builder instead.
    pub fn only(&self, suites: &[CipherSuite]) -> Result<Self, Error> {
        let verifier = self.verifier.clone().ok_or_else(built_elsewhere)?;
        Self::build(verifier, suites, self.config.alpn_protocols.clone())
    }

    /// The configuration of one connection, whose secrets the tap receives.
    pub(super) fn tapped(&self) -> (Arc<ClientConfig>, Arc<Tap>) {
        let mut config = ClientConfig::clone(&self.config);
        let tap = Tap::new(config.key_log);
        config.key_log = tap.clone();
        (Arc::new(config), tap)
    }

    fn build(
        verifier: Arc<dyn ServerCertVerifier>,
        suites: &[CipherSuite],
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, Error> {
        let mut config = ClientConfig::builder_with_provider(provider(suites))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn;
        Ok(Self {
            verifier: Some(verifier),
            ..Self::new(config)?
        })
    }
}

/// What a server needs to answer handshakes. Cheap to clone; clones share the session cache.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// As in [`ClientTls`].
    resolver: Option<Arc<dyn ResolvesServerCert>>,
}

impl ServerTls {
    /// Uses a rustls configuration as it is, apart from 0-RTT, which is switched off.
    pub fn new(mut config: ServerConfig) -> Result<Self, Error> {
        check_suites(config.crypto_provider())?;
        config.max_early_data_size = 0;
        config.key_log = key_log(config.key_log);
        Ok(Self {
            config: Arc::new(config),
            resolver: None,
        })
    }

    /// One certificate chain, the server's own first, with its key. `alpn`: protocols, the favourite first.
    pub fn new_single(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        alpn: &[&[u8]],
    ) -> Result<Self, Error> {
        let config = ServerConfig::builder_with_provider(provider(&CipherSuite::ALL))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Self::build(config.cert_resolver, &CipherSuite::ALL, protocols(alpn))
    }

    /// Accepts these suites only, and prefers them in this order over the client's.
    pub fn only(&self, suites: &[CipherSuite]) -> Result<Self, Error> {
        let resolver = self.resolver.clone().ok_or_else(built_elsewhere)?;
        let tls = Self::build(resolver, suites, self.config.alpn_protocols.clone())?;
        let mut config = Arc::unwrap_or_clone(tls.config);
        config.ignore_client_order = true;
        Ok(Self {
            config: Arc::new(config),
            ..tls
        })
    }

    /// ChaCha20-Poly1305 with every client that offers it; the other suites with the rest.
    pub fn prefer_chacha20(&self) -> Result<Self, Error> {
        self.only(&[
            CipherSuite::ChaCha20Poly1305Sha256,
            CipherSuite::Aes128GcmSha256,
            CipherSuite::Aes256GcmSha384,
        ])
    }

    /// The configuration of one connection, whose secrets the tap receives.
    pub(super) fn tapped(&self) -> (Arc<ServerConfig>, Arc<Tap>) {
        let mut config = ServerConfig::clone(&self.config);
        let tap = Tap::new(config.key_log);
        config.key_log = tap.clone();
        (Arc::new(config), tap)
    }

    fn build(
        resolver: Arc<dyn ResolvesServerCert>,
        suites: &[CipherSuite],
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, Error> {
        let mut config = ServerConfig::builder_with_provider(provider(suites))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        config.alpn_protocols = alpn;
        Ok(Self {
            resolver: Some(resolver),
            ..Self::new(config)?
        })
    }
}

/// ring's algorithms with these suites only, in order of preference.
pub fn provider(suites: &[CipherSuite]) -> Arc<CryptoProvider> {
    let all = ring::default_provider();
    let cipher_suites = suites
        .iter()
        .filter_map(|wanted| {
            all.cipher_suites
                .iter()
                .find(|suite| known(suite.suite()) == Some(*wanted))
                .copied()
        })
        .collect();
    Arc::new(CryptoProvider {
        cipher_suites,
        ..all
    })
}

/// Our name for a suite of rustls, if packet protection has it.
pub(super) fn known(suite: rustls::CipherSuite) -> Option<CipherSuite> {
    match suite {
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256 => Some(CipherSuite::Aes128GcmSha256),
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384 => Some(CipherSuite::Aes256GcmSha384),
        rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => {
            Some(CipherSuite::ChaCha20Poly1305Sha256)
        }
        _ => None,
    }
}

/// One line for the reason of a CONNECTION_CLOSE; details of the peer's bytes stay out of it.
pub(super) fn reason(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(_) => "the peer's certificate is not valid here",
        Error::NoApplicationProtocol => "no application protocol in common",
        Error::PeerIncompatible(_) => "the peer's TLS offer does not fit ours",
        Error::PeerMisbehaved(_) => "the peer broke the rules of TLS",
        Error::InvalidMessage(_) => "a TLS message does not parse",
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "a TLS message at the wrong time"
        }
        Error::DecryptError => "a TLS signature or Finished does not verify",
        Error::AlertReceived(_) => "the peer sent a TLS alert",
        _ => "TLS handshake failed",
    }
}

/// `SSLKEYLOGFILE` is honoured unless the application brought a key log of its own.
fn key_log(theirs: Arc<dyn KeyLog>) -> Arc<dyn KeyLog> {
    if theirs.will_log("CLIENT_TRAFFIC_SECRET_0") {
        theirs
    } else {
        Arc::new(KeyLogFile::new())
    }
}

fn check_suites(provider: &CryptoProvider) -> Result<(), Error> {
    if provider
        .cipher_suites
        .iter()
        .any(|suite| known(suite.suite()).is_some())
    {
        return Ok(());
    }
    Err(Error::General(
        "no cipher suite that QUIC packets can use".to_owned(),
    ))
}

fn built_elsewhere() -> Error {
    Error::General("suites of a configuration made elsewhere are chosen there".to_owned())
}

fn protocols(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

/// Lets any certificate pass; the peer must still hold its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
