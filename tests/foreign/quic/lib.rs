//! The exchange that quic-lite has with each foreign stack, in both roles. No RFC.
//!
//! The server echoes: a bidirectional stream on itself, a unidirectional stream on a new one, a DATAGRAM
//! as a DATAGRAM. The client sends `Plan`, checks every byte that comes back, closes with `CLOSE_CODE`
//! and returns a `Report`. Each side may start a key update half-way, and the server may demand Retry.

pub mod ours;
pub mod quiche_peer;
pub mod quinn_peer;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The application protocol of the exchange.
pub const ALPN: &[u8] = b"qr-exchange";
/// The application error code with which the client ends it.
pub const CLOSE_CODE: u64 = 7;
/// No step of the exchange takes longer.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bidirectional streams.
    pub bidi: usize,
    /// Unidirectional streams.
    pub uni: usize,
    /// Bytes on each stream.
    pub bytes: usize,
    /// DATAGRAM frames of 100 bytes each.
    pub datagrams: usize,
    /// Whether the client updates its keys after the first stream is back.
    pub key_update: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { bidi: 4, uni: 2, bytes: 300_000, datagrams: 20, key_update: false }
    }
}

/// What the server demands and does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands {
    /// Every client proves its address through a Retry first.
    pub retry: bool,
    /// The server updates its keys after the first stream.
    pub key_update: bool,
}

/// What came back, byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Bidirectional streams echoed whole.
    pub bidi: usize,
    /// Unidirectional streams echoed whole.
    pub uni: usize,
    /// DATAGRAM frames echoed.
    pub datagrams: usize,
}

impl Report {
    /// The report of a client to which everything came back.
    pub fn complete(plan: &Plan) -> Self {
        Self { bidi: plan.bidi, uni: plan.uni, datagrams: plan.datagrams }
    }
}

/// The bytes of the stream `index`: distinct per stream, so that a mix-up shows.
pub fn stream_bytes(index: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) ^ at >> 8 ^ index.wrapping_mul(101)) as u8).collect()
}

/// A self-signed certificate for `localhost`.
pub struct Identity {
    /// DER of the certificate.
    pub certificate: CertificateDer<'static>,
    /// DER of its key, PKCS #8.
    pub key: Vec<u8>,
}

impl Identity {
    /// A fresh one.
    pub fn generate() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a fixed, valid name");
        Self { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }

    /// The key in the form rustls takes.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// Writes PEM files (certificate, key) into `folder`, for stacks that read files.
    pub fn write_pem(&self, folder: &std::path::Path) -> std::io::Result<(String, String)> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, pem("CERTIFICATE", &self.certificate))?;
        std::fs::write(&key, pem("PRIVATE KEY", &self.key))?;
        Ok((certificate.display().to_string(), key.display().to_string()))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            for place in 0..4 {
                let symbol = if place > group.len() { b'=' } else { ALPHABET[(bits >> (18 - 6 * place)) as usize & 63] };
                text.push(symbol as char);
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
