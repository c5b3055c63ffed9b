//! The CRYPTO stream of one packet number space (RFC 9000 §7.5, §19.6): bytes in order for TLS, and TLS'
//! bytes until they are acknowledged.
//!
//! Promise: what a peer sends ahead of a hole takes bounded memory, never memory up to its offset.

use std::collections::BTreeMap;

use crate::error::{TransportError, TransportErrorCode};
use crate::limits;
use crate::range_set::RangeSet;
use crate::recovery::SentFrame;
use crate::wire::frame::crypto::Crypto;
use crate::wire::frame::{Frame, frame_type};
use crate::wire::varint;
use crate::wire::writer::Writer;

/// Received CRYPTO bytes, put in order.
#[derive(Debug, Default)]
pub struct CryptoReceive {
    read: u64,
    ahead: BTreeMap<u64, Vec<u8>>,
    ahead_bytes: usize,
}

impl CryptoReceive {
    /// Takes a frame; `deliver` gets each run of bytes that is next in order.
    pub fn on_frame(
        &mut self,
        frame: &Crypto<'_>,
        mut deliver: impl FnMut(&[u8]) -> Result<(), TransportError>,
    ) -> Result<(), TransportError> {
        if frame.offset > self.read {
            return self.keep(frame);
        }
        self.deliver(frame.offset, frame.data, &mut deliver)?;
        while let Some((offset, bytes)) = self.ahead.pop_first() {
            if offset > self.read {
                self.ahead.insert(offset, bytes);
                break;
            }
            self.ahead_bytes -= bytes.len();
            self.deliver(offset, &bytes, &mut deliver)?;
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        offset: u64,
        bytes: &[u8],
        deliver: &mut impl FnMut(&[u8]) -> Result<(), TransportError>,
    ) -> Result<(), TransportError> {
        let known = usize::try_from(self.read - offset).unwrap_or(usize::MAX);
        let fresh = bytes.get(known..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(());
        }
        self.read += fresh.len() as u64;
        deliver(fresh)
    }

    fn keep(&mut self, frame: &Crypto<'_>) -> Result<(), TransportError> {
        let end = frame.offset.saturating_add(frame.data.len() as u64);
        let longer = self
            .ahead
            .get(&frame.offset)
            .is_none_or(|old| old.len() < frame.data.len());
        if frame.data.is_empty() || !longer {
            return Ok(());
        }
        let bytes = self.ahead_bytes + frame.data.len();
        // RFC 9000 §7.5: at least 4096 bytes must fit; what is far ahead or in crumbs is an attack.
        if end - self.read > limits::CRYPTO_AHEAD
            || bytes > limits::CRYPTO_BUFFERED
            || self.ahead.len() >= limits::CRYPTO_PIECES
        {
            let reason = "more CRYPTO data than is buffered";
            return Err(TransportError::new(
                TransportErrorCode::CRYPTO_BUFFER_EXCEEDED,
                frame_type::CRYPTO,
                reason,
            ));
        }
        let old = self.ahead.insert(frame.offset, frame.data.to_vec());
        self.ahead_bytes = bytes - old.map_or(0, |old| old.len());
        Ok(())
    }

    /// Bytes and pieces that wait behind holes.
    pub fn kept(&self) -> (usize, usize) {
        (self.ahead_bytes, self.ahead.len())
    }

    /// Whether bytes wait behind a hole. TLS moving on with such bytes left is a violation.
    pub fn has_gap(&self) -> bool {
        !self.ahead.is_empty()
    }
}

/// CRYPTO bytes to send, and those sent but not acknowledged.
#[derive(Debug, Default)]
pub struct CryptoSend {
    /// Offset of the first byte in `bytes`; all before it is acknowledged.
    base: u64,
    bytes: Vec<u8>,
    pending: RangeSet,
    acked: RangeSet,
}

impl CryptoSend {
    /// Appends what TLS wrote.
    pub fn write(&mut self, bytes: &[u8]) {
        let start = self.end();
        self.bytes.extend_from_slice(bytes);
        self.pending.insert(start..self.end());
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Whether bytes wait to be sent.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes as many frames as fit.
    pub fn write_frames(&mut self, out: &mut Writer<'_>, sent: &mut Vec<SentFrame>) {
        while let Some(range) = self.pending.first() {
            let Some(room) = data_that_fits(range.start, out.remaining()) else {
                return;
            };
            let len = (range.end - range.start).min(room);
            let from = usize::try_from(range.start - self.base).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
            let Some(data) = self.bytes.get(from..to) else {
                return;
            };
            if Frame::Crypto(Crypto {
                offset: range.start,
                data,
            })
            .encode(out)
            .is_err()
            {
                return;
            }
            self.pending.remove(range.start..range.start + len);
            sent.push(SentFrame::Crypto {
                offset: range.start,
                len,
            });
        }
    }

    /// The peer has these bytes. All bytes acknowledged: the memory is given back.
    pub fn on_acked(&mut self, offset: u64, len: u64) {
        self.acked.insert(offset..offset + len);
        self.pending.remove(offset..offset + len);
        if self.acked.contains_range(&(self.base..self.end())) {
            self.base = self.end();
            self.bytes = Vec::new();
            self.acked.clear();
        }
    }

    /// These bytes were lost: what is not acknowledged otherwise is sent again.
    pub fn on_lost(&mut self, offset: u64, len: u64) {
        let lost = offset.max(self.base)..(offset + len).min(self.end());
        if lost.is_empty() {
            return;
        }
        let gaps: Vec<_> = self.acked.gaps(lost).collect();
        for gap in gaps {
            self.pending.insert(gap);
        }
    }

    /// Everything not acknowledged is sent again, after a Retry.
    pub fn resend_all(&mut self) {
        self.on_lost(self.base, self.bytes.len() as u64);
    }
}

/// How many bytes a CRYPTO frame in `room` can carry; `None` when it would carry none.
fn data_that_fits(offset: u64, room: usize) -> Option<u64> {
    let header = 1 + varint::size(offset);
    let room = room.checked_sub(header)? as u64;
    let data = room.checked_sub(varint::size(room) as u64)?;
    (data > 0).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(
        crypto: &mut CryptoReceive,
        offset: u64,
        data: &[u8],
    ) -> Result<Vec<u8>, TransportError> {
        let mut got = Vec::new();
        crypto.on_frame(&Crypto { offset, data }, |bytes| {
            got.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(got)
    }

    #[test]
    fn bytes_are_delivered_once_and_in_order() {
        let mut crypto = CryptoReceive::default();
        assert_eq!(receive(&mut crypto, 4, b"efgh").unwrap(), b"");
        assert_eq!(receive(&mut crypto, 2, b"cdef").unwrap(), b"");
        assert!(crypto.has_gap());
        assert_eq!(receive(&mut crypto, 0, b"abc").unwrap(), b"abcdefgh");
        assert_eq!(receive(&mut crypto, 0, b"abcdefghi").unwrap(), b"i");
        assert!(!crypto.has_gap());
        assert_eq!((crypto.read, crypto.ahead_bytes), (9, 0));
    }

    #[test]
    fn far_offsets_and_crumbs_are_refused() {
        let exceeded = TransportErrorCode::CRYPTO_BUFFER_EXCEEDED;
        let mut crypto = CryptoReceive::default();
        assert_eq!(
            receive(&mut crypto, 1 << 61, b"x").unwrap_err().code,
            exceeded
        );
        assert!(receive(&mut crypto, limits::CRYPTO_AHEAD - 1, b"x").is_ok());
        let crumbs = (1..1000).try_for_each(|at| receive(&mut crypto, at * 2, b"x").map(drop));
        assert_eq!(crumbs.unwrap_err().code, exceeded);
        assert!(crypto.ahead.len() <= limits::CRYPTO_PIECES);
    }

    #[test]
    fn lost_bytes_are_sent_again_unless_acknowledged() {
        let (mut crypto, mut sent, mut buffer) = (CryptoSend::default(), Vec::new(), [0; 64]);
        crypto.write(&[7; 100]);
        while crypto.has_pending() {
            crypto.write_frames(&mut Writer::new(&mut buffer[..40]), &mut sent);
        }
        let total: u64 = sent
            .iter()
            .map(|frame| {
                if let SentFrame::Crypto { len, .. } = frame {
                    *len
                } else {
                    0
                }
            })
            .sum();
        assert_eq!(total, 100);
        crypto.on_acked(10, 20);
        crypto.on_lost(0, 40);
        assert_eq!(crypto.pending.iter().collect::<Vec<_>>(), [0..10, 30..40]);
        crypto.on_acked(0, 100);
        assert!(!crypto.has_pending() && crypto.bytes.capacity() == 0);
        crypto.on_lost(0, 100);
        assert!(!crypto.has_pending());
    }

    #[test]
    fn a_frame_fills_its_room() {
        for room in 4..200_usize {
            let (mut crypto, mut sent, mut buffer) = (CryptoSend::default(), Vec::new(), [0; 200]);
            crypto.write(&[1; 300]);
            let mut out = Writer::new(&mut buffer[..room]);
            crypto.write_frames(&mut out, &mut sent);
            assert!(out.remaining() <= 3, "{room}");
        }
    }
}
