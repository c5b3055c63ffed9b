//! What quic-interop-runner asks a trace, here of the observer: RFC 9000 §5, §6, §9, §10; RFC 9001 §6.

use std::collections::BTreeSet;

use quic_lite::Side;
use quic_lite::wire::frame::{CloseError, Frame};
use quic_lite::wire::header::PacketType;

use crate::tap::{Kind, Tap, TappedPacket};

impl Tap {
    /// The packets that one side sent.
    pub fn from(&self, side: Side) -> impl DoubleEndedIterator<Item = &TappedPacket> {
        self.packets
            .iter()
            .filter(move |packet| packet.from == side)
    }

    /// The packets of one side that are of this type.
    pub fn of_type(
        &self,
        side: Side,
        packet_type: PacketType,
    ) -> impl DoubleEndedIterator<Item = &TappedPacket> {
        self.from(side).filter(move |packet| packet.is(packet_type))
    }

    /// How many packets of one side have such a frame.
    pub fn count(&self, side: Side, wanted: impl Fn(&Frame<'_>) -> bool) -> usize {
        self.from(side).filter(|packet| packet.has(&wanted)).count()
    }

    /// How many packets are of this kind.
    pub fn kind(&self, kind: Kind) -> usize {
        self.packets
            .iter()
            .filter(|packet| packet.kind == kind)
            .count()
    }

    /// How many handshakes there were: each has another connection ID in the server's Initial packets.
    pub fn handshakes(&self) -> usize {
        let initials = self.of_type(Side::Server, PacketType::Initial);
        let cids = initials.map(|packet| packet.source_cid.as_slice());
        cids.collect::<BTreeSet<_>>().len()
    }

    /// The versions of packets with frames and a long header.
    pub fn versions(&self) -> BTreeSet<u32> {
        let packets = self.packets.iter();
        let opened = packets.filter(|packet| matches!(packet.kind, Kind::Opened(_)));
        opened.filter_map(|packet| packet.version).collect()
    }

    /// How many packets had the first bytes of a ClientHello.
    pub fn client_hellos(&self) -> usize {
        let begins =
            |frame: &Frame<'_>| matches!(frame, Frame::Crypto(crypto) if crypto.offset == 0);
        let initials = self.of_type(Side::Client, PacketType::Initial);
        initials.filter(|packet| packet.has(begins)).count()
    }

    /// What TLS said in packets of this type; zeros where nothing was seen.
    pub fn crypto(&self, side: Side, packet_type: PacketType) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in self
            .of_type(side, packet_type)
            .flat_map(TappedPacket::frames)
        {
            if let Frame::Crypto(crypto) = frame {
                let start = crypto.offset as usize;
                let end = start + crypto.data.len();
                bytes.resize(end.max(bytes.len()), 0);
                bytes[start..end].copy_from_slice(crypto.data);
            }
        }
        bytes
    }

    /// The error codes of all CONNECTION_CLOSE frames, those of QUIC itself and those of applications.
    pub fn close_codes(&self) -> BTreeSet<u64> {
        let frames = self.packets.iter().flat_map(TappedPacket::frames);
        let codes = frames.filter_map(|frame| match frame {
            Frame::ConnectionClose(close) => Some(match close.error {
                CloseError::Transport { code, .. } => code.0,
                CloseError::Application { code } => code,
            }),
            _ => None,
        });
        codes.collect()
    }

    /// How many 1-RTT packets of one side had Key Phase 0, and 1.
    pub fn key_phases(&self, side: Side) -> (usize, usize) {
        let one_rtt = self.of_type(side, PacketType::OneRtt);
        let (one, zero): (Vec<_>, Vec<_>) = one_rtt.partition(|packet| packet.key_phase);
        (zero.len(), one.len())
    }

    /// RFC 9000 §9.3: the first packet to each new address of the client has a PATH_CHALLENGE, and the client
    /// answers it. How many new addresses there were, or which packet is not as it should be.
    pub fn new_paths(&self) -> Result<usize, String> {
        let mut seen = BTreeSet::new();
        for packet in self.from(Side::Server) {
            if !seen.insert(packet.client) || seen.len() == 1 {
                continue;
            }
            let challenge = packet.frames().find_map(|frame| match frame {
                Frame::PathChallenge(challenge) => Some(challenge.data),
                _ => None,
            });
            let data = challenge.ok_or_else(|| format!("no PATH_CHALLENGE in {packet}"))?;
            let answers = |frame: &Frame<'_>| matches!(frame, Frame::PathResponse(answer) if answer.data == data);
            if self.count(Side::Client, answers) == 0 {
                return Err(format!("no answer to {packet}"));
            }
        }
        Ok(seen.len().saturating_sub(1))
    }
}
