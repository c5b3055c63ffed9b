//! Scene of chapter 8: one side updates its keys, the other follows. RFC 9001 §6.

use std::time::Duration;

use integration::{FileClient, FileServer};

use super::network::{print_events, print_packets, scenario};

pub fn play() {
    let mut pair = scenario().start(FileClient::staying([10]), FileServer::default());
    pair.run(Duration::from_secs(1));
    pair.run_for(Duration::from_millis(600));
    let (packets, [client, server]) = (
        pair.tap.packets.len(),
        [pair.client.events.len(), pair.server.events.len()],
    );

    println!("the client updates its keys, and asks for a file\n");
    let connection = pair.client.connection_mut().expect("it is open");
    assert!(connection.force_key_update());
    connection.ping();
    pair.client.app.want(10);
    pair.run_for(Duration::from_millis(600));
    print_packets(&pair, packets);
    println!();
    print_events("client", &pair.client.events[client..]);
    print_events("server", &pair.server.events[server..]);
}
