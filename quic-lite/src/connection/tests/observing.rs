//! What an observer is told, against what the connection has counted.

use std::sync::{Arc, Mutex};

use core::time::Duration;

use super::pair::random_loss;
use super::{Pair, Setup};
use crate::connection::{Connection, Event};
use crate::observer::{Dropped, Observed, Observer};
use crate::time::Time;
use crate::wire::frame::{Frame, frames};
use crate::wire::stream_id::Dir;

/// Counts what it is told.
#[derive(Debug, Default)]
struct Counts {
    last: Option<Time>,
    lines: Vec<String>,
    sent: u64,
    received: u64,
    lost: u64,
    duplicate: u64,
    undecryptable: u64,
    stream_bytes_sent: u64,
}

#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Counts>>);

impl Observer for Recorder {
    fn observe(&mut self, now: Time, event: &Observed<'_>) {
        let mut counts = self.0.lock().unwrap();
        assert!(counts.last <= Some(now), "time goes back at {event:?}");
        counts.last = Some(now);
        match event {
            Observed::PacketSent(packet) => {
                counts.sent += 1;
                let sent = frames(packet.payload).map(|frame| match frame.unwrap() {
                    Frame::Stream(stream) => stream.data.len() as u64,
                    _ => 0,
                });
                counts.stream_bytes_sent += sent.sum::<u64>();
            }
            Observed::PacketReceived(packet) => {
                counts.received += 1;
                assert!(frames(packet.payload).all(|frame| frame.is_ok()));
            }
            Observed::PacketLost { .. } => counts.lost += 1,
            Observed::PacketDropped { why, .. } => match why {
                Dropped::Duplicate => counts.duplicate += 1,
                Dropped::Undecryptable => counts.undecryptable += 1,
            },
            Observed::Recovery(_) | Observed::Parameters { .. } | Observed::Started { .. } => {}
            other => counts.lines.push(format!("{other:?}")),
        }
    }
}

impl Recorder {
    fn agrees_with(&self, connection: &Connection) {
        let (counts, stats) = (self.0.lock().unwrap(), connection.stats());
        assert_eq!(counts.sent, stats.packets_sent);
        assert_eq!(counts.received, stats.packets_received);
        assert_eq!(counts.lost, stats.packets_lost);
        assert_eq!(counts.duplicate, stats.packets_duplicate);
        assert_eq!(counts.undecryptable, stats.packets_undecryptable);
    }

    fn tells(&self, text: &str) -> bool {
        let counts = self.0.lock().unwrap();
        counts.lines.iter().any(|line| line.contains(text))
    }
}

fn watched(setup: Setup) -> (Pair, Recorder, Recorder) {
    let (client, server) = (Recorder::default(), Recorder::default());
    let mut pair = Pair::new(setup);
    let now = pair.now;
    pair.client.set_observer(now, Box::new(client.clone()));
    pair.server_observer = Some(Box::new(server.clone()));
    (pair, client, server)
}

#[test]
fn what_is_told_agrees_with_what_is_counted_whatever_is_lost_doubled_or_damaged() {
    for seed in 1..=4 {
        let (mut pair, client, server) = watched(Setup {
            seed,
            ..Setup::default()
        });
        let (mut loses, mut count) = (random_loss(seed, 5), 0);
        pair.filter = Box::new(move |flying| {
            count += 1;
            // Not the version of a long header, which would make it another kind of packet.
            if count % 23 == 0 {
                let last = flying.bytes.len() - 1;
                flying.bytes[last] ^= 1;
            }
            loses(flying)
        });
        let connected = |pair: &mut Pair| pair.client_events.contains(&Event::HandshakeConfirmed);
        pair.run_until(Duration::from_secs(30), connected);
        let id = pair.client.open(Dir::Uni).unwrap();
        pair.client.write_chunk(id, vec![7; 50_000].into()).unwrap();
        pair.client.finish(id).unwrap();
        pair.run_for(Duration::from_secs(5));
        let now = pair.now;
        pair.client.close(now, 0, "");
        pair.run_for(Duration::from_secs(5));
        client.agrees_with(&pair.client);
        server.agrees_with(pair.server());
        assert!(
            client.0.lock().unwrap().lost > 0,
            "seed {seed} loses nothing"
        );
        assert!(client.0.lock().unwrap().stream_bytes_sent >= 50_000);
        for recorder in [&client, &server] {
            assert!(recorder.tells("Negotiated { suite: Some("));
            assert!(recorder.tells("KeysDiscarded(Handshake)"));
            assert!(recorder.tells("new: Drained"));
            assert!(recorder.tells("Closed("));
        }
    }
}

#[test]
fn key_updates_are_told_with_the_side_that_began_them() {
    let (mut pair, client, server) = watched(Setup::default());
    pair.run_for(Duration::from_millis(500));
    pair.client.ping();
    pair.run_for(Duration::from_millis(100));
    assert!(pair.client.force_key_update());
    pair.client.ping();
    pair.run_for(Duration::from_millis(100));
    for recorder in [&client, &server] {
        assert!(recorder.tells("KeysUpdated { by: Client, updates: 1 }"));
    }
}
