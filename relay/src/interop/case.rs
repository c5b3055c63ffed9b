//! The test cases of the interop runner that are played here, by the names it sends. No RFC.
//!
//! | sent | judged |
//! |---|---|
//! | `handshake` | handshake, longrtt |
//! | `transfer` | transfer, multiplexing, blackhole, amplificationlimit, transferloss, transfercorruption, ipv6, rebind-port, rebind-addr; keyupdate and connectionmigration of a server |
//! | `multiconnect` | handshakeloss, handshakecorruption |
//! | `chacha20`, `retry`, `ecn`, `keyupdate` | by their names |
//!
//! Not played: `resumption`, `zerortt`, `http3`, `v2`, `connectionmigration` of a client,
//! `versionnegotiation`.

use crate::error::{Failure, Kind, Result};

/// What an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Files over one connection; nothing special.
    Transfer,
    /// One connection for each file.
    Multiconnect,
    /// The client offers TLS_CHACHA20_POLY1305_SHA256 alone.
    Chacha20,
    /// The server answers a first Initial with Retry.
    Retry,
    /// The client begins a key update.
    KeyUpdate,
}

impl Case {
    /// The case of this name, or the failure that tells the runner that there is none.
    pub(super) fn named(name: &str) -> Result<Self> {
        match name {
            // Packets are marked in every case.
            "handshake" | "transfer" | "ecn" => Ok(Self::Transfer),
            "multiconnect" => Ok(Self::Multiconnect),
            "chacha20" => Ok(Self::Chacha20),
            "retry" => Ok(Self::Retry),
            "keyupdate" => Ok(Self::KeyUpdate),
            "" => Err(Failure::new(Kind::Usage, "no test case").advise("set TESTCASE")),
            other => {
                let what = format!("test case {other} is not supported");
                Err(Failure::new(Kind::Unsupported, what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_played_is_127_and_nothing_is_a_mistake() {
        for name in ["zerortt", "http3", "v2", "resumption", "qwfpgj", "Transfer"] {
            let failure = Case::named(name).unwrap_err();
            assert_eq!(failure.exit_code(), 127, "{name}");
        }
        assert_eq!(Case::named("").unwrap_err().kind(), Kind::Usage);
        assert_eq!(Case::named("ecn").unwrap(), Case::Transfer);
    }
}
