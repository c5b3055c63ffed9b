//! Random traffic against simple models (RFC 9000 §2.2): seeds are printed.

use super::*;

fn byte_at(offset: u64) -> u8 {
    (offset * 31 + (offset >> 8)) as u8
}

fn expected(range: core::ops::Range<u64>) -> Vec<u8> {
    range.map(byte_at).collect()
}

/// Random overlapping frames of a stream of `size` bytes; the last ones are all of it in order.
fn frames_of(random: &mut Random, size: u64) -> Vec<(u64, u64)> {
    let mut ranges: Vec<_> = (0..200)
        .map(|_| {
            let start = random.below(size);
            (start, (start + random.below(40)).min(size))
        })
        .collect();
    ranges.extend(
        (0..size)
            .step_by(50)
            .map(|start| (start, (start + 50).min(size))),
    );
    ranges
}

#[test]
fn reassembly_agrees_with_an_array() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let config = StreamConfig {
            stream_window: 1000,
            ..small_config()
        };
        let mut server = streams(Side::Server, &config);
        let id = StreamId::new(Side::Client, Dir::Uni, 0);
        let unordered = seed % 2 == 0;
        let mut model: Vec<Option<u8>> = vec![None; 1000];
        let mut taken = 0;
        for (start, end) in frames_of(&mut random, 1000) {
            let bytes = expected(start..end);
            let _ = apply(
                &mut server,
                Time::ZERO,
                data(id, start, &bytes, end == 1000),
            );
            if random.below(3) == 0 {
                taken += take(
                    &mut server,
                    id,
                    &mut model,
                    unordered,
                    random.below(60) as usize,
                );
            }
        }
        while server.open_parts() > 0 {
            taken += take(&mut server, id, &mut model, unordered, 77);
        }
        assert_eq!(taken, 1000, "each byte once");
        assert!(
            model
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte == Some(byte_at(at as u64)))
        );
    }
}

/// Reads once and notes it in the model.
fn take(
    server: &mut Streams,
    id: StreamId,
    model: &mut [Option<u8>],
    unordered: bool,
    max: usize,
) -> usize {
    if !unordered {
        let mut buffer = vec![0; max];
        let at = model
            .iter()
            .position(Option::is_none)
            .unwrap_or(model.len());
        let Ok(Read::Bytes(n)) = server.read(id, &mut buffer) else {
            return 0;
        };
        model[at..at + n]
            .iter_mut()
            .zip(&buffer)
            .for_each(|(slot, byte)| *slot = Some(*byte));
        return n;
    }
    let Ok(ReadChunk::Chunk { offset, chunk }) = server.read_unordered(id) else {
        return 0;
    };
    for (slot, byte) in model[offset as usize..].iter_mut().zip(&*chunk) {
        assert_eq!(slot.replace(*byte), None, "delivered twice");
    }
    chunk.len()
}

/// A packet under way, or its content after it was lost or delivered.
type Flight = Vec<(Vec<u8>, Vec<SentFrame>)>;

/// Sends one packet and settles a random older one: delivered (one in four: then lost anyway) or lost.
fn step(random: &mut Random, from: &mut Streams, to: &mut Streams, flight: &mut Flight, now: Time) {
    let size = 30 + random.below(300) as usize;
    let next = packet(from, size);
    if !next.0.is_empty() {
        flight.push(next);
    }
    if flight.is_empty() || (flight.len() < 5 && random.below(2) == 0) {
        return;
    }
    let (payload, sent) = flight.swap_remove(random.below(flight.len() as u64) as usize);
    let fate = random.below(10);
    if fate >= 2 {
        deliver(to, now, &payload).unwrap();
    }
    if fate <= 3 {
        sent.iter().for_each(|frame| from.on_lost(frame));
    } else {
        sent.iter().for_each(|frame| from.on_acked(frame));
    }
}

#[test]
fn everything_arrives_over_a_link_that_loses_and_reorders() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let config = small_config();
        let (mut client, mut server) = (
            streams(Side::Client, &config),
            streams(Side::Server, &config),
        );
        let (mut up, mut down) = (Flight::new(), Flight::new());
        let mut received: BTreeMap<StreamId, u64> = BTreeMap::new();
        let (mut opened, mut done, mut steps) = (0, 0, 0_u64);
        while done < 40 {
            steps += 1;
            assert!(steps < 200_000, "stuck with {done} streams done");
            if opened < 40 && random.below(4) == 0 {
                opened += u64::from(open_and_write(&mut random, &mut client));
            }
            let now = Time::from_micros(steps * 1000);
            step(&mut random, &mut client, &mut server, &mut up, now);
            step(&mut random, &mut server, &mut client, &mut down, now);
            done += read_some(&mut server, &mut received);
            events(&mut client);
        }
        assert_eq!(received.values().filter(|size| **size == SIZE).count(), 40);
        settle(&mut client, &mut server, &mut up, &mut down);
        assert_eq!(
            (client.open_parts(), server.open_parts()),
            (0, 0),
            "all is forgotten"
        );
        assert_eq!((client.gaps, server.gaps), (0, 0));
    }
}

const SIZE: u64 = 700;

/// Opens a stream and puts its bytes in two halves, the second first.
fn open_and_write(random: &mut Random, client: &mut Streams) -> bool {
    let Some(id) = client.open(Dir::Uni) else {
        return false;
    };
    let middle = random.below(SIZE);
    client.set_priority(id, random.below(3) as i32).unwrap();
    client
        .write_at(id, middle, Chunk::from(expected(middle..SIZE)))
        .unwrap();
    client.finish_at(id, SIZE).unwrap();
    client
        .write_at(id, 0, Chunk::from(expected(0..middle + 1)))
        .unwrap();
    true
}

/// Reads what is announced; counts the streams that have ended.
fn read_some(server: &mut Streams, received: &mut BTreeMap<StreamId, u64>) -> usize {
    let mut done = 0;
    while let Some(event) = server.poll_event() {
        let StreamEvent::Readable(id) = event else {
            continue;
        };
        // Odd and even streams are read one way each.
        while let Some(more) = read_one(server, id, received) {
            done += more;
        }
    }
    done
}

fn read_one(
    server: &mut Streams,
    id: StreamId,
    received: &mut BTreeMap<StreamId, u64>,
) -> Option<usize> {
    let total = received.entry(id).or_default();
    let result = if id.index().is_multiple_of(2) {
        server.read_unordered(id)
    } else {
        server.read_chunk(id)
    };
    match result {
        Ok(ReadChunk::Chunk { offset, chunk }) => {
            assert!(id.index().is_multiple_of(2) || offset == *total);
            assert_eq!(
                chunk.to_vec(),
                expected(offset..offset + chunk.len() as u64)
            );
            *total += chunk.len() as u64;
            Some(0)
        }
        Ok(ReadChunk::Finished) => Some(1),
        _ => None,
    }
}

/// Lets all packets under way arrive.
fn settle(client: &mut Streams, server: &mut Streams, up: &mut Flight, down: &mut Flight) {
    for (payload, sent) in up.drain(..) {
        deliver(server, Time::ZERO, &payload).unwrap();
        sent.iter().for_each(|frame| client.on_acked(frame));
    }
    for (payload, sent) in down.drain(..) {
        deliver(client, Time::ZERO, &payload).unwrap();
        sent.iter().for_each(|frame| server.on_acked(frame));
    }
    while transfer(client, server) || transfer(server, client) {}
}
