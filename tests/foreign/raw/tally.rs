//! What a subscriber got, and whether that is all; the same figures for what a publisher sent. No RFC.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::message::{Counts, Kind, Message, decode, hash, hex};

/// Messages by index.
#[derive(Debug, Default)]
pub struct Tally {
    streams: BTreeMap<u32, [u8; 32]>,
    datagrams: BTreeMap<u32, [u8; 32]>,
    bytes: u64,
    /// Messages that are not what anybody sent.
    pub altered: u64,
    /// Messages that had come already.
    pub doubled: u64,
    /// Streams that were reset.
    pub reset: u64,
    end: Option<Counts>,
    last: Option<Instant>,
}

impl Tally {
    /// A stream came to its end, or a datagram came.
    pub fn take(&mut self, bytes: &[u8], is_datagram: bool) {
        self.last = Some(Instant::now());
        match decode(bytes) {
            Some(Message::Data(kind, index)) if (kind == Kind::Datagram) == is_datagram => self.add(kind, index, bytes),
            Some(Message::End(counts)) if !is_datagram => self.end = Some(counts),
            _ => self.altered += 1,
        }
    }

    /// A message that is known to be good.
    pub fn add(&mut self, kind: Kind, index: u32, bytes: &[u8]) {
        let of_kind = if kind == Kind::Datagram { &mut self.datagrams } else { &mut self.streams };
        match of_kind.insert(index, hash(bytes)) {
            Some(_) => self.doubled += 1,
            None => self.bytes += bytes.len() as u64,
        }
    }

    /// How many streams and datagrams there are.
    pub fn counts(&self) -> Counts {
        Counts { streams: self.streams.len() as u32, datagrams: self.datagrams.len() as u32 }
    }

    /// Whether nothing is missing, or nothing has come for so long that nothing will: of datagrams for `quiet`, of streams,
    /// which are sent again, for `silence`.
    pub fn is_over(&self, quiet: Duration, silence: Duration) -> bool {
        let Some((end, last)) = self.end.zip(self.last) else {
            return false;
        };
        let has = self.counts();
        has == end || last.elapsed() > silence || (has.streams == end.streams && last.elapsed() > quiet)
    }

    /// As one object.
    pub fn json(&self, event: &str) -> Value {
        let sum = |of_kind: &BTreeMap<u32, [u8; 32]>| {
            let all: Vec<u8> = of_kind.values().flatten().copied().collect();
            hex(&hash(&all))
        };
        json!({
            "event": event,
            "streams": self.streams.len(),
            "streams_sha256": sum(&self.streams),
            "datagrams": self.datagrams.len(),
            "datagrams_sha256": sum(&self.datagrams),
            "bytes": self.bytes,
            "altered": self.altered,
            "doubled": self.doubled,
            "reset": self.reset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{encode, encode_end};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn order_does_not_matter_and_nothing_is_counted_twice() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        let messages: Vec<Vec<u8>> = (0..5).map(|index| encode(Kind::Stream, index, 50)).collect();
        messages.iter().for_each(|bytes| one.take(bytes, false));
        messages.iter().rev().for_each(|bytes| other.take(bytes, false));
        assert_eq!(one.json("x"), other.json("x"));
        other.take(&messages[0], false);
        other.take(&messages[0], true);
        assert_eq!((other.doubled, other.altered, other.counts().streams), (1, 1, 5));
        assert!(!one.is_over(Duration::ZERO, Duration::ZERO));
        one.take(&encode_end(one.counts()), false);
        assert!(one.is_over(LONG, LONG));
        one.take(&encode_end(Counts { datagrams: 1, ..one.counts() }), false);
        assert!(!one.is_over(LONG, LONG) && one.is_over(Duration::ZERO, LONG));
        one.take(&encode_end(Counts { streams: 6, datagrams: 0 }), false);
        assert!(!one.is_over(Duration::ZERO, LONG) && one.is_over(Duration::ZERO, Duration::ZERO));
    }
}
