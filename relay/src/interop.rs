//! `quic-relay interop-client` and `interop-server`: endpoints for the QUIC interop runner. No RFC; the
//! protocol is `hq-interop`: HTTP/0.9 over QUIC, one GET per bidirectional stream.
//!
//! The runner says by environment what to do: `TESTCASE`, `REQUESTS`, `SSLKEYLOGFILE`, `QLOGDIR`; files
//! lie in `/www`, `/downloads` and `/certs`. Exit code 127 says that a test case is not supported. What
//! the cases ask of the endpoints is in [`case`]; most of them are the runner's to make hard, by loss,
//! delay, or a changing address, and need nothing here.

mod case;
mod client;
mod files;
mod request;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use quic_lite::config::Config;

use crate::args;
use crate::error::Result;
use case::Case;
pub(crate) use client::run as run_client;
pub(crate) use request::Request;
pub(crate) use server::run as run_server;

/// Which case to play, and where to write what happens.
fn orders(options: &args::Interop) -> Result<(Case, Option<PathBuf>)> {
    let named = options.testcase.clone().or_else(|| variable("TESTCASE"));
    let qlog = options
        .qlog
        .clone()
        .or_else(|| variable("QLOGDIR").map(PathBuf::from));
    Ok((Case::named(named.as_deref().unwrap_or_default())?, qlog))
}

/// A variable of the environment; one that is empty says nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Transport settings of both roles.
fn transport() -> Config {
    Config {
        // Where three packets of ten are lost a handshake takes many attempts.
        handshake_timeout: Duration::from_secs(60),
        max_idle_timeout: Duration::from_secs(60),
        ..Config::default()
    }
}

/// The application protocol.
const ALPN: &[u8] = b"hq-interop";

/// The application error code for "nothing is wrong"; the runner wants to see it at the end.
const NO_ERROR: u64 = 0;
