//! What the programs are to make of an opened packet, said once more and plainly: with slices, vectors and
//! without a thought for the verifier (RFC 9000 §12.4 and §19, RFC 9221, draft-ietf-moq-transport-18 §11).

use std::collections::HashMap;

use relay_ebpf_loader::verdict::Reason;
use relay_ebpf_loader::{Engine, Twin};

/// A frame that may go on.
#[derive(Clone, Debug)]
struct Unit {
    start: usize,
    end: usize,
    /// Where ID and alias stand, if they do, and with how many bytes.
    id: Option<(usize, usize)>,
    alias: Option<(usize, usize)>,
    /// The stream's index at the publisher.
    stream: u64,
    /// `Some`: it begins, in this group.
    group: Option<u64>,
}

/// The kernel's memory of one publisher and one subscriber.
#[derive(Debug, Default)]
pub struct Reference {
    /// The publisher's streams, in 256 places: which, and its track, if it is one that is known.
    streams: HashMap<u64, (u64, Option<u64>)>,
    /// Their IDs at the subscriber.
    ids: HashMap<u64, u64>,
    opened: u64,
}

/// Of the one subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub groups: (u64, u64),
    /// The alias that it knows the track by.
    pub alias: Option<u64>,
}

impl Reference {
    /// The payload of the copy, if there is one. `tracks`: by alias.
    pub fn copy(&mut self, payload: &[u8], tracks: &[(u64, u64)], wish: &Wish) -> Option<Vec<u8>> {
        // One track, the first; the subscriber is a member of track 0 only.
        let (mut chosen, mut units) = (None, Vec::new());
        let mut at = 0;
        while at < payload.len() {
            let (end, data) = frame(payload, at)?;
            if let Some(data) = data
                && let Some((track, unit)) = self.classify(payload, (at, end), data, tracks)
                && *chosen.get_or_insert(track) == track
            {
                units.push(unit);
            }
            at = end;
        }
        if units.is_empty() || units.len() > 4 || chosen != Some(0) {
            return None;
        }
        self.serve(payload, &units, wish)
    }

    fn classify(
        &mut self,
        payload: &[u8],
        (start, end): (usize, usize),
        data: Data,
        tracks: &[(u64, u64)],
    ) -> Option<(u64, Unit)> {
        let heading = heading(&payload[..end], data.at, data.id.is_some());
        let track = |alias| {
            let found = tracks.iter().find(|(known, _)| *known == alias);
            found.map(|(_, track)| *track)
        };
        let mut unit = Unit {
            start,
            end,
            id: data.id,
            alias: heading.map(|(alias, _)| (alias.1, alias.2)),
            stream: data.stream,
            group: heading.map(|(_, group)| group),
        };
        if data.id.is_none() {
            return Some((track(heading?.0.0)?, unit));
        }
        let place = self.streams.get(&(data.stream % 256)).copied();
        let known = place.filter(|(stream, _)| *stream == data.stream);
        if data.offset != 0 {
            (unit.alias, unit.group) = (None, None);
            let track = known?.1?;
            return (data.offset >= 18).then_some((track, unit));
        }
        if let Some((_, track)) = known {
            return heading.and(track.map(|track| (track, unit)));
        }
        // An older stream gives way once it is of no track.
        if place.is_some_and(|(stream, track)| track.is_some() || stream > data.stream) {
            return None;
        }
        let track = heading.and_then(|(alias, _)| track(alias.0));
        self.streams.insert(data.stream % 256, (data.stream, track));
        Some((track?, unit))
    }

    fn serve(&mut self, payload: &[u8], units: &[Unit], wish: &Wish) -> Option<Vec<u8>> {
        for unit in units {
            if unit.id.is_some() && self.ids.contains_key(&unit.stream) {
                continue;
            }
            let group = unit.group?;
            if group < wish.groups.0 || group > wish.groups.1 {
                return None;
            }
        }
        for unit in units {
            if let (Some((_, len)), Some(alias)) = (unit.alias, wish.alias)
                && len < 9
                && alias >> (7 * len) != 0
            {
                return None;
            }
            let Some((_, len)) = unit.id else {
                continue;
            };
            let opened = &mut self.opened;
            let id = *self.ids.entry(unit.stream).or_insert_with(|| {
                *opened += 1;
                (*opened - 1) * 4 + 3
            });
            if id >> (8 * len - 2) != 0 {
                return None;
            }
        }
        Some(self.rewritten(payload, units, wish))
    }

    fn rewritten(&self, payload: &[u8], units: &[Unit], wish: &Wish) -> Vec<u8> {
        let (first, last) = (units[0].start, units[units.len() - 1].end);
        let mut copy = vec![0; last - first];
        for unit in units {
            let mut bytes = payload[unit.start..unit.end].to_vec();
            if let Some((at, len)) = unit.id {
                let id = self.ids[&unit.stream] | (len.ilog2() as u64) << (8 * len - 2);
                bytes[at - unit.start..][..len].copy_from_slice(&id.to_be_bytes()[8 - len..]);
            }
            if let (Some((at, len)), Some(alias)) = (unit.alias, wish.alias) {
                let vi64 = put_vi64(alias, len);
                bytes[at - unit.start..][..len].copy_from_slice(&vi64);
            }
            copy[unit.start - first..][..bytes.len()].copy_from_slice(&bytes);
        }
        copy
    }
}

/// A STREAM frame of a unidirectional stream, or a DATAGRAM frame.
#[derive(Clone, Copy, Debug)]
struct Data {
    at: usize,
    id: Option<(usize, usize)>,
    stream: u64,
    offset: u64,
}

/// Where the frame at `at` ends, and what it brings; `None`: it is malformed.
fn frame(payload: &[u8], at: usize) -> Option<(usize, Option<Data>)> {
    let kind = payload[at];
    let mut cursor = Cursor {
        payload,
        at: at + 1,
    };
    match kind {
        0x00 | 0x01 | 0x1e | 0x1f => {}
        0x02 | 0x03 => {
            cursor.integers(2)?;
            let ranges = cursor.integer()?.0;
            cursor.integers(ranges.checked_mul(2)?.checked_add(1)?)?;
            cursor.integers(if kind == 3 { 3 } else { 0 })?;
        }
        0x04 => cursor.integers(3)?,
        0x05 | 0x11 | 0x15 => cursor.integers(2)?,
        0x06 => {
            cursor.integer()?;
            cursor.data()?;
        }
        0x07 => cursor.data()?,
        0x08..=0x0f => return stream(cursor, kind),
        0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => cursor.integers(1)?,
        0x18 => {
            cursor.integers(2)?;
            cursor.data()?;
            cursor.skip(16)?;
        }
        0x1a | 0x1b => cursor.skip(8)?,
        0x1c => {
            cursor.integers(2)?;
            cursor.data()?;
        }
        0x1d => {
            cursor.integer()?;
            cursor.data()?;
        }
        0x30 | 0x31 => {
            let (start, end) = cursor.extent(kind == 0x31)?;
            let data = Data {
                at: start,
                id: None,
                stream: 0,
                offset: 0,
            };
            return Some((end, Some(data)));
        }
        0x40 if payload.get(at + 1) == Some(&0xaf) => {
            cursor.skip(1)?;
            cursor.integers(4)?;
        }
        _ => return None,
    }
    Some((cursor.at, None))
}

fn stream(mut cursor: Cursor<'_>, kind: u8) -> Option<(usize, Option<Data>)> {
    let at = cursor.at;
    let (stream, len) = cursor.integer()?;
    let offset = if kind & 4 != 0 {
        cursor.integer()?.0
    } else {
        0
    };
    let (start, end) = cursor.extent(kind & 2 != 0)?;
    let data = Data {
        at: start,
        id: Some((at, len)),
        stream: stream >> 2,
        offset,
    };
    Some((end, (stream & 2 != 0).then_some(data)))
}

struct Cursor<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(bytes).ok()?)?;
        (self.at <= self.payload.len()).then_some(())
    }

    /// RFC 9000 §16: value and length.
    fn integer(&mut self) -> Option<(u64, usize)> {
        let len = 1 << (self.payload.get(self.at)? >> 6);
        let bytes = self.payload.get(self.at..self.at + len)?;
        let value = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.at += len;
        Some((value & (u64::MAX >> (66 - 8 * len)), len))
    }

    fn integers(&mut self, count: u64) -> Option<()> {
        (0..count).try_for_each(|_| self.integer().map(drop))
    }

    fn data(&mut self) -> Option<()> {
        let len = self.integer()?.0;
        self.skip(len)
    }

    fn extent(&mut self, has_len: bool) -> Option<(usize, usize)> {
        if !has_len {
            return Some((self.at, self.payload.len()));
        }
        let len = self.integer()?.0;
        let start = self.at;
        self.skip(len)?;
        Some((start, self.at))
    }
}

/// Track alias (value, place, length) and group of a stream or a datagram that begins at `at`.
fn heading(bytes: &[u8], at: usize, is_stream: bool) -> Option<((u64, usize, usize), u64)> {
    let (kind, alias_at) = vi64(bytes, at)?;
    let is_object = match is_stream {
        true => kind < 0x80 && kind & 0x10 != 0 && kind & 6 != 6,
        false => kind & !0x2f == 0 && kind & 0x22 != 0x22,
    };
    if !is_object {
        return None;
    }
    let (alias, group_at) = vi64(bytes, alias_at)?;
    let (group, _) = vi64(bytes, group_at)?;
    Some(((alias, alias_at, group_at - alias_at), group))
}

/// The draft's integer at `at`, and where it ends.
fn vi64(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let more = first.leading_ones();
    let own = first & 0x7f_u8.checked_shr(more).unwrap_or(0);
    let end = at + 1 + more as usize;
    let rest = bytes.get(at + 1..end)?;
    let value = rest
        .iter()
        .fold(u64::from(own), |value, byte| value << 8 | u64::from(*byte));
    Some((value, end))
}

/// The draft's integer with `len` bytes.
fn put_vi64(value: u64, len: usize) -> Vec<u8> {
    let mut bytes = [&[0], &value.to_be_bytes()[..]].concat()[9 - len..].to_vec();
    bytes[0] |= match len {
        9 => 0xff,
        len => u8::MAX.checked_shl(9 - len as u32).unwrap_or(0),
    };
    bytes
}

/// How often the programs gave up for want of room, of which the reference has more.
pub fn given_up(twin: &Twin) -> u64 {
    let reasons = [
        Reason::TooManyFrames,
        Reason::SourceTaken,
        Reason::OutletTaken,
        Reason::NoStreamCredit,
    ];
    let counters = twin.counters();
    reasons
        .map(|reason| counters[reason as usize].1)
        .iter()
        .sum()
}
