//! How connections end, by will, by silence, by accident. RFC 9000 §10.

use std::time::Duration;

use integration::{FileClient, FileServer, Kind, LinkConfig, Pair, Scenario, for_each_seed};
use quic_lite::Side;
use quic_lite::connection::State;
use quic_lite::error::{ConnectionError, TransportErrorCode};
use quic_lite::wire::frame::Frame;

const SECOND: Duration = Duration::from_secs(1);

type Files = Pair<FileClient, FileServer>;

/// A connection over which a small file came, and which is still there.
fn established(scenario: Scenario) -> Files {
    let mut pair = scenario.start(FileClient::staying([1000]), FileServer::default());
    pair.run(10 * SECOND);
    pair.run_for(SECOND);
    pair
}

fn close_frames(pair: &Files, side: Side) -> usize {
    pair.tap
        .count(side, |frame| matches!(frame, Frame::ConnectionClose(_)))
}

fn errors(pair: &Files) -> [Option<&ConnectionError>; 2] {
    [pair.client.closed(), pair.server.closed()].map(|closed| closed.map(|(_, error)| error))
}

/// RFC 9000 §10.2: one CONNECTION_CLOSE, no answer to it, and nothing left after three PTOs.
#[test]
fn a_close_is_told_once_and_leaves_nothing() {
    for side in [Side::Client, Side::Server] {
        let mut pair = established(Scenario::new(1));
        let now = pair.now;
        let connection = match side {
            Side::Client => pair.client.connection_mut(),
            Side::Server => pair.server.connection_mut(),
        };
        connection.unwrap().close(now, 7, "enough");
        pair.run_for(Duration::from_millis(20));
        let connection = match side {
            Side::Client => pair.server.connection(),
            Side::Server => pair.client.connection(),
        };
        assert_eq!(connection.unwrap().state(), State::Draining);
        pair.run_for(2 * SECOND);
        let reason = || "enough".to_owned();
        let ours = ConnectionError::Application {
            code: 7,
            reason: reason(),
        };
        let theirs = ConnectionError::PeerApplication {
            code: 7,
            reason: reason(),
        };
        let expected = match side {
            Side::Client => [Some(&ours), Some(&theirs)],
            Side::Server => [Some(&theirs), Some(&ours)],
        };
        assert_eq!(errors(&pair), expected);
        assert_eq!(
            (close_frames(&pair, side), close_frames(&pair, side.peer())),
            (1, 0)
        );
        assert!(pair.client.endpoint.is_idle() && pair.server.endpoint.is_idle());
    }
}

#[test]
fn both_may_close_at_once() {
    let mut pair = established(Scenario::new(1));
    let now = pair.now;
    pair.client
        .connection_mut()
        .unwrap()
        .close(now, 1, "client");
    pair.server
        .connection_mut()
        .unwrap()
        .close(now, 2, "server");
    pair.run_for(2 * SECOND);
    assert!(pair.client.endpoint.is_idle() && pair.server.endpoint.is_idle());
}

/// RFC 9000 §10.2.1: packets that still come are answered with the close, ever more rarely.
#[test]
fn a_lost_close_is_repeated_as_long_as_the_peer_sends() {
    for_each_seed(10, |seed| {
        let mut pair =
            Scenario::new(seed).start(FileClient::staying([3 << 20]), FileServer::default());
        pair.run_for(SECOND);
        pair.network.to_server.blackhole = true;
        let now = pair.now;
        pair.client.connection_mut().unwrap().close(now, 0, "");
        pair.run_for(Duration::from_millis(20));
        pair.network.to_server.blackhole = false;
        pair.run_for(5 * SECOND);
        assert!(matches!(
            errors(&pair)[1],
            Some(ConnectionError::PeerApplication { code: 0, .. })
        ));
        let closes = close_frames(&pair, Side::Client);
        assert!((2..15).contains(&closes), "{closes}");
    });
}

/// RFC 9000 §10.2.3: a close before the handshake is done comes in packets that the server can read.
#[test]
fn a_close_in_the_handshake_reaches_the_server() {
    for millis in [20, 35, 50] {
        let mut pair = Scenario::new(1).start(FileClient::staying([1000]), FileServer::default());
        pair.run_for(Duration::from_millis(millis));
        let now = pair.now;
        pair.client
            .connection_mut()
            .unwrap()
            .close(now, 9, "secret");
        // Three PTOs, when nothing is known of the round trip.
        pair.run_for(4 * SECOND);
        match errors(&pair)[1] {
            Some(ConnectionError::PeerApplication { code: 9, reason }) => {
                assert_eq!(reason, "secret")
            }
            Some(ConnectionError::PeerTransport { code, reason, .. }) => {
                assert_eq!(
                    (*code, reason.as_str()),
                    (TransportErrorCode::APPLICATION_ERROR, "")
                );
            }
            other => panic!("after {millis} ms: {other:?}"),
        }
        assert!(pair.server.endpoint.is_idle());
    }
}

/// RFC 9000 §10.1: the smaller timeout of both counts for both.
#[test]
fn silence_ends_the_connection_without_a_packet() {
    let mut scenario = Scenario::new(1);
    scenario.client.max_idle_timeout = 20 * SECOND;
    scenario.server.max_idle_timeout = 5 * SECOND;
    let mut pair = established(scenario);
    let last = pair.tap.packets.last().unwrap().time;
    pair.run_for(10 * SECOND);
    assert_eq!(errors(&pair), [Some(&ConnectionError::IdleTimeout); 2]);
    for (time, _) in [pair.client.closed(), pair.server.closed()]
        .into_iter()
        .flatten()
    {
        let silence = time.since(last);
        assert!(
            (5 * SECOND - SECOND / 10..=5 * SECOND + SECOND / 10).contains(&silence),
            "{silence:?}"
        );
    }
    assert_eq!(pair.tap.packets.last().unwrap().time, last);
    assert!(pair.client.endpoint.is_idle() && pair.server.endpoint.is_idle());
}

/// RFC 9000 §10.1: what is sent into silence does not keep the connection.
#[test]
fn a_dead_link_ends_the_connection_though_data_is_sent() {
    for_each_seed(3, |seed| {
        let scenario = Scenario::new(seed).both(|config| config.max_idle_timeout = 5 * SECOND);
        let mut pair = scenario.start(FileClient::staying([5 << 20]), FileServer::default());
        pair.run_for(SECOND);
        pair.network.set_blackhole(true);
        pair.run_for(10 * SECOND);
        assert_eq!(errors(&pair), [Some(&ConnectionError::IdleTimeout); 2]);
    });
}

#[test]
fn keep_alive_holds_an_idle_connection() {
    let mut scenario = Scenario::new(1).both(|config| config.max_idle_timeout = 5 * SECOND);
    scenario.client.keep_alive = Some(2 * SECOND);
    let mut pair = established(scenario);
    pair.run_for(60 * SECOND);
    assert_eq!(errors(&pair), [None, None]);
    let pings = pair.tap.count(Side::Client, |frame| *frame == Frame::Ping);
    assert!((28..40).contains(&pings), "{pings}");
}

#[test]
fn a_silent_server_ends_the_attempt_in_time() {
    let mut pair = Scenario::new(1).start(FileClient::staying([1]), FileServer::default());
    pair.network.set_blackhole(true);
    pair.run_for(11 * SECOND);
    assert_eq!(errors(&pair)[0], Some(&ConnectionError::HandshakeTimeout));
    assert!(pair.client.endpoint.is_idle());
    // RFC 9002 §6.2.1: probes with doubled pauses, not a flood.
    assert!(
        (4..12).contains(&pair.tap.client_hellos()),
        "{}",
        pair.tap.client_hellos()
    );
}

#[test]
fn a_client_that_vanishes_in_the_handshake_is_forgotten() {
    let mut pair = Scenario::new(1).start(FileClient::staying([1]), FileServer::default());
    pair.run_for(Duration::from_millis(20));
    assert_eq!(pair.server.endpoint.half_open(), 1);
    pair.network.set_blackhole(true);
    pair.run_for(11 * SECOND);
    assert!(pair.server.endpoint.is_idle());
    assert_eq!(pair.server.endpoint.half_open(), 0);
}

/// RFC 9000 §10.3: a server that has lost its state says so, in a packet that looks like any other, and
/// smaller than the one that caused it.
#[test]
fn a_restarted_server_resets_what_it_does_not_know() {
    for_each_seed(5, |seed| {
        let mut pair = established(Scenario::new(seed));
        pair.restart_server();
        pair.client.app.want(500);
        pair.run_for(3 * SECOND);
        assert_eq!(errors(&pair)[0], Some(&ConnectionError::StatelessReset));
        let reset = pair
            .tap
            .from(Side::Server)
            .find(|packet| packet.kind == Kind::Unopened)
            .unwrap();
        let cause = pair
            .tap
            .from(Side::Client)
            .rfind(|packet| packet.time < reset.time)
            .unwrap();
        assert!(reset.datagram_len < cause.datagram_len);
        assert_eq!(pair.tap.kind(Kind::Unopened), 1);
        assert!(pair.client.endpoint.is_idle());
    });
}

/// The same in the middle of a transfer, from either direction's point of view.
#[test]
fn a_server_restart_in_mid_transfer_is_noticed_within_a_round_trip() {
    for_each_seed(5, |seed| {
        let mut pair =
            Scenario::new(seed).start(FileClient::staying([5 << 20]), FileServer::default());
        pair.run_for(SECOND);
        pair.restart_server();
        let restarted = pair.now;
        pair.run_for(3 * SECOND);
        let (time, error) = pair.client.closed().expect("never noticed");
        assert_eq!(error, &ConnectionError::StatelessReset);
        assert!(time.since(restarted) < Duration::from_millis(200));
    });
}

#[test]
fn a_hundred_connections_leave_nothing_behind() {
    let link = LinkConfig {
        loss: 5,
        ..LinkConfig::default()
    };
    let mut pair = Scenario::over(1, &link).start(FileClient::new([3000]), FileServer::default());
    pair.run(20 * SECOND);
    for _ in 0..100 {
        pair.run_for(SECOND);
        pair.connect_again();
        pair.client.app.want(3000);
        pair.run(20 * SECOND);
    }
    // A close that was lost leaves the server waiting for its idle timeout.
    pair.run_for(40 * SECOND);
    assert_eq!(pair.client.app.files, 101);
    assert!(pair.client.endpoint.is_idle() && pair.server.endpoint.is_idle());
    assert_eq!(pair.server.endpoint.half_open(), 0);
}
