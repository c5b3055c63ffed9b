//! Frames that are sent once in a while and belong to no larger part: HANDSHAKE_DONE, NEW_TOKEN, PING,
//! ACK_FREQUENCY (RFC 9000 §19, draft-ietf-quic-ack-frequency).

use crate::recovery::SentFrame;
use crate::wire::frame::Frame;
use crate::wire::frame::ack_frequency::AckFrequency;
use crate::wire::frame::crypto::NewToken;
use crate::wire::writer::Writer;

/// What of these waits to be sent.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) handshake_done: bool,
    pub(super) ping: bool,
    /// The token to give, until another one takes its place; sent when `send_new_token`.
    pub(super) new_token: Option<Box<[u8]>>,
    pub(super) send_new_token: bool,
    /// What the peer is asked for; sent when `send_ack_frequency`.
    pub(super) ack_frequency: Option<AckFrequency>,
    pub(super) send_ack_frequency: bool,
    /// The newest sequence number of the peer's ACK_FREQUENCY frames.
    pub(super) ack_frequency_seen: Option<u64>,
}

impl Control {
    pub(super) const fn has_pending(&self) -> bool {
        self.handshake_done || self.ping || self.send_new_token || self.send_ack_frequency
    }

    /// Writes what fits.
    pub(super) fn write_frames(&mut self, out: &mut Writer<'_>, sent: &mut Vec<SentFrame>) {
        if self.handshake_done && Frame::HandshakeDone.encode(out).is_ok() {
            self.handshake_done = false;
            sent.push(SentFrame::HandshakeDone);
        }
        if let Some(frequency) = self.ack_frequency.filter(|_| self.send_ack_frequency)
            && Frame::AckFrequency(frequency).encode(out).is_ok()
        {
            self.send_ack_frequency = false;
            sent.push(SentFrame::AckFrequency);
        }
        if let Some(token) = self.new_token.as_deref().filter(|_| self.send_new_token)
            && Frame::NewToken(NewToken { token }).encode(out).is_ok()
        {
            self.send_new_token = false;
            sent.push(SentFrame::NewToken);
        }
        if self.ping && Frame::Ping.encode(out).is_ok() {
            self.ping = false;
        }
    }
}
