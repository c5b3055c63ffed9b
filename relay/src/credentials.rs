//! Certificates and keys from files, or made on the spot (RFC 8446 §4.4.2 is what they are for).
//!
//! Every mistake a user can make with them is found here, before a socket is opened: a file that
//! cannot be read, that holds no certificate or key, a key that belongs to another certificate.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::error::{Failure, Kind, Result};

/// A certificate chain and its key, which belong together.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The server's certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads PEM files.
    pub(crate) fn read(cert: &Path, key: &Path) -> Result<Self> {
        let chain = certificates(cert)?;
        let key_der = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| wrong_pem(key, "private key", &error))?;
        let signer = any_supported_type(&key_der).map_err(|error| {
            let what = format!(
                "{}: a key of a kind that is not supported: {error}",
                key.display()
            );
            Failure::new(Kind::Certificate, what).advise("use an ECDSA P-256, Ed25519 or RSA key")
        })?;
        CertifiedKey::new(chain.clone(), signer)
            .keys_match()
            .map_err(|error| {
                let pair = format!("{} and {}", cert.display(), key.display());
                let what = match error {
                    rustls::Error::InconsistentKeys(_) => format!("{pair} do not belong together"),
                    other => format!("{pair} cannot be used: {other}"),
                };
                Failure::new(Kind::Certificate, what)
                    .advise("give the key the certificate was made for")
            })?;
        Ok(Self {
            chain,
            key: key_der,
        })
    }

    /// Makes a self-signed certificate for `name`.
    pub(crate) fn generate(name: &str) -> Result<Self> {
        let cannot = |why: &dyn std::fmt::Display| {
            let what = format!("cannot make a certificate for {name:?}: {why}");
            Failure::new(Kind::Certificate, what).advise("give a host name, as in localhost")
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || !(name.chars().all(is_name) || name.parse::<IpAddr>().is_ok()) {
            return Err(cannot(&"it is neither a host name nor an address"));
        }
        let made = rcgen::generate_simple_self_signed([name.to_owned()])
            .map_err(|error| cannot(&error))?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Ok(Self {
            chain: vec![made.cert.der().clone()],
            key,
        })
    }

    /// What stateless resets are made of (RFC 9000 §10.3.2): a hash of the private key, so that a relay that was
    /// started again with the same key can reset the peers of its past self.
    pub(crate) fn reset_secret(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"quic-relay stateless reset");
        hash.update(self.key.secret_der());
        hash.finalize().into()
    }

    /// SHA-256 of the server's certificate in hexadecimal: what clients pin.
    pub(crate) fn fingerprint(&self) -> String {
        self.chain
            .first()
            .map(|cert| hex(&Sha256::digest(cert)))
            .unwrap_or_default()
    }
}

/// All certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong_pem(path, "certificate", &error))?;
    match chain.is_empty() {
        true => Err(wrong_pem(
            path,
            "certificate",
            &rustls::pki_types::pem::Error::NoItemsFound,
        )),
        false => Ok(chain),
    }
}

/// The certificates the system trusts.
pub(crate) fn system_certificates() -> Result<Vec<CertificateDer<'static>>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_FILES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists());
    match named.or(usual) {
        Some(path) => certificates(&path),
        None => Err(
            Failure::new(Kind::Certificate, "no certificates to trust on this system")
                .advise("give --tls-ca FILE, or for a test --tls-disable-verify"),
        ),
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn wrong_pem(path: &Path, what: &str, error: &rustls::pki_types::pem::Error) -> Failure {
    use rustls::pki_types::pem::Error;
    let path = path.display();
    match error {
        Error::Io(error) => Failure::new(Kind::File, format!("cannot read {path}: {error}")),
        Error::NoItemsFound => Failure::new(Kind::Certificate, format!("{path} holds no {what}"))
            .advise("it must be PEM, with -----BEGIN lines"),
        other => Failure::new(Kind::Certificate, format!("{path} is damaged: {other:?}")),
    }
}

const SYSTEM_FILES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("quic-relay-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn pem_pair(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let cert = directory.join(format!("{name}.pem"));
        let key = directory.join(format!("{name}-key.pem"));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (cert, key)
    }

    #[test]
    fn pair_is_read_and_a_foreign_key_is_refused() {
        let dir = directory("pair");
        let (cert, key) = pem_pair(&dir, "a");
        let (_, other_key) = pem_pair(&dir, "b");
        assert_eq!(
            Credentials::read(&cert, &key).unwrap().fingerprint().len(),
            64
        );
        let failure = Credentials::read(&cert, &other_key).unwrap_err();
        assert_eq!(failure.kind(), Kind::Certificate);
        assert!(
            failure.to_string().contains("do not belong together"),
            "{failure}"
        );
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn files_that_are_missing_or_hold_something_else_are_named() {
        let dir = directory("else");
        let (cert, key) = pem_pair(&dir, "a");
        let text = dir.join("text");
        fs::write(&text, "hello").unwrap();
        for (cert, key, words) in [
            (&dir.join("none"), &key, "cannot read"),
            (&text, &key, "holds no certificate"),
            (&cert, &text, "holds no private key"),
            (&key, &key, "holds no certificate"),
        ] {
            let line = Credentials::read(cert, key).unwrap_err().to_string();
            assert!(line.contains(words), "{line}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_secret_of_resets_is_that_of_the_key() {
        let dir = directory("secret");
        let (cert, key) = pem_pair(&dir, "a");
        let read = || Credentials::read(&cert, &key).unwrap().reset_secret();
        assert_eq!(read(), read());
        let other = Credentials::generate("localhost").unwrap();
        assert_ne!(read(), other.reset_secret());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn generated_certificate_has_a_fingerprint() {
        let credentials = Credentials::generate("localhost").unwrap();
        assert_eq!(credentials.fingerprint().len(), 64);
    }
}
