//! Scene of chapter 11: the client closes, and the packet that says so is lost. RFC 9000 §10.2.

use std::time::Duration;

use integration::{FileClient, FileServer};

use super::network::{millis, print_events, print_packets, scenario};

pub fn play() {
    let mut pair = scenario().start(FileClient::staying([10]), FileServer::default());
    pair.run(Duration::from_secs(1));
    pair.run_for(Duration::from_millis(600));
    let (packets, [client, server]) = (
        pair.tap.packets.len(),
        [pair.client.events.len(), pair.server.events.len()],
    );

    println!("the client closes, but the path is cut for a moment; then the server sends a PING\n");
    pair.network.set_blackhole(true);
    let now = pair.now;
    pair.client
        .connection_mut()
        .expect("it is open")
        .close(now, 7, "done");
    pair.run_for(Duration::from_millis(10));
    pair.network.set_blackhole(false);
    pair.server.connection_mut().expect("it is open").ping();
    pair.run_for(Duration::from_secs(2));
    print_packets(&pair, packets);
    println!();
    print_events("client", &pair.client.events[client..]);
    print_events("server", &pair.server.events[server..]);
    println!(
        "{:4} ms  connections left: {} and {}",
        millis(pair.now),
        pair.client.endpoint.len(),
        pair.server.endpoint.len()
    );
}
