//! Scene of chapter 14: one upstream stream, three subscribers, pieces out of order. draft-ietf-moq-transport-18 §11.

use quic_lite::Time;
use quic_lite::stream::Chunk;
use quic_relay::cache::StreamStore;
use quic_relay::forward::{News, Route, Send, Window, begin, forward};
use quic_relay::moqt::subgroup::{Body, Object};
use quic_relay::moqt::{Location, SubgroupHeader, SubgroupId};

struct Subscriber {
    name: &'static str,
    alias: u64,
    route: Route,
}

pub fn play() {
    let (header, bytes) = group();
    let mut store = StreamStore::new(header, 3);
    println!("upstream: {header}, {} bytes", bytes.len());
    let from_start = Window {
        start: Location::ZERO,
        end_group: None,
    };
    let from_object_2 = Window {
        start: Location::new(3, 2),
        end_group: None,
    };
    println!("\nsubscribers come, before any byte");
    let wanted = [
        ("same alias", 7, from_start),
        ("other alias", 9, from_start),
        ("from object 2", 7, from_object_2),
    ];
    let mut subscribers = wanted.map(|(name, alias, window)| {
        let mut sends = Vec::new();
        let route = begin(&window, alias, &store, &mut sends);
        print(name, &sends);
        Subscriber { name, alias, route }
    });
    // The second packet was lost and comes last.
    for range in [0..9, 20..30, 9..20] {
        println!("\nbytes {} to {} arrive", range.start, range.end - 1);
        let chunk = Chunk::from(&bytes[range.clone()]);
        let offset = range.start as u64;
        store
            .insert(Time::ZERO, offset, chunk.clone(), &mut Vec::new())
            .expect("the stream is well formed");
        tell(
            &mut subscribers,
            &store,
            News::Bytes {
                offset,
                chunk: &chunk,
            },
        );
    }
    println!("\nthe end is known");
    store.finish(Time::ZERO, bytes.len() as u64);
    tell(&mut subscribers, &store, News::End(bytes.len() as u64));
}

fn tell(subscribers: &mut [Subscriber], store: &StreamStore, news: News<'_>) {
    for subscriber in subscribers {
        let mut sends = Vec::new();
        forward(
            &mut subscriber.route,
            subscriber.alias,
            store,
            news,
            &mut sends,
        );
        print(subscriber.name, &sends);
    }
}

fn print(name: &str, sends: &[Send]) {
    let sends: Vec<String> = sends.iter().map(describe).collect();
    let text = if sends.is_empty() {
        "-".to_owned()
    } else {
        sends.join(", ")
    };
    println!("  {name:14} {text}");
}

fn describe(send: &Send) -> String {
    match send {
        Send::Open => "open".into(),
        Send::Write { offset, chunk } => format!("{} bytes at {offset}", chunk.len()),
        Send::Finish(size) => format!("ends at {size}"),
        Send::Reset(code) => format!("reset {code}"),
    }
}

/// Three objects with seven bytes of payload: a header of three bytes, then for each object ID delta, length, payload.
fn group() -> (SubgroupHeader, Vec<u8>) {
    let header = SubgroupHeader {
        track_alias: 7,
        group_id: 3,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: None,
        properties: false,
        end_of_group: true,
        first_object: true,
    };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    for id in 0..3u64 {
        let object = Object {
            id,
            properties: &[],
            body: Body::Payload(b"picture"),
        };
        object.encode(&mut bytes, false, id.checked_sub(1));
    }
    (header, bytes)
}
