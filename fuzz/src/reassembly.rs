//! The receiving part of streams (RFC 9000 §2.2, §4) against an array of bytes.

use std::collections::BTreeMap;

use quic_lite::stream::{Read, ReadChunk, StreamConfig, StreamError, Streams};
use quic_lite::wire::frame::{ResetStream, Stream};
use quic_lite::{Dir, Side, StreamId, Time};

use crate::bytes::Script;

/// What a stream should be.
#[derive(Default)]
struct Model {
    /// The first byte that came for each offset.
    bytes: Vec<Option<u8>>,
    /// Which of them were given out.
    given: Vec<bool>,
    final_size: Option<u64>,
    reset: bool,
    is_over: bool,
}

/// Frames of a few streams, and reads between them. Every byte is given out once, as it first came; an error is
/// an error of the model, too; what is kept is no more than was let in.
pub fn reassembly(data: &[u8]) {
    let mut script = Script::new(data);
    let unordered = script.byte() & 1 == 1;
    let config = StreamConfig {
        connection_window: CONNECTION,
        max_connection_window: CONNECTION,
        stream_window: WINDOW,
        max_stream_window: WINDOW,
        max_streams_bidi: STREAMS,
        max_streams_uni: STREAMS,
        send_buffer: 1000,
    };
    let mut streams = Streams::new(Side::Server, &config);
    let mut models = BTreeMap::new();
    while let Some(step) = script.step() {
        let dir = if step & 0x40 == 0 { Dir::Uni } else { Dir::Bi };
        let id = StreamId::new(Side::Client, dir, u64::from(step >> 3 & 7));
        let ok = match step & 7 {
            0..=3 => frame(&mut script, &mut streams, &mut models, (id, step & 3 == 3)),
            4 => reset(&mut script, &mut streams, &mut models, id),
            _ => {
                read(&mut script, &mut streams, &mut models, (id, unordered));
                true
            }
        };
        // Once a frame was refused its connection is at its end.
        assert!(!ok || streams.audit() == Ok(()), "{:?}", streams.audit());
        if !ok {
            // The connection ends; only reading goes on, and must not fail.
            return;
        }
        while streams.poll_event().is_some() {}
    }
}

fn frame(
    script: &mut Script<'_>,
    streams: &mut Streams,
    models: &mut BTreeMap<StreamId, Model>,
    (stream_id, fin): (StreamId, bool),
) -> bool {
    let (offset, len, salt) = (script.integer(), script.byte(), script.byte());
    let data: Vec<u8> = (0..len).map(|at| at.wrapping_mul(31) ^ salt).collect();
    let end = offset.saturating_add(data.len() as u64);
    // RFC 9000 §19.8: what is beyond this does not parse.
    if end >= 1 << 62 {
        return true;
    }
    let allowed = may_receive(models, stream_id, end, fin);
    let frame = Stream {
        stream_id,
        offset,
        fin,
        data: &data,
    };
    let taken = streams.on_stream(Time::ZERO, &frame).is_ok();
    // Windows grow by what was read: more may be allowed than the model allows.
    assert!(taken || !allowed, "{frame:?} refused");
    if !taken {
        return false;
    }
    let model = models.entry(stream_id).or_default();
    if model.is_over {
        // Forgotten: what still comes of it means nothing.
        return true;
    }
    assert!(end <= REACH, "{frame:?} taken");
    if fin {
        model.final_size = Some(end);
    }
    let known = model.bytes.len().max(end as usize);
    model.bytes.resize(known, None);
    model.given.resize(known, false);
    for (slot, byte) in model.bytes[offset as usize..].iter_mut().zip(&data) {
        slot.get_or_insert(*byte);
    }
    true
}

/// Whether the limits and the final size surely let a frame in.
fn may_receive(models: &BTreeMap<StreamId, Model>, id: StreamId, end: u64, fin: bool) -> bool {
    let used: usize = models.values().map(|model| model.bytes.len()).sum();
    let Some(model) = models.get(&id) else {
        return id.index() < STREAMS && end <= WINDOW && used as u64 + end <= CONNECTION;
    };
    let more = (end as usize).saturating_sub(model.bytes.len());
    let fits = match model.final_size {
        Some(size) => end <= size && (!fin || end == size),
        None => !fin || end as usize >= model.bytes.len(),
    };
    fits && end <= WINDOW && (used + more) as u64 <= CONNECTION
}

fn reset(
    script: &mut Script<'_>,
    streams: &mut Streams,
    models: &mut BTreeMap<StreamId, Model>,
    stream_id: StreamId,
) -> bool {
    let final_size = script.integer();
    let allowed = may_receive(models, stream_id, final_size, true);
    let frame = ResetStream {
        stream_id,
        application_error_code: 7,
        final_size,
    };
    let taken = streams.on_reset_stream(&frame).is_ok();
    assert!(taken || !allowed, "{frame:?} refused");
    if !taken {
        return false;
    }
    let model = models.entry(stream_id).or_default();
    if model.is_over {
        return true;
    }
    assert!(final_size <= REACH, "{frame:?} taken");
    let known = model.bytes.len().max(final_size as usize);
    model.bytes.resize(known, None);
    model.given.resize(known, false);
    model.final_size = Some(final_size);
    model.reset = true;
    true
}

fn read(
    script: &mut Script<'_>,
    streams: &mut Streams,
    models: &mut BTreeMap<StreamId, Model>,
    (id, unordered): (StreamId, bool),
) {
    let most = usize::from(script.byte());
    let Some(model) = models.get_mut(&id) else {
        return assert_eq!(streams.read(id, &mut [0]), Err(StreamError::UnknownStream));
    };
    if unordered || most & 1 == 1 {
        let read = match unordered {
            true => streams.read_unordered(id),
            false => streams.read_chunk(id),
        };
        return match read {
            Ok(ReadChunk::Chunk { offset, chunk }) => {
                assert!(!chunk.is_empty());
                model.give(offset as usize, &chunk, unordered);
            }
            Ok(ReadChunk::Blocked) => model.blocked(),
            Ok(ReadChunk::Finished) => model.finished(),
            Ok(ReadChunk::Reset(code)) => model.was_reset(code),
            Err(error) => model.refused(error),
        };
    }
    let mut buffer = vec![0; most];
    let at = model.given.iter().take_while(|given| **given).count();
    match streams.read(id, &mut buffer) {
        Ok(Read::Bytes(len)) => model.give(at, &buffer[..len], false),
        Ok(Read::Blocked) if most == 0 => {}
        Ok(Read::Blocked) => model.blocked(),
        Ok(Read::Finished) => model.finished(),
        Ok(Read::Reset(code)) => model.was_reset(code),
        Err(error) => model.refused(error),
    }
}

impl Model {
    fn give(&mut self, offset: usize, bytes: &[u8], unordered: bool) {
        if !unordered {
            assert!(self.given[..offset].iter().all(|given| *given));
        }
        for (at, byte) in bytes.iter().enumerate() {
            assert!(!self.given[offset + at], "given twice");
            assert_eq!(self.bytes[offset + at], Some(*byte));
            self.given[offset + at] = true;
        }
    }

    /// Nothing more can be given: the next byte has not come, and the end has not come either.
    fn blocked(&self) {
        let next = self.given.iter().take_while(|given| **given).count();
        assert!(self.bytes.get(next).is_none_or(|byte| byte.is_none()));
        assert!(!self.reset && self.final_size != Some(next as u64));
    }

    fn finished(&mut self) {
        assert_eq!(self.final_size, Some(self.bytes.len() as u64));
        assert!(self.given.iter().all(|given| *given) && !self.is_over);
        self.is_over = true;
    }

    fn was_reset(&mut self, code: u64) {
        assert!(self.reset && code == 7 && !self.is_over);
        self.is_over = true;
    }

    fn refused(&self, error: StreamError) {
        assert!(
            self.is_over && error == StreamError::UnknownStream,
            "{error:?}"
        );
    }
}

/// Streams of each direction, and their windows.
const STREAMS: u64 = 5;
const WINDOW: u64 = 2_000;
const CONNECTION: u64 = 5_000;
/// No offset is let in beyond this: windows do not grow beyond their first size ahead of what was read.
const REACH: u64 = 100_000;
