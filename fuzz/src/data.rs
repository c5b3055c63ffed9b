//! MOQT data: subgroup streams, FETCH streams, datagrams (draft-ietf-moq-transport-18 §11).

use quic_relay::moqt::datagram::ObjectDatagram;
use quic_relay::moqt::fetch_object::{self, FetchContext, FetchItem};
use quic_relay::moqt::scanner::{Scanned, Scanner};
use quic_relay::moqt::subgroup::{Body, Object, ObjectReader, SubgroupHeader, patch_alias};
use quic_relay::moqt::{GroupOrder, MoqtError};

use crate::bytes::Script;

/// A subgroup stream: the header round-trips and takes another alias, the scanner and the reader agree on every
/// object, and neither cares how the bytes arrive.
pub fn moqt_data(data: &[u8]) {
    let mut script = Script::new(data);
    let (step, alias) = (usize::from(script.byte()).max(1), script.integer());
    let bytes = script.rest();
    let Ok((objects, header)) = SubgroupHeader::parse(bytes) else {
        return;
    };
    let header_len = (bytes.len() - objects.len()) as u64;
    let mut written = Vec::new();
    header.encode(&mut written);
    assert_eq!(SubgroupHeader::parse(&written), Ok((&[][..], header)));
    assert!(!header.to_string().contains('\n') && written.len() as u64 <= header_len);
    let mut patched = bytes.to_vec();
    if patch_alias(&mut patched, alias) {
        let (rest, other) = SubgroupHeader::parse(&patched).expect("the same but for the alias");
        assert_eq!(rest, objects);
        let track_alias = alias;
        assert_eq!(
            other,
            SubgroupHeader {
                track_alias,
                ..header
            }
        );
    } else {
        assert_eq!(patched, bytes);
    }

    let spans = scan(&header, header_len, objects, objects.len().max(1));
    for step in [1, step] {
        assert_eq!(
            scan(&header, header_len, objects, step),
            spans,
            "in pieces of {step}"
        );
    }
    let read = read_objects(&header, objects, objects.len().max(1));
    for step in [1, step] {
        assert_eq!(
            read_objects(&header, objects, step),
            read,
            "in pieces of {step}"
        );
    }
    agree(&header, (header_len, objects), &spans, &read);
}

/// Boundaries, the error if there was one, and whether the stream may end there.
type Spans = (Vec<Scanned>, Option<MoqtError>, bool);

fn scan(header: &SubgroupHeader, header_len: u64, bytes: &[u8], step: usize) -> Spans {
    let mut scanner = Scanner::new(header.properties, header_len);
    let (mut seen, mut at) = (Vec::new(), header_len);
    for piece in bytes.chunks(step) {
        if let Err(error) = scanner.push(piece, &mut seen) {
            return (seen, Some(error), false);
        }
        at += piece.len() as u64;
        assert_eq!(scanner.position(), at);
    }
    (seen, None, scanner.is_between_objects())
}

/// ID, properties, status and payload of each object; the error; whether the stream may end there.
type Objects = (Vec<(u64, Vec<u8>, u64, Vec<u8>)>, Option<MoqtError>, bool);

fn read_objects(header: &SubgroupHeader, bytes: &[u8], step: usize) -> Objects {
    let mut reader = ObjectReader::new(header, usize::MAX);
    let mut objects = Vec::new();
    for piece in bytes.chunks(step) {
        reader.push(piece);
        loop {
            match reader.next_object() {
                Ok(Some(object)) => objects.push(owned(&object)),
                Ok(None) => break,
                Err(error) => return (objects, Some(error), false),
            }
        }
    }
    (objects, None, reader.is_between_objects())
}

fn owned(object: &Object<'_>) -> (u64, Vec<u8>, u64, Vec<u8>) {
    let payload = match object.body {
        Body::Payload(payload) => payload,
        _ => &[],
    };
    (
        object.id,
        object.properties.to_vec(),
        object.body.status(),
        payload.to_vec(),
    )
}

/// Scanner and reader saw the same objects at the same places.
fn agree(
    header: &SubgroupHeader,
    (header_len, bytes): (u64, &[u8]),
    spans: &Spans,
    read: &Objects,
) {
    let (mut at, mut previous, mut rest) = (header_len, None, bytes);
    let mut measured = spans.0.iter().filter_map(|seen| match seen {
        Scanned::Measured(span) => Some(span),
        _ => None,
    });
    for (id, properties, status, payload) in &read.0 {
        let span = measured.next().expect("the scanner saw it, too");
        let (after, object) =
            Object::parse(rest, header.properties, previous).expect("it was read");
        let end = at + (rest.len() - after.len()) as u64;
        assert_eq!((span.id, span.start, span.end), (*id, at, Some(end)));
        assert!(span.start < span.body && span.body <= end);
        assert_eq!(
            &owned(&object),
            &(*id, properties.clone(), *status, payload.clone())
        );
        let mut written = Vec::new();
        object.encode(&mut written, header.properties, previous);
        assert_eq!(
            Object::parse(&written, header.properties, previous),
            Ok((&[][..], object))
        );
        (at, previous, rest) = (end, Some(*id), after);
    }
    // The scanner knows the length of an object before all of it has come.
    assert!(measured.count() <= 1);
    assert!(
        read.1.is_none() || spans.1.is_some(),
        "only the reader refuses"
    );
    if spans.1.is_none() {
        assert_eq!(spans.2, read.2);
    }
}

/// A datagram: an object that round-trips and takes another alias, padding, or an error.
pub fn moqt_datagram(data: &[u8]) {
    let mut script = Script::new(data);
    let alias = script.integer();
    let bytes = script.rest();
    let object = match ObjectDatagram::parse_all(bytes) {
        Ok(Some(object)) => object,
        Ok(None) => return,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    let mut written = Vec::new();
    object.encode(&mut written);
    assert_eq!(ObjectDatagram::parse_all(&written), Ok(Some(object)));
    let mut patched = bytes.to_vec();
    if patch_alias(&mut patched, alias) {
        let track_alias = alias;
        let other = ObjectDatagram {
            track_alias,
            ..object
        };
        assert_eq!(ObjectDatagram::parse_all(&patched), Ok(Some(other)));
    } else {
        assert_eq!(patched, bytes);
    }
}

/// A FETCH stream: every item takes bytes, goes the way of its order, and is the same after it was written again.
pub fn moqt_fetch(data: &[u8]) {
    let mut script = Script::new(data);
    let order = match script.byte() & 1 {
        0 => GroupOrder::Ascending,
        _ => GroupOrder::Descending,
    };
    let bytes = script.rest();
    let Ok((mut rest, request_id)) = fetch_object::header(bytes) else {
        return;
    };
    let mut written = Vec::new();
    fetch_object::put_header(&mut written, request_id);
    assert_eq!(fetch_object::header(&written), Ok((&[][..], request_id)));
    let (mut reading, mut writing) = (FetchContext::new(order), FetchContext::new(order));
    let mut checking = FetchContext::new(order);
    while let Ok((after, item)) = reading.parse(rest) {
        assert!(after.len() < rest.len());
        rest = after;
        let mut written = Vec::new();
        writing.encode(&item, &mut written);
        let again = checking.parse(&written);
        assert_eq!(again, Ok((&[][..], item)), "{written:x?}");
        if let FetchItem::Object(object) = item {
            assert!(bytes.len() >= object.payload.len() + object.properties.len());
        }
    }
}
