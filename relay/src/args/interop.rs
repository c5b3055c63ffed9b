//! The options of `interop-client` and `interop-server`: what the interop runner says by environment and
//! by fixed places can be said on the command line, too. No RFC.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::interop::Request;

/// What both roles have in common.
#[derive(Clone, Debug, Args)]
pub(crate) struct Interop {
    /// Which test [default: $TESTCASE]. One that is not supported ends the program with 127.
    #[arg(long, value_name = "NAME")]
    pub(crate) testcase: Option<String>,
    /// Write what each connection does into a file in DIR (qlog) [default: $QLOGDIR].
    #[arg(long, value_name = "DIR")]
    pub(crate) qlog: Option<PathBuf>,
}

/// `quic-relay interop-client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InteropClient {
    #[command(flatten)]
    pub(crate) interop: Interop,
    /// Where files are put.
    #[arg(long, value_name = "DIR", default_value = "/downloads")]
    pub(crate) downloads: PathBuf,
    /// What to fetch [default: $REQUESTS].
    #[arg(value_name = "https://HOST:PORT/FILE")]
    pub(crate) requests: Vec<Request>,
}

/// `quic-relay interop-server`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InteropServer {
    #[command(flatten)]
    pub(crate) interop: Interop,
    /// Where cert.pem and priv.key are.
    #[arg(long, value_name = "DIR", default_value = "/certs")]
    pub(crate) certs: PathBuf,
    /// Where files are taken from.
    #[arg(long, value_name = "DIR", default_value = "/www")]
    pub(crate) www: PathBuf,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:443")]
    pub(crate) bind: SocketAddr,
}
