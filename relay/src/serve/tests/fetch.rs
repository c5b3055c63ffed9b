//! Past objects.

use core::time::Duration;

use super::support::*;
use crate::moqt::fetch_object::{self, FetchContext, FetchItem};
use crate::moqt::message::FetchRange;
use crate::moqt::subgroup::Body;
use crate::moqt::{Filter, GroupOrder, Location, Message, Parameters, RequestErrorCode};
use crate::track::PeerId;

fn fetched(world: &mut World, peer: PeerId) -> (Vec<Location>, Vec<Location>) {
    let bytes = world
        .at(peer)
        .whole()
        .into_iter()
        .find(|bytes| bytes[0] == 5)
        .expect("a fetch stream");
    let (mut rest, _) = fetch_object::header(&bytes).expect("valid");
    let mut context = FetchContext::new(GroupOrder::Ascending);
    let (mut objects, mut unknown) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let item;
        (rest, item) = context.parse(rest).expect("valid");
        match item {
            FetchItem::Object(object) => {
                assert_eq!(
                    Body::Payload(object.payload),
                    Body::Payload(&vec![object.location.object as u8; 3000])
                );
                assert_eq!(object.priority, 5);
                objects.push(object.location);
            }
            FetchItem::Unknown(at) | FetchItem::NonExistent(at) => unknown.push(at),
        }
    }
    (objects, unknown)
}

#[test]
fn a_joining_fetch_ends_where_the_subscription_begins() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 4, &[0]);
    let bytes = subgroup(3, 5, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes);
    world.settle();
    let late = world.connect();
    let id = world.subscribe(late, filtered(Filter::LargestObject));
    world.at(late).message(id);
    let range = FetchRange::RelativeJoining {
        joining_request_id: id.0,
        joining_start: 0,
    };
    let fetch = world.fetch(late, range);
    let Message::FetchOk(ok) = world.at(late).message(fetch) else {
        panic!("no FETCH_OK");
    };
    assert_eq!(ok.end, Location::new(5, 2));
    assert_eq!(
        fetched(&mut world, late),
        (vec![Location::new(5, 0), Location::new(5, 1)], vec![])
    );
    let publisher = world.at(live.publisher);
    publisher
        .streams
        .write_chunk(stream, objects(&[2], Some(1)).into())
        .expect("open");
    world.settle();
    let rest = world
        .at(late)
        .data
        .values()
        .any(|arrived| arrived.bytes.ends_with(&objects(&[2], None)));
    assert!(rest, "the subscription goes on where the FETCH ended");
}

#[test]
fn a_fetch_waits_for_an_object_that_is_on_its_way() {
    let mut world = World::new();
    let live = world.live(3);
    let bytes = subgroup(3, 0, &[0, 1]);
    let stream = world.at(live.publisher).open(&bytes[..4000]);
    world.settle();
    let range = FetchRange::Standalone {
        track: track(),
        start: Location::ZERO,
        end: Location::new(0, 0),
    };
    let fetch = world.fetch(live.subscriber, range);
    assert!(world.at(live.subscriber).news().is_empty());
    world
        .at(live.publisher)
        .streams
        .write_chunk(stream, bytes[4000..].into())
        .expect("open");
    world.settle();
    assert!(
        matches!(world.at(live.subscriber).message(fetch), Message::FetchOk(ok) if ok.end == Location::new(0, 2))
    );
    assert_eq!(fetched(&mut world, live.subscriber).0.len(), 2);
}

#[test]
fn a_fetch_beyond_what_is_kept_says_what_is_unknown() {
    let mut world = World::new();
    let live = world.live(3);
    world.at(live.publisher).subgroup(3, 7, &[0]);
    world.settle();
    let (start, end) = (Location::new(2, 0), Location::new(7, 0));
    let fetch = world.fetch(
        live.subscriber,
        FetchRange::Standalone {
            track: track(),
            start,
            end,
        },
    );
    assert!(matches!(
        world.at(live.subscriber).message(fetch),
        Message::FetchOk(_)
    ));
    let expected = (vec![Location::new(7, 0)], vec![Location::new(6, u64::MAX)]);
    assert_eq!(fetched(&mut world, live.subscriber), expected);
    let (start, end) = (Location::new(2, 0), Location::new(3, 0));
    let refused = world.fetch(
        live.subscriber,
        FetchRange::Standalone {
            track: track(),
            start,
            end,
        },
    );
    world.wait(Duration::from_secs(2));
    assert_eq!(
        world.at(live.subscriber).events.len(),
        3,
        "end of the first, refusal, end"
    );
    world.at(live.subscriber).events.pop_front();
    assert_eq!(
        world.refused(live.subscriber, refused).code,
        RequestErrorCode::INVALID_RANGE
    );
}

#[test]
fn fetches_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let live = world.live(3);
    let joining = FetchRange::RelativeJoining {
        joining_request_id: 77,
        joining_start: 0,
    };
    let id = world.fetch(live.subscriber, joining);
    assert_eq!(
        world.refused(live.subscriber, id).code,
        RequestErrorCode::INVALID_JOINING_REQUEST_ID
    );
    let joining = FetchRange::RelativeJoining {
        joining_request_id: live.subscription.0,
        joining_start: 0,
    };
    let peer = world.connect();
    let subscription = world.subscribe(peer, Parameters::default());
    world.at(peer).message(subscription);
    let id = world.fetch(peer, joining);
    assert_eq!(
        world.refused(peer, id).code,
        RequestErrorCode::INVALID_RANGE,
        "nothing was published"
    );
}
