//! TLS without chance and without cost: a key exchange with one outcome, a certificate that is a word, a
//! signature that is none (RFC 8446 in form only). Nobody is who they say; for fuzzing alone.
//!
//! Key schedule, transcript and messages are the real ones, so secrets differ from handshake to handshake as
//! soon as one byte differs, and the same input makes the same packets each time.

use std::sync::{Arc, Mutex, PoisonError};

use quic_lite::protection::{CipherSuite, Keys, Secret};
use quic_lite::tls::rustls::client::Resumption;
use quic_lite::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use quic_lite::tls::rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use quic_lite::tls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use quic_lite::tls::rustls::server::NoServerSessionStorage;
use quic_lite::tls::rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use quic_lite::tls::rustls::version::TLS13;
use quic_lite::tls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, KeyLog, NamedGroup, PeerMisbehaved, ServerConfig,
    SignatureAlgorithm, SignatureScheme,
};
use quic_lite::tls::{ClientTls, ServerTls, provider};

/// The suite of all connections here.
pub const SUITE: CipherSuite = CipherSuite::Aes128GcmSha256;
/// The application protocol of all connections here.
pub const ALPN: &[u8] = b"fuzz";

/// A client that believes everyone.
pub fn client(secrets: Arc<Secrets>) -> ClientTls {
    let mut config = ClientConfig::builder_with_provider(toy_provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Toy))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.key_log = secrets;
    ClientTls::new(config).expect("the suite is known")
}

/// A server that proves nothing.
pub fn server(secrets: Arc<Secrets>) -> ServerTls {
    let certificate = CertificateDer::from(b"certificate".to_vec());
    let key = CertifiedKey::new(vec![certificate], Arc::new(Toy));
    let mut config = ServerConfig::builder_with_provider(toy_provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.key_log = secrets;
    ServerTls::new(config).expect("the suite is known")
}

fn toy_provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![&Toy],
        secure_random: &Toy,
        ..CryptoProvider::clone(&provider(&[SUITE]))
    })
}

/// The secrets of a connection, as its TLS tells them.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl Secrets {
    /// The keys that come from the latest secret with this label, once TLS has one.
    pub fn keys(&self, label: &str) -> Option<Keys> {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, secret) = secrets.iter().rfind(|(known, _)| known == label)?;
        Some(Keys::from_secret(SUITE, &Secret::new(secret)?))
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.push((label.to_owned(), secret.to_vec()));
    }
}

/// Everything that would be random or secret elsewhere.
#[derive(Debug)]
struct Toy;

impl SecureRandom for Toy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        bytes.fill(0x42);
        Ok(())
    }
}

impl SupportedKxGroup for Toy {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Self))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Toy {
    fn complete(self: Box<Self>, peers: &[u8]) -> Result<SharedSecret, Error> {
        match peers.len() {
            32 => Ok(SharedSecret::from(SHARED.as_slice())),
            _ => Err(PeerMisbehaved::InvalidKeyShare.into()),
        }
    }

    fn pub_key(&self) -> &[u8] {
        &PUBLIC
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl SigningKey for Toy {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = offered.contains(&SignatureScheme::ED25519);
        known.then(|| Box::new(Self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Toy {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(b"signature".to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl ServerCertVerifier for Toy {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

const PUBLIC: [u8; 32] = [9; 32];
const SHARED: [u8; 32] = [7; 32];
