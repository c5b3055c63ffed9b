//! A quinn subscriber of the raw protocol: takes messages until it has all, and says what it thinks of
//! them. No RFC.

use foreign_quic::raw::{Judge, MAX_STREAM, Options, SUBSCRIBER, quinn_client};
use foreign_quic::PATIENCE;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    let (endpoint, connection) = quinn_client::connect(&options, SUBSCRIBER).await?;
    // The relay stops every stream of a subscriber: then it knows of this one.
    let mut knock = connection.open_uni().await?;
    knock.write_all(b"?").await?;
    let answer = tokio::time::timeout(PATIENCE, knock.stopped()).await??;
    println!("subscribed, answer {answer:?}");
    let mut judge = Judge::default();
    receive(&options, &endpoint, &connection, &mut judge).await?;
    println!("{judge}");
    connection.close(0_u32.into(), b"done");
    let _ = tokio::time::timeout(PATIENCE, endpoint.wait_idle()).await;
    match judge.is_good(options.some) {
        true => Ok(()),
        false => Err("not what was sent".into()),
    }
}

async fn receive(
    options: &Options,
    endpoint: &quinn::Endpoint,
    connection: &quinn::Connection,
    judge: &mut Judge,
) -> Result<(), Failure> {
    let mut streams = tokio::task::JoinSet::new();
    let (mut rebind, mut updated) = (options.rebind, 0);
    let mut heard = Instant::now();
    while !judge.is_done(options.some) {
        if heard.elapsed() > PATIENCE {
            return Err(format!("too long: {judge}").into());
        }
        let before = judge.count();
        tokio::select! {
            stream = connection.accept_uni() => {
                let mut stream = stream?;
                streams.spawn(async move { stream.read_to_end(MAX_STREAM).await });
            }
            Some(read) = streams.join_next() => match read? {
                Ok(bytes) => judge.take(&bytes),
                Err(_) => judge.reset(),
            },
            datagram = connection.read_datagram() => judge.take(&datagram?),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        if judge.count() == before {
            continue;
        }
        heard = Instant::now();
        if rebind.is_some_and(|after| judge.count() >= after) {
            rebind = None;
            endpoint.rebind(UdpSocket::bind(quinn_client::any_port(options.address))?)?;
            println!("now at {}", endpoint.local_addr()?);
        }
        if Options::is_time(options.update_keys, updated) {
            connection.force_key_update();
        }
        updated += 1;
    }
    Ok(())
}
