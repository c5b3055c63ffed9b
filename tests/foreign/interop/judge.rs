//! What the runner asks of a trace, case by case. No RFC; after quic-interop-runner's `testcases_quic.py`.
//!
//! Datagrams are opened with our key log. Where there is no link, and no trace (ECN), our own qlog is asked.

use crate::Failure;
use crate::case::Case;
use crate::folders::Folders;
use crate::link::Entered;
use crate::tap::{CID_LEN, Kind, Secrets, Sent, Tap};
use quic_lite::tls::rustls::KeyLog;
use quic_lite::wire::datagram::{Packet, packets};
use quic_lite::wire::frame::Frame;
use quic_lite::wire::header::PacketType;
use quic_lite::{Side, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether a run was as the case asks; the reason if not.
pub fn judge(case: &Case, folders: &Folders, trace: &[Entered]) -> Result<(), Failure> {
    folders.check()?;
    if !case.link.exists {
        return ecn(&folders.qlog()?);
    }
    if case.is_multiconnect() {
        let (wanted, seen) = (folders.files.len(), handshakes(trace));
        return ensure(seen == wanted, || format!("{seen} handshakes, not {wanted}"));
    }
    let mut tap = open(folders, trace)?;
    let handshakes = handshakes(trace);
    ensure(handshakes == 1, || format!("{handshakes} handshakes"))?;
    let versions = tap.versions();
    ensure(versions == BTreeSet::from([1]), || format!("versions {versions:?}"))?;
    let codes = tap.close_codes();
    ensure(codes.iter().all(|code| *code == 0), || format!("closed with {codes:?}"))?;
    let retries = tap.kind(Kind::Retry);
    ensure((retries > 0) == (case.name == "retry"), || format!("{retries} Retry packets"))?;
    // An address that changes after the end is no path any more.
    let ends = |frame: &Frame<'_>| matches!(frame, Frame::ConnectionClose(_));
    if let Some(end) = tap.packets.iter().position(|packet| packet.has(ends)) {
        tap.packets.truncate(end);
    }
    special(case, &tap, trace)
}

fn special(case: &Case, tap: &Tap, trace: &[Entered]) -> Result<(), Failure> {
    match case.name {
        "transfer" => {
            let grows = |frame: &Frame<'_>| matches!(frame, Frame::MaxData(_) | Frame::MaxStreamData(_));
            ensure(tap.count(Side::Client, grows) > 0, || "credit never grew".into())
        }
        "longrtt" => ensure(tap.client_hellos() >= 2, || format!("{} ClientHellos", tap.client_hellos())),
        "chacha20" => chacha20(tap),
        "multiplexing" => {
            let raises = |frame: &Frame<'_>| matches!(frame, Frame::MaxStreams(_));
            ensure(tap.count(Side::Server, raises) > 0, || "the limit of streams was never raised".into())
        }
        "retry" => retry(tap),
        "keyupdate" => {
            let phases = [Side::Client, Side::Server].map(|side| tap.key_phases(side));
            let both = phases.iter().all(|(zero, one)| *zero > 0 && *one > 0);
            ensure(both, || format!("packets of phases 0 and 1: {phases:?}"))
        }
        "amplificationlimit" => amplification(tap, trace),
        "rebind-port" | "rebind-addr" => {
            let paths = tap.new_paths()?;
            ensure(paths == 2, || format!("{paths} new paths"))
        }
        "ipv6" => {
            let is_all = trace.iter().all(|entered| entered.client.is_ipv6());
            ensure(is_all, || "an IPv4 packet".into())
        }
        _ => Ok(()),
    }
}

/// RFC 8446 §4.1.3: where the ServerHello has the suite. §4.1.2: which suites the ClientHello offers.
fn chacha20(tap: &Tap) -> Result<(), Failure> {
    let hello = tap.crypto(Side::Server, PacketType::Initial);
    // Type and length (4), version (2), random (32), an empty session ID (1).
    let chosen = hello.get(39..41).ok_or("no ServerHello")?;
    ensure(chosen == [0x13, 0x03], || format!("suite {chosen:02x?}"))?;
    let hello = tap.crypto(Side::Client, PacketType::Initial);
    let session = usize::from(*hello.get(38).ok_or("no ClientHello")?);
    let offered = hello.get(39 + session..43 + session).ok_or("a short ClientHello")?;
    ensure(offered == [0, 2, 0x13, 0x03], || format!("offers {offered:02x?}"))
}

/// RFC 9000 §8.1.2, §17.2.5.3: the token comes back, and packet numbers go on.
fn retry(tap: &Tap) -> Result<(), Failure> {
    let token = tap.packets.iter().find(|packet| packet.kind == Kind::Retry).map(|packet| packet.token.clone());
    let token = token.ok_or("no Retry")?;
    let mut initials = tap.of_type(Side::Client, PacketType::Initial).filter(|packet| packet.token == token);
    let first = initials.next().ok_or("the token did not come back")?;
    ensure(first.number > 0, || "packet numbers begin again after Retry".into())
}

/// RFC 9000 §8.1: three times of what has come, until the client has shown that it is there.
fn amplification(tap: &Tap, trace: &[Entered]) -> Result<(), Failure> {
    let chain = tap.crypto(Side::Server, PacketType::Handshake).len();
    ensure(chain >= 7500, || format!("the handshake has {chain} bytes only"))?;
    let shown = tap.of_type(Side::Client, PacketType::Handshake).next().map(|packet| packet.datagram);
    let (mut received, mut sent, mut count) = (0, 0, 0);
    for (ordinal, entered) in trace.iter().enumerate() {
        if shown.is_some_and(|shown| ordinal as u64 >= shown) {
            break;
        }
        match entered.from {
            Side::Client => {
                count += 1;
                // Those that are dropped do not count.
                received += if (2..=7).contains(&count) { 0 } else { entered.bytes.len() };
            }
            Side::Server => sent += entered.bytes.len(),
        }
        ensure(sent <= 3 * received, || format!("{sent} bytes for {received}"))?;
    }
    Ok(())
}

/// RFC 9000 §13.4: the peer's packets were marked, so we counted marks; ours were, so the peer did. No CE by anybody.
fn ecn(records: &[serde_json::Value]) -> Result<(), Failure> {
    for name in ["transport:packet_sent", "transport:packet_received"] {
        let packets = records.iter().filter(|record| record["name"] == name);
        let frames = packets.flat_map(|record| record["data"]["frames"].as_array().into_iter().flatten());
        let counts: Vec<_> = frames.filter(|frame| frame["ect0"].as_u64().is_some_and(|count| count > 0)).collect();
        ensure(!counts.is_empty(), || format!("no ECN counts in {name}"))?;
        ensure(counts.iter().all(|frame| frame["ce"] == 0), || "CE on loopback".into())?;
    }
    Ok(())
}

/// How many handshakes: each has another connection ID in the server's Handshake packets.
fn handshakes(trace: &[Entered]) -> usize {
    let from_server = trace.iter().filter(|entered| entered.from == Side::Server);
    let packets = from_server.flat_map(|entered| packets(&entered.bytes, CID_LEN));
    let cids = packets.filter_map(|packet| match packet {
        Packet::Protected(packet) if packet.packet_type == PacketType::Handshake => Some(packet.source_cid),
        _ => None,
    });
    cids.map(|cid| cid.as_slice().to_vec()).collect::<BTreeSet<_>>().len()
}

fn open(folders: &Folders, trace: &[Entered]) -> Result<Tap, Failure> {
    let secrets = Arc::new(Secrets::default());
    for (label, secret) in folders.secrets()? {
        secrets.log(&label, &[], &secret);
    }
    let mut tap = Tap::new(secrets);
    for (ordinal, entered) in trace.iter().enumerate() {
        tap.on_sent(&Sent {
            time: Time::from_micros(entered.time.as_micros() as u64),
            from: entered.from,
            client: entered.client,
            ordinal: ordinal as u64,
            ecn: None,
            bytes: &entered.bytes,
        });
    }
    Ok(tap)
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(why().into()) }
}
