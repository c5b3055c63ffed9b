//! Whether the sums of the streams agree with the connection's (RFC 9000 §4.1), for tests and for those who
//! doubt.

use super::Streams;
use crate::limits;

impl Streams {
    /// Walks over all streams; an error says what is wrong.
    pub fn audit(&self) -> Result<(), String> {
        let (limit, used) = self.max_data();
        check("data sent", used, limit)?;
        let mut sent = 0;
        for stream in self.send.values() {
            check(
                "data sent on a stream",
                stream.credit().used(),
                stream.credit().limit(),
            )?;
            sent += stream.credit().used();
        }
        // Streams that have ended count for the connection all the same.
        check("sum of data sent", sent, used)?;
        let (limit, received) = self.local_max_data();
        check("data received", received, limit)?;
        let (mut sum, mut consumed, mut gaps) = (0, 0, 0);
        for stream in self.recv.values() {
            let tally = stream.tally();
            check("data read of a stream", tally.consumed, tally.received)?;
            (sum, consumed) = (sum + tally.received, consumed + tally.consumed);
            gaps += tally.gaps;
        }
        check("sum of data received", sum, received)?;
        check(
            "data not read",
            sum - consumed,
            self.config.max_connection_window,
        )?;
        if gaps != self.gaps {
            return Err(format!("{gaps} gaps, counted as {}", self.gaps));
        }
        check("gaps", gaps as u64, self.max_gaps())
    }

    /// Bytes received and not read, and bytes written and not acknowledged.
    pub(crate) fn held_bytes(&self) -> u64 {
        let written = self.send.values().map(|it| it.buffer().unacked_bytes());
        let received = self.recv.values().map(|it| it.unread_bytes());
        written.chain(received).sum()
    }

    /// Holes in what was received, of all streams together.
    pub const fn gaps(&self) -> usize {
        self.gaps
    }

    /// How many gaps all streams together may have (RFC 9000 §21.7).
    pub(crate) const fn max_gaps(&self) -> u64 {
        limits::GAPS + self.config.max_connection_window / limits::BYTES_PER_GAP
    }

    /// Streams of the peer that are open now, by direction.
    pub(crate) fn open_to_peer(&self) -> [u64; 2] {
        [0, 1].map(|dir| self.peer[dir].open())
    }
}

fn check(what: &str, used: u64, limit: u64) -> Result<(), String> {
    match used <= limit {
        true => Ok(()),
        false => Err(format!("{what}: {used} of {limit}")),
    }
}
