//! Tokens of rights (RFC 7515, RFC 7519; draft-ietf-moq-transport-18 §10.2.2): none that the key has not signed
//! gives any right, and one that it has gives those that it names, at its time.

mod oracle;

use std::sync::LazyLock;

use quic_relay::access::{AuthKey, Claims, Grant};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

use crate::bytes::Script;
use oracle::{decoded, judge};

/// A key, and what signs and checks beside the relay's own code.
struct Key {
    auth: AuthKey,
    /// What relays have of it.
    public: AuthKey,
    /// In the words of a token's header.
    algorithm: &'static str,
    /// What everybody knows of it, as text; of a secret, nothing.
    known: &'static str,
    /// The same as the bytes of the public key.
    point: Vec<u8>,
    /// The secret, or the private key as PKCS#8.
    private: Vec<u8>,
}

impl Key {
    fn new(algorithm: &'static str, private: &'static str, public: &'static str) -> Self {
        let read = |file: &str| AuthKey::read(file.as_bytes()).expect("it is a key");
        let is_secret = public.is_empty();
        let mut point = der(public);
        // It is at the end.
        let len = if algorithm == "ES256" { 65 } else { 32 };
        point.drain(..point.len().saturating_sub(len));
        Self {
            auth: read(private),
            public: read(if is_secret { private } else { public }),
            algorithm,
            known: public,
            point,
            private: match is_secret {
                true => private.into(),
                false => der(private),
            },
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let (random, text) = (SystemRandom::new(), text.as_bytes());
        let key = self.private.as_slice();
        match self.algorithm {
            "HS256" => keyed_hash(key, text),
            "ES256" => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &random);
                let signed = pair.expect("it is a key").sign(&random, text);
                signed.expect("there is chance").as_ref().to_vec()
            }
            _ => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key);
                pair.expect("it is a key").sign(text).as_ref().to_vec()
            }
        }
    }
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|it| !it.starts_with('-')).collect();
    decoded(&body).expect("PEM is base64")
}

fn keyed_hash(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, text).as_ref().to_vec()
}

/// The input chooses a key, then how the token is made: as it stands there, or from a header and claims that are
/// signed by the key, or by somebody else, or made by the relay's own code.
pub fn access_token(data: &[u8]) {
    let mut script = Script::new(data);
    let key = &KEYS[usize::from(script.byte()) % KEYS.len()];
    let how = script.byte() % 10;
    match how {
        0 => drop(judge(key, script.rest())),
        1 => mint(key, &mut script),
        _ => {
            let (at, flip) = (usize::from(script.byte()), script.byte().max(1));
            let header = encoded(script.long_bytes());
            let text = format!("{header}.{}", encoded(script.rest()));
            let signature = forged(key, how, &text, (at, flip));
            let token = format!("{text}.{}", encoded(&signature));
            let granted = judge(key, token.as_bytes());
            assert!(how == 2 || granted.is_none(), "a forged token counts");
        }
    }
}

/// Signatures: the key's, or those that others can make.
fn forged(key: &Key, how: u8, text: &str, (at, flip): (usize, u8)) -> Vec<u8> {
    let damaged = |mut signature: Vec<u8>| {
        let len = signature.len();
        signature[at % len] ^= flip;
        signature
    };
    match how {
        2 => key.sign(text),
        3 => Vec::new(),
        4 => damaged(key.sign(text)),
        5 => key.sign(&format!("{text} ")),
        6 => key.sign(text)[..at % 32].to_vec(),
        // RFC 8725 §2.1: what is public is no secret.
        7 => keyed_hash(key.known.as_bytes(), text.as_bytes()),
        8 => keyed_hash(&key.point, text.as_bytes()),
        _ => keyed_hash(OTHER_SECRET.as_bytes(), text.as_bytes()),
    }
}

/// What the relay's own code makes says the same when it is read, under no other key, and not after any change.
fn mint(key: &Key, script: &mut Script<'_>) {
    let (shape, at, flip) = (script.byte(), usize::from(script.short()), script.byte());
    let time = |script: &mut Script<'_>, bit| (shape & bit != 0).then(|| script.integer() >> 9);
    let (exp, nbf, iat) = (time(script, 1), time(script, 2), time(script, 4));
    let mut texts = |count: u8| -> Vec<String> {
        let text = |_| String::from_utf8_lossy(script.bytes()).into_owned();
        (0..count).map(text).collect()
    };
    let claims = Claims {
        root: texts(1).remove(0),
        put: texts(shape >> 3 & 3),
        get: texts(shape >> 5),
        exp,
        nbf,
        iat,
        ..Claims::default()
    };
    let token = key.auth.sign(&claims).expect("it signs");
    let Some(granted) = judge(key, token.as_bytes()) else {
        return assert!(is_too_much(&claims, &token), "{claims:?}");
    };
    assert_eq!(granted, claims);
    for other in KEYS.iter().filter(|it| it.algorithm != key.algorithm) {
        assert!(other.public.check(token.as_bytes()).is_err());
    }
    let mut changed = token.into_bytes();
    let at = at % changed.len();
    changed[at] ^= flip.max(1);
    assert!(
        key.public.check(&changed).is_err(),
        "it was changed at {at}"
    );
    assert!(key.public.check(&changed[..at]).is_err());
}

/// Whether a token has a reason not to count though the key has made it.
fn is_too_much(claims: &Claims, token: &str) -> bool {
    token.len() > 4096 || Grant::try_from(claims.clone()).is_err()
}

/// Base64 as in RFC 7515 §2.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| {
            bits << 8 | u32::from(chunk.get(at).copied().unwrap_or_default())
        });
        let digits = (0..=chunk.len()).map(|at| bits >> (18 - 6 * at) & 63);
        text.extend(digits.map(|digit| char::from(DIGITS[digit as usize])));
    }
    text
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static KEYS: LazyLock<[Key; 3]> = LazyLock::new(|| {
    [
        Key::new("HS256", SECRET, ""),
        Key::new("ES256", EC, EC_PUBLIC),
        Key::new("EdDSA", ED, ED_PUBLIC),
    ]
});

// Keys that everybody may have: they protect nothing.
const SECRET: &str = "one-line-of-at-least-32-characters";
const OTHER_SECRET: &str = "another-line-of-at-least-32-characters";
const EC: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRrly++THBuoRGWfW
eycRMJVC82R+vCjZlI+Ojp6PBxWhRANCAATHvY0Vr8Lg4iicqV4AjkReRNkDPsYs
AuxPkFXopPlHrb0aPkR5HxR73JrVb8SKbbKWNz7jw082BLbIpvvh1hE4
-----END PRIVATE KEY-----
";
const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEx72NFa/C4OIonKleAI5EXkTZAz7G
LALsT5BV6KT5R629Gj5EeR8Ue9ya1W/Eim2yljc+48NPNgS2yKb74dYROA==
-----END PUBLIC KEY-----
";
const ED: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIO6SWcBscmPoX7A/NUub5i6X4zD7V7nOt/GweNTofV2c
-----END PRIVATE KEY-----
";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEADv+g6AnmlAxowHxb6F1EWqv41TVD8rOtXUIUxfkQxww=
-----END PUBLIC KEY-----
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648_section_10() {
        for (plain, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encoded(plain.as_bytes()), text);
            assert_eq!(decoded(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decoded("Zm9*"), None);
    }

    #[test]
    fn what_each_key_signs_beside_the_relay_counts() {
        for key in KEYS.iter() {
            let header = encoded(format!(r#"{{"alg":"{}"}}"#, key.algorithm).as_bytes());
            let text = format!("{header}.{}", encoded(br#"{"put":"live","exp":9}"#));
            let token = format!("{text}.{}", encoded(&key.sign(&text)));
            let claims = judge(key, token.as_bytes()).expect("it counts");
            assert_eq!(claims.put, ["live"]);
        }
    }

    #[test]
    #[should_panic(expected = "nobody has signed")]
    fn a_token_that_counts_unsigned_is_noticed() {
        let key = &KEYS[0];
        let claims = Claims::default();
        let token = AuthKey::read(OTHER_SECRET.as_bytes())
            .unwrap()
            .sign(&claims);
        oracle::follows_from(key, token.unwrap().as_bytes(), &claims);
    }

    #[test]
    #[should_panic(expected = "allowed")]
    fn a_right_that_the_claims_do_not_name_is_noticed() {
        let said = serde_json::json!({"put": "live"});
        let claims = Claims {
            put: vec![String::new()],
            ..Claims::default()
        };
        oracle::rights_are_those_of(&said, &claims);
    }
}
