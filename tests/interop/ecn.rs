//! `ecn`: both sides mark what they send, count what they get, and report it; neither ever sends CE. RFC 9000 §13.4.

use quic_lite::Side;
use quic_lite::connection::Ecn;
use quic_lite::wire::frame::Frame;

use super::run::{Run, Verdict, ensure};

/// Ours beside the runner's: every packet is marked, not only some.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    run.has_no_retry()?;
    for side in [Side::Client, Side::Server] {
        let is_ect = |ecn: Option<Ecn>| matches!(ecn, Some(Ecn::Ect0 | Ecn::Ect1));
        if let Some(packet) = run.pair.tap.from(side).find(|packet| !is_ect(packet.ecn)) {
            return Err(format!("{:?}: {packet}", packet.ecn));
        }
        let counts =
            |frame: &Frame<'_>| matches!(frame, Frame::Ack(ack) if ack.ecn_counts.is_some());
        let reports = run.pair.tap.count(side, counts);
        ensure(reports > 0, || format!("{side:?} never reports counts"))?;
    }
    Ok(())
}
