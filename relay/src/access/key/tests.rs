use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;

use crate::limits;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// RFC 7515 §A.1.1 and §A.3.1: the claims of both.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn key(file: impl AsRef<[u8]>) -> AuthKey {
    AuthKey::read(file.as_ref()).unwrap()
}

fn refused(file: impl AsRef<[u8]>) -> KeyError {
    AuthKey::read(file.as_ref()).expect_err("not a key")
}

fn claims() -> Claims {
    Claims {
        put: vec!["live".into()],
        exp: Some(9),
        ..Claims::default()
    }
}

/// A token of this header and of these claims, signed with HMAC by whatever key.
fn token(header: &Header, claims: &str, secret: &[u8]) -> String {
    provider::install();
    let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
    encode(header, &claims, &EncodingKey::from_secret(secret)).unwrap()
}

#[test]
fn rfc7515_a_1_hmac() {
    let key = key(
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
    );
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let claims = key.check(token.as_bytes()).unwrap();
    assert_eq!(claims.exp, Some(1_300_819_380));
    assert_eq!((key.algorithm(), claims.put.len()), ("HS256", 0));
}

#[test]
fn rfc7515_a_3_ecdsa() {
    let key = key(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
    );
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    assert_eq!(
        key.check(token.as_bytes()).unwrap().exp,
        Some(1_300_819_380)
    );
    assert_eq!(key.sign(&claims()), Err(KeyError::Public));
}

#[test]
fn rfc8037_a_4_ed25519() {
    let key =
        key(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#);
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    // Its signature is good; what it signs is a sentence, not claims.
    assert_eq!(key.check(token.as_bytes()), Err(Denied::Malformed));
    let changed = token.replace("hgyY", "hgyZ");
    assert_eq!(key.check(changed.as_bytes()), Err(Denied::Forged));
}

#[test]
fn what_a_private_key_signs_its_public_half_accepts_and_no_other() {
    let pairs = [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519];
    let pairs = pairs.map(|algorithm| KeyPair::generate_for(algorithm).unwrap());
    let other = key(SECRET);
    for (pair, name) in pairs.iter().zip(["ES256", "EdDSA"]) {
        let (private, public) = (key(pair.serialize_pem()), key(pair.public_key_pem()));
        let token = private.sign(&claims()).unwrap();
        assert_eq!(public.check(token.as_bytes()), Ok(claims()));
        assert_eq!(private.check(token.as_bytes()), Ok(claims()));
        assert_eq!(public.algorithm(), name);
        assert_eq!(public.sign(&claims()), Err(KeyError::Public));
        assert_eq!(other.check(token.as_bytes()), Err(Denied::Forged));
        let foreign = other.sign(&claims()).unwrap();
        assert_eq!(public.check(foreign.as_bytes()), Err(Denied::Forged));
    }
    let again = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let forged = key(again.serialize_pem()).sign(&claims()).unwrap();
    let public = key(pairs[1].public_key_pem());
    assert_eq!(public.check(forged.as_bytes()), Err(Denied::Forged));
}

#[test]
fn a_public_key_is_no_secret() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let pem = KeyPair::generate_for(algorithm).unwrap().public_key_pem();
        let public = key(&pem);
        let bytes = public.checks.try_get_as_bytes().unwrap();
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), bytes] {
            let forged = token(&Header::new(Algorithm::HS256), r#"{"put":""}"#, secret);
            assert_eq!(public.check(forged.as_bytes()), Err(Denied::Forged));
        }
    }
}

#[test]
fn a_token_without_signature_counts_nothing() {
    // {"alg":"none"} in three spellings, with and without something behind the last dot.
    for header in [
        "eyJhbGciOiJub25lIn0",
        "eyJhbGciOiJOb25lIn0",
        "eyJhbGciOiJOT05FIn0",
    ] {
        for end in ["", "AA"] {
            let token = format!("{header}.{JOE}.{end}");
            assert_eq!(key(SECRET).check(token.as_bytes()), Err(Denied::Malformed));
        }
    }
    let good = key(SECRET).sign(&claims()).unwrap();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let cut = format!("{signed}.");
    assert_eq!(key(SECRET).check(cut.as_bytes()), Err(Denied::Forged));
}

#[test]
fn the_key_says_which_algorithm() {
    for algorithm in [Algorithm::HS384, Algorithm::RS256, Algorithm::PS512] {
        let mut header = Header::new(Algorithm::HS256);
        let good = token(&header, "{}", SECRET);
        assert!(key(SECRET).check(good.as_bytes()).is_ok());
        header.alg = algorithm;
        let (_, rest) = good.split_once('.').unwrap();
        let head = jsonwebtoken::jws::encode(&header, Some(&()), &EncodingKey::from_secret(SECRET));
        assert!(head.is_err(), "{algorithm:?} is not built in");
        let renamed = match algorithm {
            Algorithm::HS384 => "eyJhbGciOiJIUzM4NCJ9",
            Algorithm::RS256 => "eyJhbGciOiJSUzI1NiJ9",
            _ => "eyJhbGciOiJQUzUxMiJ9",
        };
        let renamed = format!("{renamed}.{rest}");
        assert_eq!(key(SECRET).check(renamed.as_bytes()), Err(Denied::Forged));
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let long = "a".repeat(limits::TOKEN + 1);
    let mut claims = claims();
    claims.put = vec!["x".repeat(limits::TOKEN)];
    let signed_and_long = key(SECRET).sign(&claims).unwrap();
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        &long,
        &signed_and_long,
    ] {
        assert_eq!(
            key(SECRET).check(token.as_bytes()),
            Err(Denied::Malformed),
            "{token}"
        );
    }
    assert_eq!(key(SECRET).check(&[0xff; 9]), Err(Denied::Malformed));
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["exp".into()]);
    let critical = token(&critical, "{}", SECRET);
    assert_eq!(
        key(SECRET).check(critical.as_bytes()),
        Err(Denied::Malformed)
    );
    for wrong in [r#"{"exp":"9"}"#, r#"{"put":9}"#, r#"{"nbf":null}"#] {
        let token = token(&Header::new(Algorithm::HS256), wrong, SECRET);
        assert_eq!(
            key(SECRET).check(token.as_bytes()),
            Err(Denied::Malformed),
            "{wrong}"
        );
    }
    for aud in [r#""somebody""#, r#"["somebody"]"#, "1", "[]"] {
        let meant = format!(r#"{{"aud":{aud}}}"#);
        let token = token(&Header::new(Algorithm::HS256), &meant, SECRET);
        assert_eq!(
            key(SECRET).check(token.as_bytes()),
            Err(Denied::Forged),
            "{aud}"
        );
    }
    let for_nobody = token(&Header::new(Algorithm::HS256), r#"{"aud":null}"#, SECRET);
    assert!(key(SECRET).check(for_nobody.as_bytes()).is_ok());
}

#[test]
fn only_keys_become_keys() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let pems = [made.cert.pem(), p384.serialize_pem(), p384.public_key_pem()];
    for pem in pems.map(String::into_bytes) {
        assert_eq!(refused(pem), KeyError::Pem);
    }
    assert_eq!(refused("-----BEGIN NOTHING"), KeyError::Pem);
    assert_eq!(refused("short"), KeyError::Short);
    let public = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let two_lines = [SECRET, b"\n", SECRET].concat();
    for file in [
        &b""[..],
        b"\n",
        &two_lines,
        &public.serialize_der(),
        made.cert.der(),
    ] {
        assert_eq!(refused(file), KeyError::Unknown);
    }
    for jwk in [
        "{",
        r#"{"kty":"oct","k":"AAAA","alg":"HS512"}"#,
        r#"{"kty":"RSA","n":"AAAA","e":"AQAB"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
        r#"{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}"#,
    ] {
        assert_eq!(refused(jwk), KeyError::Jwk, "{jwk}");
    }
    assert_eq!(refused(r#"{"kty":"oct","k":"AAAA"}"#), KeyError::Short);
    let shown = format!("{:?}", key([SECRET, b"\n"].concat()));
    assert_eq!(shown, "AuthKey(HS256)");
}
