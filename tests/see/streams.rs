//! Scene of chapter 7: two ends of a connection's streams, with frames handed over by hand. RFC 9000 §2–§4.

use quic_lite::recovery::SentFrame;
use quic_lite::stream::{Read, StreamConfig, Streams};
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::transport_parameters::TransportParameters;
use quic_lite::wire::writer::Writer;
use quic_lite::{Dir, Side, StreamId, Time};

pub fn play() {
    let mut client = Streams::new(Side::Client, &config());
    let mut server = Streams::new(Side::Server, &config());
    client.set_peer_parameters(&parameters());
    server.set_peer_parameters(&parameters());

    println!("the client writes 16 bytes on a new stream; the server allows 10");
    let id = client.open(Dir::Uni).expect("the peer allows one stream");
    client
        .write(id, b"0123456789abcdef")
        .expect("within the send buffer");
    client.finish(id).expect("not finished before");
    let first = carry("client", &mut client, &mut server);
    state(&client, &server, id);

    println!("\nthe server reads, and allows more");
    let mut buffer = [0; 32];
    while let Ok(Read::Bytes(n)) = server.read(id, &mut buffer) {
        println!("  read {:?}", String::from_utf8_lossy(&buffer[..n]));
    }
    carry("server", &mut server, &mut client);
    let second = carry("client", &mut client, &mut server);
    state(&client, &server, id);

    println!("\nthe first packet is reported lost although it arrived; the second is acknowledged");
    second.iter().for_each(|frame| client.on_acked(frame));
    first.iter().for_each(|frame| client.on_lost(frame));
    let again = carry("client", &mut client, &mut server);
    again.iter().for_each(|frame| client.on_acked(frame));
    println!(
        "  read {:?}",
        server.read(id, &mut buffer).expect("the stream is known")
    );
    println!(
        "  read {:?}",
        server.read(id, &mut buffer).expect("the stream is known")
    );
    state(&client, &server, id);
}

/// Moves what one side has to send to the other, packet by packet, and prints it.
fn carry(name: &str, from: &mut Streams, to: &mut Streams) -> Vec<SentFrame> {
    let mut sent = Vec::new();
    while from.has_pending() {
        let mut buffer = [0; 1200];
        let mut out = Writer::new(&mut buffer);
        from.write_frames(&mut out, &mut sent);
        for frame in frames(out.written()) {
            let frame = frame.expect("our own frames are well formed");
            println!("  {name}: {frame}");
            match frame {
                Frame::Stream(frame) => to.on_stream(Time::ZERO, &frame),
                Frame::MaxStreamData(frame) => to.on_max_stream_data(&frame),
                Frame::StreamDataBlocked(frame) => to.on_stream_data_blocked(&frame),
                other => unreachable!("{other}"),
            }
            .expect("both keep to the limits");
        }
    }
    sent
}

fn state(client: &Streams, server: &Streams, id: StreamId) {
    let name = |state: Option<String>| state.unwrap_or("forgotten".into());
    let sending = client.send_state(id).map(|state| format!("{state:?}"));
    let receiving = server.recv_state(id).map(|state| format!("{state:?}"));
    println!(
        "  sending part {}, receiving part {}",
        name(sending),
        name(receiving)
    );
}

fn config() -> StreamConfig {
    StreamConfig {
        stream_window: 10,
        max_stream_window: 10,
        ..StreamConfig::default()
    }
}

fn parameters() -> TransportParameters {
    TransportParameters {
        initial_max_data: 1000,
        initial_max_stream_data_uni: 10,
        initial_max_streams_uni: 1,
        ..TransportParameters::default()
    }
}
