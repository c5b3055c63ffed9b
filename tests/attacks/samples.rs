//! One frame of each type, with where RFC 9000 Table 3 lets it be.

use quic_lite::{Dir, Side, StreamId};

/// A frame.
pub struct Sample {
    /// Its name in the RFC.
    pub name: &'static str,
    /// The letters of Table 3.
    pub packets: &'static str,
    /// The frame: what it names exists once the handshake is complete.
    pub bytes: Vec<u8>,
}

impl Sample {
    /// Whether it means the same when its packet waited for the handshake: no acknowledgement, and no
    /// connection ID of ours, which did not exist then.
    pub fn is_timeless(&self) -> bool {
        !matches!(
            self.name,
            "ACK" | "ACK_ECN" | "RETIRE_CONNECTION_ID" | "CRYPTO"
        )
    }
}

/// All types there are, the extensions that we know, and one that nobody knows, from a peer on this side.
/// Those that name a stream name its first.
pub fn samples(peer: Side) -> Vec<Sample> {
    let mut samples = stream_samples(peer);
    let mut add = |name, packets, bytes: &[u8]| {
        samples.push(Sample {
            name,
            packets,
            bytes: bytes.to_vec(),
        });
    };
    add("PADDING", "IH01", &[0x00, 0, 0, 0]);
    add("PING", "IH01", &[0x01]);
    add("ACK", "IH1", &[0x02, 0, 0, 0, 0]);
    add("ACK_ECN", "IH1", &[0x03, 0, 0, 0, 0, 0, 0, 0]);
    add("CRYPTO", "IH1", &[0x06, 0, 1, 0x04]);
    add("NEW_TOKEN", "1", &[0x07, 4, 1, 2, 3, 4]);
    add("MAX_DATA", "01", &[0x10, 0x7f, 0xff]);
    add("MAX_STREAMS_BIDI", "01", &[0x12, 0x7f, 0xff]);
    add("MAX_STREAMS_UNI", "01", &[0x13, 0x7f, 0xff]);
    add("DATA_BLOCKED", "01", &[0x14, 0x10]);
    add("STREAMS_BLOCKED_BIDI", "01", &[0x16, 0x10]);
    add("STREAMS_BLOCKED_UNI", "01", &[0x17, 0x10]);
    let mut new_id = vec![0x18, 1, 0, 8];
    new_id.extend([9; 8 + 16]);
    add("NEW_CONNECTION_ID", "01", &new_id);
    add("RETIRE_CONNECTION_ID", "1", &[0x19, 1]);
    add("PATH_CHALLENGE", "01", &[0x1a, 1, 2, 3, 4, 5, 6, 7, 8]);
    add("PATH_RESPONSE", "1", &[0x1b, 1, 2, 3, 4, 5, 6, 7, 8]);
    add("CONNECTION_CLOSE", "IH01", &[0x1c, 0, 0, 0]);
    add("APPLICATION_CLOSE", "01", &[0x1d, 0, 0]);
    add("HANDSHAKE_DONE", "1", &[0x1e]);
    add("IMMEDIATE_ACK", "01", &[0x1f]);
    add("DATAGRAM", "01", &[0x30, 1, 2, 3]);
    add("DATAGRAM_LEN", "01", &[0x31, 3, 1, 2, 3]);
    add("ACK_FREQUENCY", "01", &[0x40, 0xaf, 0, 1, 0x44, 0, 1]);
    add("unknown", "", &[0x21, 0, 0]);
    samples
}

fn stream_samples(peer: Side) -> Vec<Sample> {
    let id = StreamId::new(peer, Dir::Bi, 0).value() as u8;
    let sample = |name, bytes: &[u8]| Sample {
        name,
        packets: "01",
        bytes: bytes.to_vec(),
    };
    vec![
        sample("STREAM 08", &[0x08, id, 1, 2, 3]),
        sample("STREAM 09", &[0x09, id, 1, 2, 3]),
        sample("STREAM 0a", &[0x0a, id, 3, 1, 2, 3]),
        sample("STREAM 0b", &[0x0b, id, 3, 1, 2, 3]),
        sample("STREAM 0c", &[0x0c, id, 5, 1, 2, 3]),
        sample("STREAM 0d", &[0x0d, id, 5, 1, 2, 3]),
        sample("STREAM 0e", &[0x0e, id, 5, 3, 1, 2, 3]),
        sample("STREAM 0f", &[0x0f, id, 5, 3, 1, 2, 3]),
        sample("RESET_STREAM", &[0x04, id, 1, 0]),
        sample("STOP_SENDING", &[0x05, id, 1]),
        sample("MAX_STREAM_DATA", &[0x11, id, 0x10]),
        sample("STREAM_DATA_BLOCKED", &[0x15, id, 0x10]),
    ]
}
