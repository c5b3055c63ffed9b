//! The options of `serve`, on the command line or in its configuration file. No RFC.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use quic_relay::limits;
use quic_relay::url::RelayUrl;
use relay_ebpf_loader::kernel::attach::Hook;
use serde::Deserialize;

use crate::error::{Failure, Kind, Result};

/// `quic-relay serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) options: ServeOptions,
    /// Read these options from a TOML file (`bind = "[::]:4443"`); the command line wins.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The options of `serve`: on the command line, or as keys of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ServeOptions {
    /// Address and port to listen on [default: [::]:4443].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) bind: Option<SocketAddr>,
    /// Certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Make a self-signed certificate for NAME and log its SHA-256; for tests.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_generate: Option<String>,
    /// Ask this relay for tracks that nobody publishes here.
    #[arg(long, value_name = "URL")]
    #[serde(deserialize_with = "url_from_text")]
    pub(crate) upstream: Option<RelayUrl>,
    /// What to show the upstream relay: a token, or @FILE that holds one (or ?jwt= in its URL).
    #[arg(long, value_name = "TOKEN|@FILE", requires = "upstream")]
    pub(crate) upstream_token: Option<String>,
    /// Ask everybody for a token that this key has signed: PEM public key (P-256 or Ed25519), JWK, or one
    /// line of text for HS256 [default: everybody may publish and subscribe].
    #[arg(long, value_name = "FILE", conflicts_with = "raw")]
    pub(crate) auth_key: Option<PathBuf>,
    /// Bytes of media to keep for late joiners, all tracks together [default: 268435456].
    #[arg(long, value_name = "N")]
    pub(crate) cache_bytes: Option<usize>,
    /// Relay the raw protocol too: clients with ALPN qr-raw-pub to all with ALPN qr-raw-sub.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Do not check the certificate of the upstream relay.
    #[arg(long)]
    pub(crate) tls_disable_verify: bool,
    /// Certificates that the upstream relay may be signed with, PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "tls_disable_verify")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Write events and final counters to FILE (`-`: standard output), one JSON object a line.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) report: Option<PathBuf>,
    /// Forward in the kernel: if it can be done here, or fail, or not at all [default: auto].
    #[arg(long, value_enum, value_name = "auto|require|off")]
    pub(crate) fast_path: Option<FastPath>,
    /// Where packets come in and go out, for the fast path [default: from the routing table].
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) interface: Vec<String>,
    /// How the fast path is attached to them [default: tcx from Linux 6.6 on, netlink before].
    #[arg(long, value_enum, value_name = "tcx|netlink")]
    pub(crate) fast_path_hook: Option<FastPathHook>,
    /// How many publishers and subscribers the kernel serves; the others are served as without it
    /// [default: 128].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::KERNEL_SLOTS)))]
    pub(crate) fast_path_slots: Option<u32>,
    /// Where `status` reaches this relay [default: /run/quic-relay/PORT.sock, or below
    /// $XDG_RUNTIME_DIR].
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// Write what each connection does, packet by packet, into a file in DIR (qlog).
    #[arg(long, value_name = "DIR")]
    pub(crate) qlog: Option<PathBuf>,
    /// Measure the run time of the kernel programs.
    #[arg(long, hide = true)]
    #[serde(skip)]
    pub(crate) measure: bool,
}

/// Whether packets are forwarded in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FastPath {
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
pub(crate) enum FastPathHook {
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

impl ServeOptions {
    /// The options of the command line, completed from the configuration file.
    pub(crate) fn resolve(serve: Serve) -> Result<Self> {
        let Some(path) = serve.config else {
            return Ok(serve.options);
        };
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::new(
                Kind::File,
                format!("cannot read {}: {error}", path.display()),
            )
        })?;
        let file: Self = toml::from_str(&text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start);
            let line = text[..before].matches('\n').count() + 1;
            let what = format!("{}, line {line}: {}", path.display(), error.message());
            Failure::new(Kind::Usage, what).advise("the keys are the long options of `serve`")
        })?;
        serve.options.over(file).checked(&path)
    }

    /// `self` where it says something, else `file`; the certificate is one thing, not three.
    fn over(self, file: Self) -> Self {
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
            control: self.control.or(file.control),
            qlog: self.qlog.or(file.qlog),
            measure: self.measure,
        }
    }

    /// The rules that clap holds for the command line, for what came out of the file.
    fn checked(self, path: &std::path::Path) -> Result<Self> {
        let wrong = |what| {
            Err(Failure::new(
                Kind::Usage,
                format!("{}: {what}", path.display()),
            ))
        };
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return wrong("tls-cert and tls-key go together");
        }
        if self.tls_cert.is_some() && self.tls_generate.is_some() {
            return wrong("tls-generate makes a certificate, tls-cert names one: keep one of them");
        }
        if self.raw && self.auth_key.is_some() {
            return wrong(
                "the raw protocol carries no tokens: raw and auth-key exclude each other",
            );
        }
        let slots = self.fast_path_slots.unwrap_or(1);
        if !(1..=limits::KERNEL_SLOTS).contains(&slots) {
            return wrong("fast-path-slots is not from 1 to 1024");
        }
        Ok(self)
    }
}

fn url_from_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<RelayUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Command, CommandLine};

    fn parse(line: &str) -> Option<Serve> {
        let command_line = CommandLine::try_parse_from(line.split_whitespace());
        match command_line.ok()?.command {
            Command::Serve(serve) => Some(serve),
            _ => None,
        }
    }

    fn options(toml: &str) -> std::result::Result<ServeOptions, String> {
        toml::from_str(toml).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn file_has_the_keys_of_the_command_line() {
        let file = options(
            "bind = '127.0.0.1:1'\ntls-generate = 'x'\nupstream = 'moqt://h:2'\ncache-bytes = 9",
        )
        .unwrap();
        assert_eq!(file.bind, Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(file.upstream.map(|url| url.port()), Some(2));
        assert_eq!(file.cache_bytes, Some(9));
        assert!(options("bynd = 'x'").unwrap_err().contains("bynd"));
        assert!(options("upstream = 'x'").unwrap_err().contains("moqt://"));
    }

    #[test]
    fn fast_path_has_the_same_words_in_the_file() {
        let file = options(
            "fast-path = 'require'\ninterface = ['a', 'b']\nfast-path-slots = 7\nfast-path-hook = 'netlink'",
        );
        let file = file.unwrap();
        let serve = parse("quic-relay serve --interface c --fast-path off").unwrap();
        let merged = serve.options.over(file);
        assert_eq!(merged.fast_path, Some(FastPath::Off));
        assert_eq!(merged.fast_path_hook, Some(FastPathHook::Netlink));
        assert_eq!(
            (merged.interface, merged.fast_path_slots),
            (vec!["c".into()], Some(7))
        );
        let path = std::path::Path::new("relay.toml");
        let both = options("raw = true\nauth-key = 'k'").unwrap();
        let both = both.checked(path).unwrap_err().to_string();
        assert!(both.contains("no tokens"), "{both}");
        let many = options("fast-path-slots = 2000").unwrap().checked(path);
        assert!(many.unwrap_err().to_string().contains("1 to 1024"));
    }

    #[test]
    fn command_line_wins_over_the_file() {
        let line = "quic-relay serve --bind 127.0.0.1:7 --tls-cert c --tls-key k";
        let serve = parse(line).unwrap();
        let file = options("bind = '127.0.0.1:1'\ntls-generate = 'x'\ncache-bytes = 9").unwrap();
        let merged = serve.options.over(file);
        assert_eq!(merged.bind, Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!((merged.tls_generate, merged.cache_bytes), (None, Some(9)));
    }
}
