//! A bounded walk over the frames of an opened 1-RTT packet (RFC 9000 §12.4, §19), which finds those that may
//! go on to others: STREAM frames of unidirectional streams and DATAGRAM frames (RFC 9221).
//!
//! Of all other frames only the length is of interest. One step of the walk costs little and is always the
//! same code, so that the kernel's verifier can follow [`STEPS`] of them.

use crate::integer::{bytes_at, varint};
use crate::scratch::Text;

/// Steps that a walk may take: one for a frame, for four integers of an ACK, for up to 32 bytes of PADDING.
pub const STEPS: usize = 64;

/// Where a walk stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Walk {
    /// Bytes walked over.
    pub at: u64,
    /// Bytes there are.
    pub len: u64,
    /// Integers still to be skipped.
    pub integers: u64,
    /// What follows them: zero, nothing; see `trailer`.
    pub trailer: u64,
}

/// A STREAM frame of a unidirectional stream, or a DATAGRAM frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Unit {
    /// Where it begins.
    pub at: u64,
    /// Where its data begins.
    pub data: u64,
    /// Where it ends.
    pub end: u64,
    /// Where the stream ID stands.
    pub id_at: u64,
    /// Its bytes; zero: a DATAGRAM frame.
    pub id_len: u64,
    /// The stream ID.
    pub id: u64,
    /// Where in the stream the data begins.
    pub offset: u64,
    /// One if it has FIN.
    pub fin: u64,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    More,
    /// A frame that may go on to others; go on.
    Unit(Unit),
    /// Nothing is left.
    End,
    /// This is not a sequence of frames.
    Malformed,
}

/// What follows the integers of a frame.
mod trailer {
    /// A length and so many bytes.
    pub(super) const DATA: u64 = 1;
    /// After that, eight bytes.
    pub(super) const EIGHT: u64 = 2;
    /// After that, sixteen bytes.
    pub(super) const SIXTEEN: u64 = 4;
    /// Before that: a count (of two integers each) and one more, as in ACK, but for its last ones.
    pub(super) const RANGES: u64 = 8;
    /// After the ranges: three integers.
    pub(super) const ECN: u64 = 16;
}

impl Walk {
    /// At the beginning of a payload of `len` bytes.
    pub const fn new(len: u64) -> Self {
        Self {
            at: 0,
            len,
            integers: 0,
            trailer: 0,
        }
    }

    /// Takes a step.
    #[inline(always)]
    pub fn step(&mut self, text: &Text) -> Step {
        if self.integers != 0 {
            self.skip_integers(text);
        } else if self.trailer != 0 {
            self.skip_trailer(text);
        } else if self.at == self.len {
            return Step::End;
        } else {
            return self.frame(text);
        }
        self.checked()
    }

    /// RFC 9000 §19: the next frame.
    #[inline(always)]
    fn frame(&mut self, text: &Text) -> Step {
        let bytes = bytes_at(text, self.at);
        let kind = bytes & 0xff;
        if kind == PADDING {
            self.skip_padding(text, bytes);
            return Step::More;
        }
        if kind & !7 == STREAM {
            return self.stream(text, kind);
        }
        if kind & !1 == DATAGRAM {
            return self.datagram(text, kind);
        }
        self.other(bytes);
        self.checked()
    }

    /// RFC 9000 §19.8.
    #[inline(always)]
    fn stream(&mut self, text: &Text, kind: u64) -> Step {
        let at = self.at;
        let id_at = at.wrapping_add(1);
        let id = varint(text, id_at);
        let mut data = id_at.wrapping_add(id.len);
        let mut offset = 0;
        if kind & OFF != 0 {
            let found = varint(text, data);
            offset = found.value;
            data = data.wrapping_add(found.len);
        }
        let Some((data, end)) = self.extent(text, data, kind & LEN != 0) else {
            return Step::Malformed;
        };
        self.at = end;
        // RFC 9000 §2.1: the second lowest bit says that it is unidirectional.
        if id.value & 2 == 0 {
            return Step::More;
        }
        Step::Unit(Unit {
            at,
            data,
            end,
            id_at,
            id_len: id.len,
            id: id.value,
            offset,
            fin: kind & FIN,
        })
    }

    /// RFC 9221 §4.
    #[inline(always)]
    fn datagram(&mut self, text: &Text, kind: u64) -> Step {
        let at = self.at;
        let Some((data, end)) = self.extent(text, at.wrapping_add(1), kind & 1 != 0) else {
            return Step::Malformed;
        };
        self.at = end;
        Step::Unit(Unit {
            at,
            data,
            end,
            ..Unit::default()
        })
    }

    /// Where data begins and ends, when its length or, without one, the data itself stands at `at`.
    #[inline(always)]
    fn extent(&self, text: &Text, at: u64, has_len: bool) -> Option<(u64, u64)> {
        if !has_len {
            return (at <= self.len).then_some((at, self.len));
        }
        let len = varint(text, at);
        let data = at.wrapping_add(len.len);
        let end = data.wrapping_add(len.value);
        (end <= self.len && data <= end).then_some((data, end))
    }

    /// All frames of which only the length matters.
    #[inline(always)]
    fn other(&mut self, bytes: u64) {
        let kind = bytes & 0xff;
        let (kind_len, integers, trailer) = match kind {
            // Two ACKs: largest and delay, then the count.
            0x02 => (1, 2, trailer::RANGES),
            0x03 => (1, 2, trailer::RANGES | trailer::ECN),
            0x06 => (1, 1, trailer::DATA),
            0x07 => (1, 0, trailer::DATA),
            // NEW_CONNECTION_ID: its length byte looks like an integer.
            0x18 => (1, 2, trailer::DATA | trailer::SIXTEEN),
            0x1a | 0x1b => (1, 0, trailer::EIGHT),
            0x1c => (1, 2, trailer::DATA),
            0x1d => (1, 1, trailer::DATA),
            0x01..=0x1f => (1, (INTEGERS >> (kind << 1)) & 3, 0),
            // ACK_FREQUENCY, draft-ietf-quic-ack-frequency: 0xaf in two bytes.
            0x40 if bytes & 0xffff == 0xaf40 => (2, 4, 0),
            _ => (u64::MAX >> 1, 0, 0),
        };
        self.at = self.at.wrapping_add(kind_len);
        self.integers = integers;
        self.trailer = trailer;
    }

    /// Up to four of them.
    #[inline(always)]
    fn skip_integers(&mut self, text: &Text) {
        for _ in 0..4 {
            if self.integers != 0 {
                let class = (bytes_at(text, self.at) >> 6) & 3;
                self.at = self.at.wrapping_add(1 << class);
                self.integers = self.integers.wrapping_sub(1);
            }
        }
    }

    /// RFC 9000 §19.3: count and first range, then two integers for each range. Otherwise a length and data.
    #[inline(always)]
    fn skip_trailer(&mut self, text: &Text) {
        let trailer = self.trailer;
        self.trailer = 0;
        if trailer & (trailer::RANGES | trailer::DATA) != 0 {
            let found = varint(text, self.at);
            self.at = self.at.wrapping_add(found.len);
            // More than a packet has room for is malformed; it must not wrap around either.
            let value = found.value.min(LONGEST);
            if trailer & trailer::RANGES != 0 {
                let ecn = (trailer & trailer::ECN) >> 3 | (trailer & trailer::ECN) >> 4;
                self.integers = value.wrapping_mul(2).wrapping_add(1).wrapping_add(ecn);
            } else {
                self.at = self.at.wrapping_add(value);
            }
        }
        let eights = (trailer & (trailer::EIGHT | trailer::SIXTEEN)) >> 1;
        self.at = self.at.wrapping_add(eights << 3);
    }

    /// RFC 9000 §19.1: many at once.
    #[inline(always)]
    fn skip_padding(&mut self, text: &Text, first: u64) {
        let next = |bytes: u64| bytes_at(text, self.at.wrapping_add(bytes));
        let skipped = if first != 0 {
            1
        } else if (next(8) | next(16) | next(24)) != 0 {
            8
        } else {
            32
        };
        self.at = self.at.wrapping_add(skipped).min(self.len);
    }

    #[inline(always)]
    fn checked(&self) -> Step {
        if self.at <= self.len {
            Step::More
        } else {
            Step::Malformed
        }
    }
}

const PADDING: u64 = 0x00;
/// STREAM, and its flags.
const STREAM: u64 = 0x08;
const OFF: u64 = 4;
const LEN: u64 = 2;
const FIN: u64 = 1;
const DATAGRAM: u64 = 0x30;
/// Larger than any packet.
const LONGEST: u64 = 1 << 16;

/// How many integers a frame has, two bits for each type: RESET_STREAM 3, STOP_SENDING 2, MAX_DATA 1,
/// MAX_STREAM_DATA 2, MAX_STREAMS 1 (twice), DATA_BLOCKED 1, STREAM_DATA_BLOCKED 2, STREAMS_BLOCKED 1 (twice),
/// RETIRE_CONNECTION_ID 1; PING, HANDSHAKE_DONE and IMMEDIATE_ACK none.
const INTEGERS: u64 = 3 << 8
    | 2 << 10
    | 1 << 32
    | 2 << 34
    | 1 << 36
    | 1 << 38
    | 1 << 40
    | 2 << 42
    | 1 << 44
    | 1 << 46
    | 1 << 50;

#[cfg(test)]
#[path = "frames/tests.rs"]
mod tests;
