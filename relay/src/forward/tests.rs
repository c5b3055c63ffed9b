//! What subscribers receive, byte by byte, in whatever order the pieces come.

use quic_lite::Time;

use super::*;
use crate::moqt::subgroup::{Body, Object};
use crate::moqt::{SubgroupHeader, SubgroupId};

const ALL: Window = Window {
    start: Location::ZERO,
    end_group: None,
};

fn header(subgroup_id: SubgroupId) -> SubgroupHeader {
    SubgroupHeader {
        track_alias: 5,
        group_id: 3,
        subgroup_id,
        publisher_priority: Some(1),
        properties: true,
        end_of_group: true,
        first_object: true,
    }
}

fn objects(out: &mut Vec<u8>, ids: &[u64]) {
    let mut previous = None;
    for id in ids {
        let payload = [*id as u8; 40];
        Object {
            id: *id,
            properties: &[2, 9],
            body: Body::Payload(&payload),
        }
        .encode(out, true, previous);
        previous = Some(*id);
    }
}

fn stream(header: &SubgroupHeader, ids: &[u64]) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    header.encode(&mut out);
    let len = out.len() as u64;
    objects(&mut out, ids);
    (out, len)
}

/// A subscriber's stream as it builds up.
#[derive(Default)]
struct Received {
    opened: bool,
    bytes: Vec<Option<u8>>,
    size: Option<u64>,
    reset: Option<u64>,
}

impl Received {
    fn take(&mut self, sends: Vec<Send>) {
        for send in sends {
            match send {
                Send::Open => assert!(!core::mem::replace(&mut self.opened, true)),
                Send::Write { offset, chunk } => {
                    let offset = usize::try_from(offset).expect("small");
                    self.bytes
                        .resize(self.bytes.len().max(offset + chunk.len()), None);
                    let slots = self.bytes[offset..].iter_mut().zip(chunk.iter());
                    let fresh =
                        |(slot, byte): (&mut Option<u8>, &u8)| slot.replace(*byte).is_none();
                    assert_eq!(slots.map(fresh).filter(|fresh| *fresh).count(), chunk.len());
                }
                Send::Finish(size) => {
                    assert!(self.size.replace(size).is_none_or(|old| old == size))
                }
                Send::Reset(code) => self.reset = Some(code),
            }
        }
    }

    fn whole(&self) -> Vec<u8> {
        assert!(self.opened);
        let bytes: Vec<u8> = self
            .bytes
            .iter()
            .map(|byte| byte.expect("no hole"))
            .collect();
        assert_eq!(self.size, Some(bytes.len() as u64));
        bytes
    }
}

/// Feeds a stream piece by piece; the subscriber begins after `join_after` pieces.
fn play(
    bytes: &[u8],
    header: (&SubgroupHeader, u64),
    order: &[usize],
    at: (Window, u64, usize),
) -> Received {
    let (window, alias, join_after) = at;
    let mut store = StreamStore::new(*header.0, header.1);
    let (mut received, mut route) = (Received::default(), None);
    let pieces: Vec<&[u8]> = bytes.chunks(11).collect();
    for (n, piece) in order.iter().enumerate() {
        if n == join_after {
            let mut out = Vec::new();
            route = Some(begin(&window, alias, &store, &mut out));
            received.take(out);
        }
        let (offset, chunk) = (*piece as u64 * 11, Chunk::from(pieces[*piece]));
        if *piece + 1 == pieces.len() {
            store.finish(Time::ZERO, bytes.len() as u64);
        }
        store
            .insert(Time::ZERO, offset, chunk.clone(), &mut Vec::new())
            .expect("valid");
        if let Some(route) = &mut route {
            let mut out = Vec::new();
            forward(
                route,
                alias,
                &store,
                News::Bytes {
                    offset,
                    chunk: &chunk,
                },
                &mut out,
            );
            if *piece + 1 == pieces.len() {
                forward(
                    route,
                    alias,
                    &store,
                    News::End(bytes.len() as u64),
                    &mut out,
                );
            }
            received.take(out);
        }
    }
    if route.is_none() {
        let mut out = Vec::new();
        begin(&window, alias, &store, &mut out);
        received.take(out);
    }
    received
}

fn orders(pieces: usize) -> Vec<Vec<usize>> {
    // The first piece always comes first: without it a stream is not announced.
    (1..pieces)
        .map(|rotate| {
            let mut order: Vec<usize> = (1..pieces).collect();
            order.rotate_left(rotate % (pieces - 1));
            order.insert(0, 0);
            order
        })
        .collect()
}

#[test]
fn a_stream_from_its_first_byte_is_the_same_bytes() {
    let header = header(SubgroupId::FirstObject);
    let (bytes, len) = stream(&header, &[0, 1, 5]);
    for order in orders(bytes.len().div_ceil(11)) {
        for join_after in [1, 2, order.len() - 1, order.len()] {
            let received = play(&bytes, (&header, len), &order, (ALL, 5, join_after));
            assert_eq!(received.whole(), bytes);
        }
    }
}

#[test]
fn a_taken_alias_is_replaced_and_nothing_else_changes() {
    let header = header(SubgroupId::Explicit(4));
    let (mut bytes, len) = stream(&header, &[0, 1]);
    let original = bytes.clone();
    for order in orders(bytes.len().div_ceil(11)) {
        let received = play(&original, (&header, len), &order, (ALL, 99, 1));
        bytes[1] = 99;
        assert_eq!(received.whole(), bytes);
    }
}

#[test]
fn an_alias_that_does_not_fit_shifts_the_stream() {
    let header = header(SubgroupId::Zero);
    let (bytes, len) = stream(&header, &[0, 1]);
    let (expected, _) = stream(
        &SubgroupHeader {
            track_alias: 1 << 40,
            ..header
        },
        &[0, 1],
    );
    for order in orders(bytes.len().div_ceil(11)) {
        let received = play(&bytes, (&header, len), &order, (ALL, 1 << 40, 2));
        assert_eq!(received.whole(), expected);
    }
}

#[test]
fn a_join_inside_a_group_starts_at_an_object_and_says_so() {
    let window = Window::new(Some(Filter::LargestObject), Some(Location::new(3, 4)));
    let original = header(SubgroupId::FirstObject);
    let (bytes, len) = stream(&original, &[2, 3, 4, 200, 201]);
    let expected = stream(&original.joined(2), &[200, 201]).0;
    for order in orders(bytes.len().div_ceil(11)) {
        for join_after in 1..order.len() {
            let received = play(&bytes, (&original, len), &order, (window, 5, join_after));
            assert_eq!(received.whole(), expected);
        }
    }
}

#[test]
fn groups_outside_the_window_are_not_sent() {
    let header = header(SubgroupId::Zero);
    let (bytes, len) = stream(&header, &[0]);
    let order: Vec<usize> = (0..bytes.len().div_ceil(11)).collect();
    for window in [
        Window::new(Some(Filter::NextGroupStart), Some(Location::new(3, 0))),
        Window::new(
            Some(Filter::AbsoluteRange {
                start: Location::ZERO,
                end_group: 2,
            }),
            None,
        ),
        Window::new(Some(Filter::LargestObject), Some(Location::new(3, 0))),
    ] {
        let received = play(&bytes, (&header, len), &order, (window, 5, 1));
        assert!(!received.opened && received.size.is_none());
    }
}

#[test]
fn a_reset_is_passed_on_once() {
    let header = header(SubgroupId::Zero);
    let (bytes, len) = stream(&header, &[0]);
    let mut store = StreamStore::new(header, len);
    store
        .insert(Time::ZERO, 0, Chunk::from(&bytes[..9]), &mut Vec::new())
        .expect("valid");
    let mut out = Vec::new();
    let mut route = begin(&ALL, 5, &store, &mut out);
    out.clear();
    forward(&mut route, 5, &store, News::Reset(2), &mut out);
    forward(&mut route, 5, &store, News::Reset(2), &mut out);
    assert_eq!(out, [Send::Reset(2)]);
    store.reset(2);
    out.clear();
    assert_eq!(begin(&ALL, 5, &store, &mut out), Route::Closed);
    assert!(out.is_empty());
}

#[test]
fn windows_follow_the_filters() {
    let at = Some(Location::new(7, 9));
    assert_eq!(Window::new(None, at), ALL);
    assert_eq!(
        Window::new(Some(Filter::NextGroupStart), at).start,
        Location::new(8, 0)
    );
    assert_eq!(
        Window::new(Some(Filter::LargestObject), at).start,
        Location::new(7, 10)
    );
    assert_eq!(
        Window::new(Some(Filter::LargestObject), None).start,
        Location::ZERO
    );
    let range = Window::new(
        Some(Filter::AbsoluteRange {
            start: Location::new(2, 1),
            end_group: 3,
        }),
        at,
    );
    assert!(range.contains(Location::new(2, 1)) && range.contains(Location::new(3, 99)));
    assert!(!range.contains(Location::new(2, 0)) && !range.contains(Location::new(4, 0)));
    assert_eq!(
        (
            range.first_object(2),
            range.first_object(3),
            range.first_object(4)
        ),
        (Some(1), Some(0), None)
    );
}
