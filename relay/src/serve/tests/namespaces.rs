//! Who hears of what.

use super::support::*;
use crate::moqt::message::NamespaceRequest;
use crate::moqt::{Message, Namespace, Parameters, RequestErrorCode, ResetCode};

fn subscribe_namespace(path: &str) -> Message {
    let namespace = Namespace::from_path(path).expect("valid");
    let parameters = Parameters::default();
    Message::SubscribeNamespace(NamespaceRequest {
        request_id: 0,
        namespace,
        parameters,
    })
}

#[test]
fn namespaces_are_told_and_taken_back() {
    let mut world = World::new();
    let (watcher, publisher) = (world.connect(), world.connect());
    world.publish_namespace(publisher, "live/a");
    let id = world.at(watcher).request(subscribe_namespace("live"));
    world.settle();
    assert_eq!(world.at(watcher).message(id), ok());
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(Namespace::from_path("a").expect("valid"))
    );
    let second = world.publish_namespace(publisher, "live/b");
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(Namespace::from_path("b").expect("valid"))
    );
    let publisher_end = world.at(publisher);
    publisher_end
        .session
        .cancel(&mut publisher_end.streams, second, ResetCode::CANCELLED);
    world.settle();
    assert_eq!(
        world.at(watcher).message(id),
        Message::NamespaceDone(Namespace::from_path("b").expect("valid"))
    );
    world.disconnect(publisher);
    assert_eq!(
        world.at(watcher).message(id),
        Message::NamespaceDone(Namespace::from_path("a").expect("valid"))
    );
}

#[test]
fn the_empty_prefix_hears_of_everything_and_overlaps_everything() {
    let mut world = World::new();
    let (watcher, publisher) = (world.connect(), world.connect());
    let id = world.at(watcher).request(subscribe_namespace(""));
    world.settle();
    assert_eq!(world.at(watcher).message(id), ok());
    world.publish_namespace(publisher, "a/b");
    assert_eq!(
        world.at(watcher).message(id),
        Message::Namespace(Namespace::from_path("a/b").expect("valid"))
    );
    let overlap = world.at(watcher).request(subscribe_namespace("a"));
    world.settle();
    assert_eq!(
        world.refused(watcher, overlap).code,
        RequestErrorCode::PREFIX_OVERLAP
    );
}

#[test]
fn subscribe_tracks_is_answered_with_offers() {
    let mut world = World::new();
    let (watcher, publisher) = (world.connect(), world.connect());
    let namespace = Namespace::from_path("live").expect("valid");
    let message = NamespaceRequest {
        request_id: 0,
        namespace,
        parameters: Parameters::default(),
    };
    let watch = world.at(watcher).request(Message::SubscribeTracks(message));
    world.settle();
    assert_eq!(world.at(watcher).message(watch), ok());
    world.offer(publisher, 9);
    world.settle();
    let (id, Message::Publish(publish)) = world.at(watcher).asked() else {
        panic!("no offer");
    };
    assert_eq!((publish.track, publish.track_alias), (track(), 9));
    let early = world.at(publisher).subgroup(9, 0, &[0]);
    world.settle();
    assert!(
        world.at(watcher).data.is_empty(),
        "not before it is accepted"
    );
    world.at(watcher).send(id, &ok());
    world.settle();
    assert_eq!(world.at(watcher).whole(), [early]);
}

#[test]
fn scopes_do_not_see_each_other() {
    let mut world = World::new();
    let publisher = world.connect_at("/one", Credit::default());
    world.publish_namespace(publisher, "live");
    let stranger = world.connect_at("/two", Credit::default());
    let id = world.subscribe(stranger, Parameters::default());
    assert_eq!(
        world.refused(stranger, id).code,
        RequestErrorCode::DOES_NOT_EXIST
    );
    let friend = world.connect_at("/one?jwt=x", Credit::default());
    world.subscribe(friend, Parameters::default());
    world.accept(publisher, 1, None);
}
