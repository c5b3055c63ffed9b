//! `bench-quinn-relay`: the raw protocol on quinn and tokio, as one would write it in a day. No RFC.
//!
//! Every datagram and every unidirectional stream of a publisher goes to all subscribers as it comes; a stream chunk by
//! chunk, in order, by a task for each subscriber. What waits for a slow subscriber has a bound: beyond it datagrams are lost
//! (quinn drops the oldest) and streams are reset. The peer of our paths in the bench: no tricks, but nothing foolish either.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, Incoming, RecvStream, ServerConfig, TransportConfig, VarInt};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt, stdin};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A fan-out relay for the raw protocol on quinn.
#[derive(Debug, Parser)]
struct Options {
    /// Address and port to listen on.
    #[arg(long)]
    bind: SocketAddr,
    /// One packet for each system call.
    #[arg(long)]
    no_gso: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let endpoint = Endpoint::server(config(options.no_gso)?, options.bind)?;
    println!(
        "{}",
        json!({ "event": "listening", "address": endpoint.local_addr()? })
    );
    let subscribers = Arc::new(Subscribers::default());
    tokio::spawn(accept(endpoint, subscribers));
    // Whoever started us ends us by closing our standard input.
    let mut ignored = [0; 64];
    let mut input = stdin();
    while input.read(&mut ignored).await? > 0 {}
    Ok(())
}

type Failure = Box<dyn Error + Send + Sync>;

/// Those who want everything, by quinn's number of the connection.
#[derive(Debug, Default)]
struct Subscribers(RwLock<HashMap<usize, Connection>>);

impl Subscribers {
    fn add(&self, connection: &Connection) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(connection.stable_id(), connection.clone());
    }

    fn remove(&self, connection: &Connection) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(&connection.stable_id());
    }

    fn for_each(&self, mut with: impl FnMut(&Connection)) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().for_each(&mut with);
    }
}

fn config(no_gso: bool) -> Result<ServerConfig, Failure> {
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(generated.signing_key.serialize_der())?;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![generated.cert.into()], key)?;
    tls.alpn_protocols = vec![PUBLISHER.to_vec(), SUBSCRIBER.to_vec()];
    let mut transport = TransportConfig::default();
    transport.datagram_receive_buffer_size(Some(8 << 20));
    transport.keep_alive_interval(Some(Duration::from_secs(10)));
    transport.enable_segmentation_offload(!no_gso);
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

async fn accept(endpoint: Endpoint, subscribers: Arc<Subscribers>) {
    while let Some(incoming) = endpoint.accept().await {
        let subscribers = Arc::clone(&subscribers);
        tokio::spawn(async move {
            if let Err(failure) = serve(incoming, subscribers).await {
                eprintln!("bench-quinn-relay: {failure}");
            }
        });
    }
}

/// A connection's whole life.
async fn serve(incoming: Incoming, subscribers: Arc<Subscribers>) -> Result<(), Failure> {
    let connection = incoming.await?;
    let data = connection
        .handshake_data()
        .and_then(|data| data.downcast().ok());
    let alpn = data.and_then(|data: Box<quinn::crypto::rustls::HandshakeData>| data.protocol);
    match alpn.as_deref() {
        Some(SUBSCRIBER) => {
            subscribers.add(&connection);
            connection.closed().await;
            subscribers.remove(&connection);
        }
        Some(PUBLISHER) => {
            // Not for everybody: quinn keeps an entry for each that may come.
            connection.set_max_concurrent_uni_streams(VarInt::from_u32(10_000));
            let datagrams = tokio::spawn(relay_datagrams(
                connection.clone(),
                Arc::clone(&subscribers),
            ));
            while let Ok(stream) = connection.accept_uni().await {
                tokio::spawn(relay_stream(stream, Arc::clone(&subscribers)));
            }
            datagrams.await?;
        }
        _ => return Err("neither a publisher nor a subscriber".into()),
    }
    Ok(())
}

async fn relay_datagrams(publisher: Connection, subscribers: Arc<Subscribers>) {
    while let Ok(datagram) = publisher.read_datagram().await {
        subscribers.for_each(|subscriber| {
            // Gone, or its path carries less: it loses this one.
            let _ = subscriber.send_datagram(datagram.clone());
        });
    }
}

/// What happens on a stream; if nothing more does, the copy is given up.
#[derive(Clone, Debug)]
enum Piece {
    Data(Bytes),
    End,
    Reset(VarInt),
}

/// To everybody who is there when it begins.
async fn relay_stream(mut stream: RecvStream, subscribers: Arc<Subscribers>) {
    let mut copies = Vec::new();
    subscribers.for_each(|subscriber| {
        let (copy, pieces) = channel(MAX_PIECES);
        tokio::spawn(write_stream(subscriber.clone(), pieces));
        copies.push(copy);
    });
    loop {
        let piece = match stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => Piece::Data(chunk.bytes),
            Ok(None) => Piece::End,
            Err(quinn::ReadError::Reset(code)) => Piece::Reset(code),
            Err(_) => Piece::Reset(VarInt::from_u32(0)),
        };
        let is_last = !matches!(piece, Piece::Data(_));
        copies.retain(|copy: &Sender<Piece>| copy.try_send(piece.clone()).is_ok());
        if is_last || copies.is_empty() {
            return;
        }
    }
}

/// The copy of a stream for one subscriber.
async fn write_stream(subscriber: Connection, mut pieces: Receiver<Piece>) {
    let Ok(mut copy) = subscriber.open_uni().await else {
        return;
    };
    let code = loop {
        match pieces.recv().await {
            Some(Piece::Data(bytes)) => {
                if copy.write_chunk(bytes).await.is_err() {
                    // It was stopped.
                    return;
                }
            }
            Some(Piece::End) => {
                let _ = copy.finish();
                return;
            }
            Some(Piece::Reset(code)) => break code,
            None => break TOO_SLOW,
        }
    };
    let _ = copy.reset(code);
}

const PUBLISHER: &[u8] = b"qr-raw-pub";
const SUBSCRIBER: &[u8] = b"qr-raw-sub";
/// Chunks of a stream that may wait for a subscriber.
const MAX_PIECES: usize = 256;
/// How a stream ends whose subscriber fell behind by more.
const TOO_SLOW: VarInt = VarInt::from_u32(1);
