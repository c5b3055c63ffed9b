//! A quinn publisher of the raw protocol: messages on streams or in datagrams, and their number on the
//! last stream. No RFC.

use foreign_quic::raw::{Options, PUBLISHER, end, message, quinn_client};
use foreign_quic::PATIENCE;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    let (endpoint, connection) = quinn_client::connect(&options, PUBLISHER).await?;
    println!("ready");
    if options.hold {
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    }
    let mut unfinished = tokio::task::JoinSet::new();
    for index in 0..options.messages {
        let bytes = message(index, options.max);
        match options.datagrams {
            true => connection.send_datagram_wait(bytes.into()).await?,
            false => drop(unfinished.spawn(send(connection.clone(), bytes))),
        }
        while let Some(sent) = unfinished.try_join_next() {
            sent??;
        }
        if Options::is_time(options.update_keys, index) {
            connection.force_key_update();
        }
        tokio::time::sleep(options.pause).await;
    }
    while let Some(sent) = tokio::time::timeout(PATIENCE, unfinished.join_next()).await? {
        sent??;
    }
    tokio::time::timeout(PATIENCE, send(connection.clone(), end(options.messages))).await??;
    println!("sent {}", options.messages);
    connection.close(0_u32.into(), b"done");
    let _ = tokio::time::timeout(PATIENCE, endpoint.wait_idle()).await;
    Ok(())
}

/// Sends a stream; done when all of it has arrived.
async fn send(connection: quinn::Connection, bytes: Vec<u8>) -> Result<(), Failure> {
    let mut stream = connection.open_uni().await?;
    stream.write_all(&bytes).await?;
    stream.finish()?;
    match stream.stopped().await? {
        None => Ok(()),
        Some(code) => Err(format!("a stream was stopped with code {code}").into()),
    }
}
