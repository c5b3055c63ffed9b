//! Who was sent how much, and by whom: by userspace or by the kernel. No RFC.
//!
//! A connection that is over is counted on: `status` shows who is here, the last line of `--report` also
//! who was.

use std::collections::VecDeque;

use quic_lite::connection::Connection;
use quic_relay::limits;
use quic_relay::offload::Forwarding;
use quic_relay::serve::Roles;

use crate::report::Subscriber;
use crate::status::{self, Role};

/// Sums over connections that have ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    packets_from_kernel: u64,
    packets_from_userspace: u64,
    subscribers: VecDeque<Subscriber>,
}

impl Tally {
    /// A subscriber has gone.
    pub(crate) fn add(&mut self, connection: &status::Connection) {
        if !connection.role.takes() {
            return;
        }
        self.packets_from_kernel += connection.packets_from_kernel;
        self.packets_from_userspace += connection.packets_from_userspace;
        if self.subscribers.len() == limits::COUNTED_SUBSCRIBERS {
            self.subscribers.pop_front();
        }
        self.subscribers.push_back(Subscriber {
            peer: connection.peer,
            packets_from_kernel: connection.packets_from_kernel,
            packets_from_userspace: connection.packets_from_userspace,
        });
    }

    /// Packets with media that the kernel has sent.
    pub(crate) const fn by_kernel(&self) -> u64 {
        self.packets_from_kernel
    }

    /// All packets with media.
    pub(crate) const fn packets(&self) -> u64 {
        self.packets_from_kernel + self.packets_from_userspace
    }

    /// The subscribers that went last.
    pub(crate) fn subscribers(self) -> Vec<Subscriber> {
        self.subscribers.into()
    }
}

/// A connection as `status` shows it.
pub(crate) fn connection(
    connection: &Connection,
    roles: Roles,
    forwarding: &Forwarding,
) -> status::Connection {
    let stats = connection.stats();
    status::Connection {
        peer: connection.path().remote,
        role: Role::from(roles),
        in_kernel: forwarding.reason.is_none(),
        reason: forwarding.reason.map(|reason| reason.name().to_owned()),
        packets_from_kernel: stats.other_packets_sent,
        packets_from_userspace: stats.data_packets_sent,
        packets_forwarded: forwarding.packets_forwarded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_and_all_are_counted() {
        let mut tally = Tally::default();
        let many = 2 * limits::COUNTED_SUBSCRIBERS as u64;
        for number in 0..many {
            tally.add(&status::Connection {
                peer: ([127, 0, 0, 1], 1).into(),
                role: Role::Subscriber,
                in_kernel: true,
                reason: None,
                packets_from_kernel: number,
                packets_from_userspace: 1,
                packets_forwarded: 0,
            });
        }
        assert_eq!(tally.packets(), many * (many - 1) / 2 + many);
        let last = tally.subscribers();
        assert_eq!(last.len(), limits::COUNTED_SUBSCRIBERS);
        assert_eq!(last.last().map(|it| it.packets_from_kernel), Some(many - 1));
    }
}
