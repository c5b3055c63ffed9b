//! Who sends first, and what the kernel has sent already (RFC 9000 §2.3).

use super::*;
use crate::other_sender::OtherStreamFrame;

fn of_streams(sent: &[SentFrame]) -> Vec<(StreamId, u64, u64, bool)> {
    let ranges = sent.iter().filter_map(|frame| match *frame {
        SentFrame::Stream {
            id,
            offset,
            len,
            fin,
        } => Some((id, offset, len, fin)),
        _ => None,
    });
    ranges.collect()
}

#[test]
fn higher_priority_first_then_the_older_stream() {
    let mut client = streams(Side::Client, &StreamConfig::default());
    client.set_peer_parameters(&parameters(&StreamConfig::default()));
    let [a, b, c, d] = open(&mut client, Dir::Uni);
    for id in [d, c, b, a] {
        client.write(id, &[1; 50]).unwrap();
    }
    client.set_priority(c, 3).unwrap();
    client.set_priority(a, -1).unwrap();
    let sent: Vec<_> = of_streams(&drain(&mut client))
        .into_iter()
        .map(|(id, ..)| id)
        .collect();
    assert_eq!(sent, [c, b, d, a]);
}

#[test]
fn within_a_stream_lost_bytes_go_before_new_ones() {
    let mut client = streams(Side::Client, &StreamConfig::default());
    let [id] = open(&mut client, Dir::Uni);
    client.write_chunk(id, Chunk::from(vec![1; 3000])).unwrap();
    let first = packet(&mut client, 1000).1;
    packet(&mut client, 1000);
    client.on_lost(&first[0]);
    assert_eq!(packet(&mut client, 1000).1, first);
}

#[test]
fn frames_fill_a_packet_and_join_small_writes() {
    let mut client = streams(Side::Client, &StreamConfig::default());
    let [id] = open(&mut client, Dir::Uni);
    for _ in 0..400 {
        client.write(id, &[7; 5]).unwrap();
    }
    client.finish(id).unwrap();
    let (payload, sent) = packet(&mut client, 1200);
    assert!(sent.len() == 1 && payload.len() >= 1199);
    let (payload, sent) = packet(&mut client, 1200);
    let taken = of_streams(&sent)[0];
    assert_eq!((taken.1 + taken.2, taken.3), (2000, true));
    assert!(payload.len() < 1200 && !client.has_pending());
}

#[test]
fn a_few_bytes_of_room_are_left_unless_all_fits() {
    let mut client = streams(Side::Client, &StreamConfig::default());
    let [id] = open(&mut client, Dir::Uni);
    client.write(id, &[7; 30]).unwrap();
    assert!(packet(&mut client, 12).0.is_empty());
    let sent = of_streams(&packet(&mut client, 40).1);
    assert_eq!(sent, [(id, 0, 30, false)]);
    client.write(id, &[7; 5]).unwrap();
    assert_eq!(of_streams(&packet(&mut client, 10).1), [(id, 30, 5, false)]);
}

#[test]
fn bytes_go_out_of_order_and_the_end_before_the_middle() {
    let mut client = streams(Side::Client, &StreamConfig::default());
    let [id] = open(&mut client, Dir::Uni);
    client.write_at(id, 100, Chunk::from(vec![1; 50])).unwrap();
    client.write_at(id, 10, Chunk::from(vec![1; 20])).unwrap();
    assert_eq!(
        of_streams(&drain(&mut client)),
        [(id, 10, 20, false), (id, 100, 50, false)]
    );
    client.finish_at(id, 200).unwrap();
    assert_eq!(of_streams(&drain(&mut client)), [(id, 200, 0, true)]);
    assert_eq!(client.send_offset_max(id), Some(200));
    client.write_at(id, 0, Chunk::from(vec![1; 200])).unwrap();
    let rest = drain(&mut client);
    assert_eq!(
        of_streams(&rest),
        [
            (id, 0, 10, false),
            (id, 30, 70, false),
            (id, 150, 50, false)
        ]
    );
    assert_eq!(client.send_state(id), Some(SendState::DataSent));
}

#[test]
fn what_the_kernel_has_sent_is_not_sent_again_unless_lost() {
    let mut client = streams(Side::Client, &StreamConfig::default());
    let [id] = open(&mut client, Dir::Uni);
    client.write_chunk(id, Chunk::from(vec![1; 100])).unwrap();
    client.finish(id).unwrap();
    let frame = OtherStreamFrame {
        id,
        offset: 0,
        len: 60,
        fin: false,
    };
    let entry = client.mark_sent(&frame).unwrap();
    assert_eq!(client.max_data().1, 60);
    let own = drain(&mut client);
    assert_eq!(of_streams(&own), [(id, 60, 40, true)]);
    client.on_lost(&entry);
    assert_eq!(drain(&mut client), [entry]);
    client.on_acked(&entry);
    client.on_acked(&own[0]);
    assert_eq!(events(&mut client), [StreamEvent::Finished(id)]);
}

#[test]
fn a_call_that_writes_nothing_leaves_nothing_pending() {
    let config = StreamConfig {
        stream_window: 1 << 20,
        ..small_config()
    };
    let mut client = streams(Side::Client, &config);
    for id in open::<8>(&mut client, Dir::Uni) {
        client.write_at(id, 2000, Chunk::from(vec![1; 10])).unwrap();
    }
    assert!(client.has_pending());
    assert_eq!(drain(&mut client), [SentFrame::DataBlocked]);
    client
        .on_max_data(&crate::wire::frame::MaxData { maximum_data: 2001 })
        .unwrap();
    assert_eq!(of_streams(&drain(&mut client)).len(), 1);
    assert!(!client.has_pending());
}
