//! The end: close, idle timeout, stateless reset, errors (RFC 9000 §10).

use core::time::Duration;

use super::pair::SERVER_RESET_KEY;
use super::{Pair, Setup};
use crate::config::Config;
use crate::connection::{Event, State};
use crate::error::ConnectionError;
use crate::token::ResetKey;
use crate::wire::stream_id::Dir;

#[test]
fn a_close_is_told_to_the_peer_and_drains() {
    let mut pair = Pair::connected(Setup::default());
    let now = pair.now;
    pair.client.close(now, 42, "bye");
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.client.state(), State::Closing);
    assert_eq!(pair.server().state(), State::Draining);
    let (code, reason) = (42, "bye".to_owned());
    assert_eq!(
        pair.server_error(),
        Some(&ConnectionError::PeerApplication {
            code,
            reason: reason.clone()
        })
    );
    assert_eq!(
        pair.client_error(),
        Some(&ConnectionError::Application { code, reason })
    );
    pair.run_for(Duration::from_secs(3));
    assert!(pair.client.is_drained() && pair.server().is_drained());
    assert_eq!(pair.client.next_timeout(), None);
}

#[test]
fn data_before_the_close_can_be_read_before_the_end_is_told() {
    let mut pair = Pair::connected(Setup::default());
    let id = pair.client.open(Dir::Uni).unwrap();
    pair.client.write(id, b"last words").unwrap();
    pair.exchange();
    let now = pair.now;
    pair.client.close(now, 0, "");
    pair.run_for(Duration::from_millis(15));
    let last = pair.server_events.last().unwrap();
    assert!(
        matches!(last, Event::Closed(_))
            && pair
                .server_events
                .iter()
                .any(|e| matches!(e, Event::Stream(_)))
    );
    let mut buffer = [0; 100];
    assert_eq!(
        pair.server().read(id, &mut buffer),
        Ok(crate::stream::Read::Bytes(10))
    );
}

#[test]
fn a_lost_close_is_repeated_when_the_peer_goes_on() {
    let mut pair = Pair::connected(Setup::default());
    let now = pair.now;
    pair.client.close(now, 1, "lost");
    pair.exchange();
    pair.flying.clear();
    assert_eq!(pair.server().state(), State::Confirmed);
    pair.server().ping();
    pair.run_for(Duration::from_millis(40));
    assert_eq!(pair.server().state(), State::Draining);
    assert_eq!(pair.client.state(), State::Closing);
}

#[test]
fn a_close_during_the_handshake_reaches_the_server_in_the_packets_it_can_read() {
    let mut pair = Pair::new(Setup::default());
    pair.run_until(Duration::from_secs(1), |pair| pair.client.is_established());
    pair.flying.clear();
    let now = pair.now;
    pair.client.close(now, 7, "secret");
    pair.run_for(Duration::from_millis(15));
    let error = pair.server_error().unwrap().to_string();
    assert!(
        error.contains("APPLICATION_ERROR") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn silence_ends_the_connection_on_both_sides() {
    let client = Config {
        max_idle_timeout: Duration::from_secs(5),
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        client,
        ..Setup::default()
    });
    pair.run_for(Duration::from_secs(4));
    assert!(pair.client.is_established());
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.client_error(), Some(&ConnectionError::IdleTimeout));
    assert_eq!(pair.server_error(), Some(&ConnectionError::IdleTimeout));
    assert!(pair.client.is_drained() && pair.server().is_drained());
}

#[test]
fn keep_alive_holds_the_connection() {
    let client = Config {
        max_idle_timeout: Duration::from_secs(5),
        keep_alive: Some(Duration::from_secs(2)),
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        client,
        ..Setup::default()
    });
    pair.sent.clear();
    pair.run_for(Duration::from_secs(60));
    assert!(pair.client.is_established() && pair.server().is_established());
    assert!(pair.sent.len() < 80, "{}", pair.sent.len());
}

#[test]
fn sending_into_silence_still_times_out() {
    let client = Config {
        max_idle_timeout: Duration::from_secs(5),
        ..Config::default()
    };
    let mut pair = Pair::connected(Setup {
        client,
        ..Setup::default()
    });
    pair.filter = Box::new(|_| false);
    let id = pair.client.open(Dir::Uni).unwrap();
    for _ in 0..20 {
        let _ = pair.client.write(id, b"anyone there?");
        pair.run_for(Duration::from_millis(500));
    }
    assert_eq!(pair.client_error(), Some(&ConnectionError::IdleTimeout));
}

#[test]
fn a_stateless_reset_ends_the_connection_and_noise_does_not() {
    let mut pair = Pair::connected(Setup::default());
    let token = ResetKey::new(SERVER_RESET_KEY).stateless_reset_token(&pair.client.remote_cid());
    let mut datagram = vec![0x41; 43];
    let tuple = pair.client.path();
    for wrong in [[0; 16], [9; 16]] {
        datagram[27..].copy_from_slice(&wrong);
        pair.client
            .receive(pair.now, tuple, None, &mut datagram.clone());
    }
    assert!(pair.client.is_established());
    datagram[27..].copy_from_slice(&token);
    pair.client.receive(pair.now, tuple, None, &mut datagram);
    pair.exchange();
    assert_eq!(pair.client_error(), Some(&ConnectionError::StatelessReset));
    assert_eq!(pair.client.state(), State::Draining);
}
