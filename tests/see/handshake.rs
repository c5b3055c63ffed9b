//! Scene of chapter 8: a handshake and one small file. RFC 9001 §4.

use std::time::Duration;

use integration::{FileClient, FileServer};

use super::network::{print_events, print_packets, scenario};

pub fn play() {
    let mut pair = scenario().start(FileClient::staying([10]), FileServer::default());
    pair.run(Duration::from_secs(1));
    pair.run_for(Duration::from_millis(400));
    print_packets(&pair, 0);
    println!();
    print_events("client", &pair.client.events);
    print_events("server", &pair.server.events);
}
