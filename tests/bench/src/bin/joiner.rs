//! `bench-joiner`: a subscriber that comes late. For each order it connects, waits for its first message, says how long that
//! took, and leaves. No RFC.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bench::clock::monotonic;
use bench::line::Line;
use bench::orders::Orders;
use clap::Parser;
use quic_lite::connection::Event;
use quic_lite::endpoint::Handle;
use serde_json::json;

/// Joins a relay's stream again and again.
#[derive(Debug, Parser)]
struct Options {
    /// The relay.
    relay: SocketAddr,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    nix::sys::prctl::set_timerslack(1)?;
    let mut orders = Orders::new()?;
    println!("{}", json!({ "event": "ready" }));
    loop {
        for order in orders.read() {
            if order != "join" {
                return Err("the only order is join".into());
            }
            println!(
                "{}",
                json!({ "event": "joined", "ns": join(options.relay, &orders)? })
            );
        }
        if orders.has_ended() {
            return Ok(());
        }
        orders.wait()?;
    }
}

/// From the first step to the first message, in ns.
fn join(relay: SocketAddr, orders: &Orders) -> Result<u64, Box<dyn Error>> {
    // What every connection of a program shares is made before.
    let mut line = Line::open(relay, b"qr-raw-sub")?;
    let begin = monotonic();
    let handle = line.connect()?;
    while monotonic() - begin < LONGEST {
        let events = line.turn()?;
        if let Some(Event::Closed(error)) = events.iter().map(|(_, event)| event).find(is_end) {
            return Err(format!("the relay does not take a subscriber: {error}").into());
        }
        if events.iter().any(|(_, event)| is_message(event)) {
            let taken = monotonic() - begin;
            leave(&mut line, handle)?;
            return Ok(taken);
        }
        let soon = line.now() + Duration::from_millis(100);
        line.wait(orders, Some(soon))?;
    }
    Err("no message in time".into())
}

fn is_message(event: &Event) -> bool {
    matches!(event, Event::DatagramReceived | Event::Stream(_))
}

fn is_end(event: &&Event) -> bool {
    matches!(event, Event::Closed(_))
}

/// So that the relay serves it no longer.
fn leave(line: &mut Line, handle: Handle) -> Result<(), Box<dyn Error>> {
    let now = line.now();
    let connection = line.endpoint.connection_mut(handle);
    connection
        .ok_or("the connection is gone")?
        .close(now, 0, "");
    Ok(line.send()?)
}

/// In ns.
const LONGEST: u64 = 5_000_000_000;
