//! ⑩ The forwarding decision: a piece of an upstream stream in, the sends for one subscriber out. Draft §11.4.
//!
//! No state but the [`Route`] it is given, no clock, no connection: what to send follows from the
//! subscription's [`Window`], the stored stream and the news alone. A stream that is forwarded from its
//! first byte keeps every byte and offset, but for the track alias when that is taken; so bytes are
//! passed on as they come, in any order. Only a stream that is joined at a later object is shifted.

use quic_lite::stream::Chunk;

use crate::cache::StreamStore;
use crate::moqt::subgroup::patch_alias;
use crate::moqt::{Filter, Location, varint};

/// Which objects of a track a subscription takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first location.
    pub start: Location,
    /// The last group.
    pub end_group: Option<u64>,
}

impl Window {
    /// The window of a filter, given the largest location so far (draft §5.1.2).
    pub fn new(filter: Option<Filter>, largest: Option<Location>) -> Self {
        let (start, end_group) = match filter {
            None => (Location::ZERO, None),
            Some(Filter::NextGroupStart) => (
                largest.map_or(Location::ZERO, |at| {
                    Location::new(at.group.saturating_add(1), 0)
                }),
                None,
            ),
            Some(Filter::LargestObject) => {
                (largest.map_or(Location::ZERO, Location::next_object), None)
            }
            Some(Filter::AbsoluteStart(start)) => (start, None),
            Some(Filter::AbsoluteRange { start, end_group }) => (start, Some(end_group)),
        };
        Self { start, end_group }
    }

    /// Whether an object passes.
    pub fn contains(&self, location: Location) -> bool {
        location >= self.start && self.end_group.is_none_or(|end| location.group <= end)
    }

    /// The first object of `group` that passes; `None` when none does.
    pub fn first_object(&self, group: u64) -> Option<u64> {
        if group < self.start.group || self.end_group.is_some_and(|end| group > end) {
            return None;
        }
        Some(if group == self.start.group {
            self.start.object
        } else {
            0
        })
    }
}

/// How the bytes of one upstream stream go to one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nothing is sent before an object with at least this ID comes.
    Joining {
        /// The first wanted object.
        object: u64,
    },
    /// Bytes from upstream offset `from` go to offset `prefix` and on.
    Open {
        /// The first upstream byte that is passed on as it is.
        from: u64,
        /// How many bytes of ours stand before it.
        prefix: u64,
    },
    /// Nothing is sent any more.
    Closed,
}

/// What is new about an upstream stream; its store knows it already.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// Bytes.
    Bytes {
        /// Where they stand.
        offset: u64,
        /// The bytes.
        chunk: &'a Chunk,
    },
    /// Its size.
    End(u64),
    /// The publisher has given it up.
    Reset(u64),
}

/// What to do with the subscriber's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Send {
    /// Open it.
    Open,
    /// Put bytes at an offset.
    Write {
        /// Where.
        offset: u64,
        /// What.
        chunk: Chunk,
    },
    /// Its size is this.
    Finish(u64),
    /// Give it up.
    Reset(u64),
}

/// The route of a stream to a subscription that begins to take it, and what is to be sent at once:
/// everything stored that it wants.
pub fn begin(window: &Window, alias: u64, store: &StreamStore, out: &mut Vec<Send>) -> Route {
    let Some(object) = window.first_object(store.header().group_id) else {
        return Route::Closed;
    };
    if store.reset_code().is_some() || !store.is_whole() {
        return Route::Closed;
    }
    let mut route = Route::Joining { object };
    join(&mut route, object, alias, store, out);
    if matches!(route, Route::Joining { .. }) && store.is_complete() {
        return Route::Closed;
    }
    route
}

/// What one piece of news means for one subscriber.
pub fn forward(
    route: &mut Route,
    alias: u64,
    store: &StreamStore,
    news: News<'_>,
    out: &mut Vec<Send>,
) {
    match (*route, news) {
        (Route::Closed, _) => {}
        // Where bytes were dropped nobody can begin any more.
        (Route::Joining { .. }, News::Bytes { .. }) if !store.is_whole() => *route = Route::Closed,
        (Route::Joining { object }, News::Bytes { .. }) => join(route, object, alias, store, out),
        (Route::Joining { .. }, News::End(_)) if !store.is_complete() => {}
        (Route::Joining { .. }, News::End(_) | News::Reset(_)) => *route = Route::Closed,
        (Route::Open { from, prefix }, News::Bytes { offset, chunk }) => {
            write(from, prefix, offset, chunk, out);
        }
        // Draft §11.4.3: the end is passed on as soon as it is known; holes are filled as they come.
        (Route::Open { from, prefix }, News::End(size)) => {
            out.push(Send::Finish(
                size.saturating_sub(from).saturating_add(prefix),
            ));
        }
        (Route::Open { .. }, News::Reset(code)) => {
            out.push(Send::Reset(code));
            *route = Route::Closed;
        }
    }
}

/// Opens the subscriber's stream if the first object it wants has come.
fn join(route: &mut Route, object: u64, alias: u64, store: &StreamStore, out: &mut Vec<Send>) {
    let whole = object == 0 || store.first_object().is_some_and(|first| first >= object);
    let start = if whole {
        whole_start(alias, store)
    } else {
        joined_start(object, alias, store)
    };
    let Some((prefix, from)) = start else {
        return;
    };
    out.push(Send::Open);
    let shift = prefix.len() as u64;
    if shift > 0 {
        out.push(Send::Write {
            offset: 0,
            chunk: prefix,
        });
    }
    for (offset, chunk) in store.pieces_from(from) {
        write(from, shift, offset, &chunk, out);
    }
    *route = Route::Open {
        from,
        prefix: shift,
    };
    // The end may be known already: when this is a replay, or the first wanted object came late.
    if let Some(size) = store.final_size() {
        out.push(Send::Finish(
            size.saturating_sub(from).saturating_add(shift),
        ));
    }
}

/// The header for a stream from its first object: none of ours when the alias is the same, a patched
/// copy of the same length when it fits, a new one otherwise.
fn whole_start(alias: u64, store: &StreamStore) -> Option<(Chunk, u64)> {
    if store.header().track_alias == alias {
        return Some((Chunk::from(Vec::new()), 0));
    }
    let mut header = store.bytes(0, store.header_len())?;
    if !patch_alias(&mut header, alias) {
        let mut changed = *store.header();
        changed.track_alias = alias;
        header.clear();
        changed.encode(&mut header);
    }
    Some((Chunk::from(header), store.header_len()))
}

/// The header and the ID of the first object, for a stream that starts at a later object.
fn joined_start(object: u64, alias: u64, store: &StreamStore) -> Option<(Chunk, u64)> {
    let span = store.object_from(object)?;
    let mut header = store.header().joined(store.first_object()?);
    header.track_alias = alias;
    let mut prefix = Vec::new();
    header.encode(&mut prefix);
    varint::put(&mut prefix, span.id);
    Some((Chunk::from(prefix), span.body))
}

fn write(from: u64, prefix: u64, offset: u64, chunk: &Chunk, out: &mut Vec<Send>) {
    let skip = usize::try_from(from.saturating_sub(offset)).unwrap_or(usize::MAX);
    if skip >= chunk.len() {
        return;
    }
    let offset = offset.max(from).saturating_sub(from).saturating_add(prefix);
    out.push(Send::Write {
        offset,
        chunk: chunk.slice(skip..chunk.len()),
    });
}

#[cfg(test)]
mod tests;
