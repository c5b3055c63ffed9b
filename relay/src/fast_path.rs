//! `serve --fast-path`: whether packets are forwarded in the kernel, and one line that says so. No RFC.

use std::net::SocketAddr;

use crate::args::{FastPath as Mode, ServeOptions};
use crate::error::{Failure, Kind, Result};
use crate::interfaces::{leading_to, named};
use crate::status;

/// What came of the wish.
#[derive(Debug)]
pub(crate) enum FastPath {
    /// Userspace does all by itself, for this reason.
    Off(String),
}

impl FastPath {
    /// Does what the options ask for, for a relay on `bind`.
    pub(crate) fn begin(options: &ServeOptions, bind: SocketAddr) -> Result<Self> {
        let mode = options.fast_path.unwrap_or_default();
        if mode == Mode::Off {
            return Ok(Self::Off("switched off".into()));
        }
        let interfaces = match options.interface.is_empty() {
            true => leading_to(bind),
            false => named(&options.interface)?,
        };
        let why = match interfaces.is_empty() {
            true => format!("no network interface but loopback leads to {bind}"),
            false => "not built into this program".into(),
        };
        match mode {
            Mode::Require => {
                let what = format!("the fast path cannot be had: {why}");
                Err(Failure::new(Kind::Rights, what)
                    .advise("`--fast-path auto` goes on without it"))
            }
            _ => Ok(Self::Off(why)),
        }
    }

    /// Whether the kernel forwards.
    pub(crate) const fn is_on(&self) -> bool {
        match self {
            Self::Off(_) => false,
        }
    }

    /// What `status` says of it.
    pub(crate) fn status(&self) -> status::FastPath {
        match self {
            Self::Off(why) => status::FastPath {
                what: why.clone(),
                ..status::FastPath::default()
            },
        }
    }
}
