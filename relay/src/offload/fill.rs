//! A slot's fixed part, from the state of its connection; or why the kernel cannot have the connection.
//! RFC 9000 §5.1, §8.2; RFC 9001 §5.
//!
//! To be called only for a slot that is shut and that nobody is inside.

use std::net::{IpAddr, SocketAddr};

use quic_lite::Side;
use quic_lite::connection::{Connection, FourTuple, State};
use quic_lite::protection::{CipherSuite, Keys};
use quic_lite::wire::connection_id::ConnectionId;
use relay_ebpf_loader::layout::{Candidate, Flow, LOCAL_CID_LEN, Slot, flag, role};
use relay_ebpf_loader::word::Word;
use zeroize::Zeroizing;

use super::reason::Reason;

/// A packet protection key and its initialisation vector, as pads need them.
pub(super) type RawKey = (Zeroizing<[u8; 32]>, [u8; 12]);

/// Why the kernel cannot serve a connection in any role; nothing if it can.
pub(super) fn examine(connection: &Connection) -> Result<(), Reason> {
    match connection.state() {
        State::Confirmed => {}
        State::Handshake | State::Complete => return Err(Reason::HandshakeNotConfirmed),
        _ => return Err(Reason::Closed),
    }
    let is_clear = connection.keys().is_some_and(|keys| keys.local.is_clear());
    if !is_clear && connection.suite() != Some(CipherSuite::ChaCha20Poly1305Sha256) {
        return Err(Reason::CipherNotChaCha20);
    }
    if !connection.is_path_validated() {
        return Err(Reason::PathUnvalidated);
    }
    if connection.path().local.ip().is_unspecified() {
        return Err(Reason::NoLocalAddress);
    }
    let is_ours = |cid: ConnectionId| cid.len() == LOCAL_CID_LEN;
    match connection.local_cids().all(is_ours) {
        true => Ok(()),
        false => Err(Reason::CidLength),
    }
}

/// Where packets of a path are looked for among the candidates.
pub(super) fn flow(path: FourTuple) -> Flow {
    Flow {
        local_ip: octets(path.local.ip()),
        remote_ip: octets(path.remote.ip()),
        ports: ports(path),
        family: family(path.remote),
    }
}

/// 4 or 6.
pub(super) const fn family(address: SocketAddr) -> u64 {
    if address.is_ipv4() { 4 } else { 6 }
}

/// Fills the slot of a publisher's connection. Nothing to make pads of for one that goes without encryption.
pub(super) fn publisher(slot: &Slot, connection: &Connection) -> Result<Option<RawKey>, Reason> {
    slot.role.store(role::PUBLISHER);
    path(slot, connection.path());
    let keys = connection.keys().ok_or(Reason::HandshakeNotConfirmed)?;
    slot.phase.store(u64::from(keys.phase));
    crypto(slot, keys.remote)
}

/// Fills the slot of a subscriber's connection, whose packets come by `link`. As [`publisher`].
pub(super) fn subscriber(
    slot: &Slot,
    connection: &Connection,
    link: &Candidate,
) -> Result<Option<RawKey>, Reason> {
    slot.role.store(role::SUBSCRIBER);
    path(slot, connection.path());
    slot.ifindex.store(u64::from(link.ifindex));
    put(&slot.macs, &link.macs);
    // Which marks to set the connection says with its next grant.
    let is_client = connection.side() == Side::Client;
    slot.flags.store(if is_client { flag::CLIENT } else { 0 });
    let cid = connection.remote_cid();
    put(&slot.cid, cid.as_slice());
    slot.cid_len.store(cid.len() as u64);
    let keys = connection.keys().ok_or(Reason::HandshakeNotConfirmed)?;
    slot.phase.store(u64::from(keys.phase));
    crypto(slot, keys.local)
}

fn path(slot: &Slot, path: FourTuple) {
    slot.family.store(family(path.remote));
    put(&slot.local_ip, &octets(path.local.ip()));
    put(&slot.remote_ip, &octets(path.remote.ip()));
    slot.ports.store(ports(path));
}

fn crypto(slot: &Slot, keys: &Keys) -> Result<Option<RawKey>, Reason> {
    let flags = slot.flags.load() & !flag::CLEAR;
    if keys.is_clear() {
        slot.flags.store(flags | flag::CLEAR);
        return Ok(None);
    }
    slot.flags.store(flags);
    let (key, iv) = keys.packet.raw();
    put(&slot.key, key);
    put(&slot.iv, iv);
    put(&slot.hp, keys.header.raw());
    let key = <[u8; 32]>::try_from(key).map_err(|_| Reason::CipherNotChaCha20)?;
    Ok(Some((Zeroizing::new(key), *iv)))
}

fn ports(path: FourTuple) -> u64 {
    u64::from(path.local.port()) << 16 | u64::from(path.remote.port())
}

/// IPv4 in the first four.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Stores bytes in words, the first byte lowest, with zeros behind them.
fn put(words: &[Word], bytes: &[u8]) {
    let mut chunks = bytes.chunks(8);
    for place in words {
        let mut word = [0; 8];
        let chunk = chunks.next().unwrap_or_default();
        word.iter_mut()
            .zip(chunk)
            .for_each(|(to, from)| *to = *from);
        place.store(u64::from_le_bytes(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_in_words_with_zeros_behind() {
        let words: [Word; 3] = Default::default();
        words[2].store(9);
        put(&words, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(words[0].load(), 0x0807_0605_0403_0201);
        assert_eq!((words[1].load(), words[2].load()), (9, 0));
    }

    #[test]
    fn the_flow_of_a_path() {
        let path = FourTuple {
            local: "10.0.0.1:443".parse().expect("an address"),
            remote: "10.0.0.2:5000".parse().expect("an address"),
        };
        let found = flow(path);
        assert_eq!(found.local_ip[..5], [10, 0, 0, 1, 0]);
        assert_eq!((found.ports, found.family), (443 << 16 | 5000, 4));
    }
}
