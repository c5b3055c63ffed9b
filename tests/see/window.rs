//! Scene of chapter 6: how the window moves, and how a pacer spreads it. RFC 9002 §7.

use std::time::Duration;

use quic_lite::recovery::pacing::{Pace, Pacer};

use super::sender::{Sender, at};

pub fn play() {
    println!("NewReno, packets of 1200 bytes, one loss in round 4:");
    let mut sender = Sender::new();
    sender.measure();
    for round in 1..=8 {
        flight(&mut sender, round);
    }
    println!("\na full window of 20 packets, 100 ms round trip, as the pacer lets it go,");
    paced();
}

/// Sends as much as the window admits; after a round trip all but one packet of round 4 are acknowledged.
fn flight(sender: &mut Sender, round: u64) {
    let (window, slow_start) = (
        sender.recovery.congestion_window(),
        sender.recovery.in_slow_start(),
    );
    let packets = sender.recovery.window_left() / 1200;
    let sent = sender.send(packets);
    let phase = if slow_start {
        "slow start"
    } else {
        "avoidance"
    };
    println!("round {round}: window {window:6} bytes, {packets:3} packets  {phase}");
    sender.now += 100;
    if round == 4 {
        sender.ack(&[*sent.start() + 1..=*sent.end()]);
    } else {
        sender.ack(&[sent]);
    }
}

fn paced() {
    let pace = Pace {
        window: 24_000,
        smoothed_rtt: Duration::from_millis(100),
        slow_start: false,
        max_datagram_size: 1200,
    };
    let (mut pacer, mut now) = (Pacer::default(), at(0));
    let mut times = Vec::new();
    while times.len() < 20 {
        match pacer.send_at(now, 1200, &pace) {
            Some(later) => now = later,
            None => {
                pacer.on_packet_sent(now, 1200, &pace);
                times.push(now.as_micros() / 1000);
            }
        }
    }
    println!("sent at (ms): {times:?}");
}
