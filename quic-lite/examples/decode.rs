//! Hex of a UDP datagram in, one line per packet and frame out (RFC 9000 §17, §19).
//!
//! ```text
//! decode HEX               a datagram; Initial packets of a client are opened (RFC 9001 §5.2)
//! decode --odcid CID HEX   the same for the server's Initials, which need the client's first choice
//! decode --cid-len N HEX   connection IDs in short headers have N bytes (8 if not said)
//! decode --frames HEX      the payload of a packet that is already open
//! ```
//! `-` for HEX reads standard input. White space in the hex is ignored.

use quic_lite::protection::{Keys, ProtectedPacket};
use quic_lite::wire::connection_id::ConnectionId;
use quic_lite::wire::datagram::{Packet, Packets};
use quic_lite::wire::frame::frames;
use quic_lite::wire::header::{Header, PacketType};
use quic_lite::{Side, wire::datagram};
use std::fmt::Write as _;
use std::io::Read as _;

fn main() -> Result<(), String> {
    let mut settings = Settings {
        odcid: None,
        cid_len: 8,
        only_frames: false,
    };
    let mut arguments = std::env::args().skip(1);
    let mut hex = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--frames" => settings.only_frames = true,
            "--odcid" => settings.odcid = ConnectionId::new(&bytes(&value()?)?),
            "--cid-len" => {
                settings.cid_len = value()?.parse().map_err(|_| "--cid-len needs a number")?
            }
            _ => hex = Some(argument),
        }
    }
    let mut hex = hex.ok_or("usage: decode [--odcid CID] [--cid-len N] [--frames] HEX|-")?;
    if hex == "-" {
        hex.clear();
        std::io::stdin()
            .read_to_string(&mut hex)
            .map_err(|error| error.to_string())?;
    }
    print!("{}", describe(&bytes(&hex)?, &settings));
    Ok(())
}

struct Settings {
    odcid: Option<ConnectionId>,
    cid_len: usize,
    only_frames: bool,
}

fn describe(bytes: &[u8], settings: &Settings) -> String {
    let mut out = String::new();
    if settings.only_frames {
        describe_frames(bytes, &mut out);
        return out;
    }
    let mut packets = Packets::new(settings.cid_len);
    let mut end = 0;
    while let Some(packet) = packets.next(bytes) {
        let range = match &packet {
            Packet::Protected(packet) => packet.range.clone(),
            Packet::Other { range } => range.clone(),
        };
        end = range.end;
        if let Ok((_, header)) = Header::parse(&bytes[range.clone()], settings.cid_len) {
            let _ = writeln!(out, "{header} ({} bytes)", range.len());
        }
        if let Packet::Protected(packet) = packet {
            describe_packet(&bytes[range], &packet, settings, &mut out);
        }
    }
    if end < bytes.len() {
        let _ = writeln!(out, "{} bytes that are no packet", bytes.len() - end);
    }
    out
}

/// Opens what can be opened without a handshake: an Initial, with the keys of either side.
fn describe_packet(
    bytes: &[u8],
    packet: &datagram::ProtectedPacket,
    settings: &Settings,
    out: &mut String,
) {
    if packet.packet_type != PacketType::Initial {
        return;
    }
    let pair = Keys::initial(
        &settings.odcid.unwrap_or(packet.destination_cid),
        Side::Client,
    );
    for (sender, keys) in [(Side::Client, pair.local), (Side::Server, pair.remote)] {
        let mut bytes = bytes.to_vec();
        let protected = ProtectedPacket {
            bytes: &mut bytes,
            pn_offset: packet.pn_offset,
        };
        let opened = protected
            .unprotect(&keys.header)
            .and_then(|packet| packet.open(&keys.packet, None));
        if let Ok(opened) = opened {
            let _ = writeln!(
                out,
                "  packet {} of the {sender}, {} bytes of frames",
                opened.number,
                opened.payload.len()
            );
            return describe_frames(opened.payload, out);
        }
    }
    out.push_str("  cannot be opened; for a server's Initial say --odcid\n");
}

fn describe_frames(payload: &[u8], out: &mut String) {
    for frame in frames(payload) {
        let _ = match frame {
            Ok(frame) => writeln!(out, "    {frame}"),
            Err(error) => writeln!(out, "    refused: {error}"),
        };
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16))
        .collect();
    let digits = digits.ok_or("not hex")?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err("an odd number of hex digits".into());
    }
    Ok(pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        odcid: None,
        cid_len: 8,
        only_frames: false,
    };

    /// RFC 9001 A.2.
    #[test]
    fn the_clients_first_packet_is_opened_and_broken_down() {
        let hex = include_str!("../../tests/vectors/rfc9001/a2_client_initial.protected.hex");
        let expected = "\
Initial dcid=8394c8f03e515708 scid=- length=1182 (1200 bytes)
  packet 2 of the client, 1162 bytes of frames
    CRYPTO offset=0 length=241
    PADDING length=917
";
        assert_eq!(describe(&bytes(hex).unwrap(), &SETTINGS), expected);
    }

    /// RFC 9001 A.3.
    #[test]
    fn the_servers_first_packet_needs_the_clients_first_choice() {
        let hex = include_str!("../../tests/vectors/rfc9001/a3_server_initial.protected.hex");
        let settings = Settings {
            odcid: ConnectionId::new(&bytes("8394c8f03e515708").unwrap()),
            ..SETTINGS
        };
        let expected = "\
Initial dcid=- scid=f067a5502a4262b5 length=117 (135 bytes)
  packet 1 of the server, 99 bytes of frames
    ACK 0 delay=0
    CRYPTO offset=0 length=90
";
        assert_eq!(describe(&bytes(hex).unwrap(), &settings), expected);
        assert!(describe(&bytes(hex).unwrap(), &SETTINGS).ends_with("say --odcid\n"));
    }

    #[test]
    fn a_malformed_frame_is_named() {
        let settings = Settings {
            only_frames: true,
            ..SETTINGS
        };
        assert_eq!(
            describe(&[1, 2, 0, 0, 0, 1], &settings),
            "    PING\n    refused: ACK range below packet number zero in frame type 0x2\n"
        );
    }
}
