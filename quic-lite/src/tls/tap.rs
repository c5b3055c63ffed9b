//! Where traffic secrets leave rustls (RFC 9001 §5.1): a key log for one connection. No wire format.
//!
//! Promise: a secret is kept until it is taken, once, and wiped then; labels that QUIC has no use for
//! only pass through to the log the application wanted.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::KeyLog;

use super::Level;
use crate::protection::Secret;

/// Listens to one connection's key log.
pub(super) struct Tap {
    secrets: Mutex<Secrets>,
    next: Arc<dyn KeyLog>,
}

/// Client's and server's secret per level.
#[derive(Default)]
struct Secrets {
    handshake: (Option<Secret>, Option<Secret>),
    one_rtt: (Option<Secret>, Option<Secret>),
}

impl Tap {
    /// A tap in front of `next`.
    pub(super) fn new(next: Arc<dyn KeyLog>) -> Arc<Self> {
        Arc::new(Self {
            secrets: Mutex::default(),
            next,
        })
    }

    /// Takes the client's and the server's secret of a level out, leaving none behind.
    pub(super) fn take(&self, level: Level) -> Option<(Secret, Secret)> {
        let mut secrets = self.secrets();
        let (client, server) = match level {
            Level::Initial => return None,
            Level::Handshake => &mut secrets.handshake,
            Level::OneRtt => &mut secrets.one_rtt,
        };
        client.take().zip(server.take())
    }

    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        // A panic elsewhere leaves the slots whole: each is written in one step.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyLog for Tap {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut secrets = self.secrets();
        match label {
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET" => secrets.handshake.0 = Secret::new(secret),
            "SERVER_HANDSHAKE_TRAFFIC_SECRET" => secrets.handshake.1 = Secret::new(secret),
            "CLIENT_TRAFFIC_SECRET_0" => secrets.one_rtt.0 = Secret::new(secret),
            "SERVER_TRAFFIC_SECRET_0" => secrets.one_rtt.1 = Secret::new(secret),
            _ => {}
        }
        drop(secrets);
        if self.next.will_log(label) {
            self.next.log(label, client_random, secret);
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap(..)")
    }
}
