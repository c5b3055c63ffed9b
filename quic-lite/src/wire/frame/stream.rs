//! STREAM frame (RFC 9000 §19.8): bytes of a stream at an offset.
//! Promise: `offset + data` of a parsed frame is at most 2^62-1.

use super::frame_type;
use crate::wire::error::{WireErrorKind, ensure};
use crate::wire::stream_id::StreamId;
use crate::wire::writer::{Full, Writer};
use crate::wire::{PResult, bytes, varint};
use core::fmt;
use nom::Parser;
use nom::combinator::cond;

/// Bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream<'a> {
    /// Which stream.
    pub stream_id: StreamId,
    /// Where in the stream `data` starts.
    pub offset: u64,
    /// Whether `data` ends at the stream's final size.
    pub fin: bool,
    /// The bytes.
    pub data: &'a [u8],
}

const OFF: u64 = 0x04;
const LEN: u64 = 0x02;
const FIN: u64 = 0x01;

impl<'a> Stream<'a> {
    pub(super) fn parse(i: &'a [u8], frame_type: u64) -> PResult<'a, Self> {
        let (i, stream_id) = StreamId::parse(i)?;
        let (i, offset) = cond(frame_type & OFF != 0, varint::parse).parse(i)?;
        let (i, length) = cond(frame_type & LEN != 0, varint::parse).parse(i)?;
        // Without a length the frame reaches to the end of the packet.
        let (i, data) = match length {
            Some(length) => bytes(length)(i)?,
            None => (&[][..], i),
        };
        let offset = offset.unwrap_or(0);
        ensure(fits(offset, data.len()), WireErrorKind::OffsetTooLarge)?;
        Ok((
            i,
            Self {
                stream_id,
                offset,
                fin: frame_type & FIN != 0,
                data,
            },
        ))
    }

    /// Writes the frame; without `length` it must be the last of its packet.
    pub fn encode_with(&self, length: bool, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            let length = length.then_some(self.data.len());
            encode_header(self.stream_id, self.offset, self.fin, length, out)?;
            out.put(self.data)
        })
    }

    /// Where `data` ends.
    pub fn end(&self) -> u64 {
        let length = u64::try_from(self.data.len()).unwrap_or(u64::MAX);
        self.offset.saturating_add(length)
    }

    pub(super) const fn frame_type(&self, length: bool) -> u64 {
        stream_type(self.offset, length, self.fin)
    }
}

/// Writes a STREAM frame up to its data, which the caller writes behind: `length` bytes of it, or all
/// of the packet's rest.
pub fn encode_header(
    stream_id: StreamId,
    offset: u64,
    fin: bool,
    length: Option<usize>,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    out.atomically(|out| {
        out.varint(stream_type(offset, length.is_some(), fin))?;
        out.varint(stream_id.value())?;
        if offset != 0 {
            out.varint(offset)?;
        }
        length.map_or(Ok(()), |length| {
            out.varint(u64::try_from(length).map_err(|_| Full)?)
        })
    })
}

/// How many bytes of data a frame with a length field can carry in `room` bytes; `None` when not even
/// its header fits.
pub fn data_that_fits(stream_id: StreamId, offset: u64, room: usize) -> Option<usize> {
    let offset_len = if offset == 0 { 0 } else { varint::size(offset) };
    let before_length = varint::size(stream_id.value())
        .saturating_add(offset_len)
        .saturating_add(1);
    let room = room.checked_sub(before_length)?;
    // RFC 9000 §16: how much data each size of length field can announce.
    [(1, 0x3f), (2, 0x3fff), (4, 0x3fff_ffff)]
        .into_iter()
        .filter_map(|(length_len, most)| room.checked_sub(length_len).map(|data| data.min(most)))
        .max()
}

const fn stream_type(offset: u64, length: bool, fin: bool) -> u64 {
    let off = if offset == 0 { 0 } else { OFF };
    let len = if length { LEN } else { 0 };
    frame_type::STREAM | off | len | fin as u64
}

/// RFC 9000 §19.6, §19.8: the end of the data is at most 2^62-1.
pub(super) fn fits(offset: u64, length: usize) -> bool {
    let end = u64::try_from(length)
        .ok()
        .and_then(|length| offset.checked_add(length));
    end.is_some_and(|end| end <= varint::MAX)
}

impl fmt::Display for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, offset, length) = (self.stream_id, self.offset, self.data.len());
        write!(
            f,
            "STREAM id={id} ({} {}) offset={offset} length={length}",
            id.initiator(),
            id.dir()
        )?;
        f.write_str(if self.fin { " fin" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Frame;
    use alloc::vec::Vec;

    fn id(value: u64) -> StreamId {
        StreamId::from_value(value).unwrap()
    }

    #[test]
    fn each_of_the_eight_types_has_its_fields() {
        let frame = |offset, fin| Stream {
            stream_id: id(4),
            offset,
            fin,
            data: b"hi",
        };
        let cases: [(&[u8], Stream<'_>); 8] = [
            (&[0x08, 4, b'h', b'i'], frame(0, false)),
            (&[0x09, 4, b'h', b'i'], frame(0, true)),
            (&[0x0a, 4, 2, b'h', b'i'], frame(0, false)),
            (&[0x0b, 4, 2, b'h', b'i'], frame(0, true)),
            (&[0x0c, 4, 7, b'h', b'i'], frame(7, false)),
            (&[0x0d, 4, 7, b'h', b'i'], frame(7, true)),
            (&[0x0e, 4, 7, 2, b'h', b'i'], frame(7, false)),
            (&[0x0f, 4, 7, 2, b'h', b'i'], frame(7, true)),
        ];
        for (bytes, frame) in cases {
            assert_eq!(Frame::parse(bytes), Ok((&[][..], Frame::Stream(frame))));
            let mut buffer = [0; 8];
            let mut out = Writer::new(&mut buffer);
            frame.encode_with(bytes[0] & 2 != 0, &mut out).unwrap();
            assert_eq!(out.written(), bytes);
        }
    }

    #[test]
    fn an_explicit_offset_of_zero_is_legal() {
        let (_, frame) = Frame::parse(&[0x0e, 4, 0, 1, 9]).unwrap();
        assert_eq!(
            frame,
            Frame::Stream(Stream {
                stream_id: id(4),
                offset: 0,
                fin: false,
                data: &[9]
            })
        );
    }

    #[test]
    fn data_may_end_at_the_largest_offset_but_not_beyond() {
        let mut frame = Vec::from([0x0c, 0]);
        frame.extend([0xff; 8]);
        assert!(Frame::parse(&frame).is_ok());
        let largest = Stream {
            stream_id: id(0),
            offset: varint::MAX - 2,
            fin: false,
            data: b"hi",
        };
        assert_eq!(largest.end(), varint::MAX);
        frame.push(0);
        assert_eq!(
            Frame::parse(&frame).unwrap_err().kind,
            WireErrorKind::OffsetTooLarge
        );
    }

    #[test]
    fn the_data_said_to_fit_leaves_no_room_for_one_byte_more() {
        let frames = [(id(0), 0), (id(64), 64), (id(1 << 40), 1 << 40)];
        let rooms = (0..300).chain(16_370..16_420);
        for (room, (stream_id, offset)) in rooms.flat_map(|room| frames.map(|frame| (room, frame)))
        {
            let fits = data_that_fits(stream_id, offset, room);
            assert!(fits.is_none_or(|length| has_room(stream_id, offset, length, room)));
            let more = fits.map_or(0, |length| length + 1);
            assert!(!has_room(stream_id, offset, more, room));
        }
    }

    fn has_room(stream_id: StreamId, offset: u64, length: usize, room: usize) -> bool {
        let frame = Stream {
            stream_id,
            offset,
            fin: false,
            data: &[0; 16_500][..length],
        };
        frame
            .encode_with(true, &mut Writer::new(&mut [0; 16_500][..room]))
            .is_ok()
    }
}
