//! Everything at once, at random: links with all faults, outages, NATs that rebind, key updates, paths that shrink, all sorts
//! of endpoints. Whatever happens, every byte arrives, the connection ends in order and leaves nothing. RFC 9000, RFC 9001,
//! RFC 9002.
//!
//! `SEEDS=5000 cargo test -p integration --test soak` looks for new failures, `SEED=17 …` repeats one.

use std::time::Duration;

use integration::link::Outages;
use integration::network::{address, address6};
use integration::{
    FileClient, FileServer, LinkConfig, Pair, Scenario, certificates, for_each_seed,
};
use quic_lite::Side;
use quic_lite::config::Config;
use quic_lite::connection::Event;
use quic_lite::error::ConnectionError;
use quic_lite::io::Application;
use quic_lite::protection::CipherSuite;
use quic_lite::recovery::Congestion;
use quic_lite::rng::Rng;

type Files = Pair<FileClient, FileServer>;

#[test]
fn whatever_happens_every_byte_arrives_and_nothing_is_left() {
    for_each_seed(60, |seed| {
        // Another sequence than that of the run itself.
        let mut rng = Rng::from_number(!seed);
        let scenario = scenario(seed, &mut rng);
        println!(
            "SEED={seed} {:?} {:?}",
            scenario.to_server, scenario.to_client
        );
        let sizes: Vec<u64> = (0..=rng.below(12)).map(|_| size(&mut rng)).collect();
        let (count, is_ipv6) = (sizes.len() as u64, scenario.client_address.is_ipv6());
        let mut pair = scenario.start(FileClient::new(sizes), FileServer::default());
        let confirmed = |pair: &Files| {
            let mut events = pair.client.events.iter();
            events.any(|(_, event)| *event == Event::HandshakeConfirmed)
        };
        let over = |pair: &Files| pair.client.app.is_done() && pair.server.app.is_done();
        pair.run_until(LIMIT, |pair| confirmed(pair) || over(pair));
        for _ in 0..rng.below(10) {
            pair.run_for(Duration::from_millis(rng.below(1500)));
            disturb(&mut pair, is_ipv6, &mut rng);
        }
        pair.run(LIMIT);
        assert_eq!((pair.client.app.files, pair.tap.handshakes()), (count, 1));
        let closed = pair.client.closed().map(|(_, error)| error);
        let is_ours = matches!(closed, Some(ConnectionError::Application { code: 0, .. }));
        assert!(is_ours, "{closed:?}");
        // A close that was lost leaves the server waiting for its idle timeout.
        pair.run_for(Duration::from_secs(100));
        assert!(pair.client.endpoint.is_idle() && pair.server.endpoint.is_idle());
    });
}

/// Many small files and few large ones.
fn size(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.below(200_000),
        1 => 0,
        _ => rng.below(5_000),
    }
}

fn scenario(seed: u64, rng: &mut Rng) -> Scenario {
    let mut scenario = Scenario::over(seed, &LinkConfig::default());
    (scenario.to_server, scenario.to_client) = (link(rng), link(rng));
    endpoint(&mut scenario.client, rng);
    endpoint(&mut scenario.server, rng);
    // Who only listens must speak up now and then, or nobody learns where it is.
    scenario.client.keep_alive = Some(Duration::from_secs(1));
    scenario.retry = chance(rng, 25);
    if chance(rng, 25) {
        scenario.chain = certificates::long();
    }
    if chance(rng, 50) {
        scenario.suites = vec![CipherSuite::ALL[rng.below(3) as usize]];
    }
    if chance(rng, 30) {
        scenario.client_address = address6(2, 40_000);
        scenario.server_address = address6(1, 443);
    }
    scenario
}

/// One direction, with some of all faults.
fn link(rng: &mut Rng) -> LinkConfig {
    let mut link = LinkConfig {
        delay: Duration::from_micros(rng.below(150_000)),
        bandwidth: chance(rng, 70).then(|| 500_000 + rng.below(50_000_000)),
        queue: 8 + rng.below(200) as usize,
        max_udp_payload: 1200 + rng.below(300) as usize,
        duplication: sometimes(rng, 10),
        reordering: sometimes(rng, 30),
        reordering_delay: Duration::from_micros(rng.below(60_000)),
        corruption: sometimes(rng, 5),
        loss: sometimes(rng, 8),
        max_losses_in_row: 20,
        clears_ecn: chance(rng, 20),
        ..LinkConfig::default()
    };
    if chance(rng, 30) {
        link.burst = Duration::from_micros(rng.below(20_000));
    }
    if chance(rng, 20) {
        link.mark_above = Some(rng.below(20) as usize);
    }
    if chance(rng, 15) {
        // Down for less than up: a handshake's probes, ever rarer, would all fall into the dark at times.
        let on = Duration::from_millis(1000 + rng.below(5000));
        let off = Duration::from_millis(rng.below(2000)).min(on / 3);
        link.outages = Some(Outages { on, off });
    }
    link
}

/// One side, with small or large windows and limits.
fn endpoint(config: &mut Config, rng: &mut Rng) {
    config.congestion = match rng.below(2) {
        0 => Congestion::NewReno,
        _ => Congestion::Cubic,
    };
    config.handshake_timeout = LIMIT;
    config.max_idle_timeout = Duration::from_secs(60);
    config.initial_stream_window = 1000 + rng.below(100_000);
    config.max_stream_window = config.initial_stream_window << rng.below(5);
    config.initial_connection_window = config.initial_stream_window + rng.below(100_000);
    config.max_connection_window = config.initial_connection_window << rng.below(5);
    config.max_bidi_streams = 1 + rng.below(20);
    config.send_buffer = 1000 + rng.below(200_000);
    config.mtu_discovery = chance(rng, 80);
    config.ecn = chance(rng, 80);
    config.max_ack_delay = Duration::from_millis(1 + rng.below(50));
    config.min_ack_delay = chance(rng, 30).then(|| Duration::from_millis(1));
    config.active_connection_id_limit = 2 + rng.below(6);
    if chance(rng, 40) {
        config.key_update_interval = 10 + rng.below(200);
    }
}

/// Something that endpoints must cope with at any time after the handshake.
fn disturb(pair: &mut Files, is_ipv6: bool, rng: &mut Rng) {
    match rng.below(6) {
        // Back to an address that it has had, at times.
        0 | 1 => {
            let (host, port) = (2 + rng.below(3), 40_000 + rng.below(3) as u16);
            pair.network.rebind(match is_ipv6 {
                true => address6(host as u16, port),
                false => address(host as u8, port),
            });
        }
        2 | 3 => {
            let connection = match side(rng) {
                Side::Client => pair.client.connection_mut(),
                Side::Server => pair.server.connection_mut(),
            };
            let _ = connection.map(|connection| connection.force_key_update());
        }
        4 => {
            pair.network.set_blackhole(true);
            pair.run_for(Duration::from_millis(rng.below(3000)));
            pair.network.set_blackhole(false);
        }
        // Another path than before, as far as links go.
        _ => match side(rng) {
            Side::Client => pair.network.to_server.config = link(rng),
            Side::Server => pair.network.to_client.config = link(rng),
        },
    }
}

fn side(rng: &mut Rng) -> Side {
    match rng.below(2) {
        0 => Side::Client,
        _ => Side::Server,
    }
}

fn chance(rng: &mut Rng, percent: u64) -> bool {
    rng.below(100) < percent
}

/// Mostly nothing.
fn sometimes(rng: &mut Rng, most: u64) -> u64 {
    match rng.below(2) {
        0 => 0,
        _ => rng.below(most + 1),
    }
}

/// Long enough for the worst link that [`link`] makes.
const LIMIT: Duration = Duration::from_secs(900);
