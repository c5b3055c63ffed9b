//! A moq-net client, as a stranger would write it: `foreign-moq publish|subscribe URL BROADCAST [GROUPS]`.
//!
//! `publish` announces the broadcast and writes GROUPS groups of `FRAMES` frames, one frame every 20 ms, each
//! filled by `payload(group, frame)`. `subscribe` waits for the announcement, reads GROUPS groups, checks every
//! byte and prints `ok GROUPS groups, first FIRST`. Exit code 1 says what differed. No RFC.

use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Frames in a group, so that a group spans several packets.
const FRAMES: u64 = 25;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, url, broadcast, rest @ ..] = arguments.as_slice() else {
        return Err("usage: foreign-moq publish|subscribe URL BROADCAST [GROUPS]".into());
    };
    let groups = rest.first().map_or(Ok(4), |text| text.parse())?;
    let work = async {
        match role.as_str() {
            "publish" => publish(url, broadcast, groups).await,
            "subscribe" => subscribe(url, broadcast, groups).await,
            other => Err(format!("no role {other}: publish or subscribe").into()),
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work).await?
}

fn client() -> Result<moq_tokio::Client, Failure> {
    let mut config = moq_tokio::connect::Config::default();
    config.tls.insecure = Some(true);
    config.version = vec!["moq-transport-18".parse()?];
    Ok(config.init(Default::default())?)
}

async fn publish(url: &str, broadcast: &str, groups: u64) -> Result<(), Failure> {
    let origin = moq_tokio::origin::spawn();
    let broadcast = origin.create_broadcast(broadcast)?;
    let track = broadcast.create_track("video", None)?;
    broadcast.announce(Default::default())?;
    let connection = client()?.with_publisher(&origin).with_reconnect(false).connect(url::Url::parse(url)?);
    let connection = connection.established().await?;
    for group in 0..groups {
        let mut producer = track.append_group()?;
        for frame in 0..FRAMES {
            producer.write_frame(moq_net::Timestamp::now(), payload(group, frame))?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        producer.finish()?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    connection.close().await?;
    Ok(())
}

async fn subscribe(url: &str, broadcast: &str, groups: u64) -> Result<(), Failure> {
    let origin = moq_tokio::origin::spawn();
    let connection = client()?.with_subscriber(origin.clone()).with_reconnect(false).connect(url::Url::parse(url)?);
    let connection = connection.established().await?;
    let consumer = origin.consume();
    let mut announced = consumer.announced();
    let prefix = loop {
        let update = announced.next().await.ok_or("the announcements ended")?;
        if update.kind.is_active() && update.prefix.as_str() == broadcast {
            break update.prefix;
        }
    };
    let mut track = consumer.request_broadcast(&prefix).await?.track("video")?.subscribe(None).await?;
    let mut first = None;
    for _ in 0..groups {
        let Some(mut group) = track.recv_group().await? else { break };
        let number = group.sequence;
        first.get_or_insert(number);
        let mut frame = group.index();
        let joined_at = frame;
        while let Some(read) = group.read_frame().await? {
            if read.payload[..] != payload(number, frame)[..] {
                return Err(format!("group {number} frame {frame} differs").into());
            }
            frame += 1;
        }
        println!("group {number}: frames {joined_at}..{frame}");
        if frame != FRAMES {
            return Err(format!("group {number} ended at frame {frame}").into());
        }
    }
    println!("ok {groups} groups, first {}", first.ok_or("no group came")?);
    drop(connection);
    Ok(())
}

/// The bytes of one frame: a length and content that depend on where it stands.
fn payload(group: u64, frame: u64) -> Vec<u8> {
    let length = 200 + (group * 7 + frame * 131) % 4000;
    (0..length).map(|i| (i * 31 + group * 17 + frame) as u8).collect()
}
