//! Scene of chapter 10: a NAT gives the client another port in the middle of a connection. RFC 9000 §9.

use std::time::Duration;

use integration::network::address;
use integration::{FileClient, FileServer};

use super::network::{print_events, print_packets, scenario};

pub fn play() {
    let mut pair = scenario().start(FileClient::staying([10]), FileServer::default());
    pair.run(Duration::from_secs(1));
    pair.run_for(Duration::from_millis(600));
    let (packets, events) = (pair.tap.packets.len(), pair.server.events.len());

    println!("the NAT forgets the client's port; the client asks for another file\n");
    pair.network.rebind(address(2, 50_000));
    pair.client.app.want(10);
    pair.client.connection_mut().expect("it is open").ping();
    pair.run_for(Duration::from_millis(600));
    print_packets(&pair, packets);
    println!();
    print_events("server", &pair.server.events[events..]);
}
