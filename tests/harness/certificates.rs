//! Certificate chains for simulated servers. No RFC.
//!
//! Ed25519 and fixed serial numbers: signatures of constant length keep a seed's run the same each time.

use std::sync::OnceLock;

use quic_lite::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519};

/// A chain for `localhost`, the server's own certificate first, and what clients trust.
#[derive(Debug)]
pub struct Chain {
    /// What the server sends.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key of the first one.
    pub key: PrivateKeyDer<'static>,
    /// What clients trust: whoever signed the server's own certificate, as chains of more than six
    /// intermediates are beyond what verifiers follow.
    pub root: CertificateDer<'static>,
}

impl Clone for Chain {
    fn clone(&self) -> Self {
        Self {
            certificates: self.certificates.clone(),
            key: self.key.clone_key(),
            root: self.root.clone(),
        }
    }
}

/// One certificate, straight from the root.
pub fn short() -> Chain {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    CHAIN.get_or_init(|| chain(1, 0)).clone()
}

/// Nine certificates with more than 7500 bytes, as in the runner's case `amplificationlimit`.
pub fn long() -> Chain {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    CHAIN.get_or_init(|| chain(9, 700)).clone()
}

/// `length` certificates, each made larger by `padding` bytes of names.
fn chain(length: usize, padding: usize) -> Chain {
    let root_key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let root_params = params("root", 0, padding, true);
    let root = root_params.self_signed(&root_key).unwrap();
    let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
    let mut issuer = Issuer::new(root_params, root_key);
    for depth in 1..length {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let params = params(
            &format!("intermediate {depth}"),
            depth as u64,
            padding,
            true,
        );
        certificates.push(params.signed_by(&key, &issuer).unwrap().into());
        issuer = Issuer::new(params, key);
    }
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let leaf = params("server", length as u64, padding, false);
    certificates.push(leaf.signed_by(&key, &issuer).unwrap().into());
    certificates.reverse();
    Chain {
        root: certificates.get(1).cloned().unwrap_or_else(|| root.into()),
        certificates,
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    }
}

fn params(name: &str, serial: u64, padding: usize, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.serial_number = Some((0x1000 + serial).into());
    params.distinguished_name.push(DnType::CommonName, name);
    if padding > 0 {
        let filler = "x".repeat(padding);
        params
            .distinguished_name
            .push(DnType::OrganizationName, filler);
    }
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_chain_is_as_large_as_the_runner_demands() {
        let bytes: usize = long()
            .certificates
            .iter()
            .map(|certificate| certificate.len())
            .sum();
        assert_eq!(long().certificates.len(), 9);
        assert!(bytes >= 7500, "{bytes} bytes");
    }
}
