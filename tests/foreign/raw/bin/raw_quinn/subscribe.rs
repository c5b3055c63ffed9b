//! The subscriber, which stays until it is told to leave; and visitors, which do not. No RFC.

use std::sync::Arc;
use std::time::Duration;

use foreign_raw::Failure;
use foreign_raw::message::decode;
use foreign_raw::options::{Options, Order};
use foreign_raw::tally::Tally;
use quinn::{Connection, ReadToEndError, VarInt, WriteError};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::{Updates, connect, orders, rebind, tell};

/// Runs a subscriber.
pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let (endpoint, connection) = connect(options, b"qr-raw-sub").await?;
    known(&connection).await?;
    tell(&json!({ "event": "ready", "port": endpoint.local_addr()?.port() }));
    let mut orders = orders();
    let (sender, mut streams) = channel(1000);
    let accepting = tokio::spawn(accept(connection.clone(), sender));
    let (mut tally, mut updates) = (Tally::default(), Updates::new(options));
    let quiet = Duration::from_millis(options.get("quiet", 1000));
    let silence = Duration::from_millis(options.get("silence", 15_000));
    let mut look = interval(Duration::from_millis(20));
    let mut is_told = false;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Rebind(port)) => rebind(&endpoint, port)?,
                Some(Order::Go) => {}
                Some(Order::Leave) | None => break,
            },
            Some(stream) = streams.recv() => match stream {
                Some(bytes) => tally.take(&bytes, false),
                None => tally.reset += 1,
            },
            Ok(datagram) = connection.read_datagram() => tally.take(&datagram, true),
            _ = look.tick() => updates.look(&connection),
            error = connection.closed() => {
                tell(&tally.json("left"));
                return Err(error.into());
            }
        }
        if !is_told && tally.is_over(quiet, silence) {
            is_told = true;
            tell(&tally.json("received"));
        }
    }
    accepting.abort();
    let mut left = tally.json("left");
    left["updates"] = updates.done.into();
    left["packets"] = connection.stats().udp_rx.datagrams.into();
    tell(&left);
    connection.close(VarInt::from_u32(0), b"done");
    let _ = timeout(Duration::from_secs(3), endpoint.wait_idle()).await;
    Ok(())
}

/// Until the relay has shown that it knows us: it refuses a bidirectional stream.
async fn known(connection: &Connection) -> Result<(), Failure> {
    let (mut send, _) = connection.open_bi().await?;
    match send.write_all(b"?").await {
        Ok(()) => send.stopped().await?.map(drop).ok_or_else(|| "a bidirectional stream was taken".into()),
        Err(WriteError::Stopped(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Hands over each stream when it has ended: its bytes, or `None` if it was reset.
async fn accept(connection: Connection, sender: Sender<Option<Vec<u8>>>) {
    while let Ok(mut stream) = connection.accept_uni().await {
        let sender = sender.clone();
        tokio::spawn(async move {
            let bytes = stream.read_to_end(1 << 26).await;
            if matches!(bytes, Ok(_) | Err(ReadToEndError::Read(quinn::ReadError::Reset(_)))) {
                let _ = sender.send(bytes.ok()).await;
            }
        });
    }
}

/// Many short visits, a few at a time.
pub(crate) async fn visit(options: &Options) -> Result<(), Failure> {
    let (visits, at_once) = (options.get("visits", 100), options.get("at_once", 8));
    let places = Arc::new(Semaphore::new(at_once as usize));
    let relay = options.relay;
    let mut all = JoinSet::new();
    let config = super::config(options, b"qr-raw-sub")?;
    for number in 0..visits {
        let place = Arc::clone(&places).acquire_owned().await?;
        let config = config.clone();
        all.spawn(async move {
            let outcome = one_visit(relay, config, number).await;
            drop(place);
            outcome
        });
    }
    let (mut whole, mut altered) = (0, 0);
    while let Some(outcome) = all.join_next().await {
        let (good, bad) = outcome??;
        whole += good;
        altered += bad;
    }
    tell(&json!({ "event": "visited", "visits": visits, "whole": whole, "altered": altered }));
    Ok(())
}

/// Comes, takes a little, and leaves. Returns how many messages were whole and altered.
async fn one_visit(relay: std::net::SocketAddr, config: quinn::ClientConfig, number: u64) -> Result<(u64, u64), Failure> {
    let any = if relay.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let endpoint = quinn::Endpoint::client(any.parse()?)?;
    let connection = endpoint.connect_with(config, relay, "localhost")?.await?;
    let (mut whole, mut altered) = (0, 0);
    let mut count = |bytes: &[u8]| match decode(bytes) {
        Some(_) => whole += 1,
        None => altered += 1,
    };
    if number % 3 > 0 {
        let take = async {
            for _ in 0..number % 3 {
                tokio::select! {
                    stream = connection.accept_uni() => if let Ok(bytes) = stream?.read_to_end(1 << 26).await { count(&bytes) },
                    datagram = connection.read_datagram() => count(&datagram?),
                }
            }
            Ok::<(), Failure>(())
        };
        if let Ok(outcome) = timeout(Duration::from_millis(500), take).await {
            outcome?;
        }
    }
    // Not all wait until their leaving was heard.
    if number % 7 > 0 {
        connection.close(VarInt::from_u32(0), b"done");
        let _ = timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
    }
    Ok((whole, altered))
}
