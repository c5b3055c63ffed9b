//! The interop runner's cases between `quic-relay interop-client` or `interop-server` and quinn or quiche, in both
//! roles. No RFC.
//!
//! One run is one case with one peer in one role: two endpoints, a link between them (`link`) that delays, loses and
//! damages datagrams and writes down all of them, and a judge (`judge`) who opens them with our key log and asks what
//! the runner asks. What has passed once must pass for ever: `ratchet`.

pub mod case;
pub mod folders;
pub mod judge;
pub mod link;
pub mod ours;
pub mod quiche_end;
pub mod quinn_end;
pub mod ratchet;
pub mod run;
#[path = "../../harness/opened.rs"]
pub mod opened;
#[path = "../../harness/tap.rs"]
pub mod tap;
#[path = "../../harness/trace.rs"]
pub mod trace;

/// What any step here fails with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The application protocol of the runner: HTTP/0.9 over QUIC.
pub const ALPN: &[u8] = b"hq-interop";

/// The file that a request names.
pub fn file_of(request: &[u8]) -> Option<&str> {
    let line = str::from_utf8(request).ok()?.trim_end();
    line.strip_prefix("GET /").filter(|file| !file.contains('/') && !file.is_empty())
}
