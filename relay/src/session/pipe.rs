//! For tests: moves the frames of one [`Streams`] to another, all of them at once and in order. No RFC.

use quic_lite::Time;
use quic_lite::stream::Streams;
use quic_lite::wire::frame::{Frame, frames};
use quic_lite::wire::writer::Writer;

/// Writes, delivers and acknowledges until nothing is left; whether there was something.
pub(crate) fn transfer(from: &mut Streams, to: &mut Streams) -> bool {
    let mut moved = false;
    for _ in 0..10_000 {
        let mut buffer = [0; 1200];
        let mut sent = Vec::new();
        let mut writer = Writer::new(&mut buffer);
        from.write_frames(&mut writer, &mut sent);
        let len = writer.written().len();
        if len == 0 {
            break;
        }
        moved = true;
        for frame in frames(&buffer[..len]) {
            deliver(to, frame.expect("our own frame"));
        }
        sent.iter().for_each(|frame| from.on_acked(frame));
    }
    moved
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
