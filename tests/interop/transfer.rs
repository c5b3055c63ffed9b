//! `transfer`: 2 MB, 3 MB and 5 MB on one connection. Windows are small at first, so credit must be given again and
//! again; and the connection ends with code 0. RFC 9000 §4, §10.2.

use integration::{Kind, Scenario};
use quic_lite::Side;
use quic_lite::config::Config;
use quic_lite::error::ConnectionError;
use quic_lite::wire::frame::Frame;

use super::run::{Run, Verdict, ensure, equal};

/// Far less than the files.
pub fn small_windows(scenario: &mut Scenario) {
    let small = |config: &mut Config| {
        config.initial_stream_window = 64 << 10;
        config.initial_connection_window = 128 << 10;
    };
    small(&mut scenario.client);
    small(&mut scenario.server);
}

/// Ours beside the runner's: frames with credit, the server's own view of the end, and no waste.
pub fn judge(run: &Run) -> Verdict {
    run.check(1)?;
    let credit = |wanted: fn(&Frame<'_>) -> bool| run.pair.tap.count(Side::Client, wanted);
    let connection = credit(|frame| matches!(frame, Frame::MaxData(_)));
    let streams = credit(|frame| matches!(frame, Frame::MaxStreamData(_)));
    ensure(connection > 0 && streams > 0, || {
        format!("{connection} MAX_DATA, {streams} MAX_STREAM_DATA")
    })?;
    let closed = run.pair.server.closed().map(|(_, error)| error);
    let is_zero = matches!(
        closed,
        Some(ConnectionError::PeerApplication { code: 0, .. })
    );
    ensure(is_zero, || format!("the server saw {closed:?}"))?;
    equal("unknown packets", run.pair.tap.kind(Kind::Unopened), 0)?;
    ensure(run.goodput() > 75, || format!("{} %", run.goodput()))
}
