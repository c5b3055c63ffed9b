//! Files over bad networks: flow control, stream limits, loss recovery, beyond the runner's cases (`interop.rs`).
//! RFC 9000 §4, RFC 9002.

use std::time::Duration;

use integration::{
    FileClient, FileServer, LinkConfig, Pair, Scenario, TappedPacket, for_each_seed,
};
use quic_lite::Side;
use quic_lite::config::Config;
use quic_lite::recovery::Congestion;
use quic_lite::wire::frame::Frame;

const SECOND: Duration = Duration::from_secs(1);
const MB: u64 = 1 << 20;
const ALGORITHMS: [Congestion; 2] = [Congestion::NewReno, Congestion::Cubic];

type Files = Pair<FileClient, FileServer>;

fn start(scenario: Scenario, sizes: &[u64]) -> Files {
    scenario.start(
        FileClient::new(sizes.iter().copied()),
        FileServer::default(),
    )
}

fn over(seed: u64, link: &LinkConfig, congestion: Congestion) -> Scenario {
    Scenario::over(seed, link).both(|config| config.congestion = congestion)
}

/// What is left of the bandwidth for the files, in percent.
fn goodput(pair: &Files, bandwidth: u64) -> u64 {
    let took = pair
        .client
        .app
        .finished
        .expect("no files yet")
        .since(pair.tap.packets[0].time);
    let possible = u128::from(bandwidth) / 8 * took.as_micros() / 1_000_000;
    (u128::from(pair.client.app.bytes) * 100 / possible) as u64
}

/// Windows that may not grow still carry everything.
#[test]
fn windows_that_stay_small_slow_down_and_do_not_stop() {
    let small = |config: &mut Config| {
        config.initial_stream_window = 8 << 10;
        config.max_stream_window = 8 << 10;
        config.initial_connection_window = 12 << 10;
        config.max_connection_window = 12 << 10;
    };
    let mut pair = start(Scenario::new(1).both(small), &[MB / 2, MB / 2]);
    // Two windows in three round trips, at worst.
    pair.run(8 * SECOND);
}

/// A relay opens streams for hours: each that is over must be forgotten, on both sides.
#[test]
fn ten_thousand_streams_leave_nothing_behind() {
    let link = LinkConfig {
        loss: 1,
        bandwidth: Some(100_000_000),
        ..LinkConfig::default()
    };
    let client = FileClient::staying([100; 10_000]);
    let mut pair = Scenario::over(1, &link).start(client, FileServer::default());
    pair.run(60 * SECOND);
    pair.run_for(5 * SECOND);
    for connection in [pair.client.connection(), pair.server.connection()] {
        let connection = connection.expect("still open");
        assert_eq!(connection.streams().open_parts(), 0);
        assert_eq!(connection.bytes_in_flight(), 0);
    }
}

#[test]
fn bursts_of_loss_are_repaired() {
    for_each_seed(5, |seed| {
        let link = LinkConfig {
            loss: 1,
            burst: Duration::from_millis(10),
            ..LinkConfig::default()
        };
        let mut pair = start(over(seed, &link, Congestion::Cubic), &[MB]);
        pair.run(40 * SECOND);
    });
}

#[test]
fn reordering_and_duplication_cost_little() {
    for_each_seed(3, |seed| {
        for congestion in ALGORITHMS {
            let link = LinkConfig {
                reordering: 30,
                reordering_delay: Duration::from_millis(5),
                duplication: 10,
                ..LinkConfig::default()
            };
            let mut pair = start(over(seed, &link, congestion), &[2 * MB]);
            pair.run(20 * SECOND);
            assert!(
                goodput(&pair, 10_000_000) > 50,
                "{} %",
                goodput(&pair, 10_000_000)
            );
        }
    });
}

#[test]
fn everything_at_once_still_delivers() {
    for_each_seed(10, |seed| {
        let link = LinkConfig {
            loss: 5,
            burst: Duration::from_millis(2),
            corruption: 3,
            duplication: 5,
            reordering: 20,
            reordering_delay: Duration::from_millis(30),
            ..LinkConfig::default()
        };
        let scenario = over(seed, &link, ALGORITHMS[seed as usize % 2]);
        let mut pair = start(scenario, &[100_000, 1, 0, 50_000, 200_000]);
        pair.run(60 * SECOND);
        assert_eq!(pair.client.app.files, 5);
    });
}

/// Runner: `goodput`.
#[test]
fn ten_megabytes_fill_most_of_ten_megabits() {
    for congestion in ALGORITHMS {
        let mut pair = start(over(1, &LinkConfig::default(), congestion), &[10 * MB]);
        pair.run(20 * SECOND);
        let goodput = goodput(&pair, 10_000_000);
        assert!(goodput >= 85, "{congestion:?}: {goodput} %");
    }
}

/// RFC 9002 §7.1: a marking router keeps the queue short without dropping anything.
#[test]
fn marks_instead_of_drops_keep_the_transfer_without_loss() {
    for congestion in ALGORITHMS {
        let link = LinkConfig {
            queue: 200,
            mark_above: Some(20),
            ..LinkConfig::default()
        };
        let mut pair = start(over(1, &link, congestion), &[3 * MB]);
        pair.run(10 * SECOND);
        let counts = pair.network.to_client.counts();
        assert!(counts.marked > 0 && counts.overflowed == 0, "{counts:?}");
        assert!(
            goodput(&pair, 10_000_000) > 75,
            "{} %",
            goodput(&pair, 10_000_000)
        );
    }
}

/// RFC 9000 §13.4.2: a path that bleaches marks is used without them.
#[test]
fn a_path_that_clears_marks_is_used_without_ecn() {
    let link = LinkConfig {
        clears_ecn: true,
        ..LinkConfig::default()
    };
    let mut pair = start(Scenario::over(1, &link), &[MB]);
    pair.run(5 * SECOND);
    let last = pair.tap.from(Side::Server).last().unwrap();
    assert_eq!(last.ecn, None);
}

/// RFC 9000 §14.3: datagrams grow to what the path carries and no further.
#[test]
fn datagrams_grow_to_the_largest_size_of_the_path() {
    for (path, least) in [(1472, 1420), (1300, 1260), (1200, 1200)] {
        let link = LinkConfig {
            max_udp_payload: path,
            ..LinkConfig::default()
        };
        let mut pair = start(Scenario::over(1, &link), &[3 * MB]);
        pair.run(10 * SECOND);
        let with_data =
            |packet: &&TappedPacket| packet.has(|frame| matches!(frame, Frame::Stream(_)));
        let sizes = pair
            .tap
            .from(Side::Server)
            .filter(with_data)
            .map(|packet| packet.datagram_len);
        let largest = sizes.max().unwrap();
        assert!(
            (least..=path).contains(&largest),
            "{largest} on a path of {path}"
        );
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let link = LinkConfig {
            loss: 5,
            ..LinkConfig::default()
        };
        let mut pair = start(Scenario::over(7, &link), &[200_000]);
        pair.run(20 * SECOND);
        let seen = pair.tap.packets.iter();
        seen.map(|packet| (packet.time, packet.from, packet.number, packet.datagram_len))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
