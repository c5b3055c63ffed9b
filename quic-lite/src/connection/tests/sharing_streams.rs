//! Streams of two senders (RFC 9000 §2, §4): their bytes, their limits, their ends.

use core::time::Duration;

use super::Setup;
use super::kernel::Unit;
use super::peer::inject;
use super::relayed::Relay;
use super::sharing::{begin, client, millis, server_code};
use crate::config::Config;
use crate::connection::Event;
use crate::stream::{SendState, StreamEvent};
use crate::wire::frame::{Frame, MaxStreamData, StopSending};
use crate::wire::stream_id::{Dir, Side, StreamId};

#[test]
fn bytes_that_were_acknowledged_before_they_were_written_are_not_sent_again() {
    let mut relay = Relay::new(Setup::default());
    let id = relay.kernel().open().unwrap();
    let unit = |offset, fin| Unit::Stream {
        id,
        offset,
        data: vec![5; 1000],
        fin,
    };
    assert!(relay.send(&[unit(0, false)]));
    assert!(relay.send(&[unit(2000, true)]));
    relay.pair.run_for(millis(100));
    let streams = relay.pair.server().streams();
    assert_eq!(streams.send_state(id), Some(SendState::DataSent));
    assert_eq!(streams.send_offset_max(id), Some(3000));
    let server = relay.pair.server();
    let sent = server.stats().packets_sent;
    server.write_at(id, 0, vec![5; 1000].into()).unwrap();
    assert_eq!(
        (
            server.streams().unsent_bytes(id),
            server.streams().unacked_bytes(id)
        ),
        (0, 0)
    );
    server.write_at(id, 500, vec![5; 2500].into()).unwrap();
    assert_eq!(server.streams().unsent_bytes(id), 1000);
    relay.pair.run_for(millis(100));
    let server = relay.pair.server();
    assert_eq!(server.streams().send_state(id), None);
    assert_eq!(server.stats().packets_sent - sent, 1);
    let finished = Event::Stream(StreamEvent::Finished(id));
    assert!(relay.pair.server_events.contains(&finished));
}

#[test]
fn limits_of_the_peer_hold_for_both_together() {
    let mut relay = Relay::new(client(Config {
        initial_connection_window: 20_000,
        max_connection_window: 20_000,
        initial_stream_window: 3000,
        max_stream_window: 5000,
        max_uni_streams: 6,
        ..Config::default()
    }));
    relay.refuses = 20;
    begin(&mut relay, 30, 9000);
    relay.run();
    let sent = relay.kernel().sent;
    assert!(sent > 20, "{sent}");
    assert_eq!(relay.kernel().opened, 30);
}

#[test]
fn credit_that_the_kernel_has_spent_and_not_told_of_is_not_spent_again() {
    let mut relay = Relay::new(client(Config {
        initial_connection_window: 10_000,
        ..Config::default()
    }));
    relay.kernel().late = millis(300);
    let id = relay.kernel().open().unwrap();
    for part in 0..8 {
        let unit = Unit::Stream {
            id,
            offset: part * 1000,
            data: vec![1; 1000],
            fin: false,
        };
        assert!(relay.send(&[unit]));
    }
    let own = relay.pair.server().open(Dir::Uni).unwrap();
    relay.pair.server().write(own, &[2; 8000]).unwrap();
    for used in [2000, 10_000] {
        relay.pair.run_for(millis(100));
        assert_eq!(relay.pair.server().streams().max_data().1, used);
        assert_eq!(relay.pair.server().streams().unsent_bytes(own), 6000);
        drop(relay.kernel());
        relay.pair.run_for(millis(300));
        drop(relay.kernel());
    }
    assert_eq!(relay.pair.client_error(), None);
}

#[test]
fn a_kernel_that_burns_numbers_stays_within_flow_control() {
    let mut relay = Relay::new(client(Config {
        initial_connection_window: 8000,
        max_connection_window: 8000,
        ..Config::default()
    }));
    relay.kernel().burns = 30;
    relay.refuses = 10;
    begin(&mut relay, 10, 20_000);
    relay.run();
    assert_eq!(relay.pair.server().streams().open_parts(), 0);
}

#[test]
fn a_stream_that_userspace_was_not_told_of_can_be_stopped_and_given_credit() {
    let mut relay = Relay::new(Setup::default());
    relay.kernel().late = Duration::from_secs(10);
    relay.begin(50_000);
    let id = relay.kernel().open().unwrap();
    for part in 0..5 {
        let unit = Unit::Stream {
            id,
            offset: part * 1000,
            data: vec![1; 1000],
            fin: false,
        };
        assert!(relay.send(&[unit]));
    }
    assert_eq!(relay.pair.server().streams().open_parts(), 0);
    inject(&mut relay.pair, |out| {
        let frame = MaxStreamData {
            stream_id: id,
            maximum_stream_data: 1 << 20,
        };
        Frame::MaxStreamData(frame).encode(out).unwrap();
    });
    let limit = relay.pair.server().streams().max_stream_data(id);
    assert_eq!(limit, Some(1 << 20));
    inject(&mut relay.pair, |out| {
        let frame = StopSending {
            stream_id: id,
            application_error_code: 9,
        };
        Frame::StopSending(frame).encode(out).unwrap();
    });
    let state = relay.pair.server().streams().send_state(id);
    assert_eq!(state, Some(SendState::ResetSent));
    relay.pair.run_for(Duration::from_secs(1));
    assert_eq!(relay.pair.client.streams().is_reset(id), Some(9));
    assert_eq!(relay.pair.client_error(), None, "the final size is right");
    relay.pair.run_for(Duration::from_secs(12));
    assert_eq!(server_code(&mut relay), "None");
    assert_eq!(relay.pair.server().bytes_in_flight(), 0);
    assert_eq!(relay.pair.server().streams().max_data().1, 5000);
}

#[test]
fn a_stream_that_nobody_opened_is_still_an_error() {
    let mut relay = Relay::new(Setup::default());
    relay.kernel().open().unwrap();
    inject(&mut relay.pair, |out| {
        let frame = StopSending {
            stream_id: StreamId::new(Side::Server, Dir::Uni, 1),
            application_error_code: 9,
        };
        Frame::StopSending(frame).encode(out).unwrap();
    });
    assert_eq!(server_code(&mut relay), "STREAM_STATE_ERROR");
}

#[test]
fn a_stream_is_reset_behind_what_the_kernel_has_sent_of_it() {
    let mut relay = Relay::new(Setup::default());
    relay.kernel().late = millis(500);
    relay.begin(50_000);
    (0..5).for_each(|_| relay.publish(0));
    let id = relay.upstream[0].id.unwrap();
    relay.pair.server().reset(id, 3).unwrap();
    let unit = Unit::Stream {
        id,
        offset: 5000,
        data: vec![0; 10],
        fin: false,
    };
    assert!(!relay.send(&[unit]));
    relay.pass(Duration::from_secs(2));
    assert_eq!(server_code(&mut relay), "None");
    assert_eq!(relay.pair.client_error(), None);
    assert!(relay.upstream[0].is_over);
}
