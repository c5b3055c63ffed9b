//! Rows 18, 26, 27, 28 and 29: packets that are forged, empty, repeated, or of the wrong keys. RFC 9000 §12.3;
//! RFC 9001 §5.3, §6, §6.6, §9.5.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use integration::forge::{Initial, PING, cid, one_rtt};
use quic_lite::config::Config;
use quic_lite::connection::{Event, Stats};
use quic_lite::endpoint::EndpointConfig;
use quic_lite::error::{ConnectionError, TransportErrorCode};

use crate::net::{Flying, Net, address};

fn connected() -> Net {
    Net::connected(EndpointConfig::default())
}

/// A client's packet that is `ahead` of what it has sent, under its keys after so many updates.
fn packet(net: &Net, ahead: u64, frames: &[u8], updates: u32) -> Vec<u8> {
    let client = net.nodes[0].connection();
    one_rtt(
        client,
        client.next_packet_number().value() + ahead,
        frames,
        updates,
    )
}

/// It arrives at the server, which has no turn to answer.
fn deliver(net: &mut Net, bytes: Vec<u8>) {
    let (from, to) = (net.nodes[0].address, net.nodes[1].address);
    net.deliver(Flying { from, to, bytes });
}

fn stats(net: &Net) -> Stats {
    *net.nodes[1].connection().stats()
}

fn updates(net: &Net) -> u64 {
    net.nodes[1].connection().keys().unwrap().updates
}

/// The code with which the server ended the connection.
fn code(net: &Net) -> Option<TransportErrorCode> {
    match net.nodes[1].connection().error() {
        Some(ConnectionError::Transport(error)) => Some(error.code),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

/// RFC 9001 §9.5: a bit is nothing; the packet must open under the next keys.
#[test]
fn row_18_a_key_phase_bit_that_was_flipped_changes_nothing() {
    let mut net = connected();
    let before = stats(&net);
    for ahead in 0..200 {
        let mut bytes = packet(&net, ahead, PING, 0);
        bytes[0] ^= 0x04;
        deliver(&mut net, bytes);
    }
    assert_eq!(updates(&net), 0);
    let after = stats(&net);
    assert_eq!(
        after.packets_undecryptable,
        before.packets_undecryptable + 200
    );
    assert_eq!(after.packets_received, before.packets_received);
    let bytes = packet(&net, 200, PING, 0);
    deliver(&mut net, bytes);
    assert_eq!(
        (stats(&net).packets_received, code(&net)),
        (before.packets_received + 1, None)
    );
}

/// RFC 9001 §6.1, §6.2: the next update has to wait until the last one was answered.
#[test]
fn row_18_a_second_update_before_the_first_is_answered_ends_the_connection() {
    let mut net = connected();
    let [first, second] = [packet(&net, 10, PING, 1), packet(&net, 11, PING, 2)];
    deliver(&mut net, first);
    assert_eq!(
        (updates(&net), net.nodes[1].connection().error()),
        (1, None)
    );
    deliver(&mut net, second);
    assert_eq!(code(&net), Some(TransportErrorCode::KEY_UPDATE_ERROR));
}

/// RFC 9001 §6.3, §6.5: numbers tell a delayed packet from an update; old keys open it for three PTOs, no longer.
#[test]
fn row_18_packets_of_the_old_phase_count_for_a_while_if_they_were_sent_before() {
    let mut net = connected();
    let [old, late] = [5, 6].map(|ahead| packet(&net, ahead, PING, 0));
    let too_new = packet(&net, 30, PING, 0);
    let update = packet(&net, 20, PING, 1);
    deliver(&mut net, update);
    let before = stats(&net);
    deliver(&mut net, too_new);
    assert_eq!(
        stats(&net).packets_received,
        before.packets_received,
        "the old keys after the new"
    );
    deliver(&mut net, old);
    assert_eq!(stats(&net).packets_received, before.packets_received + 1);
    let pto = net.nodes[1].connection().recovery().pto();
    net.now = net.now + pto * 3 + Duration::from_millis(1);
    let now = net.now;
    net.nodes[1].endpoint.on_timeout(now);
    deliver(&mut net, late);
    assert_eq!(
        stats(&net).packets_received,
        before.packets_received + 1,
        "old keys are still there"
    );
    assert_eq!(
        (updates(&net), net.nodes[1].connection().error()),
        (1, None)
    );
}

/// RFC 9001 §5.3 (CVE-2026-75803): an empty plaintext has a tag as well, and it must fit.
#[test]
fn row_26_a_tag_without_text_is_verified_all_the_same() {
    let mut net = connected();
    let (empty, before) = (packet(&net, 0, &[], 0), stats(&net));
    for bit in 8..empty.len() * 8 {
        let mut wrong = empty.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        deliver(&mut net, wrong);
    }
    for len in 0..empty.len() {
        deliver(&mut net, empty[..len].to_vec());
    }
    let mut zeros = empty.clone();
    let tag = zeros.len() - 16;
    zeros[tag..].fill(0);
    deliver(&mut net, zeros);
    assert_eq!(stats(&net).packets_received, before.packets_received);
    assert_eq!(code(&net), None);
    deliver(&mut net, empty);
    // RFC 9000 §12.4: it is authentic and says nothing.
    assert_eq!(code(&net), Some(TransportErrorCode::PROTOCOL_VIOLATION));
}

#[test]
fn row_26_an_initial_without_text_makes_no_connection() {
    let (destination, source) = (cid(b"made up!"), cid(b"us"));
    let initial = Initial {
        destination,
        source,
        token: &[],
    };
    let empty = initial.of_client(&[], 0);
    for bit in 0..=empty.len() * 8 {
        let mut net = Net::new(EndpointConfig::default());
        let mut datagram = empty.clone();
        if let Some(byte) = datagram.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        // Behind the packet, in the same datagram, is what makes it large enough.
        datagram.resize(1200, 0);
        net.ask(address(9, 9), &datagram);
        net.run(Duration::from_secs(15));
        assert!(net.nodes[1].endpoint.is_idle(), "bit {bit}");
    }
}

/// A connection whose server has these settings.
fn with(change: impl Fn(&mut Config)) -> Net {
    let mut transport = Config::default();
    change(&mut transport);
    let transport = Arc::new(transport);
    Net::connected(EndpointConfig {
        transport,
        ..EndpointConfig::default()
    })
}

/// RFC 9001 §6.6: failures count over all keys together, authentic packets between them take nothing back.
#[test]
fn row_27_so_many_forged_packets_end_the_connection() {
    let mut net = with(|config| config.integrity_limit = 50);
    let before = stats(&net).packets_undecryptable;
    for ahead in 0..50 - before {
        assert_eq!(net.nodes[1].connection().error(), None, "after {ahead}");
        // Before, in the midst of, and after an update.
        let good = packet(&net, ahead * 2, PING, u32::from(ahead >= 20));
        deliver(&mut net, good);
        let mut forged = packet(&net, ahead * 2 + 1, PING, ahead as u32 % 2);
        *forged.last_mut().unwrap() ^= 1;
        deliver(&mut net, forged);
    }
    assert_eq!(updates(&net), 1);
    assert_eq!(code(&net), Some(TransportErrorCode::AEAD_LIMIT_REACHED));
}

/// A key is renewed when half of what it may seal is sealed; who cannot renew it stops in time.
#[test]
fn row_27_so_many_sealed_packets_renew_the_key_or_end_the_connection() {
    let mut net = with(|config| config.confidentiality_limit = 20_000);
    net.nodes[0].files.want(30 << 20);
    net.run(Duration::from_secs(25));
    assert_eq!((net.nodes[0].files.files, net.nodes[0].closed()), (1, None));
    let (updates, sent) = (updates(&net), stats(&net).packets_sent);
    assert!(
        updates >= sent / 14_000 && updates >= 1,
        "{updates} updates, {sent} packets"
    );

    let mut net = with(|config| config.confidentiality_limit = 4096 + 300);
    net.nodes[0].files.want(3 << 20);
    net.run(Duration::from_secs(60));
    let error = net.nodes[1].closed();
    let Some(ConnectionError::Transport(error)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.code, TransportErrorCode::AEAD_LIMIT_REACHED);
}

/// RFC 9000 §12.3: each packet counts once, wherever and whenever its copies come.
#[test]
fn row_28_every_datagram_repeated_at_once_later_and_at_the_end_counts_once() {
    let mut net = Net::new(EndpointConfig::default());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    net.filter = Box::new(move |datagram| {
        log.borrow_mut().push(datagram.clone());
        true
    });
    net.connect(Config::default());
    net.nodes[0].files.want(100_000);
    let mut replayed = 0;
    for _ in 0..40 {
        net.run(Duration::from_millis(3));
        let copies: Vec<Flying> = seen.borrow().clone();
        // The newest, and of the older ones every seventh.
        let old = copies.iter().rev().skip(5).step_by(7);
        for copy in copies.iter().rev().take(5).chain(old) {
            net.deliver(copy.clone());
            replayed += 1;
        }
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].files.files, 1);
    let before = [0, 1].map(|at| {
        (
            *net.nodes[at].connection().stats(),
            net.nodes[at].events.len(),
            net.sent.len(),
        )
    });
    let all = seen.borrow().clone();
    for copy in &all {
        net.deliver(copy.clone());
    }
    net.settle();
    for (at, (stats, events, _)) in before.into_iter().enumerate() {
        let now = *net.nodes[at].connection().stats();
        assert_eq!(now.packets_received, stats.packets_received);
        assert!(now.packets_duplicate >= stats.packets_duplicate + 5);
        assert_eq!(net.nodes[at].events.len(), events);
    }
    // Not one packet is an answer to them: nothing is acknowledged once more, as if it were new.
    assert_eq!(net.sent.len(), before[1].2);
    println!("{replayed} and {} datagrams repeated", all.len());
    assert!(replayed > 300);
    net.nodes[0].files.want(10_000);
    net.run(Duration::from_secs(1));
    assert_eq!((net.nodes[0].files.files, net.nodes[1].closed()), (2, None));
    let connected = |event: &Event| *event == Event::Connected;
    assert_eq!(
        net.nodes
            .iter()
            .map(|node| node.count(connected))
            .sum::<usize>(),
        2
    );
}

/// RFC 9001 §5.3, in userspace; the kernel path's are in ebpf/loader/tests.
#[test]
fn row_29_no_bit_of_a_packet_may_differ() {
    let mut net = connected();
    // MAX_DATA, PATH_CHALLENGE, a STREAM frame: each would leave a trace.
    let frames = [
        &[
            0x10, 0x80, 0xff, 0xff, 0xff, 0x1a, 1, 2, 3, 4, 5, 6, 7, 8, 0x0a, 0, 5,
        ][..],
        b"GET /",
    ]
    .concat();
    let good = packet(&net, 0, &frames, 0);
    let before = stats(&net);
    for bit in 0..good.len() * 8 {
        let mut wrong = good.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        deliver(&mut net, wrong);
        let now = stats(&net);
        assert_eq!(now.packets_received, before.packets_received, "bit {bit}");
        assert_eq!(net.nodes[1].connection().error(), None, "bit {bit}");
    }
    deliver(&mut net, good);
    assert_eq!(stats(&net).packets_received, before.packets_received + 1);
}
