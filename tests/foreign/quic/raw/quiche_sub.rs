//! A quiche subscriber of the raw protocol: takes messages until it has all, and says what it thinks of
//! them. No RFC.

use foreign_quic::quiche_peer::{Incoming, Peer};
use foreign_quic::raw::{Judge, Options, SUBSCRIBER};
use foreign_quic::{PATIENCE, quiche_peer};
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The first stream of a client in its direction.
const KNOCK: u64 = 2;

fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    let mut config = quiche_peer::config(SUBSCRIBER)?;
    // Small enough that streams wait for credit now and then.
    config.set_initial_max_streams_uni(20);
    config.enable_dgram(true, 4096, 16);
    let mut peer = quiche_peer::connect(options.address, &mut config)?;
    while !peer.connection.is_established() {
        peer.turn()?;
    }
    // The relay stops every stream of a subscriber: then it knows of this one.
    peer.connection.stream_send(KNOCK, b"?", false)?;
    while let Ok(_) | Err(quiche::Error::Done) = peer.connection.stream_capacity(KNOCK) {
        peer.turn()?;
    }
    println!("subscribed");
    let mut judge = Judge::default();
    receive(&options, &mut peer, &mut judge)?;
    println!("{judge}");
    peer.connection.close(true, 0, b"done")?;
    peer.flush()?;
    match judge.is_good(options.some) {
        true => Ok(()),
        false => Err("not what was sent".into()),
    }
}

fn receive(options: &Options, peer: &mut Peer, judge: &mut Judge) -> Result<(), Failure> {
    let mut incoming = Incoming::default();
    let mut heard = (Instant::now(), 0);
    while !judge.is_done(options.some) {
        if judge.count() > heard.1 {
            heard = (Instant::now(), judge.count());
        }
        if heard.0.elapsed() > PATIENCE {
            return Err(format!("too long: {judge}").into());
        }
        peer.deadline = heard.0 + 2 * PATIENCE;
        peer.turn()?;
        if let Some(error) = peer.connection.peer_error() {
            return Err(format!("closed with {error:?}: {judge}").into());
        }
        for (_, bytes) in incoming.pump(&mut peer.connection)? {
            judge.take(&bytes);
        }
        for _ in 0..std::mem::take(&mut incoming.resets) {
            judge.reset();
        }
        let mut datagram = [0; 1500];
        while let Ok(length) = peer.connection.dgram_recv(&mut datagram) {
            judge.take(&datagram[..length]);
        }
    }
    Ok(())
}
