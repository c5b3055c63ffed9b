//! The command line of `quic-relay`, and the configuration file of `serve`.
//!
//! No RFC. Parsed values are checked values: an URL, a namespace or a share in percent that exists
//! here is usable. `serve` takes the same keys from a TOML file; what the command line says wins.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use quic_relay::url::RelayUrl;
use serde::Deserialize;

use crate::error::{EXIT_CODES, Failure, Kind, Result};

/// Live media over QUIC: a MOQT draft-18 relay, a publisher, a subscriber, and a lab that runs them.
#[derive(Debug, Parser)]
#[command(name = "quic-relay", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// End with the process that started this one: children must not outlive a killed lab.
    #[arg(long, hide = true, global = true)]
    pub(crate) die_with_parent: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a relay.
    Serve(Serve),
    /// Send a file or a pipe as a track.
    Publish(Publish),
    /// Receive a track and write it down as it was sent.
    Subscribe(Subscribe),
    /// Run a relay, a publisher and subscribers on this machine and compare what arrived.
    Lab(Lab),
}

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
}

/// Where a client connects to and what it asks for.
#[derive(Clone, Debug, Args)]
pub(crate) struct Client {
    /// The relay.
    #[arg(value_name = "moqt://HOST:PORT")]
    pub(crate) url: RelayUrl,
    /// What to speak with it [default: moqt].
    #[arg(long, value_enum, default_value_t = Protocol::Moqt, hide_default_value = true)]
    pub(crate) protocol: Protocol,
    /// Namespace of the track, its fields separated by `/` (not with `--protocol raw`).
    #[arg(
        long,
        value_name = "live/demo",
        required = false,
        required_unless_present = "protocol"
    )]
    #[arg(
        required_if_eq("protocol", "moqt"),
        default_value_if("protocol", "raw", "raw")
    )]
    pub(crate) namespace: Namespace,
    /// Name of the track (not with `--protocol raw`).
    #[arg(
        long,
        value_name = "video",
        required = false,
        required_unless_present = "protocol"
    )]
    #[arg(
        required_if_eq("protocol", "moqt"),
        default_value_if("protocol", "raw", "raw")
    )]
    pub(crate) track: String,
    /// Do not check the relay's certificate.
    #[arg(long)]
    pub(crate) tls_disable_verify: bool,
    /// Certificates that the relay may be signed with, PEM [default: those of the system].
    #[arg(long, value_name = "FILE", conflicts_with = "tls_disable_verify")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Write events and final figures to FILE (`-`: standard output), one JSON object a line.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) report: Option<PathBuf>,
}

/// `quic-relay publish`.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) client: Client,
    /// How fast to send an IVF file: at its own pace, or as fast as the path takes it.
    #[arg(long, value_enum, default_value_t = Rate::Realtime)]
    pub(crate) rate: Rate,
    /// Send in unreliable datagrams instead of streams.
    #[arg(long)]
    pub(crate) datagrams: bool,
    /// Connect, then wait for a line on standard input before sending.
    #[arg(long, hide = true)]
    pub(crate) hold: bool,
    /// IVF (VP8, VP9, AV1), or anything else as raw bytes; `-` is standard input.
    #[arg(value_name = "FILE|-")]
    pub(crate) input: PathBuf,
}

/// `quic-relay subscribe`.
#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    #[command(flatten)]
    pub(crate) client: Client,
    /// Where to write; `-` is standard output.
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    pub(crate) output: PathBuf,
    /// How long to wait for a publisher.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) wait: u32,
}

/// `quic-relay lab`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Lab {
    /// How many subscribers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) subscribers: u32,
    /// What to send [default: a ten-second clip that the program carries].
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Share of packets to drop on each leg, in both directions.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    pub(crate) loss: f64,
    /// Use 127.0.0.1 instead of network namespaces; needs no root.
    #[arg(long)]
    pub(crate) loopback: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// How fast to send.
    #[arg(long, value_enum, default_value_t = Rate::Realtime)]
    pub(crate) rate: Rate,
    /// Send in datagrams instead of streams; with loss, not all of it will arrive.
    #[arg(long)]
    pub(crate) datagrams: bool,
    /// What publisher, relay and subscribers speak.
    #[arg(long, value_enum, default_value_t = Protocol::Moqt)]
    pub(crate) protocol: Protocol,
    /// Which packets `--loss` drops with `--loopback`.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What a relay and its clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// MOQT draft-18: tracks by name.
    Moqt,
    /// One channel without names: what a publisher sends, all subscribers get.
    Raw,
}

/// The pace of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rate {
    /// Each frame at its timestamp.
    Realtime,
    /// As fast as the path takes it.
    Max,
}

/// A track namespace: 1 to 32 fields, none of them empty (draft-18 §2.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace(Vec<String>);

impl Namespace {
    /// The fields as bytes.
    pub(crate) fn fields(&self) -> Vec<Vec<u8>> {
        self.0
            .iter()
            .map(|field| field.clone().into_bytes())
            .collect()
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

impl std::str::FromStr for Namespace {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let fields: Vec<String> = text.split('/').map(str::to_owned).collect();
        if fields.iter().any(String::is_empty) {
            return Err("a field between two `/` is empty; write it like live/demo".into());
        }
        if fields.len() > 32 || text.len() > 2048 {
            return Err("more than 32 fields or 2048 bytes".into());
        }
        Ok(Self(fields))
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
            cache_bytes: self.cache_bytes.or(file.cache_bytes),
            raw: self.raw || file.raw,
            tls_disable_verify: self.tls_disable_verify || file.tls_disable_verify,
            tls_ca: self.tls_ca.or(file.tls_ca),
            report: self.report.or(file.report),
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
        Ok(self)
    }
}

fn url_from_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<RelayUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    let share: f64 = text
        .trim_end_matches('%')
        .parse()
        .map_err(|_| "not a number".to_owned())?;
    match (0.0..=50.0).contains(&share) {
        true => Ok(share),
        false => Err("not from 0 to 50".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> std::result::Result<Command, String> {
        let words = line.split_whitespace();
        CommandLine::try_parse_from(words)
            .map(|c| c.command)
            .map_err(|e| e.to_string())
    }

    fn options(toml: &str) -> std::result::Result<ServeOptions, String> {
        toml::from_str(toml).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn command_definitions_are_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn publish_takes_url_names_and_file() {
        let line = "quic-relay publish moqt://[::1]:4443 --namespace live/demo --track video -";
        let Ok(Command::Publish(publish)) = parse(line) else {
            panic!("not publish")
        };
        assert_eq!(publish.client.url.port(), 4443);
        assert_eq!(
            publish.client.namespace.fields(),
            [b"live".to_vec(), b"demo".to_vec()]
        );
        assert_eq!((publish.rate, publish.datagrams), (Rate::Realtime, false));
    }

    #[test]
    fn raw_has_no_names_and_moqt_must_have_them() {
        let line = "quic-relay subscribe moqt://h --protocol raw";
        let Ok(Command::Subscribe(subscribe)) = parse(line) else {
            panic!("not subscribe")
        };
        assert_eq!(subscribe.client.protocol, Protocol::Raw);
        for protocol in ["", "--protocol moqt"] {
            let line = format!("quic-relay subscribe moqt://h --track t {protocol}");
            assert!(parse(&line).unwrap_err().contains("--namespace"), "{line}");
        }
    }

    #[test]
    fn wrong_values_are_refused_with_their_reason() {
        let cases = [
            ("publish http://x --namespace a --track b -", "moqt://"),
            ("publish moqt://x --namespace a//b --track b -", "empty"),
            ("lab --loss 51", "0 to 50"),
            ("lab --loss much", "not a number"),
            ("lab --subscribers 0", "1..=4096"),
            ("serve --tls-cert a.pem", "--tls-key"),
            (
                "serve --tls-cert a --tls-key b --tls-generate c",
                "cannot be used with",
            ),
        ];
        for (line, text) in cases {
            let error = parse(&format!("quic-relay {line}")).unwrap_err();
            assert!(error.contains(text), "{line}: {error}");
        }
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
    fn command_line_wins_over_the_file() {
        let line = "quic-relay serve --bind 127.0.0.1:7 --tls-cert c --tls-key k";
        let Ok(Command::Serve(serve)) = parse(line) else {
            panic!("not serve")
        };
        let file = options("bind = '127.0.0.1:1'\ntls-generate = 'x'\ncache-bytes = 9").unwrap();
        let merged = serve.options.over(file);
        assert_eq!(merged.bind, Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!((merged.tls_generate, merged.cache_bytes), (None, Some(9)));
    }
}
