//! Two endpoints on a lossy link of memory, and what their files say of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qlog::events::Event as QlogEvent;
use quic_lite::config::Config;
use quic_lite::connection::{Event, FourTuple, OtherFrames, OtherStreamFrame, Stats};
use quic_lite::endpoint::{Endpoint, EndpointConfig, Handle};
use quic_lite::error::ConnectionError;
use quic_lite::observer::{Observed, ObservedPacket, Observer};
use quic_lite::rng::Rng;
use quic_lite::stream::StreamEvent;
use quic_lite::tls::{ClientTls, ServerTls};
use quic_lite::wire::frame::{CloseError, ConnectionClose, Frame};
use quic_lite::wire::header::PacketType;
use quic_lite::wire::packet_number::PacketNumber;
use quic_lite::wire::writer::Writer;
use quic_lite::{Dir, StreamId};
use serde_json::Value;

use super::*;
use crate::credentials::Credentials;

/// A folder that is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let id = std::process::id();
        Self(std::env::temp_dir().join(format!("quic-relay-qlog-{name}-{id}")))
    }

    /// The records of the only file with this ending.
    fn records(&self, side: &str) -> Vec<Value> {
        let files = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files
            .filter(|path| path.to_str().unwrap().ends_with(&format!("_{side}.sqlog")))
            .collect();
        assert_eq!(files.len(), 1, "{side}");
        let text = fs::read_to_string(files.pop().unwrap()).unwrap();
        // RFC 7464 §2.1: each text stands between a record separator and a line feed.
        let texts = text.strip_prefix('\u{1e}').unwrap().split('\u{1e}');
        let parse = |text: &str| serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        texts.map(parse).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn endpoint(server: bool, folder: &Path) -> Endpoint {
    let credentials = Credentials::generate("localhost").unwrap();
    let tls = ServerTls::new_single(credentials.chain, credentials.key, &[b"test"]).unwrap();
    let config = EndpointConfig {
        server: server.then_some(tls),
        retry: server,
        ..EndpointConfig::default()
    };
    let mut endpoint = Endpoint::new(config, [u8::from(server) + 1; 32]);
    endpoint.set_local_addresses(&[address(server)]);
    watch(&mut endpoint, Some(folder)).unwrap();
    endpoint
}

fn address(server: bool) -> std::net::SocketAddr {
    ([10, 0, 0, 1 + u8::from(server)], 4433).into()
}

/// Sends what one endpoint has to the other, of which every tenth or so gets lost. Whether it had anything.
fn carry(
    now: Time,
    from: &mut Endpoint,
    to: &mut Endpoint,
    to_server: bool,
    dice: &mut Rng,
) -> bool {
    let mut buffer = vec![0; 16 << 10];
    let mut had = false;
    while let Some(transmit) = from.transmit(now, &mut buffer, 8) {
        had = true;
        let size = transmit.segment_size.unwrap_or(transmit.len);
        for datagram in buffer[..transmit.len].chunks_mut(size) {
            let path = FourTuple {
                local: address(to_server),
                remote: address(!to_server),
            };
            if dice.below(10) > 0 {
                to.receive(now, path, transmit.ecn, datagram);
            }
        }
    }
    had
}

/// A client sends a file to a server, and leaves. What both connections have counted in the end.
fn converse(folder: &Path) -> [Stats; 2] {
    let (mut client, mut server) = (endpoint(false, folder), endpoint(true, folder));
    let tls = ClientTls::insecure(&[b"test"]).unwrap();
    let mut now = Time::from_micros(5_000_000);
    let config = Arc::new(Config::default());
    let handle = client
        .connect(now, &tls, address(true), "localhost", config)
        .unwrap();
    let (mut dice, mut stats) = (Rng::from_number(7), [Stats::default(); 2]);
    let mut left = false;
    for _ in 0..20_000 {
        let sent = carry(now, &mut client, &mut server, true, &mut dice)
            | carry(now, &mut server, &mut client, false, &mut dice);
        for (at, endpoint) in [&client, &server].into_iter().enumerate() {
            let counted = endpoint
                .handles()
                .next()
                .and_then(|it| endpoint.connection(it));
            stats[at] = counted.map_or(stats[at], |it| *it.stats());
        }
        while let Some((_, event)) = client.poll_event() {
            match event {
                Event::HandshakeConfirmed => {
                    let connection = client.connection_mut(handle).unwrap();
                    let id = connection.open(Dir::Uni).unwrap();
                    connection.write_chunk(id, vec![7; 40_000].into()).unwrap();
                    connection.finish(id).unwrap();
                }
                Event::Stream(StreamEvent::Finished(_)) => {
                    left = true;
                    client.close_all(now, 0, "done");
                }
                _ => {}
            }
        }
        while server.poll_event().is_some() {}
        if sent {
            continue; // nobody waits for a timer while there is something to answer
        }
        let next = [client.next_timeout(), server.next_timeout()];
        let Some(next) = next.into_iter().flatten().min() else {
            break;
        };
        now = next.max(now + Duration::from_micros(100));
        client.on_timeout(now);
        server.on_timeout(now);
    }
    assert!(left && client.is_empty() && server.is_empty());
    stats
}

#[test]
fn files_are_qlog_and_say_what_the_connections_have_counted() {
    let folder = Folder::new("counts");
    let [client, server] = converse(&folder.0);
    assert!(client.packets_lost > 0, "the link loses");
    for (side, stats) in [("client", client), ("server", server)] {
        let records = folder.records(side);
        let (header, events) = records.split_first().unwrap();
        check_header(header, side);
        let mut counts = BTreeMap::<&str, u64>::new();
        let mut last = 0.0;
        for event in events {
            check_event(event);
            let time = event["time"].as_f64().unwrap();
            assert!(time >= last, "qvis wants times in order: {event}");
            last = time;
            let is_retry = event["data"]["header"]["packet_type"] == "retry";
            if !is_retry {
                *counts.entry(event["name"].as_str().unwrap()).or_default() += 1;
            }
        }
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        assert_eq!(count("transport:packet_sent"), stats.packets_sent, "{side}");
        assert_eq!(count("transport:packet_received"), stats.packets_received);
        assert_eq!(count("recovery:packet_lost"), stats.packets_lost);
        assert_eq!(
            count("transport:packet_dropped"),
            stats.packets_duplicate + stats.packets_undecryptable
        );
        assert_eq!(count("connectivity:connection_started"), 1);
        assert_eq!(count("connectivity:connection_closed"), 1);
        // Ours, the peer's, and the suite.
        assert_eq!(count("transport:parameters_set"), 3);
        assert!(count("recovery:metrics_updated") > 0);
        assert_eq!(count("security:key_retired"), 4);
    }
    let retries = folder.records("client").into_iter();
    let retries = retries.filter(|it| it["data"]["header"]["packet_type"] == "retry");
    assert_eq!(retries.count(), 1);
}

fn check_header(header: &Value, side: &str) {
    assert_eq!(header["qlog_version"], "0.3", "what qvis reads");
    assert_eq!(header["qlog_format"], "JSON-SEQ");
    assert_eq!(header["trace"]["vantage_point"]["type"], side);
    let common = &header["trace"]["common_fields"];
    assert_eq!(common["time_format"], "relative");
    // Milliseconds: this century.
    assert!(common["reference_time"].as_f64().unwrap() > 1e12);
    assert_eq!(common["group_id"].as_str().unwrap().len(), 16);
}

/// draft-ietf-quic-qlog-main-schema-02 §3.4, draft-ietf-quic-qlog-quic-events-02 §3 to §6: the members
/// that an event must have.
fn check_event(event: &Value) {
    let read: QlogEvent = serde_json::from_value(event.clone()).unwrap();
    drop(read);
    let name = event["name"].as_str().unwrap();
    let data = &event["data"];
    let required: &[&str] = match name {
        "connectivity:connection_started" => &["src_ip", "dst_ip"],
        "connectivity:connection_state_updated" => &["new"],
        "connectivity:connection_closed" => &["owner", "trigger"],
        "connectivity:mtu_updated" => &["new"],
        "transport:parameters_set" => &["owner"],
        "transport:alpn_information" => &["chosen_alpn"],
        "transport:packet_sent" | "transport:packet_received" => &["header"],
        "transport:packet_dropped" => &["header", "raw", "trigger"],
        "recovery:packet_lost" => &["header"],
        "recovery:congestion_state_updated" => &["new"],
        "recovery:metrics_updated" => &[],
        "security:key_updated" => &["key_type", "new"],
        "security:key_retired" => &["key_type"],
        _ => panic!("not an event of the draft, or not one of ours: {event}"),
    };
    for member in required {
        assert!(!data[member].is_null(), "{member} is missing: {event}");
    }
    let header = &data["header"];
    if header.is_null() {
        return;
    }
    let types = ["initial", "handshake", "1RTT", "retry"];
    assert!(types.contains(&header["packet_type"].as_str().unwrap()));
    if name == "transport:packet_dropped" || header["packet_type"] == "retry" {
        return;
    }
    assert!(header["packet_number"].is_u64(), "{event}");
    for frame in data["frames"].as_array().into_iter().flatten() {
        check_frame(frame);
    }
    if name != "recovery:packet_lost" {
        assert!(data["raw"]["length"].as_u64() > data["raw"]["payload_length"].as_u64());
        assert!(!data["frames"].as_array().unwrap().is_empty(), "{event}");
    }
}

fn check_frame(frame: &Value) {
    let required: &[&str] = match frame["frame_type"].as_str().unwrap() {
        "padding" | "ping" | "handshake_done" => &[],
        "ack" => &["ack_delay", "acked_ranges"],
        "crypto" => &["offset", "length"],
        "stream" => &["stream_id", "offset", "length"],
        "new_connection_id" => &["sequence_number", "retire_prior_to", "connection_id"],
        "retire_connection_id" => &["sequence_number"],
        "new_token" => &["token"],
        "max_data" => &["maximum"],
        "max_stream_data" => &["stream_id", "maximum"],
        "connection_close" => &["error_space", "error_code"],
        _ => panic!("not expected here: {frame}"),
    };
    for member in required {
        assert!(!frame[member].is_null(), "{member} is missing: {frame}");
    }
    if let Some(ranges) = frame["acked_ranges"].as_array() {
        let numbers = ranges.iter().flat_map(|range| range.as_array().unwrap());
        assert!(
            numbers.map(|it| it.as_u64().unwrap()).is_sorted(),
            "{frame}"
        );
    }
}

/// A connection that nobody drives: an observer needs one to begin.
fn log(folder: &Path) -> (Endpoint, Handle) {
    let mut endpoint = endpoint(false, folder);
    let tls = ClientTls::insecure(&[b"test"]).unwrap();
    let (now, config) = (Time::from_micros(1_000_000), Config::default());
    let handle = endpoint
        .connect(now, &tls, address(true), "localhost", config)
        .unwrap();
    (endpoint, handle)
}

#[test]
fn packets_of_the_kernel_are_told_when_they_become_known_with_the_time_they_left() {
    let folder = Folder::new("other");
    let (endpoint, handle) = log(&folder.0);
    let connection = endpoint.connection(handle).unwrap();
    let mut log = Log::new(&folder.0, connection, Arc::default());
    let at = |micros| Time::from_micros(micros);
    log.begin(at(1000));
    log.is_real = true;
    let mut frames = OtherFrames::default();
    frames.streams[0] = Some(OtherStreamFrame {
        id: StreamId::new(quic_lite::Side::Server, Dir::Uni, 1),
        offset: 5,
        len: 7,
        fin: true,
    });
    frames.datagrams = 1;
    let sent = Observed::SentByOther {
        number: PacketNumber::new(9),
        time: at(3500),
        size: 100,
        frames: &frames,
    };
    log.observe(at(8000), &sent);
    drop(log);
    let records = folder.records("client");
    let event = &records[1];
    assert_eq!(
        (event["time"].as_f64(), event["sent_at"].as_f64()),
        (Some(7.0), Some(2.5))
    );
    assert_eq!(event["sent_by"], "kernel");
    let data = &event["data"];
    assert_eq!(data["header"]["packet_number"], 9);
    assert_eq!(data["frames"][0]["stream_id"], 7);
    assert_eq!(data["frames"][0]["fin"], true);
    assert_eq!(data["frames"][1]["raw_frame_type"], 0x30);
}

#[test]
fn a_connection_that_never_was_leaves_no_file_and_a_full_disk_no_error() {
    let folder = Folder::new("none");
    let (endpoint, handle) = log(&folder.0);
    let connection = endpoint.connection(handle).unwrap();
    let mut quiet = Log::new(&folder.0, connection, Arc::default());
    quiet.begin(Time::ZERO);
    drop(quiet);
    let failed = Arc::new(AtomicBool::new(false));
    let mut broken = Log::new(&folder.0.join("gone"), connection, Arc::clone(&failed));
    broken.begin(Time::ZERO);
    broken.is_real = true;
    broken.flush();
    assert!(broken.is_broken && failed.load(Ordering::Relaxed));
    let size = broken.buffer.len();
    broken.observe(
        Time::ZERO,
        &Observed::KeysUpdated {
            by: Side::Client,
            updates: 1,
        },
    );
    assert_eq!(broken.buffer.len(), size, "nothing more is made of it");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

/// A packet of the peer with these frames.
fn received(log: &mut Log, payload: &[u8]) {
    let packet = ObservedPacket {
        packet_type: PacketType::OneRtt,
        number: PacketNumber::new(7),
        size: payload.len() + 30,
        first_byte: 0x40,
        cids: None,
        has_token: false,
        payload,
        mtu_probe: false,
    };
    log.observe(Time::from_micros(2000), &Observed::PacketReceived(&packet));
}

/// RFC 7464 §2.1: what a peer writes becomes neither the end of its record nor the begin of another one.
#[test]
fn row_09_what_a_peer_says_stays_inside_its_record() {
    let folder = Folder::new("inside");
    let (endpoint, handle) = log(&folder.0);
    let connection = endpoint.connection(handle).unwrap();
    let mut log = Log::new(&folder.0, connection, Arc::default());
    log.begin(Time::from_micros(1000));
    let hostile = b"\"}\n\x1e{\"time\":0}\n\0\xff\xfe\\u001e\xe2\x80\xa8";
    let close = Frame::ConnectionClose(ConnectionClose {
        error: CloseError::Application { code: 1 },
        reason: hostile,
    });
    let mut buffer = [0; 200];
    let mut out = Writer::new(&mut buffer);
    close.encode(&mut out).unwrap();
    received(&mut log, out.written());
    let (suite, alpn) = (None, Some(&hostile[..]));
    log.observe(
        Time::from_micros(3000),
        &Observed::Negotiated { suite, alpn },
    );
    let error = ConnectionError::PeerApplication {
        code: 1,
        reason: String::from_utf8_lossy(hostile).into_owned(),
    };
    log.observe(Time::from_micros(4000), &Observed::Closed(&error));
    drop(log);
    let records = folder.records("client");
    let names: Vec<_> = records[1..].iter().map(|it| it["name"].as_str()).collect();
    let expected = [
        "transport:packet_received",
        "transport:alpn_information",
        "transport:parameters_set",
        "connectivity:connection_closed",
    ];
    assert_eq!(names, expected.map(Some));
    let said = String::from_utf8_lossy(hostile);
    assert_eq!(records[1]["data"]["frames"][0]["reason"], *said);
    assert_eq!(records[2]["data"]["chosen_alpn"], *said);
}

/// The smallest frames, the longest list of ranges, the largest numbers, for ever.
#[test]
fn row_09_a_peer_without_end_costs_a_buffer_and_what_is_in_its_records_is_bounded() {
    let folder = Folder::new("endless");
    let (endpoint, handle) = log(&folder.0);
    let connection = endpoint.connection(handle).unwrap();
    let mut log = Log::new(&folder.0, connection, Arc::default());
    log.begin(Time::from_micros(1000));
    let pings = vec![1; 60_000];
    // Largest Acknowledged, delay, 20000 ranges, the first of them; then gaps and lengths of one.
    let mut ranges = vec![2, 0xbf, 0xff, 0xff, 0xff, 0xff];
    ranges.extend([0xff; 7]);
    ranges.extend([0x80, 0, 0x4e, 0x20, 0]);
    ranges.extend([0; 40_000]);
    for _ in 0..20 {
        for payload in [&pings, &ranges] {
            received(&mut log, payload);
            assert!(log.buffer.len() < limits::QLOG_BUFFER);
        }
    }
    log.written = limits::QLOG_FILE - 1;
    log.flush();
    received(&mut log, &pings);
    assert!(log.is_broken && log.buffer.is_empty(), "the file is full");
    drop(log);
    let records = folder.records("client");
    assert_eq!(records.len(), 1 + 40);
    for (at, record) in records[1..].iter().enumerate() {
        let frames = record["data"]["frames"].as_array().unwrap();
        let ranges = frames[0]["acked_ranges"].as_array().map(Vec::len);
        let expected = match at % 2 {
            0 => (limits::QLOG_FRAMES, None),
            _ => (1, Some(limits::QLOG_FRAMES)),
        };
        assert_eq!((frames.len(), ranges), expected);
    }
}
