//! Two endpoints on a simulated network, and every packet between them opened and printed. RFC 9000, RFC 9001.

use integration::{FileClient, FileServer, Kind, LinkConfig, Pair, Scenario, TappedPacket};
use quic_lite::connection::Event;
use quic_lite::{Side, Time};

use std::time::Duration;

/// A client that asks for files and a server that has them.
pub type Files = Pair<FileClient, FileServer>;

/// A path with 50 ms each way and nothing else: what happens at one time is one event.
pub fn scenario() -> Scenario {
    let link = LinkConfig {
        delay: Duration::from_millis(50),
        bandwidth: None,
        ..LinkConfig::default()
    };
    Scenario::over(1, &link).both(|config| {
        config.mtu_discovery = false;
        config.ecn = false;
    })
}

/// Prints the packets that were sent since `from`, with the names of one datagram's packets joined.
pub fn print_packets(pair: &Files, from: usize) -> usize {
    let packets = &pair.tap.packets;
    let mut datagram = None;
    for packet in &packets[from..] {
        if datagram != Some(packet.datagram) {
            let (arrow, time) = (arrow(packet.from), millis(packet.time));
            println!("{time:4} ms  {arrow}  {} bytes", packet.datagram_len);
        }
        datagram = Some(packet.datagram);
        println!("             {}", describe(packet));
    }
    packets.len()
}

/// Prints what one side was told since `from`.
pub fn print_events(name: &str, events: &[(Time, Event)]) {
    for (time, event) in events {
        let text = match event {
            Event::ConnectionIdIssued(_) | Event::ResetTokenLearned(_) | Event::NewToken(_) => {
                continue;
            }
            Event::PathChanged { old, new } => {
                format!("PathChanged from {} to {}", old.remote, new.remote)
            }
            Event::PathValidated(path) => format!("PathValidated {}", path.remote),
            Event::Closed(error) => format!("Closed: {error}"),
            other => format!("{other:?}"),
        };
        println!("{:4} ms  {name}: {text}", millis(*time));
    }
}

fn describe(packet: &TappedPacket) -> String {
    let kind = match packet.kind {
        Kind::Opened(packet_type) => format!("{packet_type} {}", packet.number),
        other => return format!("{other:?}"),
    };
    let phase = if packet.key_phase {
        " (key phase 1)"
    } else {
        ""
    };
    let frames: Vec<String> = packet
        .frames()
        .map(|frame| shorten(&frame.to_string()))
        .collect();
    format!("{kind}{phase}: {}", frames.join(", "))
}

/// Leaves out what is random and long.
fn shorten(frame: &str) -> String {
    let end = frame.find(" cid=").or_else(|| frame.find(" token="));
    end.map_or(frame, |end| &frame[..end]).to_owned()
}

const fn arrow(from: Side) -> &'static str {
    match from {
        Side::Client => "client ──▶",
        Side::Server => "◀── server",
    }
}

/// Since the pair's clock began.
pub fn millis(time: Time) -> u64 {
    time.as_micros() / 1000 - 1000
}
