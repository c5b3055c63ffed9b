//! The command line of `quic-relay`.
//!
//! No RFC. Parsed values are checked values: an URL, a namespace or a share in percent that exists
//! here is usable. `serve` takes the same keys from a TOML file; what the command line says wins.

mod interop;
mod serve;
mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use quic_relay::options::{FastPath, ServeOptions};
use quic_relay::url::RelayUrl;

use crate::error::EXIT_CODES;
pub(crate) use interop::{Interop, InteropClient, InteropServer};
pub(crate) use serve::Serve;
pub(crate) use token::{Alg, Lifetime, Token};

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
    /// Make a token for a relay that has a key, or the key.
    Token(Token),
    /// Run a relay, a publisher and subscribers on this machine and compare what arrived.
    Lab(Lab),
    /// Ask a running relay what it is doing: who is served by the kernel, who is not, and why.
    Status(Status),
    /// Have a running relay forward in userspace only, or in the kernel again.
    FastPath(Switch),
    /// Remove kernel programs that a killed relay has left attached.
    Cleanup,
    /// Fetch files over HTTP/0.9, as the QUIC interop runner wants it.
    InteropClient(InteropClient),
    /// Send files over HTTP/0.9, as the QUIC interop runner wants it.
    InteropServer(InteropServer),
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
    /// What the relay asks for: a token, or @FILE that holds one; others see command lines [default: ?jwt= of
    /// the URL, if there is one].
    #[arg(long, value_name = "TOKEN|@FILE")]
    pub(crate) token: Option<String>,
    /// Write events and final figures to FILE (`-`: standard output), one JSON object a line.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) report: Option<PathBuf>,
    /// Write what the connection does, packet by packet, into a file in DIR (qlog).
    #[arg(long, value_name = "DIR")]
    pub(crate) qlog: Option<PathBuf>,
    /// Do without segmentation offload.
    #[arg(long, hide = true)]
    pub(crate) one_by_one: bool,
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
    /// Whether the relay forwards in the kernel.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) fast_path: FastPath,
}

/// `quic-relay status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) relay: Running,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `quic-relay fast-path`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Switch {
    /// Whether the kernel forwards from now on.
    #[arg(value_enum)]
    pub(crate) state: OnOff,
    #[command(flatten)]
    pub(crate) relay: Running,
}

/// Where the relay listens if it is not told (no port is registered for MOQT).
pub(crate) const PORT: u16 = 4443;

/// A relay that runs on this machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct Running {
    /// The port that the relay listens on.
    #[arg(long, value_name = "N", default_value_t = PORT)]
    pub(crate) port: u16,
    /// What the relay was given as `--control`.
    #[arg(long, value_name = "PATH", conflicts_with = "port")]
    pub(crate) control: Option<PathBuf>,
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
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
}
