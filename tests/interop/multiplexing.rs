//! `multiplexing`: 1999 files of 32 bytes, each on a stream of its own, at a server that allows a hundred at a time
//! and must raise that again and again. RFC 9000 §4.6.

use integration::Scenario;
use quic_lite::Side;
use quic_lite::wire::frame::Frame;

use super::run::{Run, Verdict, ensure};
use super::tls;

/// Fewer streams than files.
pub const fn few_streams(scenario: &mut Scenario) {
    scenario.client.max_bidi_streams = 100;
    scenario.server.max_bidi_streams = 100;
}

/// The runner's limit on the server's first limit is 1000.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let tap = &run.pair.tap;
    let limit = tls::server_parameters(tap).map(|server| server.initial_max_streams_bidi);
    ensure(limit.is_some_and(|limit| limit <= 1000), || {
        format!("initial_max_streams_bidi: {limit:?}")
    })?;
    let raised = tap.count(Side::Server, |frame| matches!(frame, Frame::MaxStreams(_)));
    ensure(raised > 1, || format!("{raised} MAX_STREAMS"))
}
