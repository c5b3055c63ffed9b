//! The publisher: connects, waits for `go`, sends, waits until all is acknowledged, stays until it is told to leave. No RFC.

use std::time::Duration;

use foreign_raw::Failure;
use foreign_raw::message::{Kind, encode, encode_end, length};
use foreign_raw::options::{Options, Order};
use foreign_raw::tally::Tally;
use quinn::{Connection, SendStream, VarInt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Updates, connect, orders, rebind, tell};

/// What to send.
#[derive(Clone, Copy, Debug)]
struct Plan {
    streams: u32,
    stream_lengths: (usize, usize),
    datagrams: u32,
    datagram_lengths: (usize, usize),
    long: u32,
    long_size: usize,
    interval: Duration,
}

/// Runs it.
pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let (endpoint, connection) = connect(options, b"qr-raw-pub").await?;
    let mut orders = orders();
    tell(&json!({ "event": "ready", "port": endpoint.local_addr()?.port() }));
    let mut sending = None;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Go) => sending = Some(tokio::spawn(send(connection.clone(), Plan::new(options), Updates::new(options)))),
                Some(Order::Rebind(port)) => rebind(&endpoint, port)?,
                Some(Order::Leave) | None => break,
            },
            outcome = async { sending.as_mut().expect("asked for only if there").await }, if sending.is_some() => {
                sending = None;
                outcome??;
            }
            error = connection.closed() => return Err(error.into()),
        }
    }
    connection.close(VarInt::from_u32(0), b"done");
    let _ = tokio::time::timeout(Duration::from_secs(3), endpoint.wait_idle()).await;
    Ok(())
}

impl Plan {
    fn new(options: &Options) -> Self {
        let number = |name, default| options.get(name, default) as u32;
        let size = |name, default| options.get(name, default) as usize;
        Self {
            streams: number("streams", 0),
            stream_lengths: (size("min", 50), size("max", 3000)),
            datagrams: number("datagrams", 0),
            datagram_lengths: (size("datagram_min", 20), size("datagram_max", 1000)),
            long: number("long", 0),
            long_size: size("long_size", 500_000),
            interval: Duration::from_micros(options.get("interval", 1000).max(1)),
        }
    }

    /// Steps of a run, each one message of each kind at most.
    fn steps(&self) -> u32 {
        let long = if self.long > 0 { self.long_size / 1000 } else { 0 };
        self.streams.max(self.datagrams).max(long as u32).max(1)
    }
}

/// Sends all, and tells when all of it is acknowledged.
async fn send(connection: Connection, plan: Plan, mut updates: Updates) -> Result<(), Failure> {
    let mut tally = Tally::default();
    let mut acknowledged = JoinSet::new();
    let mut long = JoinSet::new();
    for index in plan.streams..plan.streams + plan.long {
        let bytes = encode(Kind::Stream, index, plan.long_size);
        tally.add(Kind::Stream, index, &bytes);
        long.spawn(send_slowly(connection.open_uni().await?, bytes, plan));
    }
    let mut pace = pace(plan.interval);
    for step in 0..plan.steps() {
        pace.tick().await;
        updates.look(&connection);
        if step < plan.datagrams {
            let (least, most) = plan.datagram_lengths;
            let bytes = encode(Kind::Datagram, step, length(Kind::Datagram, step, least, most));
            tally.add(Kind::Datagram, step, &bytes);
            connection.send_datagram_wait(bytes.into()).await?;
        }
        if step < plan.streams {
            let (least, most) = plan.stream_lengths;
            let bytes = encode(Kind::Stream, step, length(Kind::Stream, step, least, most));
            tally.add(Kind::Stream, step, &bytes);
            let mut stream = connection.open_uni().await?;
            stream.write_all(&bytes).await?;
            finish(stream, &mut acknowledged)?;
        }
    }
    while let Some(stream) = long.join_next().await {
        finish(stream??, &mut acknowledged)?;
    }
    let mut last = connection.open_uni().await?;
    last.write_all(&encode_end(tally.counts())).await?;
    finish(last, &mut acknowledged)?;
    while let Some(outcome) = acknowledged.join_next().await {
        if let Some(code) = outcome?? {
            return Err(format!("a stream was stopped with code {code}").into());
        }
    }
    let mut sent = tally.json("sent");
    sent["updates"] = updates.done.into();
    sent["packets"] = connection.stats().udp_tx.datagrams.into();
    sent["congestion_events"] = connection.stats().path.congestion_events.into();
    sent["lost"] = connection.stats().path.lost_packets.into();
    tell(&sent);
    Ok(())
}

/// Writes a stream that lasts as long as the run: a piece each step, later if there is no credit for it.
async fn send_slowly(mut stream: SendStream, bytes: Vec<u8>, plan: Plan) -> Result<SendStream, Failure> {
    let mut pace = pace(plan.interval);
    for piece in bytes.chunks(bytes.len().div_ceil(plan.steps() as usize)) {
        pace.tick().await;
        stream.write_all(piece).await?;
    }
    Ok(stream)
}

/// Ticks; those that were missed come at once.
fn pace(every: Duration) -> Interval {
    let mut pace = interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pace
}

fn finish(
    mut stream: SendStream,
    acknowledged: &mut JoinSet<Result<Option<VarInt>, quinn::StoppedError>>,
) -> Result<(), Failure> {
    stream.finish()?;
    acknowledged.spawn(async move { stream.stopped().await });
    Ok(())
}
