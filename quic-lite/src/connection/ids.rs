//! Connection IDs of both sides (RFC 9000 §5.1): issue, switch, retire.
//!
//! Promise: memory is bounded whatever the peer issues or retires and however little it acknowledges;
//! a connection ID is retired once.

mod local;
mod remote;

pub use local::LocalIds;
pub use remote::RemoteIds;
