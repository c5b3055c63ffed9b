//! What of an opened packet goes on, and to whom: the frames of one track (RFC 9000 §2, RFC 9221).
//!
//! The packet's STREAM and DATAGRAM frames of the first track that is found are its units. What lies between
//! them becomes PADDING; what lies before and behind is cut off. If there are more units of that track than
//! [`UNITS`], or anything in the packet is odd, all of it is left to userspace: a track's part of a packet goes
//! as a whole or not at all.

use crate::frames::{STEPS, Step, Unit, Walk};
use crate::layout::{Publisher, SOURCES, Source, UNITS};
use crate::moqt::{self, Heading};
use crate::scratch::Text;
use crate::tables::{Rounds, Tables};
use crate::text::{blank, shift};
use crate::verdict::Reason;
use crate::word::opaque;

/// A frame that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Planned {
    /// Where it stands in the plaintext.
    pub unit: Unit,
    /// Where its alias stands.
    pub alias_at: u64,
    /// The alias' bytes; zero: it is not in this packet.
    pub alias_len: u64,
    /// The alias.
    pub alias: u64,
    /// The group; only of those with `begins`.
    pub group: u64,
    /// One: a DATAGRAM, or the beginning of a stream, so that the group decides who gets it.
    pub begins: u64,
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Plan {
    /// The publisher's slot.
    pub slot: u64,
    /// Its generation.
    pub generation: u64,
    /// Its [`crate::layout::Slot::family`].
    pub family: u64,
    /// The track of all that a RAW publisher sends, plus one; zero: MOQT says which.
    pub raw_track: u64,
    /// The packet's number.
    pub number: u64,
    /// As [`crate::layout::Config::log_room`].
    pub log_room: u64,
    /// When its copies are sent (CLOCK_MONOTONIC, ns).
    pub time: u64,
    /// The track.
    pub track: u64,
    /// The version of its audience.
    pub version: u64,
    /// How many of it were looked at.
    pub offered: u64,
    /// How many units.
    pub count: u64,
    /// Bytes of plaintext that go on, from the first.
    pub len: u64,
    /// The units.
    pub units: [Planned; UNITS],
    /// The walk over the packet's frames. Here and not on the stack, because what the verifier knows nothing
    /// of is the same for it in every round.
    walk: Walk,
    /// How many frames of streams and datagrams do not go on.
    left: u64,
    /// Why the last of them does not.
    unit: Reason,
    /// Why the walk ended; [`Reason::Forwarded`]: all was seen.
    end: Reason,
}

impl Plan {
    /// Nothing yet.
    pub const EMPTY: Self = Self {
        slot: 0,
        generation: 0,
        family: 0,
        raw_track: 0,
        number: 0,
        log_room: 0,
        time: 0,
        track: NO_TRACK,
        version: 0,
        offered: 0,
        count: 0,
        len: 0,
        units: [Planned {
            unit: Unit {
                at: 0,
                data: 0,
                end: 0,
                id_at: 0,
                id_len: 0,
                id: 0,
                offset: 0,
                fin: 0,
            },
            alias_at: 0,
            alias_len: 0,
            alias: 0,
            group: 0,
            begins: 0,
        }; UNITS],
        walk: Walk::new(0),
        left: 0,
        unit: Reason::NoUnit,
        end: Reason::TooManyFrames,
    };

    /// Fills in the units of the packet that stands in `text` (`len` bytes); who it comes from is known.
    ///
    /// # Errors
    ///
    /// Why nothing goes on.
    #[inline(always)]
    pub fn find<T: Tables>(&mut self, tables: &T, text: &Text, len: u64) -> Result<(), Reason> {
        self.track = NO_TRACK;
        self.count = 0;
        self.walk = Walk::new(len);
        self.left = 0;
        self.unit = Reason::NoUnit;
        self.end = Reason::TooManyFrames;
        let mut search = Search {
            tables,
            plan: self,
            text,
        };
        tables.repeat(STEPS as u64, &mut search);
        match self.end {
            Reason::Forwarded if self.count != 0 => Ok(()),
            Reason::Forwarded => Err(self.unit),
            reason => Err(reason),
        }
    }

    /// Adds a unit, if it is of the track; whether there was room.
    #[inline(always)]
    fn take(&mut self, track: u64, planned: Planned) -> bool {
        if self.track == NO_TRACK {
            self.track = track;
        }
        if self.track != track {
            self.left = self.left.wrapping_add(1);
            return true;
        }
        let Some(place) = self.units.get_mut(opaque(self.count) as usize) else {
            return false;
        };
        *place = planned;
        self.count = self.count.wrapping_add(1);
        true
    }

    /// To which track a frame belongs.
    #[inline(always)]
    fn classify<T: Tables>(
        &self,
        tables: &T,
        text: &Text,
        unit: Unit,
    ) -> Result<(u64, Planned), Reason> {
        if unit.id_len != 0 {
            let publisher = tables.publisher(self.slot).ok_or(Reason::NotActive)?;
            return self.stream(tables, publisher, text, unit);
        }
        let heading = if self.raw_track == 0 {
            moqt::datagram(text, unit.data, unit.end)
        } else {
            None
        };
        let track = self.track_of(tables, heading).ok_or(Reason::UnknownTrack)?;
        Ok((track, begun(unit, heading)))
    }

    /// A stream that is known, or begins here.
    #[inline(always)]
    fn stream<T: Tables>(
        &self,
        tables: &T,
        publisher: &Publisher,
        text: &Text,
        unit: Unit,
    ) -> Result<(u64, Planned), Reason> {
        let index = unit.id >> 2;
        let source = publisher
            .sources
            .get((index & (SOURCES - 1)) as usize)
            .ok_or(Reason::UnknownStream)?;
        let known = source.index.load();
        let is_known = known == index.wrapping_add(1);
        let state = source.state.load();
        if is_known && (state == 0 || state == Source::DONE) {
            return Err(Reason::UnknownStream);
        }
        let is_raw = self.raw_track != 0;
        if unit.offset != 0 {
            let planned = Planned {
                unit,
                ..Planned::default()
            };
            // The alias must not be in it: it would have to be changed.
            return if is_known && (is_raw || unit.offset >= moqt::ALIAS_END) {
                Ok((state.wrapping_sub(1), planned))
            } else {
                Err(Reason::UnknownStream)
            };
        }
        let heading = if self.raw_track == 0 {
            moqt::subgroup(text, unit.data, unit.end)
        } else {
            None
        };
        let track = if is_known {
            // As above, if it stands here but not all of it.
            (is_raw || heading.is_some()).then_some(state.wrapping_sub(1))
        } else {
            let is_over = known == 0 || state == Source::DONE && known <= index;
            if !is_over || !source.index.compare_exchange(known, index.wrapping_add(1)) {
                return Err(Reason::SourceTaken);
            }
            let track = self.track_of(tables, heading);
            source
                .state
                .swap(track.map_or(Source::DONE, |track| track.wrapping_add(1)));
            track
        };
        Ok((track.ok_or(Reason::UnknownTrack)?, begun(unit, heading)))
    }

    /// The track of something that begins here.
    #[inline(always)]
    fn track_of<T: Tables>(&self, tables: &T, heading: Option<Heading>) -> Option<u64> {
        if self.raw_track != 0 {
            return self.raw_track.checked_sub(1);
        }
        tables.alias(self.slot, heading?.alias)
    }

    /// Whether all that is for tracks goes on.
    #[inline(always)]
    pub const fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Cuts off what lies before the first and behind the last unit, and makes PADDING of what lies between.
    #[inline(always)]
    pub fn cut(&mut self, text: &mut Text) {
        let [first, ..] = &self.units;
        let start = first.unit.at;
        let mut end = start;
        for index in 0..UNITS {
            let Some(planned) = self.units.get_mut(index) else {
                break;
            };
            if index as u64 >= self.count {
                break;
            }
            blank(text, end, planned.unit.at);
            end = planned.unit.end;
            planned.move_down(start);
        }
        self.len = end.wrapping_sub(start);
        shift(text, start, self.len);
    }
}

/// A walk over a packet's frames.
struct Search<'a, T> {
    tables: &'a T,
    plan: &'a mut Plan,
    text: &'a Text,
}

impl<T: Tables> Rounds for Search<'_, T> {
    #[inline(always)]
    fn round(&mut self, _: u64) -> bool {
        let plan = &mut *self.plan;
        let unit = match plan.walk.step(self.text) {
            Step::More => return true,
            Step::Unit(unit) => unit,
            Step::End => {
                plan.end = Reason::Forwarded;
                return false;
            }
            Step::Malformed => {
                plan.end = Reason::Malformed;
                return false;
            }
        };
        match plan.classify(self.tables, self.text, unit) {
            Ok((track, planned)) => plan.take(track, planned),
            Err(reason) => {
                plan.left = plan.left.wrapping_add(1);
                plan.unit = reason;
                true
            }
        }
    }
}

impl Planned {
    /// All positions, when so many bytes before them are gone.
    #[inline(always)]
    fn move_down(&mut self, by: u64) {
        self.unit.at = self.unit.at.wrapping_sub(by);
        self.unit.data = self.unit.data.wrapping_sub(by);
        self.unit.end = self.unit.end.wrapping_sub(by);
        self.unit.id_at = self.unit.id_at.wrapping_sub(by);
        self.alias_at = self.alias_at.wrapping_sub(by);
    }
}

/// A unit whose group decides who gets it. Without heading (RAW) the group is 0.
#[inline(always)]
fn begun(unit: Unit, heading: Option<Heading>) -> Planned {
    let heading = heading.unwrap_or(Heading {
        alias: 0,
        alias_at: 0,
        alias_len: 0,
        group: 0,
    });
    Planned {
        unit,
        alias_at: heading.alias_at,
        alias_len: heading.alias_len,
        alias: heading.alias,
        group: heading.group,
        begins: 1,
    }
}

/// Not a track.
const NO_TRACK: u64 = u64::MAX;
