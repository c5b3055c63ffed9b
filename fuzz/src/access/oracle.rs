//! What a token may grant, judged beside the relay's code: the signature by ring, the JSON as a plain value, prefixes as
//! lists of words (RFC 7515 §5.2, RFC 7519 §4).

use quic_relay::access::{Action, Claims, Grant};
use quic_relay::moqt::Namespace;
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde_json::Value;

use super::{DIGITS, Key};

/// What the key takes a token for. Whatever counts was signed, and grants what it says.
pub fn judge(key: &Key, token: &[u8]) -> Option<Claims> {
    let checked = key.public.check(token);
    // Who signs also checks, and alike.
    assert_eq!(key.auth.check(token), checked);
    let claims = match checked {
        Ok(claims) => claims,
        Err(denied) => {
            assert!(!denied.to_string().contains('\n'));
            return None;
        }
    };
    let said = follows_from(key, token, &claims);
    let has_rights = said.is_none_or(|said| rights_are_those_of(&said, &claims));
    has_rights.then_some(claims)
}

/// The claims are those of a token that was signed; what it says as JSON. Nothing when parts of it that nobody asks
/// for cannot be read, as half of a surrogate pair.
pub fn follows_from(key: &Key, token: &[u8], claims: &Claims) -> Option<Value> {
    let text = std::str::from_utf8(token).expect("a token is text");
    let (signed, signature) = text.rsplit_once('.').expect("it has a signature");
    let signature = decoded(signature).expect("it is base64");
    let is_signed = verifies(key, signed.as_bytes(), &signature);
    assert!(is_signed, "{text} counts, and nobody has signed it");
    let (header, body) = signed.split_once('.').expect("it has three parts");
    let json = |part| -> Option<Value> {
        let bytes = decoded(part).expect("it is base64");
        serde_json::from_slice(&bytes).ok()
    };
    let (header, said) = (json(header)?, json(body)?);
    assert_eq!(header["alg"], key.algorithm);
    assert!(header.get("crit").is_none_or(Value::is_null), "{header}");
    let aud = said.get("aud").filter(|aud| !aud.is_null());
    assert!(aud.is_none(), "meant for {aud:?}");
    let seconds = |name: &str| Some(said.get(name)?.as_f64().expect("a number") as u64);
    let times = (claims.exp, claims.nbf, claims.iat);
    assert_eq!(times, (seconds("exp"), seconds("nbf"), seconds("iat")));
    Some(said)
}

fn verifies(key: &Key, text: &[u8], signature: &[u8]) -> bool {
    let point = &key.point;
    match key.algorithm {
        "HS256" => {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.private);
            hmac::verify(&secret, text, signature).is_ok()
        }
        "ES256" => {
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            public.verify(text, signature).is_ok()
        }
        _ => {
            let public = UnparsedPublicKey::new(&ED25519, point);
            public.verify(text, signature).is_ok()
        }
    }
}

/// Whether there are any rights; then they are those that the JSON names, at its times, for names that are near.
pub fn rights_are_those_of(said: &Value, claims: &Claims) -> bool {
    let root = said.get("root").map_or("", |it| it.as_str().expect("text"));
    let named = |name: &str| -> Vec<Vec<String>> {
        let list = match said.get(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one) => vec![one],
        };
        let path = |it: &Value| words(&format!("{root}/{}", it.as_str().expect("text")));
        list.into_iter().map(path).collect()
    };
    let (put, get) = (named("put"), named("get"));
    let Ok(grant) = Grant::try_from(claims.clone()) else {
        let mut all = put.iter().chain(&get);
        assert!(put.len() + get.len() > 64 || all.any(|path| name(path).is_none()));
        return false;
    };
    let micros = |seconds: u64| seconds.saturating_mul(1_000_000);
    let from = claims.nbf.map_or(0, micros);
    let until = claims.exp.map_or(u64::MAX, micros);
    let times = [from.wrapping_sub(1), from, until.wrapping_sub(1), until, 1];
    for (action, prefixes) in [(Action::Publish, &put), (Action::Subscribe, &get)] {
        for path in put.iter().chain(&get).flat_map(|path| near(path)) {
            let Some(namespace) = name(&path) else {
                continue;
            };
            let covered = prefixes.iter().any(|prefix| path.starts_with(prefix));
            for unix in times {
                let is_its_time = from <= unix && unix < until;
                let expected = (covered && is_its_time).then_some(until);
                let allowed = grant.until(action, &namespace, unix);
                assert_eq!(
                    allowed, expected,
                    "{action:?} {path:?} is allowed at {unix}"
                );
            }
        }
    }
    true
}

/// A path, those above and below it, and one that only looks like it.
fn near(path: &[String]) -> [Vec<String>; 4] {
    let above = path[..path.len().saturating_sub(1)].to_vec();
    let mut below = path.to_vec();
    below.push("b".into());
    let mut like = path.to_vec();
    if let Some(last) = like.last_mut() {
        last.push('b');
    }
    [path.to_vec(), above, below, like]
}

fn words(path: &str) -> Vec<String> {
    let words = path.split('/').filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn name(path: &[String]) -> Option<Namespace> {
    Namespace::new(path)
}

/// Base64, in the alphabet of tokens or that of PEM.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.replace('+', "-").replace('/', "_");
    let mut bytes = Vec::new();
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            let digit = chunk.get(at).map_or(Some(0), |byte| {
                DIGITS.iter().position(|digit| digit == byte)
            });
            bits = bits << 6 | digit?;
        }
        let [.., first, second, third] = bits.to_be_bytes();
        bytes.extend(&[first, second, third][..chunk.len() - 1]);
    }
    Some(bytes)
}
