//! What `serve` can be told: on the command line, or in a TOML file with the same keys. No RFC.
//!
//! Promise: an error says which key is wrong and in which line; what one way refuses the other refuses, too.
//!
//! ```
//! use quic_relay::options::ServeOptions;
//! let options = ServeOptions::from_toml("bind = '127.0.0.1:4443'\nraw = true")?;
//! assert!(options.raw && options.check().is_ok());
//! let wrong = ServeOptions::from_toml("raw = true\nbind = 4443").unwrap_err();
//! assert!(wrong.to_string().starts_with("line 2: bind: "));
//! # Ok::<(), quic_relay::options::ConfigError>(())
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use relay_ebpf_loader::kernel::attach::Hook;
use serde::Deserialize;
use toml::de::DeTable;

use crate::limits;
use crate::url::RelayUrl;

/// The options of `serve`: on the command line, or as keys of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServeOptions {
    /// Address and port to listen on [default: port 4443 of every address].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Option<SocketAddr>,
    /// Certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Make a self-signed certificate for NAME and log its SHA-256; for tests.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_generate: Option<String>,
    /// Ask this relay for tracks that nobody publishes here.
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "url_from_text")]
    pub upstream: Option<RelayUrl>,
    /// What to show the upstream relay: a token, or @FILE that holds one (or ?jwt= in its URL).
    #[arg(long, value_name = "TOKEN|@FILE", requires = "upstream")]
    pub upstream_token: Option<String>,
    /// Ask everybody for a token that this key has signed: PEM public key (P-256 or Ed25519), JWK, or one
    /// line of text for HS256 [default: everybody may publish and subscribe].
    #[arg(long, value_name = "FILE", conflicts_with = "raw")]
    pub auth_key: Option<PathBuf>,
    /// Bytes of media to keep for late joiners, all tracks together [default: 268435456].
    #[arg(long, value_name = "N")]
    pub cache_bytes: Option<usize>,
    /// Relay the raw protocol too: clients with ALPN qr-raw-pub to all with ALPN qr-raw-sub.
    #[arg(long)]
    pub raw: bool,
    /// Do not check the certificate of the upstream relay.
    #[arg(long)]
    pub tls_disable_verify: bool,
    /// Certificates that the upstream relay may be signed with, PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "tls_disable_verify")]
    pub tls_ca: Option<PathBuf>,
    /// Write events and final counters to FILE (`-`: standard output), one JSON object a line.
    #[arg(long, value_name = "FILE|-")]
    pub report: Option<PathBuf>,
    /// Forward in the kernel: if it can be done here, or fail, or not at all [default: auto].
    #[arg(long, value_enum, value_name = "auto|require|off")]
    pub fast_path: Option<FastPath>,
    /// Where packets come in and go out, for the fast path [default: from the routing table].
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub interface: Vec<String>,
    /// How the fast path is attached to them [default: tcx from Linux 6.6 on, netlink before].
    #[arg(long, value_enum, value_name = "tcx|netlink")]
    pub fast_path_hook: Option<FastPathHook>,
    /// How many publishers and subscribers the kernel serves; the others are served as without it
    /// [default: 128].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::KERNEL_SLOTS)))]
    pub fast_path_slots: Option<u32>,
    /// Send each packet by itself, for devices that do not cut bursts as they should (UDP GSO).
    #[arg(long)]
    pub no_gso: bool,
    /// Leave 1-RTT packets unprotected for peers that offer it as well: whoever sees them can read and forge them.
    #[cfg(feature = "disable-1rtt-encryption")]
    #[arg(long)]
    pub disable_1rtt_encryption: bool,
    /// Where `status` reaches this relay [default: /run/quic-relay/PORT.sock, or below
    /// $XDG_RUNTIME_DIR].
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Write what each connection does, packet by packet, into a file in DIR (qlog).
    #[arg(long, value_name = "DIR")]
    pub qlog: Option<PathBuf>,
    /// Measure the run time of the kernel programs.
    #[arg(long, hide = true)]
    #[serde(skip)]
    pub measure: bool,
}

/// Whether packets are forwarded in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FastPath {
    /// If it can be done here; says which, and why.
    #[default]
    Auto,
    /// Fails where it cannot be done.
    Require,
    /// Not at all.
    Off,
}

/// How programs are attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FastPathHook {
    /// Links, which end with the process.
    Tcx,
    /// Filters, which `tc` shows and a killed process leaves behind; `cleanup` removes them.
    Netlink,
}

impl From<FastPathHook> for Hook {
    fn from(hook: FastPathHook) -> Self {
        match hook {
            FastPathHook::Tcx => Self::Tcx,
            FastPathHook::Netlink => Self::Netlink,
        }
    }
}

/// What is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, from 1 on.
    pub line: usize,
    /// Of which key; none when it is no TOML there.
    pub key: Option<String>,
    message: String,
}

impl ConfigError {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or_default();
        let before = text.get(..span.start).unwrap_or(text);
        Self {
            line: before.matches('\n').count() + 1,
            key: key_before(text, span.end),
            message: error.message().to_owned(),
        }
    }
}

/// The last key that begins before.
fn key_before(text: &str, end: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let keys = table.get_ref().keys();
    let before = keys.filter(|key| key.span().start < end);
    let last = before.max_by_key(|key| key.span().start)?;
    Some(last.get_ref().clone().into_owned())
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(key) = &self.key {
            write!(f, "{}: ", key.escape_debug())?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

impl ServeOptions {
    /// What a configuration file says. Whether it fits together, [`Self::check`] tells.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::new(text, &error))
    }

    /// `self` where it says something, else `file`; the certificate is one thing, not three.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        let certificate = if self.tls_cert.is_some() || self.tls_generate.is_some() {
            (self.tls_cert, self.tls_key, self.tls_generate)
        } else {
            (file.tls_cert, file.tls_key, file.tls_generate)
        };
        Self {
            bind: self.bind.or(file.bind),
            tls_cert: certificate.0,
            tls_key: certificate.1,
            tls_generate: certificate.2,
            upstream: self.upstream.or(file.upstream),
            upstream_token: self.upstream_token.or(file.upstream_token),
            auth_key: self.auth_key.or(file.auth_key),
            cache_bytes: self.cache_bytes.or(file.cache_bytes),
            raw: self.raw || file.raw,
            tls_disable_verify: self.tls_disable_verify || file.tls_disable_verify,
            tls_ca: self.tls_ca.or(file.tls_ca),
            report: self.report.or(file.report),
            fast_path: self.fast_path.or(file.fast_path),
            interface: match self.interface.is_empty() {
                true => file.interface,
                false => self.interface,
            },
            fast_path_hook: self.fast_path_hook.or(file.fast_path_hook),
            fast_path_slots: self.fast_path_slots.or(file.fast_path_slots),
            no_gso: self.no_gso || file.no_gso,
            #[cfg(feature = "disable-1rtt-encryption")]
            disable_1rtt_encryption: self.disable_1rtt_encryption || file.disable_1rtt_encryption,
            control: self.control.or(file.control),
            qlog: self.qlog.or(file.qlog),
            measure: self.measure,
        }
    }

    /// The rules that clap holds for the command line, for what came out of the file.
    pub fn check(&self) -> Result<(), &'static str> {
        let slots = self.fast_path_slots.unwrap_or(1);
        let rules = [
            (
                self.tls_cert.is_some() == self.tls_key.is_some(),
                "tls-cert and tls-key go together",
            ),
            (
                self.tls_cert.is_none() || self.tls_generate.is_none(),
                "tls-generate makes a certificate, tls-cert names one: keep one of them",
            ),
            (
                self.upstream_token.is_none() || self.upstream.is_some(),
                "upstream-token is for the relay that upstream names: there is none",
            ),
            (
                self.tls_ca.is_none() || !self.tls_disable_verify,
                "tls-ca and tls-disable-verify exclude each other",
            ),
            (
                !self.raw || self.auth_key.is_none(),
                "the raw protocol carries no tokens: raw and auth-key exclude each other",
            ),
            (
                (1..=limits::KERNEL_SLOTS).contains(&slots),
                "fast-path-slots is not from 1 to 1024",
            ),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, what)| Err(what))
    }
}

fn url_from_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RelayUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: ServeOptions,
    }

    fn arguments(line: &str) -> ServeOptions {
        let words = ["serve"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).ok().unwrap().options
    }

    fn file(toml: &str) -> ServeOptions {
        ServeOptions::from_toml(toml).unwrap()
    }

    fn wrong(toml: &str) -> String {
        ServeOptions::from_toml(toml).unwrap_err().to_string()
    }

    #[test]
    fn file_has_the_keys_of_the_command_line() {
        let file = file(
            "bind = '127.0.0.1:1'\ntls-generate = 'x'\nupstream = 'moqt://h:2'\ncache-bytes = 9\nno-gso = true",
        );
        assert!(file.no_gso && arguments("--no-gso").no_gso && !arguments("").no_gso);
        assert_eq!(file.bind, Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(file.upstream.map(|url| url.port()), Some(2));
        assert_eq!(file.cache_bytes, Some(9));
    }

    #[test]
    fn an_error_names_key_and_line() {
        for (toml, begins, says) in [
            ("\nbynd = 'x'", "line 2: bynd: ", "unknown"),
            (
                "raw = true\nupstream = 'x'",
                "line 2: upstream: ",
                "moqt://",
            ),
            ("raw = 1\nqlog = ''", "line 1: raw: ", "boolean"),
            ("interface = [\n 'a',\n 7]", "line 3: interface: ", "string"),
            ("[bind]\nport = 1", "line 1: bind: ", "address"),
            ("raw = true\n\n= 7", "line 3: ", "key"),
        ] {
            let error = wrong(toml);
            assert!(error.starts_with(begins) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn fast_path_has_the_same_words_in_the_file() {
        let file = file(
            "fast-path = 'require'\ninterface = ['a', 'b']\nfast-path-slots = 7\nfast-path-hook = 'netlink'",
        );
        let merged = arguments("--interface c --fast-path off").over(file);
        assert_eq!(merged.fast_path, Some(FastPath::Off));
        assert_eq!(merged.fast_path_hook, Some(FastPathHook::Netlink));
        assert_eq!(
            (merged.interface, merged.fast_path_slots),
            (vec!["c".into()], Some(7))
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (toml, says) in [
            ("tls-cert = 'c'", "go together"),
            (
                "tls-cert = 'c'\ntls-key = 'k'\ntls-generate = 'x'",
                "one of",
            ),
            ("upstream-token = 't'", "there is none"),
            ("tls-ca = 'c'\ntls-disable-verify = true", "exclude"),
            ("raw = true\nauth-key = 'k'", "no tokens"),
            ("fast-path-slots = 2000", "1 to 1024"),
        ] {
            assert!(file(toml).check().unwrap_err().contains(says), "{toml}");
        }
    }

    #[test]
    fn command_line_wins_over_the_file() {
        let line = arguments("--bind 127.0.0.1:7 --tls-cert c --tls-key k");
        let merged = line.over(file(
            "bind = '127.0.0.1:1'\ntls-generate = 'x'\ncache-bytes = 9",
        ));
        assert_eq!(merged.bind, Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!((merged.tls_generate, merged.cache_bytes), (None, Some(9)));
    }
}
