//! The options of `token`, and tokens on command lines. RFC 7519.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// `quic-relay token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The key to sign with: a PEM private key (PKCS#8; P-256 or Ed25519), a JWK `oct`, or one line of text
    /// (HS256).
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Make the key first: FILE, and FILE.pub for the relays, if it has a public half.
    #[arg(long)]
    pub(crate) generate: bool,
    /// The algorithm [default: the key's; with --generate, EdDSA].
    #[arg(long, value_enum, value_name = "HS256|ES256|EdDSA")]
    pub(crate) alg: Option<Alg>,
    /// What may be published: a namespace prefix, its fields separated by `/`; `/` is everything. May be
    /// repeated.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) publish: Vec<String>,
    /// What may be subscribed to.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) subscribe: Vec<String>,
    /// The path of the URL that clients use, which stands before every prefix.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) root: String,
    /// How long it counts, as in 90s, 30m, 1h, 7d, or never.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    pub(crate) expires: Lifetime,
}

/// An algorithm for tokens (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Alg {
    /// A secret that relays share with whoever makes tokens.
    #[value(name = "HS256")]
    Hs256,
    /// A P-256 key pair.
    #[value(name = "ES256")]
    Es256,
    /// An Ed25519 key pair.
    #[value(name = "EdDSA")]
    EdDsa,
}

impl Alg {
    /// Its name in a token.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// How long a token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// So long.
    For(Duration),
    /// Until the key changes.
    Forever,
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime::Forever);
    }
    let wrong = || "write it like 90s, 30m, 1h, 7d or never".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Lifetime::For(Duration::from_secs(
        u64::from(count) * seconds,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit() {
        let seconds = |text| match lifetime(text) {
            Ok(Lifetime::For(duration)) => Some(duration.as_secs()),
            _ => None,
        };
        assert_eq!(
            ["90s", "30m", "1h", "7d"].map(seconds),
            [Some(90), Some(1800), Some(3600), Some(604_800)]
        );
        assert_eq!(lifetime("never"), Ok(Lifetime::Forever));
        for wrong in ["", "h", "1", "1 h", "-1h", "1.5h", "1é"] {
            assert!(lifetime(wrong).unwrap_err().contains("90s"), "{wrong}");
        }
    }
}
