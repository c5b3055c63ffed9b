//! Handshakes over bad networks, beyond the runner's cases (`interop.rs`). RFC 9000 §5 to §8.

use std::time::Duration;

use integration::network::{SERVER, address};
use integration::{
    FileClient, FileServer, Kind, LinkConfig, Pair, Scenario, TappedPacket, certificates,
    for_each_seed,
};
use quic_lite::Side;
use quic_lite::connection::Event;
use quic_lite::error::ConnectionError;
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;

const SECOND: Duration = Duration::from_secs(1);

type Files = Pair<FileClient, FileServer>;

/// One file of 1 KB, after which the client closes.
fn one_file(scenario: Scenario) -> Files {
    scenario.start(FileClient::new([1024]), FileServer::default())
}

fn received_time(pair: &Files) -> Duration {
    pair.client
        .app
        .finished
        .expect("no file")
        .since(pair.tap.packets[0].time)
}

#[test]
fn both_sides_confirm_and_discard_handshake_keys() {
    let mut pair = Scenario::new(1).start(FileClient::staying([1024]), FileServer::default());
    pair.run(SECOND);
    pair.run_for(SECOND);
    for events in [&pair.client.events, &pair.server.events] {
        let connected = events
            .iter()
            .position(|(_, event)| *event == Event::Connected);
        let confirmed = events
            .iter()
            .position(|(_, event)| *event == Event::HandshakeConfirmed);
        assert!(connected.is_some() && connected < confirmed);
    }
    let confirmed = pair
        .client
        .time_of(|event| *event == Event::HandshakeConfirmed)
        .unwrap();
    let late = |packet: &&TappedPacket| packet.time > confirmed && !packet.is(PacketType::OneRtt);
    assert_eq!(pair.tap.from(Side::Client).filter(late).count(), 0);
}

/// RFC 9000 §8.1: without loss, the client's acknowledgements give the server room again and again.
#[test]
fn a_large_chain_costs_few_round_trips() {
    let mut scenario = Scenario::new(1);
    scenario.chain = certificates::long();
    let mut pair = one_file(scenario);
    pair.run(SECOND);
    assert!(
        received_time(&pair) < Duration::from_millis(150),
        "{:?}",
        received_time(&pair)
    );
}

#[test]
fn handshakes_survive_reordering_and_duplication() {
    for_each_seed(30, |seed| {
        let link = LinkConfig {
            reordering: 50,
            reordering_delay: Duration::from_millis(40),
            duplication: 30,
            ..LinkConfig::default()
        };
        let mut pair = one_file(Scenario::over(seed, &link));
        pair.run(5 * SECOND);
        assert_eq!(pair.tap.handshakes(), 1);
    });
}

/// RFC 9002 §6.2.2.1: the client must break the deadlock when the server may not send.
#[test]
fn the_client_breaks_the_deadlock_of_a_lost_flight() {
    let mut scenario = Scenario::new(1);
    scenario.chain = certificates::long();
    scenario.to_client.drop_list = (1..=3).collect();
    let mut pair = one_file(scenario);
    pair.run(10 * SECOND);
}

/// RFC 9001 §4.1.2: HANDSHAKE_DONE is repeated until it arrives.
#[test]
fn a_lost_handshake_done_is_sent_again() {
    let mut pair = Scenario::new(1).start(FileClient::staying([1024]), FileServer::default());
    pair.run_until(SECOND, |pair| {
        pair.tap
            .count(Side::Server, |frame| *frame == Frame::HandshakeDone)
            > 0
    });
    pair.network.set_blackhole(true);
    pair.run_for(Duration::from_millis(100));
    pair.network.set_blackhole(false);
    pair.run_until(5 * SECOND, |pair| {
        pair.client
            .time_of(|event| *event == Event::HandshakeConfirmed)
            .is_some()
    });
}

/// RFC 9000 §6.1: a version that the server does not know is answered with those it does, unless the
/// datagram is too small to be answered.
#[test]
fn an_unknown_version_is_answered_with_ours() {
    let mut pair = one_file(Scenario::new(1));
    pair.run(SECOND);
    let mut datagram = vec![
        0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9,
    ];
    datagram.resize(1200, 0);
    let stranger = address(9, 9999);
    pair.network
        .inject(pair.now, Side::Server, stranger, datagram.clone());
    datagram.truncate(1199);
    pair.network
        .inject(pair.now, Side::Server, stranger, datagram);
    pair.run_for(SECOND);
    assert_eq!(pair.tap.kind(Kind::VersionNegotiation), 1);
    let answer = pair
        .tap
        .from(Side::Server)
        .find(|packet| packet.kind == Kind::VersionNegotiation);
    assert!(answer.unwrap().datagram_len < 100);
}

/// RFC 9000 §6.2: a client of one version gives up when the server does not list it, and believes no
/// list that has it, nor any list after another packet of the server.
#[test]
fn a_list_without_our_version_ends_the_attempt_and_other_lists_do_nothing() {
    let list = |pair: &Files, version: u8| {
        let initial = &pair.tap.packets[0];
        let mut list = vec![0x80, 0, 0, 0, 0];
        for cid in [initial.source_cid, initial.destination_cid] {
            list.push(cid.len() as u8);
            list.extend_from_slice(cid.as_slice());
        }
        list.extend([0, 0, 0, version]);
        list
    };
    for (version, millis, ends) in [(9, 5, true), (1, 5, false), (9, 35, false)] {
        let mut pair = one_file(Scenario::new(1));
        pair.run_for(Duration::from_millis(millis));
        let list = list(&pair, version);
        pair.network.inject(pair.now, Side::Client, SERVER, list);
        pair.run_for(SECOND);
        let expected = ConnectionError::VersionNegotiation;
        let ended = pair
            .client
            .closed()
            .is_some_and(|(_, error)| *error == expected);
        assert_eq!((ended, pair.client.app.files), (ends, u64::from(!ends)));
    }
}

/// RFC 9000 §8.1.3: the token of one connection spares the next one the Retry, once.
#[test]
fn a_token_from_the_last_connection_spares_the_retry() {
    for_each_seed(3, |seed| {
        let mut pair = one_file(Scenario {
            retry: true,
            ..Scenario::new(seed)
        });
        pair.run(SECOND);
        assert_eq!(pair.tap.kind(Kind::Retry), 1);
        pair.run_for(SECOND);
        pair.connect_again();
        pair.client.app.want(2048);
        pair.run(SECOND);
        assert_eq!((pair.client.app.files, pair.tap.kind(Kind::Retry)), (2, 1));
    });
}
