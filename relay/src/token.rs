//! `quic-relay token`: makes a token, and the key for it. RFC 7519; [`quic_relay::access`] says what is in it.
//!
//! A token goes to standard output and nowhere else; a key goes to a file that only its owner reads.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use quic_lite::io::random_seed;
use quic_relay::access::{AuthKey, Claims, Grant, KeyError};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};

use crate::args::{Alg, Lifetime, Token};
use crate::clock::unix_micros;
use crate::credentials::hex;
use crate::error::{Failure, Kind, Result};

/// Runs `quic-relay token`.
pub(crate) fn run(options: &Token) -> Result<()> {
    let allows_nothing = options.publish.is_empty() && options.subscribe.is_empty();
    if allows_nothing && !options.generate {
        return Err(Failure::new(Kind::Usage, "a token that allows nothing")
            .advise("give --publish PREFIX or --subscribe PREFIX, or both"));
    }
    let claims = claims(options)?;
    if options.generate {
        generate(&options.key, options.alg.unwrap_or(Alg::EdDsa))?;
    }
    let key = read_key(&options.key)?;
    if let Some(alg) = options.alg.filter(|alg| alg.name() != key.algorithm()) {
        let what = format!("{} is a key for {}", options.key.display(), key.algorithm());
        return Err(
            Failure::new(Kind::Usage, what).advise(format!("it cannot sign {}", alg.name()))
        );
    }
    if allows_nothing {
        return Ok(());
    }
    let token = key
        .sign(&claims)
        .map_err(|error| unusable(&options.key, error))?;
    println!("{token}");
    Ok(())
}

/// Reads the key that tokens are checked with or made with.
pub(crate) fn read_key(path: &Path) -> Result<AuthKey> {
    let file = fs::read(path).map_err(|error| cannot("read", path, &error))?;
    AuthKey::read(&file).map_err(|error| unusable(path, error))
}

/// A token as it stands on a command line: itself, or `@FILE`.
pub(crate) fn read_token(text: &str) -> Result<String> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    let path = Path::new(path);
    let token = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
    Ok(token.trim().to_owned())
}

fn claims(options: &Token) -> Result<Claims> {
    let now = unix_micros() / 1_000_000;
    let claims = Claims {
        root: options.root.clone(),
        put: options.publish.clone(),
        get: options.subscribe.clone(),
        exp: match options.expires {
            Lifetime::For(duration) => Some(now.saturating_add(duration.as_secs())),
            Lifetime::Forever => None,
        },
        iat: Some(now),
        ..Claims::default()
    };
    match Grant::try_from(claims.clone()) {
        Ok(_) => Ok(claims),
        Err(_) => Err(Failure::new(
            Kind::Usage,
            "a prefix of more than 32 fields or 4096 bytes, or more than 64 prefixes",
        )),
    }
}

fn generate(path: &Path, alg: Alg) -> Result<()> {
    let pair = |algorithm: &'static SignatureAlgorithm| {
        KeyPair::generate_for(algorithm)
            .map_err(|error| Failure::new(Kind::Certificate, format!("cannot make a key: {error}")))
    };
    let pair = match alg {
        Alg::Es256 => pair(&PKCS_ECDSA_P256_SHA256)?,
        Alg::EdDsa => pair(&PKCS_ED25519)?,
        Alg::Hs256 => {
            let secret = random_seed().map_err(|error| cannot("make", path, &error))?;
            return write_new(path, &format!("{}\n", hex(&secret)), PRIVATE);
        }
    };
    write_new(path, &pair.serialize_pem(), PRIVATE)?;
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    write_new(&PathBuf::from(public), &pair.public_key_pem(), PUBLIC)
}

/// Writes a file that is not there yet: a key that is in use is not to be lost.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot("write", path, &error))
}

fn unusable(path: &Path, error: KeyError) -> Failure {
    Failure::new(Kind::Certificate, format!("{}: {error}", path.display()))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Kind::File,
        format!("cannot {what} {}: {error}", path.display()),
    )
}

/// Its owner reads and writes it.
const PRIVATE: u32 = 0o600;
/// Everybody may read it.
const PUBLIC: u32 = 0o644;
