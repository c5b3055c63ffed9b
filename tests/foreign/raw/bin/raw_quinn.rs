//! quinn as a raw publisher, as a raw subscriber, or as many subscribers that come and go. No RFC.
//!
//! `raw-quinn pub|sub|visit ADDRESS [NAME=VALUE]...`: one JSON object a line on standard output, orders on standard input.
//! Names: `streams`, `min`, `max`: how many messages as streams, and their lengths; `datagrams`, `datagram_min`,
//! `datagram_max`; `long`, `long_size`: streams that last as long as the run; `interval`: µs between steps, each one stream,
//! one datagram and a piece of each long stream; `update`: key update after so many packets; `window`: initial congestion
//! window; `credit`: unidirectional streams the peer may have open; `quiet` and `silence`: ms after which datagrams, and
//! streams, that are missing are lost; `aes`: no ChaCha20; `gso`: packets of packets; `visits`, `at_once`: for `visit`;
//! `patience`: s.

#[path = "raw_quinn/publish.rs"]
mod publish;
#[path = "raw_quinn/subscribe.rs"]
mod subscribe;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use foreign_raw::Failure;
use foreign_raw::options::{Options, Order};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CipherSuite, DigitallySignedStruct, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc::{Receiver, channel};

const NAMES: [&str; 19] = [
    "streams",
    "min",
    "max",
    "datagrams",
    "datagram_min",
    "datagram_max",
    "long",
    "long_size",
    "interval",
    "update",
    "window",
    "credit",
    "quiet",
    "silence",
    "aes",
    "visits",
    "at_once",
    "patience",
    "gso",
];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse(std::env::args().skip(1), &NAMES)?;
    let patience = Duration::from_secs(options.get("patience", 120));
    let work = async {
        match options.role.as_str() {
            "pub" => publish::run(&options).await,
            "sub" => subscribe::run(&options).await,
            "visit" => subscribe::visit(&options).await,
            other => Err(format!("no role {other}: pub, sub or visit").into()),
        }
    };
    let outcome = tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err("it took too long".into()));
    if let Err(failure) = &outcome {
        tell(&json!({ "event": "failed", "reason": failure.to_string() }));
    }
    // The thread that waits for a line of standard input would hold up the end.
    std::process::exit(i32::from(outcome.is_err()))
}

/// One line for whoever started us.
fn tell(event: &Value) {
    println!("{event}");
}

/// An endpoint, and a connection to the relay.
async fn connect(options: &Options, alpn: &[u8]) -> Result<(Endpoint, Connection), Failure> {
    let any: SocketAddr = match options.relay.is_ipv4() {
        true => (Ipv4Addr::UNSPECIFIED, 0).into(),
        false => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut endpoint = Endpoint::client(any)?;
    endpoint.set_default_client_config(config(options, alpn)?);
    let connection = endpoint.connect(options.relay, "localhost")?.await?;
    Ok((endpoint, connection))
}

fn config(options: &Options, alpn: &[u8]) -> Result<quinn::ClientConfig, Failure> {
    let mut provider = ring::default_provider();
    if options.get("aes", 0) > 0 {
        provider.cipher_suites.retain(|suite| suite.suite() != CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    }
    let provider = Arc::new(provider);
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut transport = TransportConfig::default();
    transport.max_concurrent_uni_streams(VarInt::from_u64(options.get("credit", 1000))?);
    transport.datagram_receive_buffer_size(Some(8 << 20));
    transport.enable_segmentation_offload(options.get("gso", 1) > 0);
    if options.get("window", 0) > 0 {
        let mut congestion = quinn::congestion::NewRenoConfig::default();
        congestion.initial_window(options.get("window", 0));
        transport.congestion_controller_factory(Arc::new(congestion));
    }
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Lines of standard input as they come.
fn orders() -> Receiver<Order> {
    let (sender, receiver) = channel(8);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if sender.send(Order::parse(&line)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Goes on from another port, as behind a NAT that has forgotten us.
fn rebind(endpoint: &Endpoint, port: u16) -> Result<(), Failure> {
    endpoint.rebind(UdpSocket::bind((endpoint.local_addr()?.ip(), port))?)?;
    tell(&json!({ "event": "rebound", "port": endpoint.local_addr()?.port() }));
    Ok(())
}

/// Updates keys each time that so many packets more were sent or received.
struct Updates {
    every: u64,
    next: u64,
    done: u64,
}

impl Updates {
    fn new(options: &Options) -> Self {
        let every = options.get("update", 0);
        Self { every, next: every, done: 0 }
    }

    fn look(&mut self, connection: &Connection) {
        let stats = connection.stats();
        let packets = stats.udp_rx.datagrams.max(stats.udp_tx.datagrams);
        if self.every > 0 && packets >= self.next {
            connection.force_key_update();
            self.next = packets + self.every;
            self.done += 1;
        }
    }
}

/// Whoever answers is the relay: it makes its own certificate.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
