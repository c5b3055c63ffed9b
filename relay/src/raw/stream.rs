//! A publisher's stream: who gets it, who waits for it, and what is kept for those. No RFC.

use quic_lite::stream::Chunk;
use quic_lite::wire::stream_id::StreamId;

use crate::track::PeerId;

/// What a piece costs beside its bytes: an entry of a vector that may be half empty, a reference count.
const PIECE_COST: u64 = 96;

/// A publisher's stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Whose and which it is.
    pub(super) source: (PeerId, StreamId),
    /// Subscribers and their streams for it.
    pub(super) listeners: Vec<(PeerId, StreamId)>,
    /// Subscribers without stream credit for it.
    pub(super) waiting: Vec<PeerId>,
    /// Everything so far, as long as somebody waits.
    pieces: Vec<(u64, Chunk)>,
    kept: u64,
    /// Its size, once it is known.
    pub(super) final_size: Option<u64>,
    /// All of it has come.
    pub(super) is_over: bool,
}

impl Stream {
    /// A stream that begins.
    pub(super) const fn new(source: (PeerId, StreamId)) -> Self {
        Self {
            source,
            listeners: Vec::new(),
            waiting: Vec::new(),
            pieces: Vec::new(),
            kept: 0,
            final_size: None,
            is_over: false,
        }
    }

    /// Keeps bytes for those who wait; what that costs.
    pub(super) fn keep(&mut self, offset: u64, chunk: Chunk) -> u64 {
        let cost = chunk.len() as u64 + PIECE_COST;
        self.kept += cost;
        self.pieces.push((offset, chunk));
        cost
    }

    /// What is kept.
    pub(super) fn pieces(&self) -> &[(u64, Chunk)] {
        &self.pieces
    }

    /// What it costs to keep it.
    pub(super) const fn kept(&self) -> u64 {
        self.kept
    }

    /// Keeps nothing any more; what it did cost.
    pub(super) fn drop_kept(&mut self) -> u64 {
        self.pieces = Vec::new();
        std::mem::take(&mut self.kept)
    }

    /// A subscriber gets nothing of it any more.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.listeners.retain(|(listener, _)| *listener != peer);
        self.stop_waiting(peer);
    }

    /// A subscriber does not wait any more; whether it did.
    pub(super) fn stop_waiting(&mut self, peer: PeerId) -> bool {
        let at = self.waiting.iter().position(|waiting| *waiting == peer);
        at.map(|at| self.waiting.swap_remove(at)).is_some()
    }
}
