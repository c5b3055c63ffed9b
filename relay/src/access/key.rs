//! The key that tokens are checked with, and the one they are made with: PEM (RFC 7468), JWK (RFC 7517,
//! RFC 7518 §6, RFC 8037 §2), or a line of text for HMAC.
//!
//! | file | is | checks | signs |
//! |---|---|---|---|
//! | `-----BEGIN PUBLIC KEY-----` | P-256: ES256; Ed25519: EdDSA | yes | no |
//! | `-----BEGIN PRIVATE KEY-----` | the same, PKCS#8 | yes | yes |
//! | `{…}` | JWK: `EC` P-256, `OKP` Ed25519; `oct`: HS256 | yes | `oct` |
//! | one line of 32 printable characters or more | a secret for HS256 | yes | yes |
//!
//! The file alone decides which algorithm is right. Nothing else becomes a secret: a certificate or a binary
//! key is refused, because what is public must not sign (RFC 8725 §2.1).

use core::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::claims::Claims;
use super::{Denied, provider};

use crate::limits;

/// A key for tokens, and the one algorithm it is for.
#[derive(Clone)]
pub struct AuthKey {
    algorithm: Algorithm,
    checks: DecodingKey,
    signs: Option<EncodingKey>,
}

/// Why a file is no [`AuthKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// PEM, but of something else than a key of the two kinds.
    Pem,
    /// A JWK, but not of the three kinds.
    Jwk,
    /// A secret that is too short.
    Short,
    /// Neither of all.
    Unknown,
    /// It can check tokens only.
    Public,
}

impl AuthKey {
    /// Reads a file's contents.
    pub fn read(file: &[u8]) -> Result<Self, KeyError> {
        provider::install();
        let text = core::str::from_utf8(file)
            .map_err(|_| KeyError::Unknown)?
            .trim();
        if text.contains("-----BEGIN") {
            return Self::from_pem(file);
        }
        if text.starts_with('{') {
            return Self::from_jwk(text);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.is_empty() {
            return Err(KeyError::Unknown);
        }
        Self::from_secret(text.as_bytes())
    }

    fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_LEN {
            return Err(KeyError::Short);
        }
        Ok(Self {
            algorithm: Algorithm::HS256,
            checks: DecodingKey::from_secret(secret),
            signs: Some(EncodingKey::from_secret(secret)),
        })
    }

    fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        if let Ok(public) = SubjectPublicKeyInfoDer::from_pem_slice(file) {
            return Self::from_public(&public);
        }
        let private = PrivatePkcs8KeyDer::from_pem_slice(file).map_err(|_| KeyError::Pem)?;
        let der = private.secret_pkcs8_der();
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
        let ed = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
        match (ec, ed) {
            (Ok(pair), _) => Ok(Self {
                algorithm: Algorithm::ES256,
                checks: DecodingKey::from_ec_der(pair.public_key().as_ref()),
                signs: Some(EncodingKey::from_ec_der(der)),
            }),
            (_, Ok(pair)) => Ok(Self {
                algorithm: Algorithm::EdDSA,
                checks: DecodingKey::from_ed_der(pair.public_key().as_ref()),
                signs: Some(EncodingKey::from_ed_der(der)),
            }),
            _ => Err(KeyError::Pem),
        }
    }

    fn from_public(der: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, checks) = match (der.strip_prefix(P256), der.strip_prefix(ED25519)) {
            (Some(point), _) if point.len() == POINT_LEN => {
                (Algorithm::ES256, DecodingKey::from_ec_der(point))
            }
            (_, Some(point)) if point.len() == 32 => {
                (Algorithm::EdDSA, DecodingKey::from_ed_der(point))
            }
            _ => return Err(KeyError::Pem),
        };
        let signs = None;
        Ok(Self {
            algorithm,
            checks,
            signs,
        })
    }

    fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| KeyError::Jwk)?;
        let (algorithm, len) = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, POINT_LEN)
            }
            AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, 32)
            }
            AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, MIN_SECRET_LEN),
            _ => return Err(KeyError::Jwk),
        };
        // RFC 7517 §4.4: a key that says what it is for is for nothing else.
        let meant = jwk.common.key_algorithm.map(Algorithm::try_from);
        if meant.is_some_and(|meant| meant != Ok(algorithm)) {
            return Err(KeyError::Jwk);
        }
        let checks = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Jwk)?;
        let bytes = checks.try_get_as_bytes().map_err(|_| KeyError::Jwk)?;
        match checks.family() {
            AlgorithmFamily::Hmac => Self::from_secret(bytes),
            _ if bytes.len() != len => Err(KeyError::Jwk),
            _ => Ok(Self {
                algorithm,
                checks,
                signs: None,
            }),
        }
    }

    /// The algorithm's name in a token's header.
    pub const fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
            _ => "HS256",
        }
    }

    /// Makes a token.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let key = self.signs.as_ref().ok_or(KeyError::Public)?;
        encode(&Header::new(self.algorithm), claims, key).map_err(|_| KeyError::Unknown)
    }

    /// What a token says, if this key has signed it. Its times are the caller's to look at.
    pub fn check(&self, token: &[u8]) -> Result<Claims, Denied> {
        if token.len() > limits::TOKEN {
            return Err(Denied::Malformed);
        }
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        // The library would ask the system's clock.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        // And it takes an audience that is no text for none.
        validation.validate_aud = false;
        let token =
            decode::<Claims>(token, &self.checks, &validation).map_err(|error| {
                match error.kind() {
                    ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Denied::Forged,
                    _ => Denied::Malformed,
                }
            })?;
        // RFC 7515 §4.1.11: what must be understood, and we understand nothing beyond the RFC, refuses it.
        match (token.header.crit, token.claims.has_audience) {
            (Some(_), _) => Err(Denied::Malformed),
            (None, true) => Err(Denied::Forged),
            (None, false) => Ok(token.claims),
        }
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({})", self.algorithm())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem => "PEM, but no P-256 or Ed25519 key (PUBLIC KEY, or PRIVATE KEY in PKCS#8)",
            Self::Jwk => "JSON, but no JWK for ES256, EdDSA or HS256",
            Self::Short => "a secret of fewer than 32 bytes",
            Self::Unknown => "neither PEM nor a JWK nor one line of text",
            Self::Public => "a public key, which cannot sign",
        })
    }
}

impl std::error::Error for KeyError {}

/// RFC 7518 §3.2: a key at least as long as the hash.
const MIN_SECRET_LEN: usize = 32;
/// RFC 5480 §2.2: an uncompressed point of P-256.
const POINT_LEN: usize = 65;
/// RFC 5480 §2: SubjectPublicKeyInfo of P-256, up to the point.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// RFC 8410 §4: SubjectPublicKeyInfo of Ed25519, up to the key.
const ED25519: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests;
