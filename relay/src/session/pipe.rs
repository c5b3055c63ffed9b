//! For tests: moves the frames of one [`Streams`] to another, all of them at once and in order. No RFC.

use quic_lite::Time;
use quic_lite::stream::Streams;
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::writer::Writer;

/// Writes, delivers and acknowledges until nothing is left; whether there was something.
pub(crate) fn transfer(from: &mut Streams, to: &mut Streams) -> bool {
    let mut moved = false;
    for _ in 0..10_000 {
        let Some((packet, sent)) = write(from) else {
            break;
        };
        moved = true;
        deliver_packet(to, &packet);
        sent.iter().for_each(|frame| from.on_acked(frame));
    }
    moved
}

/// What a packet carries, for its sender to be told that it arrived.
type Sent = Vec<quic_lite::recovery::sent_frame::SentFrame>;

/// The next packet's frames.
pub(crate) fn write(from: &mut Streams) -> Option<(Vec<u8>, Sent)> {
    let mut buffer = [0; 1200];
    let mut sent = Vec::new();
    let mut writer = Writer::new(&mut buffer);
    from.write_frames(&mut writer, &mut sent);
    let packet = writer.written().to_vec();
    (!packet.is_empty()).then_some((packet, sent))
}

/// Lets a packet's frames arrive.
pub(crate) fn deliver_packet(to: &mut Streams, packet: &[u8]) {
    for frame in frames(packet) {
        deliver(to, frame.expect("our own frame"));
    }
}

fn deliver(streams: &mut Streams, frame: Frame<'_>) {
    match frame {
        Frame::Stream(frame) => streams.on_stream(Time::ZERO, &frame),
        Frame::ResetStream(frame) => streams.on_reset_stream(&frame),
        Frame::StopSending(frame) => streams.on_stop_sending(&frame),
        Frame::MaxData(frame) => streams.on_max_data(&frame),
        Frame::MaxStreamData(frame) => streams.on_max_stream_data(&frame),
        Frame::MaxStreams(frame) => streams.on_max_streams(&frame),
        _ => Ok(()),
    }
    .expect("within the limits");
}
