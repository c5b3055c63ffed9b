//! Signatures of tokens (RFC 7518 §3, RFC 8037 §3.1), from ring: what `jsonwebtoken` asks a backend for.
//!
//! Three algorithms and no more. `none`, RSA and longer hashes are nowhere in the program, so no header of
//! a token can name them into use. Which of the three is meant says the key, never the token.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};

/// Makes this the backend, if nobody has set one.
pub(super) fn install() {
    // Whoever was first is as good: a signature is valid or not.
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// An algorithm and the bytes of a key that is for it.
struct Keyed {
    algorithm: Algorithm,
    key: Vec<u8>,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    fits(*algorithm, key.family())?;
    let key = key.try_get_as_bytes()?.to_vec();
    let algorithm = *algorithm;
    Ok(Box::new(Keyed { algorithm, key }))
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    fits(*algorithm, key.family())?;
    let (algorithm, key) = (*algorithm, key.as_bytes().to_vec());
    Ok(Box::new(Keyed { algorithm, key }))
}

/// RFC 8725 §3.1: a public key is never a shared secret.
fn fits(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    match (algorithm, family) {
        (Algorithm::HS256, AlgorithmFamily::Hmac)
        | (Algorithm::ES256, AlgorithmFamily::Ec)
        | (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

impl Keyed {
    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key)
    }

    fn check(
        &self,
        by: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> core::result::Result<(), Unspecified> {
        UnparsedPublicKey::new(by, &self.key).verify(message, signature)
    }
}

impl Verifier<Vec<u8>> for Keyed {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> core::result::Result<(), SignatureError> {
        let checked = match self.algorithm {
            Algorithm::HS256 => hmac::verify(&self.hmac(), message, signature),
            Algorithm::ES256 => self.check(&ECDSA_P256_SHA256_FIXED, message, signature),
            Algorithm::EdDSA => self.check(&ED25519, message, signature),
            _ => Err(Unspecified),
        };
        checked.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Keyed {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for Keyed {
    fn try_sign(&self, message: &[u8]) -> core::result::Result<Vec<u8>, SignatureError> {
        let failed = |_| SignatureError::new();
        match self.algorithm {
            Algorithm::HS256 => Ok(hmac::sign(&self.hmac(), message).as_ref().to_vec()),
            Algorithm::ES256 => {
                // ECDSA takes a number of its own for each signature; only `quic-relay token` signs.
                let random = SystemRandom::new();
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key, &random);
                let signed = pair.map_err(|_| SignatureError::new())?;
                let signed = signed.sign(&random, message).map_err(failed)?;
                Ok(signed.as_ref().to_vec())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.key);
                let pair = pair.map_err(|_| SignatureError::new())?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            _ => Err(SignatureError::new()),
        }
    }
}

impl JwtSigner for Keyed {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
